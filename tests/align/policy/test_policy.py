"""What is trained is what was asked for, and the reference is the model before training, under every freeze policy."""

from itertools import product

import pytest
import torch
from transformers import AutoModelForImageTextToText

from spavl.align.data.batches import PairDataset
from spavl.align.policy.checkpoint import export, save_trained
from spavl.align.policy.freeze import ParameterCount
from spavl.align.policy.lora import LoraLinear
from spavl.align.policy.policy import load_policy, make_policy, plain_name
from spavl.config.align import FreezeSettings
from spavl.errors import SettingsError
from spavl.models.families import family_of, load_processor
from spavl.models.identity import Checkpoint
from spavl.models.trees.score import answer_logprobs
from tests.tiny import tiny_llava

POLICIES = [
    {"vision": vision, "projector": projector, "language": language}
    for vision, projector, language in product(
        ["frozen", "last:1", "lora", "full"], ["train", "frozen"], ["lora", "full"]
    )
]


def opened(checkpoint, **freeze):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    return make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2, alpha=4.0, **freeze))


def named(policy):
    return "-".join(policy.values())


@pytest.mark.parametrize("freeze", POLICIES, ids=named)
def test_after_ten_steps_the_reference_is_unchanged_and_only_what_was_asked_for_has_moved(
    checkpoint, pairs, settings_for, tmp_path, freeze
):
    settings = settings_for(freeze={**freeze, "rank": 2})
    policy = load_policy(settings, Checkpoint(checkpoint), dtype="float32", device="cpu")
    dataset = PairDataset(pairs[:3], policy.family, packing="tree")
    batch, _ = dataset.batch([(0, 1, 2)])
    plain = {name: weight.clone() for name, weight in policy.model.state_dict().items()}
    with policy.reference():
        before = answer_logprobs(policy.model, batch, policy.family).logprobs
    optimiser = torch.optim.AdamW(policy.trained().values(), lr=1e-2)
    for _ in range(10):
        answer_logprobs(policy.model, batch, policy.family).sums.mean().neg().backward()
        optimiser.step()
        optimiser.zero_grad()
    with policy.reference():
        after = answer_logprobs(policy.model, batch, policy.family).logprobs
    now = answer_logprobs(policy.model, batch, policy.family).logprobs.detach()
    assert torch.equal(before, after)
    assert (now - before).abs().max() > 0.01
    moved = {name for name, weight in policy.model.state_dict().items() if not torch.equal(weight, plain[name])}
    assert moved <= set(policy.trained())
    asked = {"vision": freeze["vision"] != "frozen", "projector": freeze["projector"] == "train", "language": True}
    assert {part: weights.trained > 0 for part, weights in policy.counts.items()} == asked

    save_trained(policy.trained(), tmp_path)
    made = export(tmp_path, settings, Checkpoint(checkpoint), tmp_path / "out", dtype="float32", card="card")
    model = AutoModelForImageTextToText.from_pretrained(made.checkpoint)
    family = family_of(model, load_processor(made.checkpoint))
    with torch.no_grad():
        opened_again = answer_logprobs(model, batch, family).logprobs
    assert torch.allclose(opened_again, now, atol=1e-4)
    assert (made.adapter is None) == (freeze["language"] == "full")


def test_lora_on_attention_touches_no_other_layer(checkpoint):
    everywhere, attention = (
        {plain_name(name).split(".lora_")[0] for name in opened(checkpoint, projector="frozen", **more).trained()}
        for more in ({}, {"target_modules": "attention"})
    )
    assert attention == {name for name in everywhere if ".self_attn." in name}
    assert 0 < len(attention) < len(everywhere)


def test_quantised_layers_keep_the_adapter_layer_of_peft(checkpoint):
    plain, quantised = (opened(checkpoint, projector="frozen", quantisation=how) for how in ("none", "4bit"))
    assert any(isinstance(layer, LoraLinear) for layer in plain.model.modules())
    assert not any(isinstance(layer, LoraLinear) for layer in quantised.model.modules())


def test_an_export_removes_what_an_earlier_training_left(checkpoint, settings_for, tmp_path):
    def made(freeze, merged):
        settings = settings_for(freeze={"rank": 2, "projector": "frozen", **freeze}, saving={"merged": merged})
        policy = load_policy(settings, Checkpoint(checkpoint), dtype="float32", device="cpu")
        save_trained(policy.trained(), tmp_path)
        export(tmp_path, settings, Checkpoint(checkpoint), tmp_path / "out", dtype="float32", card="card")
        return sorted(path.name for path in (tmp_path / "out").iterdir())

    assert made({}, True) == ["adapter", "checkpoint"]
    assert made({}, False) == ["adapter"]
    assert made({"language": "full"}, False) == ["checkpoint"]


def test_lora_touches_the_language_model_and_nothing_else(checkpoint):
    policy = opened(checkpoint, projector="frozen")
    layers = {plain_name(name).split(".lora_")[0] for name in policy.trained()}
    assert layers == {
        f"model.language_model.layers.{layer}.{block}.{name}_proj"
        for layer in range(2)
        for block, names in (("self_attn", "qkvo"), ("mlp", ("gate", "up", "down")))
        for name in names
    }


def test_weights_are_counted_by_part(checkpoint):
    policy = opened(checkpoint, language="full")
    total = sum(weight.numel() for weight in policy.model.parameters())
    assert sum(one.trained + one.frozen for one in policy.counts.values()) == total
    assert policy.counts["projector"] == ParameterCount(trained=2112, frozen=0)


def test_more_layers_than_the_tower_uses_are_refused(checkpoint):
    with pytest.raises(SettingsError, match=r"2 layers whose output is used, and last:3"):
        opened(checkpoint, vision="last:3")


def test_layers_after_the_one_that_is_read_are_left_alone(tmp_path):
    """LLaVA-1.5 reads the tower's last layer but one: the last never gets a gradient."""
    folder = tiny_llava(tmp_path / "llava", vision_layers=3)
    model = AutoModelForImageTextToText.from_pretrained(folder, vision_feature_layer=-2)
    policy = make_policy(model, load_processor(folder), FreezeSettings(rank=2, vision="last:1"))
    layers = {name.split("layers.")[1][0] for name in policy.trained() if "vision_tower" in name}
    assert layers == {"1"}


def test_what_is_trained_is_float32_whatever_the_rest_is(checkpoint):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.bfloat16)
    policy = make_policy(model, load_processor(checkpoint), FreezeSettings(rank=2))
    assert {weight.dtype for weight in policy.trained().values()} == {torch.float32}
    assert policy.model.get_input_embeddings().weight.dtype == torch.bfloat16


def test_the_same_seed_gives_the_same_adapter_and_disturbs_no_other_random_number(checkpoint):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, other = opened(checkpoint), opened(checkpoint)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(weight, other.trained()[name]) for name, weight in one.trained().items())


def test_a_reference_that_was_not_kept_is_refused_not_guessed(checkpoint):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    freeze = FreezeSettings(language="full")
    policy = make_policy(model, load_processor(checkpoint), freeze, remember=False)
    with pytest.raises(RuntimeError, match="not kept"), policy.reference():
        pass
