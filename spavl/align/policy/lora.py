"""LoRA layers in fewer passes over memory: the same update as peft's own layer, added and scaled inside one product.

peft computes `W x + scale · B (A x)` as written: a product with B, a pass that scales it, a pass that adds it, and the
same again in the backward pass. Here scale and sum happen inside the products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, final

import torch
from peft.tuners.lora import Linear, LoraLayer
from torch import Tensor, nn
from typing_extensions import override


@final
class LoraLinear(Linear):  # type: ignore[misc]
    """peft's LoRA layer; unless exactly one adapter is active it computes as peft's own does."""

    @override
    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The layer with its low-rank update, [..., in] → [..., out]."""
        active = [name for name in self.active_adapters if name in self.lora_A]
        if self.disable_adapters or self.merged or len(active) != 1:
            return super().forward(x, *args, **kwargs)
        (name,) = active
        down, up = self.lora_A[name].weight, self.lora_B[name].weight * self.scaling[name]
        return _LoraProduct.apply(self.base_layer(x), self.lora_dropout[name](x), down, up)


def adapter_dropouts(model: Any) -> list[nn.Dropout]:
    """The dropout layers of a model's LoRA layers; empty where there are none that drop anything.

    Args:
        model: a peft model, or one without adapters.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    return [one for layer in layers for one in layer.lora_dropout.values() if isinstance(one, nn.Dropout)]


@contextmanager
def active(dropouts: Sequence[nn.Dropout]) -> Iterator[None]:
    """A context in which these dropout layers drop, for the passes of a training step; outside they never do.

    Args:
        dropouts: from `adapter_dropouts`.
    """
    for one in dropouts:
        one.train()
    try:
        yield
    finally:
        for one in dropouts:
            one.eval()


@final
class _LoraProduct(torch.autograd.Function):  # type: ignore[misc]
    """base + x Aᵀ Bᵀ, written over `base`; products are in the number format of `base`.

    `base` [..., out] is the frozen layer's output, `x` [..., in] its input, `down` [r, in] is A and `up` [out, r] is B.
    """

    @staticmethod
    @override
    def forward(ctx: Any, base: Tensor, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
        with torch.autocast(base.device.type, enabled=False):
            low = x.reshape(-1, x.shape[-1]).to(base.dtype) @ down.to(base.dtype).t()
            base.view(-1, base.shape[-1]).addmm_(low, up.to(base.dtype).t())
        ctx.mark_dirty(base)
        ctx.save_for_backward(x, low, down, up)
        return base

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, low, down, up = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        grad_low = rows @ up.to(rows.dtype)
        grad_up = (rows.t() @ low).to(up.dtype)
        grad_down = (grad_low.t() @ x.reshape(-1, x.shape[-1]).to(rows.dtype)).to(down.dtype)
        grad_x = (grad_low @ down.to(rows.dtype)).view_as(x).to(x.dtype) if ctx.needs_input_grad[1] else None
        return gradient, grad_x, grad_down, grad_up
