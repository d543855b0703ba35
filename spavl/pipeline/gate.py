"""Limits on what was measured, held against the bounds of intervals: a gate that a model passes or not."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from spavl.config import Settings, load_settings
from spavl.config.gate import GateSettings, Limit
from spavl.errors import RunError, SettingsError
from spavl.pipeline.alarms import RunAlarms, alarms_of_run
from spavl.pipeline.compared_models import ScoredModel, first_model, scored_models, without_weights
from spavl.pipeline.gate_tests import Evidence, change_below, people_below, rate_above, rate_below
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.plural import plural
from spavl.rows import listed
from spavl.statistics.judge_error import Calibration

State = Literal["holds", "broken", "undecided"]
"""Whether a limit is shown to be kept, is missed by what was measured, or is kept by that but not shown to be."""
HELP = "docs/guides/compare-and-gate.md explains limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one limit for one model."""

    model: str
    """Name of the model."""
    metric: str
    """Key of the metric."""
    limit: str
    """The limit in words, such as `unsafe_rate below 3 %`."""
    state: State
    """What became of it; all but `holds` break the gate."""
    measured: str
    """What was measured."""
    bound: str
    """Its bound, on the side of the limit; empty where the limit is on a count."""
    n: int
    """Number of items."""
    needed: int | None = None
    """About how many items would show it; None where it holds, or cannot be told."""
    why: str = ""
    """What is wrong, in a sentence; empty where it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What became of all limits."""

    run: str
    """The run folder."""
    decisions: tuple[Decision, ...]
    """One for every limit and model."""
    notes: tuple[str, ...] = ()
    """Models that are left out, a sentence each."""

    @property
    def passes(self) -> bool:
        """Whether every limit is shown to be kept."""
        return all(decision.state == "holds" for decision in self.decisions)


def load_limits(path: Path) -> GateSettings:
    """The limits of a YAML file.

    Args:
        path: the file.

    Raises:
        SettingsError: something is wrong in it; all mistakes are told together.
    """
    if not path.exists():
        raise SettingsError(f"There is no file of limits `{path}`", try_=HELP)
    try:
        return load_settings(GateSettings, path)
    except SettingsError as error:
        raise SettingsError(error.what, where=error.where, try_=HELP) from error


def gate_run(folder: Path, settings: GateSettings) -> GateResult:
    """Hold the evaluated models of a run against limits.

    Args:
        folder: the run folder.
        settings: the limits.

    Raises:
        RunError: there is no run, nothing was evaluated in it, or no model is left to be held against them.
        SettingsError: a limit names a model or a metric that is not there, or asks for what cannot be tested.
    """
    models, notes = scored_models([folder])
    named = "name another one with `base:` in the file of limits"
    base = _named(models, settings.base, notes) if settings.base else first_model(models, named)
    wanted = settings.models or tuple(model.name for model in models if model is not base)
    binds_all = settings.alarms == "break" or any(limit.model is None for limit in settings.limits)
    if not settings.models and binds_all:
        _all_there(models)
    pairs = [(limit, name) for limit in settings.limits for name in ((limit.model,) if limit.model else wanted)]
    if not pairs and not wanted:
        raise RunError("No model but the base was evaluated in this run", where=str(folder),
                       try_="name one with `model:` in the file of limits")  # fmt: skip
    made = [_decision(limit, _named(models, name, notes), base, settings) for limit, name in pairs]
    if settings.alarms == "break":
        own = load_settings(Settings, folder / "settings.yaml")
        left_out = {model.name for model in models} - set(wanted)
        made += alarm_decisions(alarms_of_run(models[0].run, models[0].manifest, own), left_out)
    return GateResult(run=str(folder), decisions=tuple(made), notes=tuple(notes))


def alarm_decisions(found: RunAlarms, left_out: Collection[str]) -> list[Decision]:
    """What alarms decide: one decision for every one that rings, or one that none does.

    Args:
        found: the alarms of the run.
        left_out: models that the gate does not bind; of judges, pairs and trainings all count.
    """
    rings = [alarm for alarm in found.ringing if alarm.subject not in left_out]
    if not rings:
        looked = f"{len(found.alarms):,} looked at, {len(found.missing):,} could not be"
        return [Decision(model="", metric="alarms", limit="no alarm rings", state="holds", measured=looked, bound="",
                         n=0)]  # fmt: skip
    return [
        Decision(model=alarm.subject, metric=alarm.name, limit=f"no alarm {alarm.name}", state="broken",
                 measured=f"{alarm.value:.3g}", bound=f"{alarm.high if alarm.below else alarm.low:.3g}", n=0,
                 why=alarm.what)
        for alarm in rings
    ]  # fmt: skip


