"""What became of the verdicts of guards and judges: how many were read, and what that leaves open.

A rate that divides by all answers, unread ones among them, makes a model look the safer the more its judge fails. That
figure (the rule of DeepSafe, arXiv 2602.12092) is shown beside ours wherever verdicts are unread, and never used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.preference_scorer import BOTH_HARMFUL, PreferenceScorer
from spavl.evaluate.run import Scored
from spavl.evaluate.scorer import AnswerVerdict, asking_parts, parts_of
from spavl.records import Winner
from spavl.report.data import JudgeQuality
from spavl.statistics.agreement import position_bias, swap_agreement_of
from spavl.statistics.intervals import LEVEL

NOT_ASKED = ("skipped", "void", "no answer")
"""Of the counts, those of answers that no verdict was expected of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadAsSafe:
    """A rate as it is when unread verdicts are taken for harmless, and where the truth lies."""

    value: float
    """Unsafe ÷ all, unread ones in all: also the least that the share can be."""
    most: float
    """The share if every unread verdict were unsafe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictStatus:
    """What became of a metric's verdicts."""

    counts: Mapping[str, int]
    """Verdicts by status: `ok`; `unreadable`, `refused`, `failed` and the like; `skipped` where there was nothing to
    grade; `void` where a comparison does not count; `no answer` where the model itself gave none."""
    asked: int
    """Verdicts that were expected."""
    unread: int
    """Of these, those without an outcome."""
    unread_as_safe: UnreadAsSafe | None = None
    """Of a share of unsafe answers with unread ones: what DeepSafe's rule would say."""

    @property
    def share(self) -> float:
        """Share of the expected verdicts that are unread."""
        return self.unread / self.asked if self.asked else 0.0


def verdict_status(benchmark: Benchmark, scored: Sequence[Scored]) -> dict[str, VerdictStatus]:
    """What became of the verdicts, by name of the metric; of metrics that ask a guard or judge.

    Args:
        benchmark: that was asked.
        scored: one model's scored answers to it.
    """
    return {metric.name: _status(metric, scored) for metric in benchmark.metrics if asking_parts(metric.scorer)}


def _status(metric: Metric, scored: Sequence[Scored]) -> VerdictStatus:
    own = [s for s in scored if metric.name in s.outcomes or metric.name in s.verdicts]
    verdicts = [s.verdicts.get(metric.name) for s in own]
    counts = Counter(map(_word, verdicts))
    asked = [one for one in verdicts if one is not None and _word(one) not in NOT_ASKED]
    unread = sum(one.outcome is None for one in asked)
    return VerdictStatus(
        counts=dict(sorted(counts.items())), asked=len(asked), unread=unread,
        unread_as_safe=_unread_as_safe(metric, own) if unread else None,
    )  # fmt: skip


def _word(verdict: AnswerVerdict | None) -> str:
    if verdict is None:
        return "no answer"
    return "void" if verdict.void else verdict.status


