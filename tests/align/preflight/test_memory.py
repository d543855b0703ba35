"""The memory estimate: what a forward pass keeps is measured, and every shipped file fits the card that it names."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from spavl.align.data.batches import PairDataset
from spavl.align.policy.policy import Policy, load_policy, make_policy
from spavl.align.preflight.memory import ForwardCost, HowTrained, Memory, Sharding, measure_forward, training_memory
from spavl.config import Settings, load_settings
from spavl.config.align import AlignSettings
from spavl.models.identity import Checkpoint
from spavl.models.trees.score import answer_logprobs
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from tests.tiny import WORDS, picture, tiny_processor

SETTINGS = Path(__file__).parents[3] / "settings"
FILES = sorted(path.name for path in SETTINGS.glob("*.yaml"))
CARD = r"^# Card: (\d+) × (\d+) GB(?:, settings/(accelerate/\w+\.yaml))?$"
"""The line of a settings file's header that names the card, and the launcher that shards."""
NARROW = 16
"""How many times narrower the model is on which a forward pass is measured; what it keeps grows with the width."""


def llava(width: int, layers: int, vision_width: int, vision_layers: int) -> LlavaConfig:
    """LLaVA-1.5-7B's shape at a width of 4096 and 32 layers."""
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=vision_width, intermediate_size=4 * vision_width, num_hidden_layers=vision_layers,
            num_attention_heads=4, image_size=336, patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=32064 if width == 4096 else len(tiny_processor().tokenizer), hidden_size=width,
            intermediate_size=width * 11008 // 4096, num_hidden_layers=layers, num_attention_heads=width // 128,
            num_key_value_heads=width // 128, max_position_embeddings=4096,
        ),
        image_token_index=4, image_seq_length=576, vision_feature_layer=-2, tie_word_embeddings=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def processor():
    return tiny_processor(sizes={"image_size": 336, "patch": 14})


