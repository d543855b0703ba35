"""The benchmark against TRL: both sides get the same work, and the FLOP counts are those worked out by hand."""

import pytest
import torch
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from bench.trl_comparison import flops, spavl_dpo, trl_dpo
from bench.trl_comparison.comparison import Side, SizeTrial, alternate, median_timing, pairs_of_step, try_sizes
from bench.trl_comparison.ratios import speed_up
from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.setups import TINY
from bench.trl_comparison.workload import LLAVA_7B, SMALL, make_processor, random_pairs
from spavl.align.data.batches import PairDataset
from spavl.align.preflight.usable_pairs import group_by
from spavl.models.trees.pack import unpack_tree


def timing(seconds, cache=0.0):
    return Timing(step_seconds=seconds, processor_seconds=seconds, losses=(), cache_seconds=cache)


def test_both_sides_get_the_same_tokens_and_score_the_same_ones():
    data = random_pairs(TINY, 6)
    dataset = PairDataset(
        data, spavl_dpo.policy_of(TINY, RunSpec(pairs_per_step=6, forward_pairs=6)).family, packing="tree"
    )
    separate = [row for tree in group_by(data, "picture") for row in unpack_tree(dataset.tree(tree))]
    batch = DataCollatorForVisionPreference(make_processor(TINY))([trl_dpo.conversations(data)[n] for n in range(6)])
    lines = zip(batch["input_ids"], batch["attention_mask"].bool(), batch["completion_mask"].bool(), strict=True)
    trl = [(ids[mask].tolist(), ids[scored].tolist()) for ids, mask, scored in lines]
    order = [row for n in range(6) for row in (separate[2 * n], separate[2 * n + 1])]
    for number in range(6):
        for ours, theirs in zip(order[2 * number : 2 * number + 2], (trl[number], trl[6 + number]), strict=True):
            (answer,) = ours.answers
            assert ours.ids.tolist() == theirs[0]
            assert ours.ids[answer.start : answer.stop].tolist() == theirs[1]


def test_the_small_shape_has_the_sizes_that_the_row_names():
    assert (SMALL.hidden_size, SMALL.layers, SMALL.vocabulary) == (256, 6, 8_000)
    assert (SMALL.vision_hidden_size, SMALL.vision_layers, SMALL.image_tokens) == (128, 4, 576)
    processor = make_processor(SMALL)
    assert len(processor.tokenizer) == 8_000
    data = random_pairs(SMALL, 300)
    assert [pair.context for pair in data[:4]] == ["picture0/0"] * 3 + ["picture0/1"]
    question = len(processor.tokenizer(f"<s> USER: {data[0].question} ASSISTANT:")["input_ids"])
    answers = [len(processor.tokenizer(f"{text} </s>")["input_ids"]) for p in data for text in (p.chosen, p.rejected)]
    assert question == flops.PREFIX_TOKENS + flops.QUESTION_TOKENS == 40
    assert min(answers) == 60 and max(answers) == 140 and abs(sum(answers) / 600 - flops.ANSWER_TOKENS) < 3


def test_flop_counts_of_llava_7b_are_those_worked_out_by_hand():
    tera = 1e12
    assert flops.trl(LLAVA_7B, score_all=True).forward / tera == pytest.approx(19.19, abs=0.01)
    assert flops.trl(LLAVA_7B, score_all=False).forward / tera == pytest.approx(18.87, abs=0.01)
    assert flops.tree(LLAVA_7B, 1).forward / tera == pytest.approx(10.79, abs=0.01)
    assert flops.trl(LLAVA_7B, score_all=False).step(live=True) / tera == pytest.approx(58.2, abs=0.1)
    assert flops.ratio(LLAVA_7B, questions=3, live=False) == pytest.approx(5.1, abs=0.1)
    assert flops.ratio(LLAVA_7B, questions=3, live=True) == pytest.approx(3.4, abs=0.1)


def test_a_speed_up_is_of_medians_and_shares_the_cache_among_its_uses():
    trl, our = [timing(8.0), timing(90.0), timing(10.0)], [timing(1.0, 5.0), timing(0.1, 5.0), timing(2.0, 5.0)]
    assert speed_up("row", trl, our, 9.0, "").value == 10.0
    assert speed_up("row", trl, our, 3.8, "", cache_uses=5).value == 5.0
    assert median_timing(trl).seconds == 10.0


@pytest.mark.parametrize(("forward_pairs", "pairs"), [(1, 12), (2, 12), (4, 12), (6, 12), (8, 24), (12, 12)])
def test_a_step_has_whole_forward_passes_and_whole_pictures(forward_pairs, pairs):
    assert pairs_of_step(12, forward_pairs) == pairs


def test_sides_alternate_on_the_same_pairs():
    calls = []

    def side(shape, data, spec):
        calls.append((spec.forward_pairs, [pair.pair_id for pair in data], data[0].pictures[0].source))
        return timing(1.0)

    sides = {name: Side(side, RunSpec(pairs_per_step=6, forward_pairs=name)) for name in (1, 2)}
    rounds = [{len(found) for found in timings.values()} for timings in alternate(TINY, sides, rounds=2)]
    assert rounds == [{1}, {2}]
    assert [batch for batch, *_ in calls] == [1, 2, 1, 2]
    assert calls[0][1:] == calls[1][1:] == calls[2][1:]


def test_the_best_size_is_the_fastest_that_fits_into_memory():
    def side(shape, data, spec):
        if spec.forward_pairs > 4:
            raise torch.OutOfMemoryError
        return timing(1 / spec.forward_pairs)

    trial = try_sizes(side, TINY, RunSpec(pairs_per_step=4, forward_pairs=1), (1, 2, 4, 8, 12), repeats=2)
    assert trial.best == 4 and list(trial.seconds) == [1, 2, 4]
    with pytest.raises(torch.OutOfMemoryError):
        try_sizes(side, TINY, RunSpec(pairs_per_step=8, forward_pairs=1), (8, 12))
    assert str(SizeTrial({2: 1.5})) == "2 pairs a forward pass, the best of those tried (2: 1.5)"
