"""Log-probabilities straight from hidden states: the scores of the whole vocabulary are never all there at once.

A head of V words over N tokens makes N × V scores, their normalised copy, and both again on the way back; for 32,000
words that is more memory than a layer of the model keeps. Only one number of each row is wanted. So rows go through in
chunks, and while a chunk's scores are there, the direction in which its hidden states would have to move to make the
targets likelier is worked out too; the backward pass only scales it. Where the head itself is trained, chunks are
scored once more on the way back.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

CHUNK, CHUNK_ON_GPU = 1 << 22, 1 << 25
"""Scores at once. 16 MiB in float32, which a processor's cache holds; 128 MiB, which keep a GPU busy."""


def logprobs_at(hidden: Tensor, weight: Tensor, targets: Tensor, *, chunk: int | None = None) -> Tensor:
    """[N] log softmax at `targets` [N], float32, of the scores `hidden` [N, D] · `weight` [V, D]ᵀ.

    Differentiable in both. Scores have the number format that a stock linear layer gives them, autocast included.
    """
    rows = max(1, (chunk or (CHUNK_ON_GPU if hidden.is_cuda else CHUNK)) // weight.shape[0])
    found: Tensor = _ScoredHead.apply(hidden, weight, targets, rows)
    return found


@final
class _ScoredHead(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, rows: int) -> Tensor:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        ctx.rows, ctx.format = rows, dtype
        found = hidden.new_empty(len(hidden), dtype=torch.float32)
        ahead = ctx.needs_input_grad[0] and not ctx.needs_input_grad[1]
        towards = torch.empty_like(hidden) if ahead else None
        with torch.autocast(kind, enabled=False):
            words = weight.to(dtype)
            for at in range(0, len(hidden), rows):
                part = slice(at, at + rows)
                found[part], powers, total = _normalised(hidden[part].to(dtype) @ words.t(), targets[part])
                if towards is not None:
                    towards[part] = _pull(powers, total, targets[part]).to(dtype) @ words
        ctx.save_for_backward(*((towards,) if ahead else (hidden, weight, targets)))
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if len(ctx.saved_tensors) == 1:
            (towards,) = ctx.saved_tensors
            return (towards * gradient[:, None]).to(towards.dtype), None, None, None
        hidden, weight, targets = ctx.saved_tensors
        words = weight.to(ctx.format)
        to_hidden, to_weight = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32)
        for at in range(0, len(hidden), ctx.rows):
            part = slice(at, at + ctx.rows)
            seen = hidden[part].to(ctx.format)
            _, powers, total = _normalised(seen @ words.t(), targets[part])
            pull = _pull(powers, total, targets[part]).mul_(gradient[part, None]).to(ctx.format)
            to_hidden[part] = pull @ words
            to_weight += pull.t() @ seen
        return to_hidden, to_weight.to(weight.dtype), None, None


def _normalised(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[n] log-probabilities of the targets; [n, V] exponentials of all scores, written over them; [n, 1] their sums."""
    scores = scores.float()
    scores.sub_(scores.amax(1, keepdim=True))
    wanted = scores.gather(1, targets[:, None])
    total = scores.exp_().sum(1, keepdim=True)
    return (wanted - total.log())[:, 0], scores, total


def _pull(powers: Tensor, total: Tensor, targets: Tensor) -> Tensor:
    """[n, V] derivative of the targets' log-probabilities by the scores: one at the target less all probabilities.

    Written over `powers`.
    """
    return powers.div_(-total).scatter_add_(1, targets[:, None], powers.new_ones(len(targets), 1))