@pytest.fixture(scope="module")
def spa_vl_tree(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """A picture with three questions, answers of 100 tokens: SPA-VL's shape."""
    shown = (Picture("key", picture(tmp_path_factory.mktemp("picture") / "0.png")),)

    def words(start: int) -> str:
        return " ".join(WORDS[(start + number) % len(WORDS)] for number in range(100))

    return [Pair(str(number), shown, f"what is {number}", words(number), words(number + 9)) for number in range(3)]


def forward_cost(align: AlignSettings, processor, pairs: list[Pair], tokens: int) -> ForwardCost:
    """What a forward pass of LLaVA-1.5-7B keeps, from a model of a sixteenth of its width and two of its layers."""
    freeze = align.freeze.model_copy(update={"rank": max(1, align.freeze.rank // NARROW), "quantisation": "none"})
    model = LlavaForConditionalGeneration(llava(4096 // NARROW, 2, 64, 2)).to(torch.bfloat16)
    policy = make_policy(model, processor, freeze, remember=False)
    batch, _ = PairDataset(pairs, policy.family, packing="tree").batch([(0, 1, 2)])
    cost = measure_forward(policy, batch, lambda: torch.autocast("cpu", torch.bfloat16, cache_enabled=False))
    layers = cost.layers
    per_layer_input = 2 * (2 if align.freeze.language == "full" else 1) * (4096 // NARROW) * cost.tokens
    whole = cost.scaled(tokens)
    rest = cost.rest + (32 - layers) * per_layer_input  # the inputs of all layers
    return ForwardCost(
        tokens=tokens, layer=NARROW * whole.layer, layers=32, vision_layer=0, vision_layers=0,
        rest=NARROW * rest * tokens // cost.tokens, vocabulary=32064, chunk=1 << 25,
    )  # fmt: skip


def seven_billion(align: AlignSettings, processor) -> Policy:
    """LLaVA-1.5-7B on the meta device: shapes, no weights."""
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(llava(4096, 32, 1024, 24)).to(torch.bfloat16)
        freeze = align.freeze.model_copy(update={"quantisation": "none"})
        return make_policy(model, processor, freeze, remember=False)


def expected(align: AlignSettings, processor, pairs: list[Pair], sharding: Sharding) -> Memory:
    """The estimate for LLaVA-1.5-7B: forward passes as large as the token budget, or as the pairs of a device."""
    longest = 2 * (align.data.max_tokens or 2048)
    of_device = -(-align.batching.pairs // sharding.devices) * longest
    tokens = min(align.batching.token_budget, of_device)
    policy = seven_billion(align, processor)
    adapter = torch.nn.Module()
    generation = 0
    if align.method == "ppo":  # reward model and critic: adapters of the same shape, the second in training
        for name, trained in (("reward", False), ("critic", True)):
            own = [torch.nn.Parameter(w.detach(), requires_grad=trained) for w in policy.trained().values()]
            adapter.add_module(name, torch.nn.ParameterList(own))
        keys_and_values = 2 * 4096 * 32 * 2
        generation = keys_and_values * align.ppo.prompts * align.ppo.answers * (616 + align.ppo.max_tokens)
    return training_memory(
        [policy.model, adapter],
        forward_cost(align, processor, pairs, tokens),
        HowTrained(
            align.optimiser.name,
            align.machine.gradient_checkpointing,
            autocast=True,
            sharding=sharding,
            generation=generation,
            device="cuda",
        ),
    )


@pytest.mark.parametrize("name", FILES)
def test_every_shipped_file_fits_the_card_of_its_header(name, processor, spa_vl_tree):
    card = re.search(CARD, (SETTINGS / name).read_text(), re.M)
    assert card, "the header names the card"
    devices, gigabytes, launcher = int(card[1]), int(card[2]), card[3]
    sharded = launcher is not None and "distributed_type: FSDP" in (SETTINGS / launcher).read_text()
    align = load_settings(Settings, SETTINGS / name, []).align
    memory = expected(align, processor, spa_vl_tree, Sharding(devices, weights=sharded))
    assert memory.total <= gigabytes * 10**9, memory.render()
    assert memory.total > 0.2 * gigabytes * 10**9, f"the header names a card far too large: {memory.render()}"


def test_the_lora_file_fits_24_gb_with_what_its_header_says(processor, spa_vl_tree):
    overrides = ["align.freeze.quantisation=4bit", "align.machine.gradient_checkpointing=true"]
    assert all(override in (SETTINGS / "lora-one-gpu.yaml").read_text() for override in overrides)
    align = load_settings(Settings, SETTINGS / "lora-one-gpu.yaml", overrides).align
    memory = expected(align, processor, spa_vl_tree, Sharding())
    language = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    saved = round(1.48 * language)  # nf4 with double quantisation takes 0.52 bytes where bfloat16 takes 2
    assert memory.total - saved <= 24 * 10**9


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("freeze", [{}, {"language": "full"}, {"vision": "lora"}], ids=str)
def test_what_a_larger_pass_keeps_is_told_from_a_smaller_one(pairs, settings_for, checkpoint, freeze, dtype):
    policy = load_policy(settings_for(freeze=freeze), Checkpoint(checkpoint), dtype=dtype, device="cpu")
    exact = dtype == "float32"
    dataset = PairDataset(pairs, policy.family, packing="tree")

    def precision():
        return nullcontext() if exact else torch.autocast("cpu", torch.bfloat16, cache_enabled=False)

    cost = measure_forward(policy, dataset.batch([(0, 1, 2)])[0], precision)
    batch, _ = dataset.batch([(0, 1, 2), (3, 4, 5), (6, 7, 8)])
    weights = {weight.untyped_storage().data_ptr() for weight in policy.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), precision():
        sums = answer_logprobs(policy.model, batch, policy.family).sums
    whole = cost.scaled(batch.ids.numel())
    told = whole.layers * whole.layer + whole.vision_layers * whole.vision_layer + whole.rest
    assert sums.requires_grad and told == pytest.approx(sum(kept.values()), rel=0.1)


def test_measuring_leaves_the_model_without_checkpointing(pairs, settings_for, checkpoint):
    policy = load_policy(settings_for(), Checkpoint(checkpoint), dtype="float32", device="cpu")
    batch, _ = PairDataset(pairs, policy.family, packing="tree").batch([(0,)])
    measure_forward(policy, batch, nullcontext)
    assert not any(module.training for module in policy.model.modules())
    assert not any(getattr(module, "gradient_checkpointing", False) for module in policy.model.modules())


def test_sharding_divides_what_it_shards(processor):
    align = AlignSettings.model_validate({"freeze": {"language": "full"}})
    policy = seven_billion(align, processor)
    nothing = ForwardCost(tokens=1, layer=0, layers=32, vision_layer=0, vision_layers=0, rest=0, vocabulary=0, chunk=0)

    def memory(sharding: Sharding) -> Memory:
        return training_memory([policy.model], nothing, HowTrained(checkpointing=True, sharding=sharding))

    alone, ddp = memory(Sharding()), memory(Sharding(8))
    fsdp, zero = memory(Sharding(8, weights=True)), memory(Sharding(8, optimiser=True))
    assert ddp.gradients == 2 * alone.gradients and ddp.weights == alone.weights
    assert fsdp.optimiser == zero.optimiser == alone.optimiser // 8 and zero.weights == alone.weights
    assert fsdp.gradients == alone.gradients // 8 and fsdp.weights < alone.weights / 2
    assert fsdp.total >= alone.weights + alone.gradients, "the preflight runs on whole weights"
