"""Alarms on judges, guards and labels, and those that trainings rang of themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from spavl.audit.finding import Finding
from spavl.errors import RunError
from spavl.pipeline.alarm_evidence import Evidence, NotMeasured, percent, span
from spavl.pipeline.report_audit import AUDIT, audit_summary
from spavl.statistics.alarm import Alarm
from spavl.statistics.intervals import Rate, rate_of

WHY_NOT = "`align.diagnostics`: they need some hundred steps, a loss with a reference, and the step that was written"
"""Why a training has no signs of its own."""
NO_AUDIT = "Contradictions and flipped labels are not measured: the pairs were not audited (`spavl audit RUN`)."
DAMAGED = "Contradictions and flipped labels are not measured: the audit cannot be read (`spavl audit RUN` again)."


def of_judges(kind: str, name: str) -> Callable[[Evidence], Iterator[Alarm | NotMeasured]]:
    """What measures an alarm of the dataset's judges: that of every finding of one kind.

    Args:
        kind: of the findings of the audit.
        name: of the alarm.
    """

    def measured(found: Evidence) -> Iterator[Alarm | NotMeasured]:
        for one in found.judges:
            if one.kind == kind and not one.grouped and (alarm := _from_finding(one, name, found.settings.audit.level)):
                yield alarm

    return measured


def _from_finding(one: Finding, name: str, level: float) -> Alarm | None:
    """The alarm of a finding of the audit; None where it has no share or no limit."""
    if one.rate is None or one.rate.value is None or one.limit is None:
        return None
    return Alarm(
        name=name, subject=one.subject or "the pairs", what=one.what, try_=one.try_, value=one.rate.value,
        low=one.rate.low, high=one.rate.high, limit=one.limit, below=one.below, level=level,
    )  # fmt: skip


def contradictions(found: Evidence) -> Iterator[Alarm | NotMeasured]:
    """How many pairs stand beside one that prefers the other answer, by the audit of the run.

    Args:
        found: the run.
    """
    path = found.run.folder / AUDIT
    if found.run.judgment_tables and found.run.dataset.is_dir() and not path.is_file():
        yield NotMeasured(NO_AUDIT)
    yield from _audited(found, "contradictions")


def mislabels(found: Evidence) -> Iterator[Alarm | NotMeasured]:
    """How many pairs prefer the one answer that is unsafe, by the audit of the run.

    Args:
        found: the run.
    """
    yield from _audited(found, "flipped_labels")


def _audited(found: Evidence, kind: str) -> Iterator[Alarm | NotMeasured]:
    try:
        known = audit_summary(found.run.folder)
    except RunError:
        yield NotMeasured(DAMAGED)
        return
    for one in known.findings if known else ():
        if one.kind == kind and not one.subject:
            finding = Finding(kind=kind, what=one.what, try_=TRY[kind], rate=one.rate, limit=one.limit)
            if alarm := _from_finding(finding, kind, found.settings.audit.level):
                yield alarm


TRY: Mapping[str, str] = {
    "contradictions": "`spavl clean RUN --drop contradictions` drops both; see what people say with `spavl review`",
    "flipped_labels": "`spavl clean RUN --drop flipped_labels`; qualify the guard and the judge on labelled examples",
}
"""What to do about labels that are wrong."""


def guard_unread(found: Evidence) -> Iterator[Alarm | NotMeasured]:
    """How many verdicts of guards and judges on the models' answers cannot be read.

    Args:
        found: the run.
    """
    level = found.settings.evaluate.level
    verdicts = found.manifest.get("verdicts", {})
    looked_at = [one.name for one in (found.base, *found.models) if one is not None]
    for model in looked_at:
        for metric, one in verdicts.get(model, {}).items():
            if one["asked"]:
                share = rate_of(one["unread"], one["asked"], level=level)
                yield Alarm(
                    name="guard_unread", subject=model, value=share.value, low=share.low, high=share.high, level=level,
                    limit=found.settings.evaluate.most_unread, what=_unread(model, metric, one, share),
                    try_="look at its replies with `spavl show`; give it more tokens, or another guard",
                )  # fmt: skip


def _unread(model: str, metric: str, one: Mapping[str, Any], share: Rate) -> str:
    return (
        f"`{model}`, {metric}: {one['unread']:,} of {one['asked']:,} verdicts are unread, "
        f"{percent(share.value or 0.0)} {span(share.low, share.high)}."
    )


def trainings(found: Evidence) -> Iterator[Alarm | NotMeasured]:
    """What the trainings of the run measured of themselves.

    Args:
        found: the run.
    """
    for name, made in found.manifest.get("aligned", {}).items():
        if made.get("blind"):
            continue
        alarms = training_alarms(found.run.align / name)
        yield from alarms
        if not alarms and _is_broken(found.run.align / name / "training.json"):
            yield NotMeasured(f"Signs of the training `{name}` are not told: its `training.json` cannot be read.")
        elif not alarms:
            yield NotMeasured(f"The training `{name}` measured no signs of its own ({WHY_NOT}).")


def _is_broken(path: Path) -> bool:
    """Whether a `training.json` is there and no JSON object can be read from it."""
    try:
        return not isinstance(json.loads(path.read_text("utf-8")), dict)
    except FileNotFoundError:
        return False
    except (OSError, RecursionError, ValueError):
        return True


def training_alarms(folder: Path) -> list[Alarm]:
    """The alarms that `training.json` of a training keeps; none where there is none, or it cannot be read.

    Args:
        folder: of the training.
    """
    try:
        kept = json.loads((folder / "training.json").read_text("utf-8"))["diagnostics"]["alarms"]
        return [Alarm(**one) for one in kept]
    except (OSError, RecursionError, ValueError, KeyError, TypeError):
        return []
