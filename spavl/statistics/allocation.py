"""How many to draw of every stratum: in proportion, equally many, or so that an estimate's interval is narrowest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

SHARES = (0.5, 0.5)
"""Pseudo-counts of an error and of none, so that a stratum whose labels show no error is not taken for certain."""


def proportional(sizes: Sequence[int], n: int) -> list[float]:
    """Expected draws of every stratum, in proportion to its size.

    Args:
        sizes: of the strata.
        n: draws of all together.
    """
    total = sum(sizes)
    return [min(n, total) * size / total if total else 0.0 for size in sizes]


def weighted(sizes: Sequence[int], n: int, weights: Sequence[float]) -> list[float]:
    """Expected draws of every stratum, in proportion to weights, and of none more than it has.

    Args:
        sizes: of the strata.
        n: draws of all together.
        weights: of the strata, 0 or more.
    """
    found = [0.0] * len(sizes)
    open_, left = {place for place, size in enumerate(sizes) if size and weights[place] > 0}, float(n)
    while open_ and left > 0:
        total = sum(weights[place] for place in open_)
        full = {place for place in open_ if left * weights[place] / total >= sizes[place]}
        if not full:
            for place in open_:
                found[place] = left * weights[place] / total
            break
        for place in full:
            found[place] = float(sizes[place])
            left -= sizes[place]
        open_ -= full
    return found


def equal(sizes: Sequence[int], n: int) -> list[float]:
    """Expected draws of every stratum, equally many of each as far as it has them.

    Args:
        sizes: of the strata.
        n: draws of all together.
    """
    return weighted(sizes, n, [1.0] * len(sizes))


def neyman(sizes: Sequence[int], n: int, errors: Sequence[tuple[int, int]]) -> list[float]:
    """Expected draws of every stratum that make the interval of the whole narrowest (Neyman 1934).

    Args:
        sizes: of the strata.
        n: draws of all together.
        errors: of each stratum the labels so far that say otherwise than the judge, and all labels so far.
    """
    shares = [(wrong + SHARES[0]) / (of + sum(SHARES)) for wrong, of in errors]
    return weighted(sizes, n, [size * sqrt(p * (1 - p)) for size, p in zip(sizes, shares, strict=True)])


def bounds(draws: Mapping[str, float], sizes: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """Of every stratum the sum of the draws before it, and the probability with which one of it is drawn.

    Args:
        draws: expected draws by stratum, in their order.
        sizes: of the strata.
    """
    found, before = [], 0.0
    for name, count in draws.items():
        found.append((name, before, min(1.0, count / sizes[name]) if sizes[name] else 0.0))
        before += count
    return found
