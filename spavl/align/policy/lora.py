"""LoRA layers in fewer passes over memory: the same update as peft's own layer, added and scaled inside one product.

peft computes `W x + scale · B (A x)` as written: a product with B, a pass that scales it, a pass that adds it, and the
same again on the way back. Here scale and sum happen inside the products.
"""

from __future__ import annotations

from typing import Any, final

import torch
from peft.tuners.lora import Linear
from torch import Tensor


@final
class LoraLinear(Linear):  # type: ignore[misc]
    """peft's LoRA layer, without dropout. Where not exactly one adapter is at work it is peft's own."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[..., in] → [..., out]."""
        working = [name for name in self.active_adapters if name in self.lora_A]
        if self.disable_adapters or self.merged or len(working) != 1:
            return super().forward(x, *args, **kwargs)
        (name,) = working
        down, up = self.lora_A[name].weight, self.lora_B[name].weight * self.scaling[name]
        return _LoraProduct.apply(self.base_layer(x), x, down, up)


@final
class _LoraProduct(torch.autograd.Function):  # type: ignore[misc]
    """plain + x Aᵀ Bᵀ, written over `plain`. Products are in the number format of `plain`."""

    @staticmethod
    def forward(ctx: Any, plain: Tensor, x: Tensor, down: Tensor, up: Tensor) -> Tensor:
        with torch.autocast(plain.device.type, enabled=False):
            low = x.reshape(-1, x.shape[-1]).to(plain.dtype) @ down.to(plain.dtype).t()
            plain.view(-1, plain.shape[-1]).addmm_(low, up.to(plain.dtype).t())
        ctx.mark_dirty(plain)
        ctx.save_for_backward(x, low, down, up)
        return plain

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, low, down, up = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        to_low = rows @ up.to(rows.dtype)
        to_up = (rows.t() @ low).to(up.dtype)
        to_down = (to_low.t() @ x.reshape(-1, x.shape[-1]).to(rows.dtype)).to(down.dtype)
        to_x = (to_low @ down.to(rows.dtype)).view_as(x).to(x.dtype) if ctx.needs_input_grad[1] else None
        return gradient, to_x, to_down, to_up
