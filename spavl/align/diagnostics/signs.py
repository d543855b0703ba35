"""From margins to numbers, and from numbers to alarms: has a model learnt from pictures, lengths or first tokens?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from spavl.align.diagnostics.margins import Margins, MeasuredMargins
from spavl.align.diagnostics.sample import LEAST, DiagnosticSample
from spavl.align.diagnostics.words import number, number_span, percent, percent_span
from spavl.config.diagnostics import DiagnosticsSettings, TrainingAlarmLimits
from spavl.statistics.alarm import Alarm, Unit, difference_of
from spavl.statistics.intervals import clustered_rate
from spavl.statistics.margins import NOTHING, Interval, share_of_mean, symmetric_correlation

Row = Mapping[str, float]
"""Numbers of a measurement by name, as a line of `metrics.jsonl` holds them."""


@dataclass(frozen=True, slots=True)
class TrainingSign:
    """What an alarm of a training is made from."""

    name: str
    """Its term, and the name of its limit and of its number in `metrics.jsonl`."""
    says: Callable[[Row], str]
    """What was measured, in a sentence without its subject."""
    try_: str
    """What to do where it rings."""
    below: bool = False
    """Whether it rings below its limit."""
    unit: Unit = "share"
    """Of its number."""
    either: bool = False
    """Whether it rings beyond its limit on either side of 0."""


SIGNS: Final[tuple[TrainingSign, ...]] = (
    TrainingSign(
        "picture_share",
        lambda row: f"loses {_of(row, 'picture_share')} of the size of its margin where a pair shows another pair's"
                    f" picture (mean margin {number(row['margin_own'])}, with another's"
                    f" {number(row['margin_swapped'])}, with a grey one {number(row['margin_blank'])})",
        "see whether questions alone tell which answer is better (`spavl audit --probe necessity`); else train with "
        "align.loss.image_conditional=1, and the projector",
        below=True,
    ),
    TrainingSign(
        "first_tokens_share",
        lambda row: f"earns {_of(row, 'first_tokens_share')} of its margin in the first"
                    f" {row['first_tokens']:.0f} tokens of the answers",
        "vary how refusals begin, and prefer safe completions to bare refusals (`spavl audit` names openings)",
    ),
    TrainingSign(
        "length_correlation",
        lambda row: f"has margins that correlate with the difference of the answers' lengths:"
                    f" {_plain(row, 'length_correlation')}",
        "balance lengths (`build.balance.length_balance`, `spavl clean`), or train with "
        "align.loss.length_normalised=true",
        unit="number", either=True,
    ),
    TrainingSign(
        "accuracy_gap",
        lambda row: f"ranks {percent(row['accuracy_trained'])} of trained pairs rightly and"
                    f" {percent(row['accuracy_measured'])} of held-out ones, a gap of {_of(row, 'accuracy_gap')}",
        "more pairs or fewer epochs; align.validation.keep=best takes the step with the lowest held-out loss",
    ),
)  # fmt: skip
"""All of a training on pairs, in the order in which they are told."""
LONG: Final = 4
"""An answer is long whose tokens are more than so many times its first ones."""
DIAGNOSED: Final = "margin_own"
"""Number that every measurement has."""


def numbers_of(
    measured: MeasuredMargins, sample: DiagnosticSample, settings: DiagnosticsSettings
) -> dict[str, float]:  # fmt: skip
    """The numbers of a measurement, each share and correlation with its bounds.

    Args:
        measured: margins at a step.
        sample: the pairs.
        settings: how many tokens are first ones.
    """
    own = measured.views["own"]
    row = {f"margin_{shown}": float(found.margin.mean()) for shown, found in measured.views.items()}
    row["accuracy_measured"] = float((own.margin > 0).mean())
    row |= _named("picture_share", _picture_share(measured, sample))
    row |= _named("first_tokens_share", _first_tokens(own, sample.clusters, settings.first_tokens))
    row |= _named("length_correlation", symmetric_correlation(own.margin, own.chosen - own.rejected, sample.clusters))
    if measured.trained is not None:
        row["accuracy_trained"] = float((measured.trained.margin > 0).mean())
        row |= _named("accuracy_gap", _gap(measured.trained, own, sample))
    return {**row, "first_tokens": float(settings.first_tokens)}


def alarms_of(row: Row, subject: str, limits: TrainingAlarmLimits) -> list[Alarm]:
    """The alarms of a measurement, not held against chance yet.

    Args:
        row: its numbers.
        subject: name of the training.
        limits: from where on alarms ring.
    """
    return [_alarm(sign, row, subject, limit_of(limits, sign.name)) for sign in SIGNS if sign.name in row]


def limit_of(limits: TrainingAlarmLimits, name: str) -> float:
    """The limit of an alarm.

    Args:
        limits: all of them.
        name: of the alarm.
    """
    limit: float = dict(limits)[name]
    return limit


def _alarm(sign: TrainingSign, row: Row, subject: str, limit: float) -> Alarm:
    value, low, high = (row[f"{sign.name}{end}"] for end in ("", "_low", "_high"))
    if sign.either and value < 0:
        value, low, high = -value, -high, -low
    return Alarm(
        name=sign.name, subject=subject, what=f"`{subject}` {sign.says(row)}.", try_=sign.try_, value=value, low=low,
        high=high, limit=limit, below=sign.below, unit=sign.unit, either=sign.either,
    )  # fmt: skip


def _picture_share(measured: MeasuredMargins, sample: DiagnosticSample) -> Interval:
    """What the own pictures add to those of others, as a share of the size of the margin with what training shows.

    Of its size, for the margin of a model that learnt little may well have a mean of about 0.
    """
    kept = np.flatnonzero(sample.with_picture)
    own, other = measured.views["own"].margin[kept], measured.views["swapped"].margin[kept]
    if len(kept) < LEAST:
        return NOTHING
    learnt = measured.views[sample.as_trained].margin[kept]
    return share_of_mean(own - other, np.abs(learnt), [sample.clusters[number] for number in kept.tolist()])


def _first_tokens(own: Margins, clusters: Sequence[str], first: int) -> Interval:
    """Of pairs with two answers of more than four times the first tokens: short ones have little else to earn it."""
    kept = np.flatnonzero((np.minimum(own.chosen, own.rejected) > LONG * first) & np.isfinite(own.first))
    return (
        NOTHING
        if len(kept) < LEAST
        else share_of_mean(own.first[kept], own.margin[kept], [clusters[number] for number in kept.tolist()])
    )


def _gap(trained: Margins, held_out: Margins, sample: DiagnosticSample) -> Interval:
    one = clustered_rate([bool(m > 0) for m in trained.margin], sample.trained_clusters)
    other = clustered_rate([bool(m > 0) for m in held_out.margin], sample.clusters)
    if one.value is None or other.value is None:
        return NOTHING
    return difference_of((one.value, one.low, one.high), (other.value, other.low, other.high))


def _named(name: str, found: Interval) -> dict[str, float]:
    """The number with its bounds; nothing where it was not measured."""
    value, low, high = found
    if value is None or not (math.isfinite(low) and math.isfinite(high)):
        return {}
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _of(row: Row, name: str) -> str:
    return percent_span(row[name], row[f"{name}_low"], row[f"{name}_high"])


def _plain(row: Row, name: str) -> str:
    return number_span(row[name], row[f"{name}_low"], row[f"{name}_high"])
