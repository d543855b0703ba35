"""Whether safety reaches what was not trained on: gaps, domains left out in turn, and drift as suites grow."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtr, stdtrit

from spavl.statistics.intervals import LEVEL, Outcome
from spavl.statistics.over_seeds import (
    Pooled,
    PooledDifference,
    Variances,
    pooled,
    pooled_difference,
    variances_of,
)

Runs = Sequence[Mapping[str, Outcome]]
"""By seed, the outcomes of items by id."""
LEAST_DATES = 3
"""Fewest dates that show a trend beside what suites differ by anyway."""
MOST_BETWEEN = 4.0
"""Largest variance between domains or suites that is tried: no differences of shares have one as large."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How the same trainings fare on items of kinds that they were trained on, and of kinds that they were not."""

    seen: Pooled
    """Rate on items of kinds that were trained on."""
    heldout: Pooled
    """Rate on items of kinds that were not."""
    difference: float | None
    """Held out minus seen; None where either has no verdict."""
    low: float
    """Lower bound, every unread verdict taken against it."""
    high: float
    """Upper bound."""
    p: float
    """Two-sided p of no gap."""


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """What it costs a domain to be left out of training, over domains, and what it would cost another one."""

    domains: Mapping[str, PooledDifference]
    """Of each domain: its rate after training without it, minus its rate after training with it."""
    mean: float
    """Of the domains, by random effects."""
    low: float
    """Lower bound of the mean."""
    high: float
    """Upper bound."""
    p: float
    """Two-sided p of no difference on the mean."""
    between: float
    """Standard deviation of true differences between domains."""
    new_low: float
    """Lower bound of the difference of a domain like these that was not measured; −1 with fewer than three domains."""
    new_high: float
    """Upper bound; 1 with fewer than three domains."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A trend of a model's rate over the dates on which items joined a suite."""

    slope: float
    """Change of the rate in a unit of time."""
    low: float
    """Lower bound."""
    high: float
    """Upper bound."""
    p: float
    """Two-sided p of no trend."""
    between: float
    """Standard deviation of dates' true rates around the trend."""
    dates: int
    """Different dates."""


def gap(seen: Runs, heldout: Runs, clusters: Mapping[str, Hashable], *, level: float = LEVEL) -> Gap:
    """The gap from items of kinds that were trained on to items of kinds that were not, over seeds and items.

    The two have no item in common, and no cluster should be in both. A seed's two rates go together: seeds are paired.

    Args:
        seen: outcomes of items of kinds that were trained on.
        heldout: outcomes of the same trainings, in the same order, of items of kinds that were not.
        clusters: cluster by item id; an item left out is its own cluster.
        level: confidence level.

    Raises:
        ValueError: there is no seed, or not the same number of them.
    """
    if len(seen) != len(heldout):
        raise ValueError(f"{len(seen)} seeds of seen and {len(heldout)} of held-out items are no pairs")
    first, second = pooled(seen, clusters, level=level), pooled(heldout, clusters, level=level)
    if first.value is None or second.value is None:
        return Gap(first, second, None, -1.0, 1.0, 1.0)
    down = _apart((seen, 1.0), (heldout, 0.0), clusters, level)
    up = _apart((seen, 0.0), (heldout, 1.0), clusters, level)
    low, high = down[0] - down[1].quantile(level), up[0] + up[1].quantile(level)
    p = max(down[1].p(down[0]), up[1].p(up[0])) if down[0] * up[0] > 0 else 1.0
    return Gap(first, second, second.value - first.value, max(-1.0, low), min(1.0, high), p)


def leave_one_out(
    by_domain: Mapping[str, tuple[Runs, Runs]], clusters: Mapping[str, Hashable], *, level: float = LEVEL
) -> LeaveOneOut | None:
    """What it costs a domain to be left out of training, on the same items, over all domains that were left out.

    None with fewer than two domains that have readable verdicts.

    Domains are a sample: the interval of the mean carries how they differ (random effects, with the t distribution),
    and the one of a new domain adds the spread between them. Trainings on all domains are the same ones in each
    difference; what they share by their seeds is added from the means of seeds.

    Args:
        by_domain: by domain the outcomes of its items (after training on all domains, after training without it).
        clusters: cluster by item id; an item left out is its own cluster.
        level: confidence level.

    Source: Paule & Mandel 1982; Hartung & Knapp 2001; prediction interval of Higgins, Thompson & Spiegelhalter 2009.
    """
    found = {name: pooled_difference(*runs, clusters, level=level) for name, runs in by_domain.items()}
    by_domain = {name: runs for name, runs in by_domain.items() if found[name].difference is not None}
    found = {name: found[name] for name in by_domain}
    if len(found) < 2:
        return None
    values = np.array([one.difference for one in found.values()], dtype=float)
    errors = np.array([one.error for one in found.values()])
    between, weights = _between(values, errors, np.ones((len(values), 1)))
    mean = float((weights * values).sum() / weights.sum())
    count = len(values)
    own = max(1.0, float((weights * (values - mean) ** 2).sum()) / (count - 1)) / float(weights.sum())
    error = math.sqrt(own + _shared_by_seeds(by_domain))
    half = float(stdtrit(count - 1, (1 + level) / 2)) * error
    p = 2 * float(stdtr(count - 1, -abs(mean) / error)) if error > 0 else 1.0
    wide = float(stdtrit(count - 2, (1 + level) / 2)) * math.sqrt(between + error**2) if count > 2 else 2.0
    return LeaveOneOut(
        found, mean, max(-1.0, mean - half), min(1.0, mean + half), min(1.0, p), math.sqrt(between),
        max(-1.0, mean - wide), min(1.0, mean + wide),
    )  # fmt: skip


