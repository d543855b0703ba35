"""The model being aligned: what of it is trained, what it was before, and how it is opened.

A part is frozen, trained in full, or trained through LoRA. The reference is the same model with *everything trained*
switched off:

    LoRA                         adapters disabled
    projector or tower in full   beside LoRA they live in the adapter (`modules_to_save`), whose original stays
    anything else in full        weights as they were are kept beside, and swapped in while the reference runs
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
from spavl.models.families import Family, family_of
from spavl.models.identity import Checkpoint

ADAPTER = "default"


@final
@dataclass(frozen=True, eq=False)
class Policy:
    """A model ready to be trained, in evaluation mode. Made by `load_policy` or `make_policy`."""

    model: Any
    """A transformers model, or a peft model around one."""
    processor: Any
    family: Family
    counts: Mapping[Part, ParameterCount]
    """Trained and frozen weights by part."""
    adapted: bool
    """There is a peft adapter."""
    whole: bool
    """The adapter holds everything trained."""
    before: Mapping[str, Tensor] | None = field(repr=False)
    """Weights as they were, of what is trained outside the adapter; None where they were not kept."""

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, the model is what it was before training, and takes no gradients."""
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

    def trained(self) -> dict[str, Tensor]:
        """Every trained parameter by name."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}


def load_policy(
    settings: AlignSettings, source: Checkpoint, *, dtype: str, device: str, remember: bool = True
) -> Policy:
    """Open a checkpoint and set up what is trained, as the settings say.

    `dtype` (`float32`, `bfloat16`) is of the frozen weights; trained ones become float32. `remember` keeps what a live
    reference needs. Raises ModelError where the checkpoint cannot be opened or its family is unknown, SettingsError for
    a freeze policy that it cannot have.
    """
    model, processor = load_vlm(
        source.folder, dtype, device, adapter=source.adapter, quantisation=settings.freeze.quantisation
    )
    return make_policy(model, processor, settings.freeze, seed=settings.seed or 0, remember=remember)


def make_policy(model: Any, processor: Any, freeze: FreezeSettings, *, seed: int = 0, remember: bool = True) -> Policy:
    """Set up what is trained of an opened model, and assert on every parameter that it is what was asked for."""
    family = family_of(model, processor)
    parts = ModelParts(model, family)
    plan = parts.plan(freeze)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in plan.in_place)
    if plan.lora:
        model = _with_lora(model, freeze, plan, seed)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    _assert_trained(model, plan)
    outside = {name: weight for name, weight in model.named_parameters() if weight.requires_grad and not _added(name)}
    return Policy(
        model=model.eval(),
        processor=processor,
        family=family,
        counts=parts.count((plain_name(name), weight) for name, weight in model.named_parameters()),
        adapted=bool(plan.lora),
        whole=bool(plan.lora) and not outside,
        before={name: weight.detach().clone() for name, weight in outside.items()} if remember else None,
    )


def plain_name(name: str) -> str:
    """A parameter's name before peft wrapped the model; of a LoRA weight, the name of its layer with `.lora_…`."""
    for added in ("base_model.model.", "base_layer.", "original_module.", f"modules_to_save.{ADAPTER}."):
        name = name.replace(added, "", 1)
    return name


def _added(name: str) -> bool:
    """peft added this parameter."""
    return f".modules_to_save.{ADAPTER}." in name or ".lora_" in name


def _with_lora(model: Any, freeze: FreezeSettings, plan: FreezePlan, seed: int) -> Any:
    """Wrap with one adapter. The random half of LoRA comes from `seed` alone."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=freeze.rank,
        lora_alpha=freeze.alpha,
        lora_dropout=0.0,
        target_modules=list(plan.lora),
        modules_to_save=list(plan.kept) or None,
        task_type="CAUSAL_LM",
    )
    if freeze.quantisation == "none":  # quantised layers are linear ones too, and peft has its own around them
        config._register_custom_module({torch.nn.Linear: LoraLinear})
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads a name that transformers is about to drop
        torch.manual_seed(seed)
        adapted = get_peft_model(model, config, adapter_name=ADAPTER)
    for name, weight in adapted.named_parameters():
        if plain_name(name) in plan.in_place and ".original_module." not in name:
            weight.requires_grad_(True)  # peft froze what is trained outside the adapter
    return adapted


def _assert_trained(model: Any, plan: FreezePlan) -> None:
    """Exactly what was planned is trained: no layer more through LoRA, no parameter more in place, and none less."""
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    in_place = {plain_name(name) for name in trained if ".lora_" not in name}
    layers = {plain_name(name).split(".lora_")[0] for name in trained if ".lora_" in name}
    wrong = (in_place ^ plan.in_place) | (layers ^ set(plan.lora))
    if wrong:
        raise AssertionError(f"the freeze policy does not hold for {sorted(wrong)[:5]} ({len(wrong)} in all)")
