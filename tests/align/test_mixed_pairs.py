"""Pairs of text only, with one picture, with several and with earlier turns, mixed in every kind of training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from spavl.align.data.batches import PairDataset
from spavl.align.data.views import swap_pictures
from spavl.align.dpo.train import train_dpo
from spavl.align.policy.policy import load_policy
from spavl.align.ppo.rollout import group_by_context, prompts_of
from spavl.align.ppo.train import train_ppo
from spavl.align.preflight.device import DeviceContext
from spavl.align.preflight.prepare import reference_scorer
from spavl.align.preflight.reference_cache import ReferenceCache, fill_reference_cache, reference_sums
from spavl.align.preflight.usable_pairs import group_by
from spavl.align.reward.accuracy import reward_margins
from spavl.align.reward.model import RewardModel
from spavl.align.reward.train import train_reward
from spavl.align.validation.held_out import split_by_picture
from spavl.errors import DataError
from spavl.models.families import ChatTurn, load_processor
from spavl.models.identity import Checkpoint
from spavl.models.trees.score import answer_logprobs
from spavl.preferences.pairs import Pair
from spavl.preferences.table import open_pairs
from tests.align.ppo.small import ppo_settings
from tests.families import CASES, save
from tests.mixed_rows import plain_sums


@pytest.fixture(scope="module")
def mixed(pairs):
    """16 pairs: of each shape four."""
    one = [pair.pictures[0] for pair in pairs]
    shapes = {
        "text": lambda n: {"pictures": ()},
        "one": lambda n: {"pictures": (one[n],)},
        "two": lambda n: {"pictures": (one[n], one[n + 12])},
        "turns": lambda n: {
            "pictures": (one[n],) if n % 2 else (),
            "earlier": (ChatTurn("user", "what is this", (one[12],)), ChatTurn("assistant", "a red cup")),
            "system": "tell me more",
        },
    }
    return [replace(pairs[n], pair_id=f"{name}/{n}", **change(n)) for n in range(4) for name, change in shapes.items()]


@pytest.fixture(scope="module", params=["llava", "qwen2_5_vl"])
def model(request, checkpoint, tmp_path_factory):
    """Checkpoints of two families: pictures of equal size in tokens, and of their own size with grid positions."""
    return str(checkpoint if request.param == "llava" else save(CASES[request.param], tmp_path_factory.mktemp("model")))


def weights(folder):
    return load_file(folder / "checkpoint" / "model.safetensors")


def first_line(folder):
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])


def same(one, other, **tolerance):
    assert all(torch.allclose(one[name], other[name], **tolerance) for name in one)


PLAIN = {"batching": {"pairs": 8, "shuffle": False}, "reference": {"mode": "cached"}, "optimiser": {"max_steps": 4}}


@pytest.fixture(scope="module")
def plain(mixed, settings_of_module, tmp_path_factory):
    """A training whose pairs are put together as they are by default."""
    folder = tmp_path_factory.mktemp("plain")
    train_dpo(mixed, settings_of_module(**PLAIN), folder)
    return folder


@pytest.mark.parametrize(
    "changed",
    [
        {"batching": {"pairs": 8, "packing": "separate"}},
        {"batching": {"pairs": 8, "forward_pairs": 1}},
        {"batching": {"pairs": 8, "grouping": "question"}, "reference": {"mode": "live"}},
        {"machine": {"gradient_checkpointing": True, "picture_memory": 0, "workers": 1}},
    ],
    ids=["separate", "1x8", "by question, live", "workers"],
)
def test_how_mixed_pairs_are_put_together_does_not_change_what_is_learnt(mixed, plain, settings_for, tmp_path, changed):
    changed = {key: PLAIN.get(key, {}) | value for key, value in changed.items()}
    train_dpo(mixed, settings_for(**{**PLAIN, **changed}), tmp_path)
    report = (plain / "preflight.txt").read_text()
    assert "trees are exact" in report and "pairs without a picture, trained on as text (4: text/0" in report
    if "grouping" not in changed.get("batching", {}):
        same(weights(plain), weights(tmp_path), atol=2e-5, rtol=1e-4)
    losses = [first_line(folder)["loss"] for folder in (plain, tmp_path)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5) == pytest.approx(0.693147, abs=1e-4)


def test_mixed_pairs_have_the_log_probs_of_transformers_and_learn_alike_in_trees(mixed, settings_for, model, tmp_path):
    policy = load_policy(settings_for(model=model), Checkpoint(Path(model)), dtype="float32", device="cpu")
    plain, processor = AutoModelForImageTextToText.from_pretrained(model), load_processor(model)
    for packing in ("tree", "separate"):
        batch, _ = PairDataset(mixed, policy.family, packing=packing).batch(group_by(mixed, "picture"))
        with torch.no_grad():
            sums = answer_logprobs(policy.model, batch, policy.family).sums
        assert torch.allclose(sums, plain_sums(plain, processor, [pair.row() for pair in mixed], batch), rtol=1e-4)
        settings = settings_for(
            model=model, optimiser={"max_steps": 2}, batching={"pairs": 8, "shuffle": False, "packing": packing}
        )
        train_dpo(mixed, settings, tmp_path / packing)
    same(weights(tmp_path / "tree"), weights(tmp_path / "separate"), atol=2e-5, rtol=1e-4)


def test_a_table_trains_what_the_same_pairs_in_memory_train_to_the_bit(mixed, settings_for, tmp_path):
    files = {picture.key: picture.source for pair in mixed for picture in pair.all_pictures}

    def shown(pictures):
        return [{"bytes": files[one.key].read_bytes(), "path": None} for one in pictures]

    rows = [
        {
            "pair_id": pair.pair_id, "images": shown(pair.pictures), "question": pair.question, "chosen": pair.chosen,
            "rejected": pair.rejected, "system": pair.system,
            "earlier": [{"role": t.role, "text": t.text, "images": shown(t.pictures)} for t in pair.earlier],
        }
        for pair in mixed
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    table = open_pairs(tmp_path / "train.parquet", cache=tmp_path / "pairs")
    settings = settings_for(optimiser={"max_steps": 3}, reference={"mode": "cached"})
    for name, pairs in (("memory", mixed), ("table", table), ("again", table)):
        train_dpo(pairs, settings, tmp_path / name)
    for name in ("table", "again"):
        one, other = weights(tmp_path / "memory"), weights(tmp_path / name)
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_the_reference_cache_of_mixed_pairs_is_what_the_model_gives(mixed, settings_for, checkpoint, tmp_path):
    policy = load_policy(settings_for(), Checkpoint(checkpoint), dtype="float32", device="cpu")
    dataset = PairDataset(mixed, policy.family, packing="tree")
    trees = group_by(mixed, "picture")
    dataset.measure(trees)
    cache, context = ReferenceCache(tmp_path, "model"), DeviceContext(torch.device("cpu"), "float32")
    score = reference_scorer(policy, dataset, context)
    fill_reference_cache(cache, dataset, trees, score, token_budget=64, tolerance=1e-3)
    sums = reference_sums(cache, dataset)
    batch, _ = PairDataset(mixed, policy.family, packing="separate").batch([(n,) for n in range(len(mixed))])
    with torch.no_grad():
        expected = answer_logprobs(policy.model, batch, policy.family).sums[batch.pairs()]
    assert np.allclose(sums, expected.numpy(), rtol=1e-4)


def test_blind_training_blanks_every_picture_and_leaves_text_as_it_is(mixed, settings_for, tmp_path):
    other = mixed[-1].all_pictures[0].source
    swapped = [pair.with_pictures(lambda picture: replace(picture, source=other)) for pair in mixed]
    for name, pairs in (("own", mixed), ("swapped", swapped)):
        settings = settings_for(blind=True, optimiser={"max_steps": 2}, reference={"mode": "live"})
        train_dpo(pairs, settings, tmp_path / name)
    one, two = weights(tmp_path / "own"), weights(tmp_path / "swapped")
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_a_loss_that_corrupts_pictures_refuses_pairs_of_text_or_leaves_them_out(mixed, settings_for, tmp_path):
    loss = {"image_conditional": 1.0}
    with pytest.raises(DataError, match=r"no picture to corrupt \(4: text/0"):
        train_dpo(mixed, settings_for(loss=loss), tmp_path / "refused")
    settings = settings_for(loss=loss, data={"invalid": "skip"}, optimiser={"max_steps": 2}, reference={"mode": "live"})
    train_dpo(mixed, settings, tmp_path / "skipped")
    left_out = json.loads((tmp_path / "skipped" / "training.json").read_text())["left_out"]
    assert left_out == {"no picture to corrupt": [f"text/{n}" for n in range(4)]}


def test_a_family_that_takes_one_picture_refuses_several_by_name_before_the_first_step(mixed, settings_for, tmp_path):
    folder = save(CASES["llava_onevision+qwen2"], tmp_path / "base")
    settings = settings_for(model=str(folder), reference={"mode": "live"}, optimiser={"max_steps": 1})
    with pytest.raises(DataError, match=r"several pictures \(6: two/0, two/1, turns/1") as error:
        train_dpo(mixed, settings, tmp_path / "out")
    assert "LLaVA-OneVision" in str(error.value) and not (tmp_path / "out").exists()
    train_dpo([pair for pair in mixed if len(pair.all_pictures) < 2], settings, tmp_path / "one")


def test_a_reward_model_learns_from_mixed_pairs_and_scores_them(mixed, settings_for, model, tmp_path):
    settings = settings_for(
        model=model,
        optimiser={"max_steps": 12, "learning_rate": 1e-2},
        batching={"pairs": 8},
        validation={"held_out": 0.2},
    )
    made = train_reward(mixed, settings, tmp_path)
    assert made.held_out is not None and 0 < made.held_out.pairs < len(mixed)
    made = RewardModel.load(made.folder)
    margins = reward_margins(made.scalar_head, mixed)
    apart = torch.cat([reward_margins(made.scalar_head, [pair]) for pair in mixed])
    assert torch.allclose(margins, apart, atol=1e-4) and margins.mean() > 0
    both = [pair for pair in mixed if len(pair.pictures) == 2 and not pair.earlier]
    images, questions = [[one.source for one in pair.pictures] for pair in both], [pair.question for pair in both]
    scores = [
        made.score(images, questions, texts)
        for texts in ([pair.chosen for pair in both], [pair.rejected for pair in both])
    ]
    assert torch.allclose(scores[0] - scores[1], reward_margins(made.scalar_head, both), atol=1e-4)


def test_pictures_that_are_shown_together_are_on_one_side_and_text_keeps_its_question(mixed):
    learn, held = split_by_picture(mixed, 0.3, 1)
    sides = [{one.key for pair in side for one in pair.all_pictures} for side in (learn, held)]
    assert not sides[0] & sides[1] and len(learn) + len(held) == len(mixed) and held
    swapped = swap_pictures(mixed, 0)
    assert [pair for pair in swapped if not pair.all_pictures] == [pair for pair in mixed if not pair.all_pictures]
    for pair, other in zip(mixed, swapped, strict=True):
        assert len(pair.all_pictures) == len(other.all_pictures)
        assert not {one.key for one in pair.all_pictures} & {one.key for one in other.all_pictures}


def test_ppo_answers_mixed_prompts_alike_however_they_are_packed(mixed, settings_for, model, tmp_path):
    settings = settings_for(
        model=model, optimiser={"max_steps": 2}, batching={"pairs": 8}, freeze={"projector": "frozen"}
    )
    reward = train_reward(mixed, settings, tmp_path / "reward").folder
    prompts = prompts_of(mixed)
    assert len(prompts) == len({(pair.context, pair.question) for pair in mixed})
    assert len(group_by_context(prompts)) == len({pair.context for pair in mixed})
    rewards = []
    for packing in ("tree", "separate"):
        settings = ppo_settings(settings_for, model=model, optimiser={"max_steps": 1}, batching={"packing": packing})
        train_ppo(mixed, settings, tmp_path / packing, reward=reward)
        rewards.append(first_line(tmp_path / packing))
    for name in ("reward", "kl", "length"):
        assert rewards[0][name] == pytest.approx(rewards[1][name], abs=1e-3), name


def test_a_pair_is_named_by_all_that_stands_before_its_question(mixed):
    one = next(pair for pair in mixed if pair.earlier)
    assert isinstance(one, Pair) and one.row().earlier == one.earlier
    others = [
        replace(one, system=""),
        replace(one, earlier=()),
        replace(one, earlier=(replace(one.earlier[0], text="x"), one.earlier[1])),
        replace(one, pictures=one.earlier[0].pictures, earlier=()),
    ]
    assert len({pair.context for pair in [one, *others]}) == 5


def test_pairs_of_text_share_a_tree_only_where_their_question_is_equal(mixed):
    text = [replace(pair, pictures=(), earlier=(), system=system) for pair in mixed for system in ("", "be kind")]
    questions = len({pair.question for pair in text})
    for grouping in ("picture", "question"):
        assert len(group_by(text, grouping)) == 2 * questions
    assert len(group_by_context(prompts_of(text))) == 2 * questions
    talk = (ChatTurn("user", "what is this"), ChatTurn("assistant", "a red cup"))
    assert len(group_by([replace(pair, earlier=talk) for pair in text], "picture")) == 2
