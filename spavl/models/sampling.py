"""Gumbel-max sampling whose noise is a hash of seed, position and token, so that batching cannot change an answer.

argmax over tokens of (logit / temperature + g), with g = -log(-log u) and u uniform, is a sample of
softmax(logit / temperature) (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030). Here u is a hash of (seed, position,
token), so a row's tokens depend neither on its neighbours in the batch nor on what was sampled before.

Shapes: B rows, K of them chosen, V tokens of the vocabulary, T tokens of a row so far, F forbidden tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spavl.models.base import Request

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
"""Increment of the SplitMix64 generator (Steele, Lea, Flood 2014), as a signed 64-bit number."""
MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
MIX_2 = 0x94D049BB133111EB - (1 << 64)
LIKELIEST = 256
"""Tokens among which the end of a nucleus is looked for before all are sorted."""
UNIFORM_BITS = 23
"""As many as make (n + 1/2) / 2^23 exact in float32 and never 1."""


def seed_of(key: str) -> int:
    """64-bit signed seed of a string.

    Args:
        key: such as the key of a call.
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def gumbel(seeds: Int[Tensor, " B"], position: int, vocab_size: int) -> Float[Tensor, "B V"]:
    """Standard Gumbel noise for one token of every row, float32.

    Integer arithmetic until the last step, so every device makes the same noise.

    Args:
        seeds: one a row, int64, from `seed_of`.
        position: of the token to be sampled; 0 is the first of the answer.
        vocab_size: V.
    """
    # As Python number: torch refuses one beyond 64 bits, and the sum is meant to wrap.
    step = ((position + 1) * GOLDEN + (1 << 63)) % (1 << 64) - (1 << 63)
    rows = _mix(seeds + step)
    counters = torch.arange(1, vocab_size + 1, device=seeds.device) * GOLDEN
    bits = _shift(_mix(rows[:, None] + counters[None, :]), 64 - UNIFORM_BITS)
    uniform = (bits.to(torch.float32) + 0.5) * (1.0 / (1 << UNIFORM_BITS))
    return uniform.log_().neg_().log_().neg_()


def nucleus(logits: Float[Tensor, "B V"], top_p: Float[Tensor, " B"]) -> Float[Tensor, "B V"]:
    """The logits with -inf outside the smallest set of tokens that has at least `top_p` of the probability.

    Tokens as probable as the last of the set are in it too, so that no order among equals decides.

    Args:
        logits: already divided by the temperature.
        top_p: one a row; a row of 1 keeps all its tokens.

    Source: nucleus sampling, Holtzman et al., arXiv 1904.09751.
    """
    probabilities = logits.softmax(-1)
    least = _least_probable(probabilities, top_p, min(LIKELIEST, logits.shape[1]))
    whole = top_p >= 1  # a float32 sum reaches 1 before the last token
    return logits.masked_fill(probabilities < least.masked_fill(whole, 0.0)[:, None], float("-inf"))


def _least_probable(probabilities: Float[Tensor, "B V"], top_p: Float[Tensor, " B"], most: int) -> Float[Tensor, " B"]:
    """Probability of the last token of each row's nucleus, which is looked for among the `most` likeliest first: to
    sort a vocabulary of 50,000 takes longer than a step of a small model."""
    likely = probabilities.topk(most).values
    inside = (likely.cumsum(-1) - likely < top_p[:, None]).sum(-1)
    least = likely.gather(1, (inside[:, None] - 1).clamp(min=0))[:, 0]  # logits that are no numbers have no nucleus
    wider = ((inside == most) & (top_p < 1)).nonzero()[:, 0]
    if most < probabilities.shape[1] and len(wider):
        least[wider] = _least_probable(probabilities[wider], top_p[wider], probabilities.shape[1])
    return least