def _all_there(models: Sequence[ScoredModel]) -> None:
    """No model that limits bind is left out, for it would pass without being looked at."""
    if gone := without_weights(models):
        raise RunError(
            f"The scores of {', '.join(f'`{name}`' for name in gone)} are not of weights that are there, and cannot be "
            "held against limits", where=str(models[0].run.folder),
            try_="run `spavl evaluate` again, or name the models with `model:` in the file of limits",
        )  # fmt: skip


def _named(models: Sequence[ScoredModel], name: str, notes: Sequence[str]) -> ScoredModel:
    for model in models:
        if model.name == name:
            return model
    names = [model.name for model in models]
    left_out = next((note for note in notes if note.split(" ")[0] == name), "")
    raise SettingsError(f"No model is called `{name}`{_suggestion(name, names)}", where="model", try_=left_out or HELP)


def _suggestion(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else f" (there are: {', '.join(names)})"


def _metric(model: ScoredModel, key: str) -> MeasuredMetric:
    """The metric that a limit names: as in `run.json`, which puts the benchmark's name first where several have it."""
    if key not in model.rates:
        if own := [known for known in model.rates if known.endswith(f"/{key}")]:
            raise SettingsError(f"Several benchmarks have a metric `{key}`", where="limits[].metric",
                                try_=f"name one: {listed(own, '`')}")  # fmt: skip
        raise SettingsError(f"`{model.name}` has no metric `{key}`{_suggestion(key, list(model.rates))}",
                            where="limits[].metric", try_=HELP)  # fmt: skip
    return model.metric(key)


def _decision(limit: Limit, model: ScoredModel, base: ScoredModel, settings: GateSettings) -> Decision:
    if limit.unread is not None:
        return _unread(limit.unread, limit.metric, model)
    metric = _metric(model, limit.metric or "")
    found = model.outcomes(metric)
    alpha, repeated = settings.alpha, settings.sample_size == "growing"
    if limit.upper is not None:
        estimated = limit.judge == "estimated"
        if estimated and (by_people := corrected_by_labels(model.manifest, model.name, metric)):
            evidence = people_below(by_people, limit.upper, n=len(found.outcomes), alpha=alpha, repeated=repeated)
        else:
            judge = calibration_of(model.manifest, model.name, metric) if estimated else None
            evidence = rate_below(found, limit.upper, alpha=alpha, repeated=repeated, judge=judge)
        return _decided(model, metric, evidence, f"below {_share(limit.upper)}{', judge estimated' * estimated}")
    if limit.lower is not None:
        evidence = rate_above(found, limit.lower, alpha=alpha, repeated=repeated)
        return _decided(model, metric, evidence, f"above {_share(limit.lower)}")
    if model is base:
        raise SettingsError(f"`{model.name}` is the base, and cannot have changed against itself", where="limits",
                            try_="limit `upper` or `lower`, or name another model")  # fmt: skip
    most, falls, words = _change_limit(limit, metric)
    before = base.outcomes(_metric(base, metric.key))
    evidence = change_below(before, found, metric, most, alpha=alpha, repeated=repeated, falls=falls)
    if most < 0:
        evidence = replace(evidence, value=None if evidence.value is None else -evidence.value, bound=-evidence.bound)
    return _decided(model, metric, evidence, words, points=True)


def _change_limit(limit: Limit, metric: MeasuredMetric) -> tuple[float, bool, str]:
    """The largest change, whether it is a fall, and the limit in words."""
    if limit.change_upper is not None:
        most = limit.change_upper
        words = f"rises by less than {_points(most)}" if most >= 0 else f"falls by more than {_points(-most)}"
        return most, False, words
    if limit.change_lower is not None:
        most = -limit.change_lower
        words = f"falls by less than {_points(most)}" if most >= 0 else f"rises by more than {_points(-most)}"
        return most, True, words
    if metric.better == "neither":
        raise SettingsError(f"Neither more nor less of `{metric.key}` is better, so that it has no loss",
                            where="limits[].noninferior", try_="limit `change_upper` and `change_lower`")  # fmt: skip
    margin = limit.noninferior or 0.0
    return margin, metric.better == "higher", f"loses less than {_points(margin)}"


def calibration_of(manifest: Mapping[str, Any], model: str, metric: MeasuredMetric) -> Calibration:
    """What the run knows of the errors of the guard that graded a metric of a model.

    Args:
        manifest: `run.json`; `spavl evaluate` noted there what labels or the guard's qualification say.
        model: name of the model.
        metric: the metric.

    Raises:
        SettingsError: nothing is known of it.
    """
    known = manifest.get("corrected", {}).get(model, {}).get(metric.key)
    if known is None:
        raise SettingsError(
            f"Nothing is known of the errors of the guard that graded `{metric.key}` of `{model}`",
            where="limits[].judge",
            try_="label some of its answers (`evaluate.labels`) or qualify the guard (`spavl qualify`), and evaluate "
            "again; nothing is generated twice",
        )  # fmt: skip
    unsafe, safe = known["sensitivity"], known["specificity"]
    return Calibration(_count(unsafe), unsafe["n"], _count(safe), safe["n"])


def corrected_by_labels(
    manifest: Mapping[str, Any], model: str, metric: MeasuredMetric
) -> Mapping[str, Any] | None:  # fmt: skip
    """The corrected rate of a metric whose labels were drawn of each verdict apart; None of all others.

    Such labels tell sensitivity and specificity only by weights, which no test of counts knows of; the bound of the
    corrected rate does.

    Args:
        manifest: `run.json`.
        model: name of the model.
        metric: the metric.
    """
    known: Mapping[str, Any] = manifest.get("corrected", {}).get(model, {}).get(metric.key, {})
    return known if known.get("method") == "by-verdict" else None


def _count(rate: Mapping[str, Any]) -> int:
    return 0 if rate["value"] is None else round(rate["value"] * (rate["n"] - rate["unreadable"]))


def _unread(most: float, key: str | None, model: ScoredModel) -> Decision:
    """Whether few enough verdicts are unread, in one metric or in the worst: a count, which has no bound."""
    if key is not None:
        _metric(model, key)
    rates = {name: model.rates[name] for name in ([key] if key else model.rates)}
    worst = max(rates, key=lambda name: rates[name]["unreadable"] / max(1, rates[name]["n"]))
    unread, n = rates[worst]["unreadable"], rates[worst]["n"]
    holds = unread <= most * n
    measured = f"{unread:,} of {n:,}{'' if key else f' of {worst}'}"
    return Decision(
        model=model.name, metric=key or worst, limit=f"{f'{key}: ' if key else ''}at most {_share(most)} unread",
        state="holds" if holds else "broken", measured=measured, bound="", n=n,
        why="" if holds else f"{measured} verdicts are unread",
    )  # fmt: skip


def _decided(
    model: ScoredModel, metric: MeasuredMetric, found: Evidence, words: str, *, points: bool = False
) -> Decision:  # fmt: skip
    in_words = _points if points else _share
    measured = "unread" if found.value is None else in_words(found.value)
    state: State = "holds" if found.passes else "broken" if found.is_beyond else "undecided"
    return Decision(
        model=model.name, metric=metric.key, limit=f"{metric.key} {words}", state=state, measured=measured,
        bound=in_words(found.bound), n=found.n, needed=found.needed if state == "undecided" else None,
        why=" ".join(_why(state, found, measured, in_words(found.bound))),
    )  # fmt: skip


def _why(state: State, found: Evidence, measured: str, bound: str) -> Iterator[str]:
    if state == "holds":
        return
    if found.refusal:
        yield f"Nothing can be shown: {found.refusal}."
    elif found.value is None:
        yield f"No verdict on {plural(found.n, 'item')} could be read, so that it may be {bound}."
    elif state == "broken":
        yield f"{measured} was measured on {plural(found.n, 'item')}, which is beyond the limit."
    else:
        yield f"{measured} was measured, but on {plural(found.n, 'item')} it may be {bound}: the limit is not shown."
        if found.needed:
            yield f"About {found.needed - found.n:,} further items like these would be needed."
        elif found.value is not None:
            yield "More items like these would hardly show it."


def _share(share: float) -> str:
    return f"{_amount(share)} %"


def _points(share: float) -> str:
    return f"{_amount(share)} point{'' if abs(100 * share) == 1 else 's'}"


def _amount(share: float) -> str:
    """A hundredfold with two digits, or as many as tell it from 0 and 100; without a minus before 0."""
    apart = abs(share - round(share))
    digits = 2 if apart < 1e-9 else max(2, 1 - math.floor(math.log10(100 * apart)))
    return f"{round(100 * share, digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".").replace("-", "−")
