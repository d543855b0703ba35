"""Intervals that hold however often one looks, and stops when one likes what one sees."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import betaln, xlog1py, xlogy

from spavl.statistics.intervals import LEVEL

PRIOR = 0.5
"""Both parameters of the beta distribution that rates are mixed over: Jeffreys', which is good at every rate."""


def confidence_sequence(successes: int, n: int, *, unread: int = 0, level: float = LEVEL) -> tuple[float, float]:
    """Anytime-valid interval of a rate as (low, high): all of those at n = 1, 2, 3 … hold together at the level.

    An interval for a fixed n, looked at after every item, excludes the truth at some n far more often than its level
    says. This one may be looked at after any item and decided on at once. It is for one model and new items; outcomes
    of another model, or of items seen before, are no continuation.

    The rate p is excluded when a mixture of all rates explains the outcomes 1 / (1 − level) times better than p: that
    ratio is a martingale under p, and exceeds this with probability 1 − level at most (Ville's inequality).

    Args:
        successes: number of True so far.
        n: number of items so far, unread ones among them.
        unread: number of these without a readable verdict: False for the lower bound, True for the upper one.
        level: confidence level.

    Raises:
        ValueError: the counts do not fit together.

    Source: Robbins 1970 (method of mixtures); Howard, Ramdas, McAuliffe & Sekhon 2021, Annals of Statistics 49.
    """
    if min(successes, unread) < 0 or successes + unread > n:
        raise ValueError(f"{successes} successes and {unread} unread do not fit into {n} items")
    if n == 0:
        return 0.0, 1.0
    return _bound(successes, n, level, 0.0), _bound(successes + unread, n, level, 1.0)


def _bound(successes: int, n: int, level: float, edge: float) -> float:
    """The rate between the observed one and the edge at which the evidence against it reaches the threshold."""
    mixture = float(betaln(PRIOR + successes, PRIOR + n - successes) - betaln(PRIOR, PRIOR))
    observed = successes / n
    if observed == edge:
        return edge

    def evidence(rate: float) -> float:
        return mixture - float(xlogy(successes, rate) + xlog1py(n - successes, -rate)) + math.log(1 - level)

    least = edge + (1e-300 if edge == 0 else -1e-16)
    return float(brentq(evidence, *sorted((least, observed)))) if evidence(least) > 0 else edge


def decided(low: float, high: float, limit: float) -> bool | None:
    """Whether a rate is known to be within a limit: True if it is, False if it is above, None while that is open.

    Args:
        low: lower bound of the rate.
        high: upper bound of the rate.
        limit: largest rate that is acceptable.
    """
    if high <= limit:
        return True
    return False if low > limit else None