def drift(
    times: Sequence[float], outcomes: Sequence[Runs], clusters: Mapping[str, Hashable], *, level: float = LEVEL
) -> Drift | None:
    """The trend of a rate over the dates of its items; None with fewer than `LEAST_DATES` different dates.

    Suites of different dates differ in difficulty anyway: each has a random effect of its own beside the trend, and
    the t distribution has as many degrees of freedom as dates exceed the two parameters of the line.

    Args:
        times: when the items of each suite were added, in any unit, such as years.
        outcomes: of each suite, by seed, the outcomes of its items.
        clusters: cluster by item id; an item left out is its own cluster.
        level: confidence level.

    Raises:
        ValueError: the two differ in length.

    Source: random-effects meta-regression with the correction of Knapp & Hartung 2003.
    """
    if len(times) != len(outcomes):
        raise ValueError(f"{len(times)} dates but {len(outcomes)} suites")
    rates = [pooled(one, clusters, level=level) for one in outcomes]
    kept = [place for place, one in enumerate(rates) if one.value is not None]
    dates = len({times[place] for place in kept})
    if dates < LEAST_DATES:
        return None
    z = float(ndtri((1 + level) / 2))
    values = np.array([rates[place].value for place in kept], dtype=float)
    errors = np.array([(rates[place].high - rates[place].low) / (2 * z) for place in kept])
    when = np.array([times[place] for place in kept], dtype=float)
    design = np.stack([np.ones(len(when)), when - when.mean()], axis=1)
    between, weights = _between(values, errors, design)
    inverse = np.linalg.inv(design.T @ (weights[:, None] * design))
    line = inverse @ (design.T @ (weights * values))
    rest = float((weights * (values - design @ line) ** 2).sum()) / (len(values) - 2)
    error = math.sqrt(float(inverse[1, 1]) * max(1.0, rest))
    half = float(stdtrit(len(values) - 2, (1 + level) / 2)) * error
    slope = float(line[1])
    p = min(1.0, 2 * float(stdtr(len(values) - 2, -abs(slope) / error)))
    return Drift(slope, slope - half, slope + half, p, math.sqrt(between), dates)


def _apart(
    seen: tuple[Runs, float], heldout: tuple[Runs, float], clusters: Mapping[str, Hashable], level: float
) -> tuple[float, Variances]:
    """Difference of two means over different items, and its variances; unread verdicts are as given."""
    (first, own), (second, other) = (variances_of(*one, clusters, level=level) for one in (seen, heldout))
    gaps = second.mean(axis=1) - first.mean(axis=1)
    count = len(gaps)
    seeds = float(gaps.var(ddof=1)) / count if count > 1 else 0.0
    parts = Variances(own.items + other.items, seeds, own.residual + other.residual, count, own.most + other.most)
    return float(gaps.mean()), parts


def _shared_by_seeds(by_domain: Mapping[str, tuple[Runs, Runs]]) -> float:
    """Variance of the mean difference that seeds make in all domains together, by the means of seeds; 0 for one."""
    each = []
    for before, after in by_domain.values():
        shared = [item for item in before[0] if all(item in run for run in (*before, *after))]
        means = [[_mean(run, shared) for run in runs] for runs in (before, after)]
        each.append(np.array(means[1]) - np.array(means[0]))
    seeds = {len(one) for one in each}
    if len(seeds) > 1 or seeds == {1}:
        return 0.0
    table = np.stack(each)
    apart = table - table.mean(axis=1, keepdims=True)
    covariance = apart @ apart.T / (table.shape[1] - 1) / table.shape[1]
    return max(0.0, float(covariance.sum() - np.trace(covariance))) / len(each) ** 2


def _mean(run: Mapping[str, Outcome], items: Sequence[str]) -> float:
    read = [float(value) for item in items if (value := run[item]) is not None]
    return sum(read) / len(read) if read else 0.0


def _between(values: np.ndarray, errors: np.ndarray, design: np.ndarray) -> tuple[float, np.ndarray]:
    """Variance between true values by Paule and Mandel's equation, and the weights that follow from it."""
    squares = np.maximum(errors**2, 1e-12)
    free = len(values) - int(design.shape[1])

    def excess(between: float) -> float:
        weights = 1 / (squares + between)
        line = np.linalg.solve(design.T @ (weights[:, None] * design), design.T @ (weights * values))
        return float((weights * (values - design @ line) ** 2).sum()) - free

    between = 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, MOST_BETWEEN))
    return between, 1 / (squares + between)
