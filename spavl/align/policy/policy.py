"""The policy: the model being aligned, what of it is trained, and its reference, the model before training.

A part is frozen, trained in full, or trained through LoRA. The reference is the same model with *everything trained*
switched off:

    LoRA                         adapters are disabled
    projector or tower in full   with LoRA they are part of the adapter (`modules_to_save`), which keeps the originals
    anything else in full        the original weights are kept, and swapped in while the reference runs
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from spavl.align.policy.freeze import FreezePlan, ModelParts, ParameterCount, Part
from spavl.align.policy.lora import LoraLinear
from spavl.config.align import AlignSettings, FreezeSettings
from spavl.models.backends.local import load_vlm
from spavl.models.backends.local_trees import PictureFeatures
from spavl.models.families import Family, family_of
from spavl.models.identity import Checkpoint

ADAPTER = "default"
"""Name of the adapter in training."""


@final
@dataclass(frozen=True, eq=False)
class Policy:
    """A model ready to be trained, in evaluation mode. Made by `load_policy` or `make_policy`."""

    model: Any
    """A transformers model, or a peft model around one."""
    processor: Any
    """Its text and picture processor."""
    family: Family
    """What trees need to know of the model."""
    counts: Mapping[Part, ParameterCount]
    """Trained and frozen weights by part."""
    adapted: bool
    """Whether there is a peft adapter."""
    whole: bool
    """Whether the adapter holds everything that is trained."""
    before: Mapping[str, Tensor] | None = field(repr=False)
    """Original weights of what is trained outside the adapter, by name; None where they were not kept."""
    features: PictureFeatures | None = field(default=None, repr=False)
    """Gives what the frozen vision tower gives for pictures, from a cache; None: it runs in every pass."""

    @contextmanager
    def reference(self) -> Iterator[None]:
        """A context in which the model is what it was before training, without gradients.

        Raises:
            RuntimeError: the original weights were not kept.
        """
        if self.before is None:
            raise RuntimeError("the weights before training were not kept (load_policy(remember=True))")
        named = dict(self.model.named_parameters()) if self.before else {}
        with ExitStack() as stack:
            if self.adapted:
                stack.enter_context(self.model.disable_adapter())
            for name, old in self.before.items():
                stack.callback(setattr, named[name], "data", named[name].data)
                named[name].data = old
            stack.enter_context(torch.no_grad())
            yield

    def part_of(self, name: str) -> Part:
        """The part of the model that a parameter belongs to; what was added to the model counts as language model.

        Args:
            name: the parameter's name as the wrapped model has it.
        """
        plain = plain_name(name)
        owners = (*self.family.facts.projector, *self.family.facts.vision)
        if not any(plain.startswith(f"{owner}.") for owner in owners):
            return "language"
        found = self.family.part_of(plain)
        return "language" if found == "head" else found

    def trained(self) -> dict[str, Tensor]:
        """Trained parameters by name, as the wrapped model has them."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}


def load_policy(
    settings: AlignSettings, source: Checkpoint, *, dtype: str, device: str, remember: bool = True
) -> Policy:
    """Open a checkpoint as a policy, with the trained parts that the settings name.

    Args:
        settings: the training's settings; `method`, `freeze` and `seed` are read.
        source: the checkpoint.
        dtype: number format of the frozen weights, `float32` or `bfloat16`; trained ones are float32.
        device: where the model is put.
        remember: keep what a live reference needs.

    Raises:
        ModelError: the checkpoint cannot be opened, or its family is unknown.
        SettingsError: the model cannot have this freeze policy.
    """
    model, processor = load_vlm(
        source.folder, dtype, device, adapter=source.adapter, quantisation=settings.freeze.quantisation
    )
    head = settings.method != "reward"  # a reward is read from hidden states: no gradient would reach the head
    return make_policy(
        model, processor, settings.freeze,
        seed=settings.seed or 0, remember=remember, max_pixels=settings.data.max_pixels, head=head,
    )  # fmt: skip


