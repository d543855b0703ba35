"""What a limit asks of the outcomes: a bound at the gate's level, whether it is within the limit, and what is missing.

Nothing here reads a run: outcomes in, evidence out, so that the same tests can be simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spavl.errors import SettingsError
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.score_outcomes import MetricOutcomes, compared
from spavl.statistics.clusters import effective_size
from spavl.statistics.gate import p_below, passes_below
from spavl.statistics.judge_error import Calibration, rogan_gladen
from spavl.statistics.paired import tango
from spavl.statistics.sequential import confidence_sequence

LEAST = 1e-12
"""Differences of levels below it are rounding."""
MOST_ITEMS = 64
"""Up to how many times the items a benchmark would have to have is looked for; beyond it nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the outcomes say of a limit."""

    value: float | None
    """What was measured: a rate, or a difference; None where nothing was read."""
    bound: float
    """Its bound on the side of the limit."""
    n: int
    """Number of items."""
    passes: bool
    """Whether the bound is within the limit."""
    is_beyond: bool
    """Whether what was measured is itself beyond the limit, so that further items are not expected to help."""
    needed: int | None = None
    """About how many items would show it, if they were like these; None where it is shown, or cannot be told."""
    refusal: str = ""
    """Why nothing can be shown, in a sentence; empty where something can."""


def rate_below(
    found: MetricOutcomes, limit: float, *, alpha: float, repeated: bool = False, judge: Calibration | None = None
) -> Evidence:
    """Whether a rate is shown to be below a limit.

    A plain share is held against the exact test, with the judge's errors where they are given; a mean of scores or a
    weighted one against its one-sided bound. Unread verdicts count as True.

    Args:
        found: the outcomes.
        limit: the rate that must not be reached.
        alpha: probability with which a rate at the limit passes.
        repeated: whether one looks while items are still added.
        judge: the judge on labelled answers; None: it makes no errors.

    Raises:
        SettingsError: looks are repeated, or a judge is given, and the rate is no plain share.
    """
    if not found.is_share:
        if repeated or judge is not None:
            raise SettingsError(
                "A mean of scores or of weighted items has neither a confidence sequence nor a test for an estimated "
                "judge", where="limits", try_="limit the metrics that are plain shares, or leave both out",
            )  # fmt: skip
        return _mean_below(found, limit, alpha)
    bad, n = sum(outcome == 1 for outcome in found.outcomes.values()), len(found.outcomes)
    if not n:
        return Evidence(value=None, bound=1.0, n=0, passes=False, is_beyond=False, refusal="no item was asked")
    design = _design_effect(found)
    if repeated:
        return _share_repeatedly(found, bad, limit, alpha, design)
    tested = passes_below(limit, bad, n, judge, unread=found.unread, design_effect=design, alpha=alpha)
    value = _value(bad, n, found.unread, judge)

    def passes(items: float) -> bool:
        return p_below(limit, (bad + found.unread) / n * items, items, judge) <= alpha

    made = Evidence(value=value, bound=tested.high, n=n, passes=tested.passes, refusal=tested.refusal,
                    is_beyond=value is not None and value >= limit)  # fmt: skip
    return _with_needed(made, passes, design)


def people_below(
    corrected: Mapping[str, Any], limit: float, *, n: int, alpha: float, repeated: bool = False
) -> Evidence:  # fmt: skip
    """Whether a rate that people's labels correct is shown to be below a limit, by the upper bound of its interval.

    Args:
        corrected: the entry of `run.json`: `rate` with its bounds, and their `level`.
        limit: the rate that must not be reached.
        n: number of items.
        alpha: probability with which a rate at the limit passes.
        repeated: whether one looks while items are still added.

    Raises:
        SettingsError: looks are repeated.
    """
    if repeated:
        raise SettingsError("A corrected rate has no confidence sequence", where="limits",
                            try_="look once, or leave `judge: estimated` out")  # fmt: skip
    found, level = corrected["rate"], corrected["level"]
    value, high = found["value"], found["high"]
    refusal = found["refusal"]
    if not refusal and alpha < (1 - level) / 2 - LEAST:
        refusal = f"the interval of labels is one of {level:.0%}, too short for this limit's alpha of {alpha:g}"
    return Evidence(value=value, bound=high, n=n, passes=not refusal and high < limit, refusal=refusal,
                    is_beyond=value is not None and value >= limit)  # fmt: skip


def _value(bad: int, n: int, unread: int, judge: Calibration | None) -> float | None:
    """The rate, or the one that people would find; None where nothing was read."""
    if judge is not None:
        return rogan_gladen(bad, n, judge, unread=unread).value
    return bad / (n - unread) if n > unread else None


def _design_effect(found: MetricOutcomes) -> float:
    values = [1.0 if outcome is None else float(outcome) for outcome in found.outcomes.values()]
    return max(1.0, len(values) / effective_size(values, [found.clusters[item] for item in found.outcomes]))


def _share_repeatedly(found: MetricOutcomes, bad: int, limit: float, alpha: float, design: float) -> Evidence:
    """The same by a confidence sequence; of clustered items the effective numbers, rounded against the model."""
    n, unread = len(found.outcomes), found.unread

    def high(items: float) -> float:
        whole = math.floor(items)
        worst = min(whole, math.ceil((bad + unread) / n * items))
        return confidence_sequence(worst, whole, level=1 - alpha)[1]

    value, bound = _value(bad, n, unread, None), high(n / design)
    made = Evidence(value=value, bound=bound, n=n, passes=bound < limit, is_beyond=value is not None and value >= limit)
    return _with_needed(made, lambda items: high(items) < limit, design)


def _mean_below(found: MetricOutcomes, limit: float, alpha: float) -> Evidence:
    rate = found.rate(level=1 - 2 * alpha)
    beyond = rate.value is not None and rate.value >= limit
    needed = None if rate.value is None else _by_root(rate.value, rate.high, limit, rate.n)
    return Evidence(value=rate.value, bound=rate.high, n=rate.n, passes=rate.high < limit, is_beyond=beyond,
                    needed=None if rate.high < limit else needed)  # fmt: skip


def rate_above(found: MetricOutcomes, limit: float, *, alpha: float, repeated: bool = False) -> Evidence:
    """Whether a rate is shown to be above a limit. Unread verdicts count as False.

    Args:
        found: the outcomes.
        limit: the rate that must be exceeded.
        alpha: probability with which a rate at the limit passes.
        repeated: whether one looks while items are still added.

    Raises:
        SettingsError: looks are repeated, and the rate is no plain share.
    """
    turned = {item: None if outcome is None else 1 - outcome for item, outcome in found.outcomes.items()}
    other = rate_below(replace(found, outcomes=turned), 1 - limit, alpha=alpha, repeated=repeated)
    return replace(other, value=None if other.value is None else 1 - other.value, bound=1 - other.bound)


def change_below(
    base: MetricOutcomes, found: MetricOutcomes, metric: MeasuredMetric, limit: float, *, alpha: float,
    repeated: bool = False, falls: bool = False,
) -> Evidence:  # fmt: skip
    """Whether a rate is shown to have risen by less than a limit, against the base on the same items.

    Unread pairs count as changes upwards.

    Args:
        base: outcomes of the base.
        found: outcomes of the model.
        metric: the metric.
        limit: the rise that must not be reached, such as 0.02 for two points.
        alpha: probability with which a rise by the limit passes.
        repeated: whether one looks while items are still added.
        falls: whether falls are limited instead; value, bound and limit are then those of the fall.

    Raises:
        SettingsError: looks are repeated, and the rate is no plain share.
    """
    pair = compared(base, found, metric, level=1 - 2 * alpha)
    if not pair.n:
        return Evidence(value=None, bound=1.0, n=0, passes=False, is_beyond=False, refusal="no item was asked of both")
    value = None if pair.difference is None else -pair.difference if falls else pair.difference
    bound = -pair.low if falls else pair.high
    beyond = value is not None and value >= limit
    made = Evidence(value=value, bound=bound, n=pair.n, passes=bound < limit, is_beyond=beyond)
    if base.is_share and found.is_share:
        return _moves_below(_moves(base, found, falls=falls), made, limit, alpha=alpha, repeated=repeated)
    if repeated:
        raise SettingsError("A change of scores or of weighted items has no confidence sequence", where="limits",
                            try_="limit the metrics that are plain shares, or look once")  # fmt: skip
    needed = None if value is None or made.passes else _by_root(value, bound, limit, pair.n)
    return replace(made, needed=needed)


@dataclass(frozen=True, slots=True)
class _Moves:
    """How many items moved up and down, an unread pair up."""

    up: int
    down: int
    n: int
    design: float


def _moves(base: MetricOutcomes, found: MetricOutcomes, *, falls: bool) -> _Moves:
    items = [item for item in found.outcomes if item in base.outcomes]
    pairs = [(base.outcomes[item], found.outcomes[item]) for item in items]
    ends = [(after, before) if falls else (before, after) for before, after in pairs]
    moved = [1.0 if None in pair else float(pair == (0, 1)) - float(pair == (1, 0)) for pair in ends]
    design = len(items) / effective_size(moved, [base.clusters[item] for item in items])
    return _Moves(moved.count(1.0), moved.count(-1.0), len(items), max(1.0, design))


def _moves_below(moves: _Moves, made: Evidence, limit: float, *, alpha: float, repeated: bool) -> Evidence:
    """The evidence on a plain share: how many items are missing, and the anytime-valid bound where it is asked for."""

    def high(items: float) -> float:
        up, down = moves.up / moves.n * items, moves.down / moves.n * items
        return _high_repeatedly(up, down, items, alpha) if repeated else tango(up, down, items, level=1 - 2 * alpha)[1]

    if repeated:
        bound = high(moves.n / moves.design)
        made = replace(made, bound=bound, passes=bound < limit)
    return _with_needed(made, lambda items: high(items) < limit, moves.design)


def _high_repeatedly(up: float, down: float, items: float, alpha: float) -> float:
    """Anytime-valid upper bound of a rise: most rises less least falls, each at half the level."""
    n = math.floor(items)
    most, least = min(n, math.ceil(up - 1e-9)), math.floor(down + 1e-9)
    level = 1 - alpha / 2
    return confidence_sequence(most, n, level=level)[1] - confidence_sequence(least, n, level=level)[0]


def _with_needed(found: Evidence, passes: Callable[[float], bool], design: float) -> Evidence:
    """The evidence with how many items like these would pass, by trying larger and larger numbers."""
    if found.passes or found.is_beyond or found.value is None or found.refusal:
        return found
    fails, wins = float(found.n), 2.0 * found.n
    while not passes(wins / design):
        fails, wins = wins, 2 * wins
        if wins > MOST_ITEMS * found.n:
            return found
    while wins - fails > max(1.0, 0.01 * wins):
        middle = (wins + fails) / 2
        fails, wins = (fails, middle) if passes(middle / design) else (middle, wins)
    return replace(found, needed=math.ceil(wins))


def _by_root(value: float, bound: float, limit: float, n: int) -> int | None:
    """Items with which the bound would come within the limit, its distance falling with the root of their number."""
    if value >= limit or bound <= value:
        return None
    items = n * ((bound - value) / (limit - value)) ** 2
    return math.ceil(items) if items <= MOST_ITEMS * n else None
