"""Which pair's answers stand for any answers to a pair's prompt: KTO measures with them how far the model has moved.

    y' of another prompt, scored after prompt x          log pi(y'|x) - log pi_ref(y'|x), averaged over a step

Fixed over the whole training, so that the reference's log-probabilities can be cached, and so that neither devices nor
forward passes change them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from spavl.errors import DataError
from spavl.preferences.pairs import Pair
from spavl.preferences.table import contexts


def mismatched_pairs(pairs: Sequence[Pair]) -> Int[np.ndarray, " P"]:
    """For each pair the number of a pair before it with another prompt; the last counts as before the first.

    Of pairs that stand one after another the one before; of n pairs in a row with equal prompts, n places before, so
    that their answers are all used.

    Args:
        pairs: all pairs of the training, in their order.

    Raises:
        DataError: all pairs have the same prompt.

    Source: the rotation by one place of section 4.1 of arXiv 2402.01306, over the whole data in place of a batch.
    """
    prompts = _prompts(pairs)
    starts = np.flatnonzero(prompts != np.roll(prompts, 1))
    if not len(starts):
        raise DataError(
            "All pairs have the same prompt, and KTO compares answers with those to other prompts.",
            where="align.loss.kind", try_="another loss, such as sigmoid, or pairs with different prompts",
        )  # fmt: skip
    number = np.arange(len(prompts))
    run = np.searchsorted(starts, number, side="right") - 1  # -1 is the last run, which goes on at the beginning
    length = np.diff(np.append(starts, starts[0] + len(prompts)))[run]
    far, near = (number - length) % len(prompts), (starts[run] - 1) % len(prompts)
    return np.where(prompts[far] != prompts, far, near)


def _prompts(pairs: Sequence[Pair]) -> np.ndarray:
    """A hash of every pair's conversation before its answers, uint64 [P]."""
    asked = zip(contexts(pairs), (pair.question for pair in pairs), strict=True)
    hashes = (hashlib.sha256("\x00".join(both).encode()).digest()[:8] for both in asked)
    return np.frombuffer(b"".join(hashes), dtype=np.uint64)
