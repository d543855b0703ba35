"""How many bytes a training takes on one device, term by term.

    weights       as they are loaded, trained ones in float32; copies of them that autocast or a live reference keeps
    optimiser     its states
    gradients     of trained weights, float32; once more where several processes sum them in buckets
    activations   what a forward pass keeps for its backward pass, and what is made on the way

What a forward pass keeps is measured: on the smallest batch, with gradient checkpointing, one layer of the language
model (and of a trained tower) left open. A larger batch keeps as much more as it has more tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from transformers.modeling_layers import GradientCheckpointingLayer

from spavl.align.policy.policy import Policy
from spavl.align.training.trainer import checkpoint_activations, stop_checkpointing
from spavl.models.trees.batch import TreeBatch
from spavl.models.trees.lm_head import tokens_at_once
from spavl.models.trees.score import answer_logprobs

STATE_BYTES: Mapping[str, int] = {"adamw": 8, "adamw_8bit": 2, "paged_adamw_32bit": 8}
"""Bytes that an optimiser keeps for each trained weight, by its name in the settings: the two moments of Adam."""
GRADIENT_BYTES = 4
"""Bytes of a gradient, float32."""
BACKWARD = 0.5
"""What the backward pass of a layer makes on the way, as a share of what the layer kept."""
OVERHEAD: Mapping[str, int] = {"cuda": 640 << 20}
"""Bytes of a GPU's context and of the libraries' workspaces, by type of device."""
OVERHEAD_ELSEWHERE = 64 << 20
"""The same where there is no context: buffers in which libraries lay out the factors of products."""
CHUNK_BYTES = 12
"""Bytes for each logit of a chunk: the logits, their exponentials, their gradient."""


@dataclass(frozen=True, slots=True)
class ForwardCost:
    """Bytes that a forward pass of some tokens keeps for its backward pass."""

    tokens: int
    """Tokens of the batch, padding counted."""
    layer: int
    """Kept by a layer of the language model, beyond its input."""
    layers: int
    """Layers of the language model."""
    vision_layer: int
    """Kept by a layer of the vision tower, beyond its input; 0 where none of it is trained."""
    vision_layers: int
    """Layers of the tower that keep something."""
    rest: int
    """Kept outside these layers, and the layers' inputs."""
    vocabulary: int
    """Logits of a token."""
    chunk: int
    """Logits at once, at most."""

    def scaled(self, tokens: int) -> ForwardCost:
        """The same for a batch of another size.

        Args:
            tokens: of the other batch, padding counted.
        """
        layer, vision_layer, rest = (
            -(-size * tokens // self.tokens) for size in (self.layer, self.vision_layer, self.rest)
        )
        return replace(self, tokens=tokens, layer=layer, vision_layer=vision_layer, rest=rest)

    @property
    def logits(self) -> int:
        """Bytes of a chunk of logits and of what is made of them."""
        return CHUNK_BYTES * min(max(self.chunk, self.vocabulary), self.tokens * self.vocabulary)

    def peak(self, *, checkpointing: bool) -> int:
        """The most that is held at once, when the backward pass begins or while it recomputes its largest layer.

        Args:
            checkpointing: whether only the inputs of layers are kept, and layers are computed again.
        """
        if checkpointing:
            return self.rest + max(self.logits, round((1 + BACKWARD) * max(self.layer, self.vision_layer)))
        kept = self.layers * self.layer + self.vision_layers * self.vision_layer + self.rest
        return kept + max(self.logits, round(BACKWARD * max(self.layer, self.vision_layer)))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a training takes on one device."""

    weights: int
    """Weights, and copies of them."""
    optimiser: int
    """States of the optimiser."""
    gradients: int
    """Gradients of the trained weights, and buckets in which processes sum them."""
    activations: int
    """The most that forward and backward pass hold at once."""
    generation: int = 0
    """Keys and values while answers are generated; nothing of the two before is held then."""
    preflight: int = 0
    """Of the preflight where it needs more: whole weights with their gradients, before they are sharded."""
    overhead: int = OVERHEAD_ELSEWHERE
    """Of libraries and driver."""
    accumulates: bool = True
    """Whether gradients of one forward pass are held during the next."""

    @property
    def total(self) -> int:
        """All of it, where it is most."""
        working = self.activations + self.gradients if self.accumulates else max(self.activations, self.gradients)
        training = self.weights + self.optimiser + max(working, self.generation)
        return max(training, self.preflight) + self.overhead

    def render(self) -> str:
        """The sum and its terms, as words."""
        named = {
            "weights": self.weights,
            "optimiser": self.optimiser,
            "gradients": self.gradients,
            "activations": self.activations,
            "generation": self.generation,
        }
        terms = " · ".join(f"{name} {size / 2**30:.1f}" for name, size in named.items() if size)
        return f"about {self.total / 2**30:.1f} GiB of memory ({terms})"


@dataclass(frozen=True, slots=True)
class Sharding:
    """How a model lies on several devices."""

    devices: int = 1
    """Processes that train together."""
    weights: bool = False
    """Each device holds its part of weights, gradients and optimiser states (FSDP)."""
    optimiser: bool = False
    """Each device holds its part of gradients and optimiser states (ZeRO-2)."""


@dataclass(frozen=True, slots=True)
class HowTrained:
    """What decides the memory of a training beside its models and the size of its passes."""

    optimiser: str = "adamw"
    """Its name in the settings."""
    checkpointing: bool = False
    """Activations are computed again in the backward pass."""
    accumulates: bool = True
    """A step has several forward passes on one device."""
    autocast: bool = False
    """Products are computed in another number format than that of trained weights."""
    sharding: Sharding = Sharding()
    """How the model lies on several devices."""
    kept: int = 0
    """Bytes of weights kept as they were, for a live reference."""
    generation: int = 0
    """Bytes of keys and values while answers are generated."""
    device: str = "cpu"
    """Type of the device."""


def training_memory(models: Iterable[Any], forward: ForwardCost, how: HowTrained) -> Memory:
    """Bytes of a training on one device.

    Args:
        models: all models and heads on the device; weights that several share count once.
        forward: of the largest forward pass.
        how: how they are trained.
    """
    sharding = how.sharding
    named = {id(weight): (name, weight) for model in models for name, weight in model.named_parameters()}
    weights = [weight for _, weight in named.values()]
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    whole = sum(weight.numel() * weight.element_size() for weight in weights) + sum(map(_quantisation_bytes, weights))
    copies = 2 * sum(
        w.numel() for name, w in named.values() if w.requires_grad and w.dim() > 1 and ".lora_" not in name
    )
    layer = copies // max(forward.layers, 1)
    copies = (layer if how.checkpointing else copies) if how.autocast else 0
    share = sharding.devices if sharding.weights else 1
    gathered = 2 * _largest_layer(named.values(), forward.layers) if sharding.weights else 0
    buckets = sharding.devices > 1 and not sharding.weights and not sharding.optimiser
    whole += _dequantised(weights)
    preflight = whole + GRADIENT_BYTES * trained + forward.peak(checkpointing=how.checkpointing)
    of_states = sharding.devices if sharding.weights or sharding.optimiser else 1
    return Memory(
        weights=whole // share + gathered + copies + how.kept,
        optimiser=STATE_BYTES[how.optimiser] * trained // of_states,
        gradients=GRADIENT_BYTES * trained * (2 if buckets else 1) // share,
        activations=forward.peak(checkpointing=how.checkpointing),
        generation=how.generation,
        preflight=preflight if sharding.weights else 0,
        overhead=OVERHEAD.get(how.device, OVERHEAD_ELSEWHERE),
        accumulates=how.accumulates,
    )


def measure_forward(
    policy: Policy, batch: TreeBatch, precision: Callable[[], AbstractContextManager[Any]]
) -> ForwardCost:
    """What a forward pass of a batch keeps; the model is left without gradient checkpointing.

    Args:
        policy: the model before training.
        batch: a small batch, on the model's device.
        precision: makes a context of the arithmetic of the training.
    """
    facts, model = policy.family.facts, policy.model
    plain = model.get_base_model() if policy.adapted else model
    checkpoint_activations(model)
    named = [(name, layer) for name, layer in plain.named_modules() if isinstance(layer, GradientCheckpointingLayer)]
    named = [(name, layer) for name, layer in named if layer.training]
    language = [layer for name, layer in named if name.startswith(f"{facts.language}.")]
    towers = [layer for name, layer in named if any(name.startswith(f"{tower}.") for tower in facts.vision)]
    trained = [number for number, layer in enumerate(towers) if any(w.requires_grad for w in layer.parameters())]
    towers = towers[trained[0] :] if trained else []

    rest = _kept_bytes(policy, batch, precision, None)
    layer = _kept_bytes(policy, batch, precision, language[-1]) - rest
    vision_layer = _kept_bytes(policy, batch, precision, towers[0]) - rest if towers else 0
    stop_checkpointing(model)
    vocabulary = plain.config.get_text_config().vocab_size
    return ForwardCost(
        tokens=batch.ids.numel(),
        layer=layer,
        layers=len(language),
        vision_layer=vision_layer,
        vision_layers=len(towers),
        rest=rest,
        vocabulary=vocabulary,
        chunk=vocabulary * tokens_at_once(vocabulary, on_gpu=batch.ids.is_cuda),
    )


def _kept_bytes(
    policy: Policy, batch: TreeBatch, precision: Callable[[], AbstractContextManager[Any]], opened: Any
) -> int:
    """Bytes kept by a forward pass with one layer not checkpointed."""
    weights = {weight.untyped_storage().data_ptr() for weight in policy.model.parameters()}
    sizes = {weight.numel() for weight in policy.model.parameters() if weight.dim() > 1}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.numel() not in sizes:  # a copy of weights counts with them
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    if opened is not None:
        opened.training = False
    with saved_tensors_hooks(keep, lambda tensor: tensor), precision():
        sums = answer_logprobs(policy.model, batch, policy.family).sums
    if opened is not None:
        opened.training = True
    del sums  # only now may what was kept be freed, and an address be used again
    return sum(kept.values())


def _quantisation_bytes(weight: Any) -> int:
    """Bytes of the scales that a quantised weight of bitsandbytes has beside itself."""
    state = vars(weight).get("quant_state")
    scales = [state.absmax, *([state.state2.absmax] if state.nested else [])] if state is not None else []
    scales.append(vars(weight).get("SCB"))
    return sum(scale.nbytes for scale in scales if isinstance(scale, Tensor))


def _dequantised(weights: Iterable[Any]) -> int:
    """Bytes of the largest quantised weight, opened for a product."""
    opened = [state.shape.numel() * 4 for state in (vars(w).get("quant_state") for w in weights) if state]
    return max(opened, default=0)


def _largest_layer(named: Iterable[tuple[str, Tensor]], layers: int) -> int:
    """Bytes of the weights that FSDP gathers at once: a layer, or what is outside all layers."""
    inside = outside = 0
    for name, weight in named:
        size = weight.numel() * weight.element_size()
        if ".layers." in name:
            inside += size
        else:
            outside += size
    return max(inside // max(layers, 1), outside)