def make_policy(
    model: Any,
    processor: Any,
    freeze: FreezeSettings,
    *,
    seed: int = 0,
    remember: bool = True,
    max_pixels: int | None = None,
    head: bool = True,
) -> Policy:
    """Make an opened model a policy, and assert on every parameter that exactly what was asked for is trained.

    Args:
        model: a transformers model.
        processor: its processor.
        freeze: what is trained.
        seed: seeds new adapter weights.
        remember: keep what a live reference needs.
        max_pixels: pictures of more are made smaller. None: none is.
        head: whether the output head is used, and is trained where the language model is.

    Raises:
        ModelError: the family is unknown.
        SettingsError: the model cannot have this freeze policy.
    """
    family = family_of(model, processor, max_pixels)
    model_parts = ModelParts(model, family)
    freeze_plan = model_parts.freeze_plan(freeze, head=head)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in freeze_plan.in_place)
    if freeze.quantisation == "4bit":
        _keep_trainable_layout(model)
    if freeze_plan.lora:
        model = _with_lora(model, freeze, freeze_plan, seed)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    _assert_trained(model, freeze_plan)
    outside = {
        name: weight for name, weight in model.named_parameters() if weight.requires_grad and not _is_of_adapter(name)
    }
    return Policy(
        model=model.eval(),
        processor=processor,
        family=family,
        counts=model_parts.count((plain_name(name), weight) for name, weight in model.named_parameters()),
        adapted=bool(freeze_plan.lora),
        whole=bool(freeze_plan.lora) and not outside,
        before={name: weight.detach().clone() for name, weight in outside.items()} if remember else None,
    )


def plain_name(name: str) -> str:
    """A parameter's name before peft wrapped the model; of a LoRA weight, the name of its layer with `.lora_…`.

    Args:
        name: the parameter's name in the wrapped model.
    """
    for added in ("base_model.model.", "base_layer.", "original_module.", f"modules_to_save.{ADAPTER}."):
        name = name.replace(added, "", 1)
    return name


def _is_of_adapter(name: str) -> bool:
    return f".modules_to_save.{ADAPTER}." in name or ".lora_" in name


def _with_lora(model: Any, freeze: FreezeSettings, freeze_plan: FreezePlan, seed: int) -> Any:
    """Wrap a model with one adapter, whose random half comes from `seed` alone."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=freeze.rank,
        lora_alpha=freeze.alpha,
        lora_dropout=freeze.dropout,
        use_rslora=freeze.rslora,
        target_modules=list(freeze_plan.lora),
        modules_to_save=list(freeze_plan.kept) or None,
        task_type="CAUSAL_LM",
    )
    if freeze.quantisation == "none":  # quantised layers are linear ones too, and peft has its own around them
        config._register_custom_module({torch.nn.Linear: LoraLinear})
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads a name that transformers is about to drop
        torch.manual_seed(seed)
        adapted = get_peft_model(model, config, adapter_name=ADAPTER)
    for name, weight in adapted.named_parameters():
        if plain_name(name) in freeze_plan.in_place and ".original_module." not in name:
            weight.requires_grad_(True)  # peft froze what is trained outside the adapter
    return adapted


def _keep_trainable_layout(model: Any) -> None:
    """Keep bitsandbytes from a layout of 4-bit weights for inference on some CPUs, which has no backward pass."""
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _assert_trained(model: Any, freeze_plan: FreezePlan) -> None:
    """Assert that exactly what was planned is trained, through LoRA and in place."""
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    in_place = {plain_name(name) for name in trained if ".lora_" not in name}
    layers = {plain_name(name).split(".lora_")[0] for name in trained if ".lora_" in name}
    wrong = (in_place ^ freeze_plan.in_place) | (layers ^ set(freeze_plan.lora))
    if wrong:
        raise AssertionError(f"the freeze policy does not hold for {sorted(wrong)[:5]} ({len(wrong)} in all)")