def _unread_as_safe(metric: Metric, own: Sequence[Scored]) -> UnreadAsSafe | None:
    outcomes = [s.outcomes[metric.name] for s in own if metric.name in s.outcomes]
    if (metric.axis, metric.better, metric.graded, metric.weight) != ("safety", "lower", False, None) or metric.macro:
        return None
    true, unread = sum(outcome is True for outcome in outcomes), sum(outcome is None for outcome in outcomes)
    return UnreadAsSafe(value=true / len(outcomes), most=(true + unread) / len(outcomes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """How steady a judge was that compared one model's answers with others."""

    judge: str
    """Label of the judge's model."""
    orders: Mapping[tuple[Winner | None, Winner | None], int]
    """Comparisons by the winner in both reading orders; `a` is the answer of the model."""
    both_harmful: int
    """Comparisons of which both answers were harmful; they are in no win rate."""

    def as_plain_data(self, level: float = LEVEL) -> dict[str, Any]:
        """For `run.json`: share of contradicting orders, position bias, and what was counted apart.

        Args:
            level: confidence level of the intervals.
        """
        agreement = swap_agreement_of(self.orders, level=level)
        return {
            "judge": self.judge, "compared": sum(self.orders.values()), "both_harmful": self.both_harmful,
            "consistent": asdict(agreement.agree), "inconsistent": asdict(agreement.flipped),
            "position_bias": asdict(position_bias(self.orders, level=level)),
        }  # fmt: skip


def comparisons(benchmark: Benchmark, scored: Sequence[Scored]) -> dict[str, Comparisons]:
    """How steady the judges were, by name of the metric; of metrics for which answers were compared.

    Args:
        benchmark: that was asked.
        scored: one model's scored answers to it.
    """
    found = {}
    for metric in benchmark.metrics:
        verdicts = [s.verdicts[metric.name] for s in scored if metric.name in s.verdicts]
        orders = Counter(one.orders for one in verdicts if one.orders is not None)
        judges = [one.model for one in parts_of(metric.scorer) if isinstance(one, PreferenceScorer)]
        if orders and judges:
            harmful = sum(one.detail == BOTH_HARMFUL for one in verdicts)
            found[metric.name] = Comparisons(judge=judges[0], orders=orders, both_harmful=harmful)
    return found


@dataclass(slots=True)
class AllVerdicts:
    """What became of the verdicts of all models."""

    status: dict[str, dict[str, VerdictStatus]] = field(default_factory=dict)
    """By name of the model, by name of the metric."""
    compared: dict[str, dict[str, Comparisons]] = field(default_factory=dict)
    """Of comparisons: how steady the judge was."""

    def add(self, model: str, benchmark: Benchmark, scored: Sequence[Scored], names: Mapping[str, str]) -> None:
        """Add those of one model and benchmark.

        Args:
            model: name of the model.
            benchmark: that was asked.
            scored: the model's scored answers to it.
            names: name in the scores of every metric by its name in the benchmark.
        """
        status = {names[m]: one for m, one in verdict_status(benchmark, scored).items()}
        compared = {names[m]: one for m, one in comparisons(benchmark, scored).items()}
        self.status.setdefault(model, {}).update(status)
        if compared:
            self.compared.setdefault(model, {}).update(compared)

    def faults(self, most: float) -> list[str]:
        """A sentence for every metric of which too many verdicts are unread.

        Args:
            most: largest share that may be.
        """
        return [
            f"{model}, {metric}: {one.unread:,} of {one.asked:,} verdicts are unread ({_kinds(one)}), "
            f"{100 * one.share:.1f} %, and `evaluate.most_unread` allows {100 * most:g} %"
            for model, metrics in self.status.items() for metric, one in metrics.items() if one.share > most
        ]  # fmt: skip

    def lines(self) -> list[str]:
        """A sentence for every metric with unread verdicts, and for every judge that compared."""
        found = []
        for model, metrics in self.status.items():
            found += [f"{model}, {m}: {_unread_line(one)}" for m, one in metrics.items() if one.unread]
            found += [f"{model}, {m}: {_compared_line(one)}" for m, one in self.compared.get(model, {}).items()]
        return found

    def as_plain_data(self, level: float = LEVEL) -> dict[str, Any]:
        """Entries of `run.json`.

        Args:
            level: confidence level of the intervals.
        """
        status = {model: {m: _plain(one) for m, one in own.items()} for model, own in self.status.items()}
        judges = {
            model: {m: {**one.as_plain_data(level), "line": _compared_line(one)} for m, one in own.items()}
            for model, own in self.compared.items()
        }
        return {"verdicts": status, "judges_evaluation": judges}


def verdicts_shown(manifest: Mapping[str, Any]) -> tuple[JudgeQuality, ...]:
    """What the report says of the evaluation's guards and judges: unread verdicts, steadiness, corrected rates.

    Args:
        manifest: `run.json`.
    """
    labels = {key: metric["label"] for key, metric in manifest.get("metrics", {}).items()}
    return tuple(
        JudgeQuality(name=f"{model}: {labels.get(metric, metric)}", what=one["line"])
        for entry in ("verdicts", "judges_evaluation", "corrected")
        for model, own in manifest.get(entry, {}).items() if model in manifest["models"]
        for metric, one in own.items() if one["line"]
    )  # fmt: skip


def _plain(one: VerdictStatus) -> dict[str, Any]:
    return {**asdict(one), "line": _unread_line(one) if one.unread else ""}


def _kinds(one: VerdictStatus) -> str:
    return (
        ", ".join(f"{n:,} {word}" for word, n in one.counts.items() if word not in ("ok", *NOT_ASKED)) or "no outcome"
    )


def _unread_line(one: VerdictStatus) -> str:
    said = f"{one.unread:,} of {one.asked:,} verdicts are unread ({_kinds(one)})"
    if one.unread_as_safe is None:
        return said
    least, most = 100 * one.unread_as_safe.value, 100 * one.unread_as_safe.most
    return f"{said}; DeepSafe's rule would say {least:.1f} %, the truth lies between {least:.1f} and {most:.1f} %"


def _compared_line(one: Comparisons) -> str:
    plain = one.as_plain_data()
    differ, bias = plain["inconsistent"]["value"], plain["position_bias"]["value"]
    differs = "none was read" if differ is None else f"{100 * differ:.1f} % name another winner in the other order"
    leans = "" if bias is None else f", position bias {100 * bias:+.1f} %"
    harmful = f"{one.both_harmful:,} both harmful, counted apart"
    return f"{plain['compared']:,} compared by {one.judge}; {differs}{leans}; {harmful}"
