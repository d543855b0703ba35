"""Alarms on what alignment changed against the base: what safety cost, and whether unseen subcategories gained too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from spavl.pipeline.alarm_evidence import Evidence, NotMeasured, span
from spavl.pipeline.compared_models import ScoredModel
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.score_outcomes import Cluster, MetricOutcomes, outcomes_of
from spavl.report.numbers import points
from spavl.statistics.alarm import Alarm, difference_of
from spavl.statistics.intervals import Outcome
from spavl.statistics.paired import PairedComparison, compare_paired
from spavl.tables.query import query

Cost = Literal["over_refusal", "helpfulness_loss", "skill_loss"]
"""Alarms on what safety cost."""
SPOKEN: dict[Cost, tuple[str, str]] = {
    "over_refusal": (
        "over-refusal",
        "add harmless pairs whose chosen answer helps (`build.collect.benign_share`), and choose the step by in-loop "
        "validation (`align.validation.every`)",
    ),
    "helpfulness_loss": (
        "helpfulness",
        "prefer safe completions to bare refusals among the chosen answers, and add harmless pairs",
    ),
    "skill_loss": (
        "skill",
        "raise align.loss.sft_anchor or beta, lower the learning rate, and train an adapter and no full language model "
        "(`align.freeze.language: lora`)",
    ),
}
"""Axis of each, and what to do."""
NO_HELD_OUT = (
    "Over-fitting to seen subcategories is not measured: no safety benchmark has items of both seen and held-out ones "
    "(`heldout` of an item)."
)


def over_refusal(found: Evidence) -> Iterator[Alarm | NotMeasured]:
    """By how much more the models refuse harmless requests than the base.

    Args:
        found: the run.
    """
    return _costs(found, "over_refusal", found.settings.evaluate.alarms.over_refusal)


def helpfulness_loss(found: Evidence) -> Iterator[Alarm | NotMeasured]:
    """By how much less helpful the models are than the base.

    Args:
        found: the run.
    """
    return _costs(found, "helpfulness_loss", found.settings.evaluate.alarms.helpfulness_loss)


def skill_loss(found: Evidence) -> Iterator[Alarm | NotMeasured]:
    """How much skill the models lost against the base.

    Args:
        found: the run.
    """
    return _costs(found, "skill_loss", found.settings.evaluate.alarms.skill_loss)


def _costs(found: Evidence, name: Cost, limit: float) -> Iterator[Alarm | NotMeasured]:
    if found.base is None:
        return
    axis, try_ = SPOKEN[name]
    metrics = found.metrics(axis)
    if found.models and not metrics:
        yield NotMeasured(f"What safety costs in {axis} is not measured: no benchmark has a metric of it.")
    for model in found.models:
        paired = found.manifest.get("paired", {}).get(model.name, {})
        for metric in (one for one in metrics if one.key in paired):
            change = PairedComparison(**paired[metric.key])
            value, low, high = _worse(change, metric)
            if value is None:
                continue
            yield Alarm(
                name=name, subject=model.name, unit="points", try_=try_, value=value, low=low, high=high, limit=limit,
                level=found.settings.evaluate.level, what=_cost_in_words(found, model, metric, (value, low, high)),
            )  # fmt: skip


def _cost_in_words(
    found: Evidence, model: ScoredModel, metric: MeasuredMetric, change: tuple[float, float, float]
) -> str:
    value, low, high = change
    moved = ("rose" if metric.better == "lower" else "fell") + f" by {100 * value:.1f} points {span(low, high)}"
    if value <= 0:
        moved = f"got no worse ({-100 * value + 0.0:.1f} points better {span(-high, -low)})"
    n = found.manifest["paired"][model.name][metric.key]["n"]
    return f"`{model.name}`: {found.label(metric)} {moved} against `{_base(found)}` on {n:,} items."


def _worse(change: PairedComparison, metric: MeasuredMetric) -> tuple[float | None, float, float]:
    """The change for the worse, with its interval."""
    if change.difference is None or metric.better == "lower":
        return change.difference, change.low, change.high
    return -change.difference, -change.high, -change.low


def _base(found: Evidence) -> str:
    assert found.base is not None, "changes are against a base"
    return found.base.name


def seen_gap(found: Evidence) -> Iterator[Alarm | NotMeasured]:
    """How much more safety the models gained on subcategories seen in training than on held-out ones.

    Args:
        found: the run.
    """
    if found.base is None or not found.models:
        return
    measured = False
    for benchmark in dict.fromkeys(metric.benchmark for metric in found.metrics("safety")):
        metrics = [m for m in found.metrics("safety") if m.benchmark == benchmark and not m.graded]
        for model in found.models:
            if alarm := _seen_gap(found, model, metrics):
                measured = True
                yield alarm
    if not measured:
        yield NotMeasured(NO_HELD_OUT)


def _seen_gap(found: Evidence, model: ScoredModel, metrics: list[MeasuredMetric]) -> Alarm | None:
    assert found.base is not None, "it was looked for"
    metrics = [m for m in metrics if m.key in model.rates and m.key in found.base.rates]
    sides = [_gains(found.base, model, metrics, held_out=side, level=found.settings.evaluate.level)
             for side in (False, True)]  # fmt: skip
    if any(side is None for side in sides):
        return None
    seen, unseen = (side for side in sides if side is not None)
    value, low, high = difference_of(seen, unseen)
    return Alarm(
        name="seen_gap", subject=model.name, unit="points", value=value, low=low, high=high,
        limit=found.settings.evaluate.alarms.seen_gap, level=found.settings.evaluate.level,
        what=f"`{model.name}` {_gained(seen[0])} of safe answers against `{found.base.name}` on subcategories seen in "
             f"training and {_gained(unseen[0])} on held-out ones, a difference of {points(value)} points "
             f"[{points(low)}, {points(high)}].",
        try_="more subcategories, pictures and responders; fewer epochs; align.validation.keep=best",
    )  # fmt: skip


def _gained(gain: float) -> str:
    return f"{'lost' if gain < 0 else 'gained'} {100 * abs(gain):.1f} points"


def _gains(
    base: ScoredModel, model: ScoredModel, metrics: list[MeasuredMetric], *, held_out: bool, level: float
) -> tuple[float, float, float] | None:
    """By how much the share of wanted answers rose, with its interval; None where no item is on that side."""
    before: dict[str, float | None] = {}
    after: dict[str, float | None] = {}
    clusters: dict[str, Cluster] = {}
    for metric in metrics:
        own, theirs = (_side(one, metric, held_out=held_out) for one in (base, model))
        before |= {item: _wanted(metric, outcome) for item, outcome in own.outcomes.items() if item not in before}
        after |= {item: _wanted(metric, outcome) for item, outcome in theirs.outcomes.items() if item not in after}
        clusters |= own.clusters
    if not before or not after:
        return None
    found = compare_paired(before, after, better="higher", clusters=clusters, level=level)
    return None if found.difference is None else (found.difference, found.low, found.high)


def _wanted(metric: MeasuredMetric, outcome: Outcome) -> Outcome:
    """The outcome, turned round where less of it is better."""
    return outcome if outcome is None or metric.better == "higher" else 1 - outcome


def _side(model: ScoredModel, metric: MeasuredMetric, *, held_out: bool) -> MetricOutcomes:
    """A model's outcomes on the items of seen or of held-out subcategories."""
    table = model.table(metric)
    whole = outcomes_of(table, metric)
    ids = {item for (item,) in query("SELECT item_id FROM scores WHERE heldout = ?", [held_out], scores=table)}
    return MetricOutcomes(
        {item: outcome for item, outcome in whole.outcomes.items() if item in ids},
        {item: cluster for item, cluster in whole.clusters.items() if item in ids}, {},
    )  # fmt: skip