@final
@dataclass(frozen=True, eq=False)
class SamplingBatch:
    """How the next token of each of B rows is sampled."""

    seeds: Int[Tensor, " B"]
    """One a row, int64, from `seed_of`."""
    temperature: Float[Tensor, " B"]
    """What each row's logits are divided by, float32; 0 is greedy decoding."""
    top_p: Float[Tensor, " B"]
    """Nucleus of each row, float32, heeded where there is a temperature."""
    greedy: bool
    """No row has a temperature."""
    narrows: bool
    """Some row has a nucleus smaller than the whole distribution."""

    @classmethod
    def of(cls, requests: Sequence[Request], device: Any) -> SamplingBatch:
        """The sampling of requests, one row each; their keys seed it.

        Args:
            requests: one a row.
            device: where the logits will be.
        """
        sampling = [request.sampling for request in requests]
        return cls(
            seeds=torch.tensor([seed_of(request.key) for request in requests], device=device),
            temperature=torch.tensor([s.temperature for s in sampling], dtype=torch.float32, device=device),
            top_p=torch.tensor([s.top_p for s in sampling], dtype=torch.float32, device=device),
            greedy=all(s.temperature <= 0 for s in sampling),
            narrows=any(s.top_p < 1 for s in sampling),
        )

    @classmethod
    def from_whole_distribution(cls, seeds: Int[Tensor, " B"]) -> SamplingBatch:
        """Sampling at temperature 1 from all tokens.

        Args:
            seeds: one a row, int64, from `seed_of`.
        """
        ones = torch.ones(len(seeds), device=seeds.device)
        return cls(seeds, ones, ones, greedy=False, narrows=False)

    def to(self, device: Any) -> SamplingBatch:
        """The same sampling on a device.

        Args:
            device: a torch device or its name.
        """
        tensors = (self.seeds, self.temperature, self.top_p)
        seeds, temperature, top_p = (tensor.to(device) for tensor in tensors)
        return replace(self, seeds=seeds, temperature=temperature, top_p=top_p)

    def of_rows(self, rows: Int[Tensor, " K"]) -> SamplingBatch:
        """The sampling of some of the rows, in that order.

        Args:
            rows: indices of rows.
        """
        return replace(self, seeds=self.seeds[rows], temperature=self.temperature[rows], top_p=self.top_p[rows])

    def scores(self, logits: Float[Tensor, "B V"], position: int, forbidden: Int[Tensor, " F"]) -> Float[Tensor, "B V"]:
        """Scores, float32, whose argmax is the next token of each row: a sample of its distribution.

        Args:
            logits: of the next token.
            position: of the next token; 0 is the first of the answer.
            forbidden: ids of tokens that are never sampled.
        """
        scores = logits.float().index_fill(1, forbidden, float("-inf"))
        if self.greedy:
            return scores
        sampled = self.temperature[:, None] > 0
        scores = torch.where(sampled, scores / self.temperature[:, None].clamp(min=1e-6), scores)
        if self.narrows:
            scores = torch.where(sampled, nucleus(scores, self.top_p), scores)
        return scores + torch.where(sampled, gumbel(self.seeds, position, scores.shape[1]), 0.0)


@final
class GumbelSampler:
    """A logits processor of transformers: greedy decoding of what it returns samples each row as its request says.

    Args:
        requests: one a row; their keys seed the sampling.
        prompt_length: tokens of the padded prompts.
        forbidden: ids of tokens that are never sampled, such as image placeholder tokens.
        device: where the logits are.
    """

    def __init__(self, requests: Sequence[Request], prompt_length: int, forbidden: Sequence[int], device: str) -> None:
        self._prompt_length = prompt_length
        self._sampling = SamplingBatch.of(requests, device)
        self._forbidden = torch.tensor(forbidden, dtype=torch.long, device=device)

    def __call__(self, input_ids: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """Scores, float32, whose argmax is the next token of every row.

        Args:
            input_ids: prompts and the answers so far.
            scores: logits of the next token.
        """
        return self._sampling.scores(scores, input_ids.shape[1] - self._prompt_length, self._forbidden)


def _mix(z: Tensor) -> Tensor:
    """Finaliser of SplitMix64, on int64 that wraps."""
    z = (z ^ _shift(z, 30)) * MIX_1
    z = (z ^ _shift(z, 27)) * MIX_2
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right; that of int64 drags the sign along."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
