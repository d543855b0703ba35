"""Log-probabilities straight from hidden states, without ever holding the logits of all tokens (chunked cross-entropy).

A head of V vocabulary tokens over N tokens makes N × V logits, their log-softmax, and both again in the backward pass;
for a vocabulary of 32,000 that is more memory than a layer of the model keeps. Only one number of each row is wanted.
So rows go through in chunks, and while a chunk's logits are there, the gradient of the targets' log-probabilities by
the hidden states is worked out too; the backward pass only scales it. Where the head itself is trained, the backward
pass computes the logits of each chunk once more.

Shapes: N tokens, n tokens of a chunk, D features of a hidden state, V tokens of the vocabulary.
"""

from __future__ import annotations

from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

CHUNK, CHUNK_ON_GPU = 1 << 22, 1 << 25
"""Logits at once: 16 MiB in float32, which a processor's cache holds; 128 MiB, which keep a GPU busy."""
LEAST_TOKENS = 192
"""Tokens at once on a processor, however large the vocabulary: with fewer, products read the head too often."""


def tokens_at_once(vocabulary: int, *, on_gpu: bool) -> int:
    """Tokens of a chunk of a size that suits the device.

    Args:
        vocabulary: logits of a token.
        on_gpu: whether the device is a GPU.
    """
    return max(1, CHUNK_ON_GPU // vocabulary) if on_gpu else max(LEAST_TOKENS, CHUNK // vocabulary)


def logprobs_at(
    hidden: Float[Tensor, "N D"], weight: Float[Tensor, "V D"], targets: Int[Tensor, " N"], *, chunk: int | None = None
) -> Float[Tensor, " N"]:
    """Log softmax of the logits `hidden` · `weight`ᵀ at the targets, float32, differentiable in both factors.

    Logits have the number format that a stock linear layer gives them, autocast included.

    Args:
        hidden: last hidden states.
        weight: of the language model's head.
        targets: token ids.
        chunk: logits computed at once; None: a size that suits the device.
    """
    vocabulary = weight.shape[0]
    rows = max(1, chunk // vocabulary) if chunk else tokens_at_once(vocabulary, on_gpu=hidden.is_cuda)
    logprobs: Tensor = _ChunkedLogprobs.apply(hidden, weight, targets, rows)
    return logprobs


@final
class _ChunkedLogprobs(torch.autograd.Function):  # type: ignore[misc]
    @override
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        ctx.rows, ctx.dtype = rows, dtype
        logprobs = hidden.new_empty(len(hidden), dtype=torch.float32)
        only_hidden = ctx.needs_input_grad[0] and not ctx.needs_input_grad[1]
        grad_hidden = torch.empty_like(hidden) if only_hidden else None
        with torch.autocast(kind, enabled=False):
            head = weight.to(dtype)
            for at in range(0, len(hidden), rows):
                part = slice(at, at + rows)
                logprobs[part], exps, total = _target_logprobs(hidden[part].to(dtype) @ head.t(), targets[part])
                if grad_hidden is not None:
                    grad_hidden[part] = _logit_gradient(exps, total, targets[part]).to(dtype) @ head
        ctx.save_for_backward(*((grad_hidden,) if only_hidden else (hidden, weight, targets)))
        return logprobs

    @override
    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if len(ctx.saved_tensors) == 1:
            (grad_hidden,) = ctx.saved_tensors
            return (grad_hidden * gradient[:, None]).to(grad_hidden.dtype), None, None, None
        hidden, weight, targets = ctx.saved_tensors
        head = weight.to(ctx.dtype)
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        for at in range(0, len(hidden), ctx.rows):
            part = slice(at, at + ctx.rows)
            states = hidden[part].to(ctx.dtype)
            _, exps, total = _target_logprobs(states @ head.t(), targets[part])
            grad_logits = _logit_gradient(exps, total, targets[part]).mul_(gradient[part, None]).to(ctx.dtype)
            grad_hidden[part] = grad_logits @ head
            grad_weight += grad_logits.t() @ states
        return grad_hidden, grad_weight.to(weight.dtype), None, None


def _target_logprobs(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[n] log-probabilities of the targets; [n, V] exponentials of all logits, written over them; [n, 1] their sums."""
    logits = logits.float()
    logits.sub_(logits.amax(1, keepdim=True))
    wanted = logits.gather(1, targets[:, None])
    total = logits.exp_().sum(1, keepdim=True)
    return (wanted - total.log())[:, 0], logits, total


def _logit_gradient(exps: Tensor, total: Tensor, targets: Tensor) -> Tensor:
    """[n, V] gradient of the targets' log-probabilities by the logits: one at the target less all probabilities.

    Written over `exps`.
    """
    return exps.div_(-total).scatter_add_(1, targets[:, None], exps.new_ones(len(targets), 1))
