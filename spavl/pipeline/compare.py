"""Base and aligned models on the same items: changes with intervals and tests, corrected for how many there are.

Models may come from several runs. A metric is compared where its protocol is the same as under the base; where it is
not, that is said. Two families of tests are corrected by Holm's method, each over all metrics of all models: that
nothing changed, and that a skill or helpfulness was lost by the margin or more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from spavl.config import Settings, load_settings
from spavl.errors import RunError, SettingsError
from spavl.pipeline.compare_people import ByPeople, by_people
from spavl.pipeline.compared_models import ScoredModel, first_model, scored_models
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.pipeline.score_outcomes import MetricOutcomes, compared, pooled
from spavl.pipeline.subjects import domain_names, groups
from spavl.report.data import GroupShown
from spavl.statistics.intervals import Rate
from spavl.statistics.multiple import holm
from spavl.statistics.noninferior import NonInferiority, noninferior
from spavl.statistics.paired import PairedComparison

POOLED = "over-refusal of all benchmarks"
"""Key of the pooled metric; no metric has blanks in its name."""
KEPT_AXES = ("helpfulness", "skill")
"""Axes on which a loss by the margin or more is to be ruled out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """A metric of a comparison."""

    key: str
    """Key in rates and changes."""
    label: str
    """What is counted."""
    known: MeasuredMetric
    """The metric as `run.json` describes it; of the pooled one, of its first benchmark."""
    protocol: str = ""
    """Hash of all that decides a score but the model; empty for the pooled metric."""
    standard: str = ""
    """Name of the published protocol that it follows to the letter; empty: none."""
    parts: tuple[str, ...] = ()
    """Keys of the metrics that are pooled in it; empty: it is a metric of one benchmark."""

    @property
    def is_directed(self) -> bool:
        """Whether lower or higher is better, so that there is something to test."""
        return self.known.better != "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How one metric of a model differs from the base, on the same items."""

    paired: PairedComparison
    """Fixed, broken, difference with its interval, and the uncorrected p."""
    p_corrected: float | None = None
    """That p, corrected for all metrics of all models; None where no direction is better."""
    loss: NonInferiority | None = None
    """Whether a loss by the margin or more is ruled out, uncorrected; None where it is not asked."""
    loss_p_corrected: float | None = None
    """The p of that, corrected for all such questions."""
    by_refusals: float | None = None
    """The part of the difference on items that exactly one of the two models refused to answer; the rest is answers
    that became right or wrong. None where items do not all count alike, or the axis is no skill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedModel:
    """A model of a comparison."""

    name: str
    """Its name; with that of its run before it where several runs have it."""
    rates: Mapping[str, Rate]
    """Rate by metric."""
    changes: Mapping[str, Change] = field(default_factory=dict)
    """Change against the base by metric; empty for the base."""
    by_people: Mapping[str, ByPeople] = field(default_factory=dict)
    """The same without the errors of the guard, where they are known for both; empty for the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A base and the models that are compared with it."""

    base: ComparedModel
    """What the others are compared with."""
    models: tuple[ComparedModel, ...]
    """The others."""
    metrics: tuple[ComparedMetric, ...]
    """All metrics, axis by axis."""
    margin: float
    """Largest loss, as a share, with which a skill counts as kept."""
    level: float
    """Confidence level of the intervals."""
    groups: tuple[GroupShown, ...] = ()
    """The first metric by subject; empty unless asked for."""
    notes: tuple[str, ...] = ()
    """What is not compared, and why, a sentence each."""

    @property
    def everyone(self) -> tuple[ComparedModel, ...]:
        """The base, then the others."""
        return (self.base, *self.models)

    @property
    def tests(self) -> int:
        """How many tests of a change there are, for which p-values are corrected."""
        return sum(change.p_corrected is not None for model in self.models for change in model.changes.values())

    @property
    def losses(self) -> int:
        """How many tests of non-inferiority there are, for which p-values are corrected."""
        return sum(change.loss is not None for model in self.models for change in model.changes.values())

    def is_shown(self, change: Change, *, corrected: bool = True) -> bool:
        """Whether a change is more than chance: by the test, and by an interval without 0.

        Args:
            change: of a metric.
            corrected: whether the test is corrected for how many there are.
        """
        p = change.p_corrected if corrected else change.paired.p
        return p is not None and p < 1 - self.level and (change.paired.low > 0 or change.paired.high < 0)

    def is_kept(self, change: Change) -> bool:
        """Whether a loss by the margin or more is ruled out, by the corrected test and by the interval.

        Args:
            change: of a metric.
        """
        found = change.loss
        alpha = (1 - self.level) / 2
        return found is not None and found.holds and (change.loss_p_corrected or 0.0) <= alpha

    def as_plain_data(self) -> dict[str, Any]:
        """All of it for machines, with a verdict sentence a model."""
        from spavl.pipeline.compare_words import verdict_sentence

        plain = asdict(self)
        for model, shown in zip(plain["models"], self.models, strict=True):
            model["verdict"] = verdict_sentence(shown, self)
        return plain


def compare_runs(
    folders: Sequence[Path], *, base: str | None = None, margin: float | None = None, by_subject: bool = False
) -> Comparison:
    """Compare the evaluated models of one run or of several with a base.

    Args:
        folders: the run folders.
        base: name of the base; the first model of the first run unless given.
        margin: largest loss with which a skill counts as kept; the first run's `evaluate.margin` unless given.
        by_subject: also count the headline by subject, or by domain.

    Raises:
        RunError: there is no run in a folder, nothing was evaluated in it, or nothing is left to be compared; or the
            base's weights are gone.
        SettingsError: no model has the name of the base, or the margin is not between 0 and 1.
    """
    models, notes = scored_models(folders)
    first = _base_of(models, base)
    settings = load_settings(Settings, folders[0] / "settings.yaml").evaluate
    wanted = settings.margin if margin is None else margin
    if not 0 < wanted < 1:
        raise SettingsError(f"The margin is {wanted:g}, and lies between 0 and 1", where="--margin",
                            try_="0.01 is one point")  # fmt: skip
    return compare_models(first, models, margin=wanted, level=settings.level, by_subject=by_subject, notes=notes)


def compare_models(
    base: ScoredModel, models: Sequence[ScoredModel], *, margin: float, level: float, by_subject: bool = False,
    notes: Sequence[str] = (),
) -> Comparison:  # fmt: skip
    """Compare models with a base.

    Args:
        base: what the others are compared with.
        models: all models; the base may be among them.
        margin: largest loss with which a skill counts as kept.
        level: confidence level of the intervals.
        by_subject: also count the headline by subject, or by domain.
        notes: what is already known not to be compared.

    Raises:
        RunError: there is nothing to compare.
    """
    metrics = _metrics(base)
    said, others = list(notes), []
    for model in models:
        if model is base:
            continue
        if model.is_same_as(base):
            said.append(f"{model.label} is the base itself, and is left out.")
            continue
        others.append(_compared_model(base, model, metrics, said, margin=margin, level=level))
    if not others:
        raise RunError(
            "There is one model alone, and nothing to compare it with", where=str(base.run.folder),
            try_="`spavl align` makes another, or name a further run; then `spavl evaluate`",
        )  # fmt: skip
    shown = ComparedModel(name=base.label, rates=_rates(base, base, metrics, level))
    made = Comparison(
        base=shown, models=tuple(_corrected(others, metrics)), metrics=metrics, margin=margin, level=level
    )
    there = [base, *(model for model in models if any(model.label == other.name for other in others))]
    counted = tuple(_groups(there, metrics)) if by_subject else ()
    return replace(made, groups=counted, notes=tuple(dict.fromkeys(said)))


def _base_of(models: Sequence[ScoredModel], name: str | None) -> ScoredModel:
    if name is None:
        return first_model(models, "name another one with `--base`")
    found = next((model for model in models if name in (model.label, model.name)), None)
    if found is None:
        labels = [model.label for model in models]
        near = get_close_matches(name, labels, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(labels)}"
        raise SettingsError(f"No model is called `{name}`", where="--base", try_=hint)
    return found


def _metrics(base: ScoredModel) -> tuple[ComparedMetric, ...]:
    """The base's metrics, axis by axis; needless refusals pooled before their parts where several benchmarks have them.

    A rate of which more is better, such as pairs handled rightly, has unsafe answers in it and is not pooled.
    """
    found = []
    for known in measured_metrics(base.manifest):
        if known.key in base.rates:
            said = base.manifest["metrics"][known.key]
            asked = base.manifest.get("benchmarks", {}).get(known.benchmark, {})
            found.append(ComparedMetric(key=known.key, label=said["label"], known=known, protocol=said["protocol"],
                                        standard=asked.get("standard", "")))  # fmt: skip
    parts = [m for m in found if m.known.axis == "over-refusal" and m.known.better == "lower" and not m.known.graded]
    first = {m.known.benchmark: m for m in reversed(parts)}
    own = [m for m in parts if m in first.values()]
    if len(own) < 2:
        return tuple(found)
    label = f"Needless refusals, {len(own)} benchmarks pooled"
    known = replace(own[0].known, key=POOLED)
    whole = ComparedMetric(key=POOLED, label=label, known=known, parts=tuple(m.key for m in own))
    found.insert(found.index(own[0]), whole)
    return tuple(found)


def _compared_model(
    base: ScoredModel, model: ScoredModel, metrics: Sequence[ComparedMetric], notes: list[str], *, margin: float,
    level: float,
) -> ComparedModel:  # fmt: skip
    """One model beside the base; what cannot be compared is said in the notes."""
    changes: dict[str, Change] = {}
    for metric in metrics:
        if why := _why_not(base, model, metric):
            notes.append(why)
            continue
        before, after = _outcomes(base, base, metric), _outcomes(base, model, metric)
        found = compared(before, after, metric.known, level=level)
        if found.n:
            loss = _loss(before, after, metric, margin=margin, level=level)
            refused = _by_refusals(base, model, metric, before, after)
            changes[metric.key] = Change(paired=found, loss=loss, by_refusals=refused)
    known = {key: by_people(base, model, key) for key in changes}
    return ComparedModel(name=model.label, rates=_rates(base, model, metrics, level), changes=changes,
                         by_people={key: one for key, one in known.items() if one is not None})  # fmt: skip


def _why_not(base: ScoredModel, model: ScoredModel, metric: ComparedMetric) -> str:
    """Why a metric of a model cannot be compared, in a sentence; empty where it can."""
    if metric.parts:
        missing = [key for key in metric.parts if not model.has(base.metric(key), base.protocol(key))]
        return f"{model.label}: {metric.label} lacks {', '.join(missing)}, and is not compared." if missing else ""
    theirs = model.protocol_of(metric.known)
    if theirs is None:
        what = f"{metric.key} of " if model.was_asked(metric.known.benchmark) else ""
        return f"{model.label} was not asked {what}{metric.known.benchmark}."
    if theirs != metric.protocol:
        return (
            f"{model.label}: {metric.key} of {metric.known.benchmark} has another protocol ({theirs}, the base's is "
            f"{metric.protocol}), and is not compared."
        )
    return ""


def _outcomes(base: ScoredModel, model: ScoredModel, metric: ComparedMetric) -> MetricOutcomes:
    if not metric.parts:
        return model.outcomes(metric.known)
    known = [base.metric(key) for key in metric.parts]
    return pooled({one.benchmark: model.outcomes(one) for one in known})


def _rates(
    base: ScoredModel, model: ScoredModel, metrics: Sequence[ComparedMetric], level: float
) -> dict[str, Rate]:  # fmt: skip
    """The rates as they were measured; the pooled one is computed here."""
    found = {}
    for metric in metrics:
        if _why_not(base, model, metric):
            continue
        own = _outcomes(base, model, metric).rate(level=level) if metric.parts else model.rate_of(metric.known)
        if own is not None:
            found[metric.key] = own
    return found


def _loss(
    before: MetricOutcomes, after: MetricOutcomes, metric: ComparedMetric, *, margin: float, level: float
) -> NonInferiority | None:
    if metric.known.axis not in KEPT_AXES or not metric.is_directed:
        return None
    return noninferior(
        before.outcomes, after.outcomes, better=metric.known.better, margin=margin, clusters=before.clusters,
        weights=(before.weights, after.weights), level=(1 + level) / 2,
    )  # fmt: skip


def _by_refusals(
    base: ScoredModel, model: ScoredModel, metric: ComparedMetric, before: MetricOutcomes, after: MetricOutcomes
) -> float | None:
    """The part of the difference on items that one of the two refused."""
    if metric.known.axis != "skill" or before.weights or after.weights:
        return None
    first, second = (one.refused(metric.known, before.outcomes) for one in (base, model))
    moved, read = 0.0, 0
    for item, outcome in before.outcomes.items():
        later = after.outcomes.get(item)
        if outcome is None or later is None:
            continue
        read += 1
        moved += later - outcome if (item in first) != (item in second) else 0.0
    return moved / read if read else None


def _corrected(models: Sequence[ComparedModel], metrics: Sequence[ComparedMetric]) -> Iterator[ComparedModel]:
    """The models with Holm's correction over the metrics of all of them."""
    directed = {metric.key for metric in metrics if metric.is_directed}
    changes = {(place, key): c for place, model in enumerate(models) for key, c in model.changes.items()}
    tested = {at: change.paired.p for at, change in changes.items() if at[1] in directed}
    losses = {at: change.loss.p for at, change in changes.items() if change.loss is not None}
    p = dict(zip(tested, holm(list(tested.values())), strict=True))
    kept = dict(zip(losses, holm(list(losses.values())), strict=True))
    for place, model in enumerate(models):
        own = {
            key: replace(c, p_corrected=p.get((place, key)), loss_p_corrected=kept.get((place, key)))
            for key, c in model.changes.items()
        }
        yield replace(model, changes=own)


def _groups(models: Sequence[ScoredModel], metrics: Sequence[ComparedMetric]) -> list[GroupShown]:
    """The headline metrics by subject, or by domain where the base's taxonomy has the subjects; the worst first."""
    first = metrics[0].known
    alike = [m.known for m in metrics if not m.parts and (m.known.axis, m.known.better) == (first.axis, first.better)]
    asked = {model.label: [m for m in alike if model.has(m, models[0].protocol(m.key))] for model in models}
    subjects = {one.label for model in models for one in groups(model.run, [model.name], asked[model.label])}
    named = domain_names(models[0].manifest, subjects)
    found: dict[str, dict[str, Rate]] = {}
    for model in models:
        for one in groups(model.run, [model.name], asked[model.label], named):
            found.setdefault(one.label, {})[model.label] = one.rates[model.name]
    shown = [GroupShown(label=label, rates=rates) for label, rates in found.items()]
    order = [model.label for model in (*models[1:], models[0])]
    return sorted(shown, key=lambda one: one.badness(order, first.better))
