"""Sampling as a function of the request alone: Gumbel noise from the request's key, the position and the word.

argmax over words of (logit / temperature + g), with g = -log(-log u) and u uniform, draws from softmax(logit /
temperature) exactly (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030). Here u is a hash of (key, position, word), so
a row's words depend neither on its neighbours in the batch nor on what was drawn before.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import final

import torch
from torch import Tensor

from spavl.models.base import Request

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
"""Increment of the SplitMix64 generator (Steele, Lea, Flood 2014), as a signed 64-bit number."""
MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
MIX_2 = 0x94D049BB133111EB - (1 << 64)
UNIFORM_BITS = 23
"""As many as make (n + 1/2) / 2^23 exact in float32 and never 1."""


def seed_of(key: str) -> int:
    """64-bit signed seed of a request key (any string)."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def gumbel(seeds: Tensor, position: int, words: int) -> Tensor:
    """Noise (rows, words), float32, for the word at `position` (0 is the first of the answer).

    `seeds`: (rows,) int64, from `seed_of`. Integer arithmetic until the last step, so every device draws the same.
    """
    # As Python number: torch refuses one beyond 64 bits, and the sum is meant to wrap.
    step = ((position + 1) * GOLDEN + (1 << 63)) % (1 << 64) - (1 << 63)
    rows = _mix(seeds + step)
    counters = torch.arange(1, words + 1, device=seeds.device) * GOLDEN
    bits = _shift(_mix(rows[:, None] + counters[None, :]), 64 - UNIFORM_BITS)
    uniform = (bits.to(torch.float32) + 0.5) * (1.0 / (1 << UNIFORM_BITS))
    return uniform.log_().neg_().log_().neg_()


def nucleus(logits: Tensor, top_p: Tensor) -> Tensor:
    """Set to -inf all words outside the smallest set that has at least `top_p` of the probability.

    `logits`: (rows, words), already divided by the temperature; `top_p`: (rows,). Holtzman et al., arXiv 1904.09751.
    """
    ordered, order = logits.sort(dim=-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    outside = (before >= top_p[:, None]).scatter(1, order, before >= top_p[:, None])
    return logits.masked_fill(outside, float("-inf"))


@final
class GumbelSampler:
    """A logits processor of transformers: the greedy choice of what it returns is the draw of each row's request.

    Rows of temperature 0 stay greedy. `forbidden` words (image placeholders) are never said.
    """

    def __init__(self, requests: Sequence[Request], prompt_length: int, forbidden: Sequence[int], device: str) -> None:
        sampling = [request.sampling for request in requests]
        self._prompt_length = prompt_length
        self._seeds = torch.tensor([seed_of(request.key) for request in requests], device=device)
        self._temperature = torch.tensor([s.temperature for s in sampling], device=device)
        self._top_p = torch.tensor([s.top_p for s in sampling], device=device)
        self._draws = any(s.temperature > 0 for s in sampling)
        self._narrows = any(s.top_p < 1 for s in sampling)
        self._forbidden = torch.tensor(forbidden, dtype=torch.long, device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`input_ids`: (rows, length so far), prompt included; `scores`: (rows, words). Returns scores, float32."""
        scores = scores.float().index_fill(1, self._forbidden, float("-inf"))
        if not self._draws:
            return scores
        drawn = self._temperature[:, None] > 0
        scores = torch.where(drawn, scores / self._temperature[:, None].clamp(min=1e-6), scores)
        if self._narrows:
            scores = torch.where(drawn, nucleus(scores, self._top_p), scores)
        noise = gumbel(self._seeds, input_ids.shape[1] - self._prompt_length, scores.shape[1])
        return scores + torch.where(drawn, noise, 0.0)


def _mix(z: Tensor) -> Tensor:
    """Finaliser of SplitMix64, on int64 that wraps."""
    z = (z ^ _shift(z, 30)) * MIX_1
    z = (z ^ _shift(z, 27)) * MIX_2
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right; that of int64 drags the sign along."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
