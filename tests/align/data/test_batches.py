"""Batches of pairs: the same answers in the same order however pairs are put together."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from spavl.align.data.batches import PairDataset, StepDataset, cut_answers
from spavl.align.data.lengths import longest_tokens
from spavl.align.data.schedule import group_equal, schedule_steps
from spavl.align.data.views import answer_key, random_crop
from spavl.config.align import BatchingSettings, OptimiserSettings
from spavl.models.families import family_of, load_processor
from spavl.models.trees.score import answer_logprobs


@pytest.fixture(scope="module")
def opened(checkpoint):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
    return model, family_of(model, load_processor(checkpoint))


def sums(opened, dataset, trees, packing=None):
    """Log-probability of every answer by its key."""
    model, family = opened
    batch, keys = dataset.batch(trees, packing)
    with torch.no_grad():
        return dict(zip(keys, answer_logprobs(model, batch, family).sums.tolist(), strict=True))


def close(one, other):
    assert one.keys() == other.keys()
    assert all(one[key] == pytest.approx(other[key], rel=1e-5) for key in one)


def test_answers_are_the_same_however_trees_are_put_together(opened, pairs):
    dataset = PairDataset(pairs, opened[1], packing="tree")
    whole = sums(opened, dataset, [(0, 1, 2), (3, 4, 5)])
    close(whole, sums(opened, dataset, [(0,), (4, 3), (5,), (2, 1)]))
    close(whole, sums(opened, dataset, [(0, 1, 2), (3, 4, 5)], "separate"))
    assert len(whole) == 12


def test_chosen_and_rejected_are_found_in_the_batch(opened, pairs):
    model, family = opened
    one = PairDataset(pairs, family, packing="tree").collate([(3, 4), (0,)], weight=1.0, of=3, reference=None)
    found = answer_logprobs(model, one.batch, family).sums.detach()
    alone = {n: sums(opened, PairDataset([pairs[n]], family, packing="tree"), [(0,)]) for n in (3, 4, 0)}
    for index, number in enumerate(one.pairs):
        pair = pairs[number]
        chosen, rejected = (alone[number][answer_key(pair, text, "true")] for text in (pair.chosen, pair.rejected))
        assert found[one.chosen[index]].item() == pytest.approx(chosen, rel=1e-5)
        assert found[one.rejected[index]].item() == pytest.approx(rejected, rel=1e-5)


@pytest.mark.parametrize("packing", ["tree", "separate"])
@pytest.mark.parametrize("corruption", [None, "crop"])
def test_sizes_of_parts_are_known_without_packing_them(opened, pairs, packing, corruption):
    dataset = PairDataset(pairs, opened[1], packing=packing, corruption=corruption)
    dataset.measure([(0, 1, 2)])
    for part in [(0,), (1, 2), (0, 1, 2)]:
        batch, _ = dataset.batch([part])
        assert dataset.size(part) == int(batch.lengths.sum())
    assert longest_tokens(dataset.lengths)[1] == max(
        len(dataset.tree((1,)).path(answer)) for answer in dataset.tree((1,)).answers
    )


def test_pictures_are_kept_while_there_is_room_and_change_nothing(opened, pairs):
    roomy, tight = (PairDataset(pairs, opened[1], packing="tree", memory=memory) for memory in (1 << 20, 0))
    trees = [(0,), (3,), (0, 1)]
    assert torch.equal(roomy.batch(trees)[0].pixels["pixel_values"], tight.batch(trees)[0].pixels["pixel_values"])
    assert len(roomy.pixel_cache) == 2 and len(tight.pixel_cache) == 0


def test_blind_training_sees_one_grey(opened, pairs):
    batch, keys = PairDataset(pairs, opened[1], packing="tree", blind=True).batch([(0,), (3,)])
    first, second = batch.pixels["pixel_values"]
    assert torch.equal(first, second) and first.std(dim=(1, 2)).max() < 1e-6
    assert keys[0] == answer_key(pairs[0], pairs[0].chosen, "blank") != answer_key(pairs[0], pairs[0].chosen, "true")


def test_corruption_adds_the_chosen_answers_with_the_corrupted_picture(opened, pairs):
    model, family = opened
    dataset = PairDataset(pairs, family, packing="tree", corruption="crop")
    one = dataset.collate([(0, 1, 2), (3,)], weight=1.0, of=4, reference=None)
    found = answer_logprobs(model, one.batch, family).sums.detach()
    assert one.batch.answers == 4 * 2 + 4 and len(set(one.corrupted.tolist())) == 4
    shown = PairDataset([pairs[3]], family, packing="tree")
    plain = sums(opened, shown, [(0,)])[answer_key(pairs[3], pairs[3].chosen, "true")]
    assert found[one.chosen[3]].item() == pytest.approx(plain, rel=1e-5)
    assert abs(found[one.corrupted[3]].item() - plain) > 1e-4
    assert set(dataset.keys(3)) == set(dataset.batch([(3,)])[1])


def test_a_crop_is_small_keeps_the_size_and_depends_on_the_seed_alone():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    first, again, other = random_crop(image, "a"), random_crop(image, "a"), random_crop(image, "b")
    assert first.size == (60, 40) and first.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("limit", [21, 23, 26, 100])
def test_a_cut_answer_is_scored_as_the_start_of_the_whole_one(opened, pairs, limit):
    model, family = opened
    whole = PairDataset(pairs, family, packing="tree")
    cut = PairDataset(pairs, family, packing="tree", limit=limit)
    long, short = whole.tree((0, 1, 2)), cut_answers(whole.tree((0, 1, 2)), limit)
    assert all(len(short.path(answer)) <= limit for answer in short.answers)
    with torch.no_grad():
        full = answer_logprobs(model, whole.batch([(0, 1, 2)])[0], family)
        part = answer_logprobs(model, cut.batch([(0, 1, 2)])[0], family)
    starts = full.logprobs.split(full.lengths.tolist())
    for row, cut_row, answer in zip(starts, part.logprobs.split(part.lengths.tolist()), long.answers, strict=True):
        kept = min(len(row), max(0, limit - len(long.path(answer)) + len(row)))
        assert torch.allclose(cut_row, row[:kept], atol=1e-5) and len(cut_row) == kept


def test_padding_batches_have_weight_zero(opened, pairs):
    dataset = PairDataset(pairs, opened[1], packing="tree")
    dataset.measure(group_equal([pair.context for pair in pairs]))
    schedule = schedule_steps(
        [(0, 1, 2)], dataset.size, BatchingSettings(pairs=3, forward_pairs=1), OptimiserSettings(), seed=0, ranks=2
    )
    weights = [[one.weight for one in StepDataset(dataset, schedule, rank, None)[0]] for rank in (0, 1)]
    assert sorted(weights) == [[1.0, 0.0], [1.0, 1.0]]
    assert {one.of for one in StepDataset(dataset, schedule, 0, None)[0]} == {3}
