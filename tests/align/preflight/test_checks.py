"""What could come out wrong without any error is measured before the first step: the checks of the preflight."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import psutil
import pytest
import torch
from transformers import AutoModelForImageTextToText

from spavl.align.data.batches import PairDataset
from spavl.align.data.schedule import schedule_steps
from spavl.align.policy.freeze import ModelParts
from spavl.align.policy.policy import make_policy
from spavl.align.preflight.checks import LEAST_ROUNDING, PreflightChecks, rounded_otherwise
from spavl.align.preflight.device import DeviceContext
from spavl.align.preflight.estimate import free_memory
from spavl.align.preflight.prepare import estimate_training
from spavl.align.preflight.usable_pairs import group_by
from spavl.config.align import AlignSettings, FreezeSettings
from spavl.errors import ModelError
from spavl.models.families import load_processor
from spavl.models.trees.pack import PackedTree
from spavl.models.trees.parity import parity


@pytest.fixture
def policy(checkpoint):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    return make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2))


def checks(policy, pairs, settings=None, **more):
    dataset = PairDataset(pairs, policy.family, packing="tree", **more)
    trees = group_by(pairs, "picture")
    dataset.measure(trees)
    found = PreflightChecks(policy, dataset, settings or AlignSettings(), torch.device("cpu"), nullcontext, exact=True)
    return found, trees


def break_trees(policy):
    """Let every token see the branches beside its own: what a kernel that ignores the mask would do."""
    language = policy.model.get_base_model().get_submodule(policy.family.facts.language)

    def blind_to_the_mask(module, args, kwargs):
        mask = kwargs.get("attention_mask")
        if mask is not None and mask.dim() == 4:
            causal = torch.ones(mask.shape[-2:], dtype=torch.bool).tril()
            kwargs = {**kwargs, "attention_mask": causal.expand_as(mask), "tree": None}
        return args, kwargs

    language.register_forward_pre_hook(blind_to_the_mask, with_kwargs=True)


def test_on_a_sound_model_trees_are_found_exact(policy, pairs):
    one, trees = checks(policy, pairs)
    assert one.run(trees) == "tree"
    assert [finding.level for finding in one.findings] == ["note"] and "trees are exact" in one.findings[0].what


def test_where_a_kernel_ignores_the_mask_training_falls_back_and_says_so(policy, pairs):
    break_trees(policy)
    one, trees = checks(policy, pairs)
    assert one.run(trees) == "separate"
    assert one.findings[0].level == "warn" and "fell back to separate sequences" in one.findings[0].what


def test_in_half_precision_a_broken_mask_is_told_from_rounding(checkpoint, pairs):
    def chosen_packing(broken):
        model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.bfloat16)
        policy = make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2))
        if broken:
            break_trees(policy)
        one, trees = checks(policy, pairs)
        one.precision, one.exact = partial(torch.autocast, "cpu", dtype=torch.bfloat16), False
        return one.run(trees)

    assert chosen_packing(broken=False) == "tree"
    assert chosen_packing(broken=True) == "separate"


def test_an_answer_that_is_as_sure_as_a_pretrained_models_moves_with_rounding_and_stays_a_tree(checkpoint, pairs):
    """Seen on a GPU: kernels that round a row alike in any batch hid the rounding, and exact trees were given up."""
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.bfloat16)
    policy = make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2))
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)
    one, trees = checks(policy, pairs)
    one.precision, one.exact = partial(torch.autocast, "cpu", dtype=torch.bfloat16), False
    tree, separate = (one.dataset.batch(trees[:4], packing)[0] for packing in ("tree", "separate"))
    with torch.no_grad(), one.precision():
        assert parity(policy.model, policy.family, tree, separate).nats > LEAST_ROUNDING
    assert one.run(trees) == "tree"
    break_trees(policy)
    assert one.run(trees) == "separate"


def test_rounding_otherwise_leaves_the_model_and_all_other_random_numbers_as_they_were(policy, pairs):
    one, trees = checks(policy, pairs)
    batch = one.dataset.batch(trees[:2], "separate")[0]
    before, state = one._sums(batch), torch.get_rng_state()
    with rounded_otherwise(policy.model, 0):
        moved = one._sums(batch)
    assert not torch.equal(moved, before) and torch.equal(one._sums(batch), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_where_trees_were_demanded_they_are_refused_instead(policy, pairs):
    break_trees(policy)
    one, trees = checks(policy, pairs, AlignSettings.model_validate({"batching": {"packing": "tree"}}))
    with pytest.raises(ModelError, match="cannot be trained on trees"):
        one.run(trees)


def test_a_model_with_active_dropout_is_refused(policy, pairs):
    layer = policy.model.get_base_model().model.language_model.layers[0]
    layer.register_forward_hook(lambda module, args, output: torch.nn.functional.dropout(output, 0.1, training=True))
    one, trees = checks(policy, pairs)
    with pytest.raises(ModelError, match="some dropout is active"):
        one.run(trees)


def test_answers_scored_at_the_wrong_tokens_are_noticed(policy, pairs, monkeypatch):
    """The error of align-anything: the window starts one token late, where a refusal begins."""
    one, trees = checks(policy, pairs)
    right = one.dataset.tree

    def late(numbers, view=None) -> PackedTree:
        packed = right(numbers, view)
        return replace(packed, answers=tuple(replace(answer, start=answer.start + 1) for answer in packed.answers))

    monkeypatch.setattr(one.dataset, "tree", late)
    with pytest.raises(ModelError, match="not those of the answer"):
        one.run(trees)


def test_a_model_that_ignores_the_picture_is_noticed(policy, pairs):
    tower = policy.model.get_base_model().model.vision_tower
    tower.register_forward_pre_hook(lambda module, args, kwargs: ((torch.zeros_like(kwargs["pixel_values"]
        if "pixel_values" in kwargs else args[0]),), {k: v for k, v in kwargs.items() if k != "pixel_values"}),
        with_kwargs=True)  # fmt: skip
    one, trees = checks(policy, pairs)
    one.run(trees)
    assert any("the model ignores them" in finding.what for finding in one.findings)


def test_pictures_that_do_not_fit_the_tower_are_refused(policy, pairs, monkeypatch):
    one, trees = checks(policy, pairs)
    monkeypatch.setattr(one.dataset, "batch", partial(_fewer_tokens, one.dataset.batch))
    with pytest.raises(ModelError, match="picture tokens where the vision tower makes"):
        one.run(trees)


def _fewer_tokens(make_batch, *args):
    batch, keys = make_batch(*args)
    return replace(batch, picture_tokens=[count - 1 for count in batch.picture_tokens]), keys


def test_a_part_that_the_family_does_not_know_is_not_silently_frozen(policy):
    parts = ModelParts(policy.model.get_base_model(), policy.family)
    with pytest.raises(ModelError, match=r"model\.new_tower\.weight"):
        parts.count([("model.new_tower.weight", torch.ones(1))])


def test_the_estimate_counts_what_will_be_done(policy, pairs):
    one, trees = checks(policy, pairs)
    settings = AlignSettings.model_validate({"batching": {"pairs": 8}, "optimiser": {"epochs": 2}})
    schedule = schedule_steps(trees, one.dataset.size, settings.batching, settings.optimiser, seed=0)
    context = DeviceContext(torch.device("cpu"), "float32")
    forward, seconds = one.measure_pass(trees[:2])
    found = estimate_training(
        policy, one.dataset, schedule, settings, context, forward=forward, seconds=seconds, live=False
    )
    assert found.steps == 6
    assert found.separate_tokens == 2 * sum(map(one.dataset.size_apart, trees)) > found.tokens
    assert found.tokens >= 2 * sum(map(one.dataset.size, trees))
    assert found.memory.total > 4 * sum(weight.numel() for weight in policy.model.parameters())
    assert "6 steps" in found.render()


def test_free_memory_of_the_cpu_is_part_of_the_machines():
    free = free_memory(torch.device("cpu"))
    assert free is not None and 0 < free <= psutil.virtual_memory().total
