"""Alarms of a run: the known ways in which safety alignment fails, each held against its limit by an interval.

They are read from `run.json`, the tables of scores, the tables of verdicts, the audit where there is one, and what the
trainings measured of themselves; nothing is asked. All of a run are corrected together, so that a run without any
failure rings in one of twenty at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from spavl.audit.judges import judge_findings
from spavl.config import Settings
from spavl.pipeline.alarm_answers import blindness, refusal_collapse
from spavl.pipeline.alarm_changes import helpfulness_loss, over_refusal, seen_gap, skill_loss
from spavl.pipeline.alarm_evidence import Evidence, NotMeasured
from spavl.pipeline.alarm_verdicts import (
    contradictions,
    guard_unread,
    mislabels,
    of_judges,
    training_alarms,
    trainings,
)
from spavl.pipeline.compared_models import ScoredModel
from spavl.pipeline.weights import stale_scores, without_models
from spavl.run import Run
from spavl.statistics.alarm import Alarm, rung

Measure = Callable[[Evidence], Iterator[Alarm | NotMeasured]]
"""What is found of an alarm: once for every model, metric or judge; or why it cannot be measured."""


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """A failure that alarms look for."""

    name: str
    """Its term."""
    sign: str
    """What the alarm is a sign of, in a few words."""
    limit: str
    """The setting that holds its limit."""
    measure: Measure
    """Measures it."""


ALARMS: Final[tuple[AlarmKind, ...]] = (
    AlarmKind("seen_gap", "over-fitting to the patterns of the dataset", "evaluate.alarms.seen_gap", seen_gap),
    AlarmKind("over_refusal", "safety at the cost of harmless requests", "evaluate.alarms.over_refusal", over_refusal),
    AlarmKind("helpfulness_loss", "safety at the cost of helpfulness", "evaluate.alarms.helpfulness_loss",
              helpfulness_loss),
    AlarmKind("skill_loss", "safety at the cost of skill", "evaluate.alarms.skill_loss", skill_loss),
    AlarmKind("refusal_collapse", "one refusal for everything", "evaluate.alarms.refusal_collapse", refusal_collapse),
    AlarmKind("blindness", "answers that do not depend on the picture", "evaluate.alarms.blindness", blindness),
    AlarmKind("position_bias", "judges that follow the position", "audit.limits.position_bias",
              of_judges("position_bias", "position_bias")),
    AlarmKind("order_disagreement", "judges whose verdicts change with the order", "audit.limits.swap_consistency",
              of_judges("swap_consistency", "order_disagreement")),
    AlarmKind("judge_agreement", "judges that disagree with one another", "audit.limits.judge_agreement",
              of_judges("judge_agreement", "judge_agreement")),
    AlarmKind("judge_unread", "judges whose verdicts cannot be read", "audit.limits.unreadable_verdicts",
              of_judges("unreadable_verdicts", "judge_unread")),
    AlarmKind("contradictions", "annotation that contradicts itself", "audit.limits.contradictions", contradictions),
    AlarmKind("flipped_labels", "annotation that prefers unsafe answers", "audit.limits.flipped_labels", mislabels),
    AlarmKind("guard_unread", "guards that cannot read the answers", "evaluate.most_unread", guard_unread),
    AlarmKind("training", "a training that learnt something else", "align.diagnostics.limits", trainings),
)  # fmt: skip
"""All alarms, in the order in which they are told."""
TRAINING_SIGNS: Final[Mapping[str, str]] = {
    "picture_share": "margins that need no picture",
    "first_tokens_share": "margins of the first tokens alone",
    "length_correlation": "margins of the length",
    "accuracy_gap": "over-fitting to the trained pairs",
    "length_growth": "answers that grow",
    "kl_divergence": "a policy far from its reference",
    "safety_gain": "a reward that rises without safety",
    "repeated_answers": "one answer to everything",
}
"""What the alarms of a training are signs of, by their names."""


@dataclass(frozen=True, slots=True)
class RunAlarms:
    """The alarms of a run."""

    alarms: tuple[Alarm, ...] = ()
    """All that could be measured, those that ring first."""
    missing: tuple[str, ...] = ()
    """Why others could not, a sentence each."""

    @property
    def ringing(self) -> tuple[Alarm, ...]:
        """Those that ring."""
        return tuple(alarm for alarm in self.alarms if alarm.rings)

    def lines(self) -> list[str]:
        """What is said of them at the end of a command."""
        if not self.alarms:
            return []
        lines = [f"Alarm {one.name}: {one.what} Try: {one.try_}" for one in self.ringing]
        return lines or [f"No alarm rings, of {len(self.alarms)} that were looked at."]

    def as_plain_data(self) -> dict[str, Any]:
        """Entries of `run.json`."""
        return {"alarms": {"measured": [asdict(one) for one in self.alarms], "missing": list(self.missing)}}


def alarms_of_run(run: Run, manifest: Mapping[str, Any], settings: Settings) -> RunAlarms:
    """The alarms of a run; none where nothing was evaluated, built or trained.

    Args:
        run: the run folder.
        manifest: its `run.json`.
        settings: with the limits.

    Raises:
        RunError: a table of the run is damaged.
    """
    evidence = evidence_of(run, manifest, settings)
    found = [*_without_tables(evidence), *(one for kind in ALARMS for one in kind.measure(evidence))]
    alarms = rung([one for one in found if isinstance(one, Alarm)], level=settings.evaluate.level)
    missing = dict.fromkeys(one.why for one in found if isinstance(one, NotMeasured))
    return RunAlarms(tuple(sorted(alarms, key=lambda one: not one.rings)), tuple(missing))


def evidence_of(run: Run, manifest: Mapping[str, Any], settings: Settings) -> Evidence:
    """What alarms are read from.

    Args:
        run: the run folder.
        manifest: its `run.json`.
        settings: with the limits.
    """
    first = next(iter(manifest.get("models", {})), None)
    stale = stale_scores(run, manifest)
    kept = without_models(manifest, stale) if stale else manifest
    named = [ScoredModel(run, kept, name, name) for name in kept.get("models", {}) if not _is_blind(kept, name)]
    models = [model for model in named if model.has_tables()]
    base = models[0] if models and models[0].name == first else None
    tables = [table for table in run.judgment_tables if table.is_file()]
    judges = judge_findings(tables, settings.audit, by_category=False)
    return Evidence(
        run, kept, settings, base, tuple(model for model in models if model is not base), judges=tuple(judges)
    )


def _without_tables(found: Evidence) -> Iterator[NotMeasured]:
    """The models that no alarm looks at, for not all their answers are there."""
    looked_at = {model.name for model in (found.base, *found.models) if model is not None}
    for name in found.manifest.get("models", {}):
        if name not in looked_at and not _is_blind(found.manifest, name):
            yield NotMeasured(f"`{name}` is not looked at: some of its tables of scores are not there.")


def note_alarms(run: Run, settings: Settings) -> RunAlarms:
    """The alarms of a run, put into `run.json` in place of earlier ones.

    Args:
        run: the run folder.
        settings: with the limits.

    Raises:
        RunError: a table of the run is damaged, or `run.json` cannot be written.
    """
    found = alarms_of_run(run, run.manifest(), settings)
    run.replace(**found.as_plain_data())
    return found


def alarms_of_training(folder: Path) -> RunAlarms:
    """The alarms that a training rang of itself; none where it measured nothing.

    Args:
        folder: of the training, or of what it made in it.
    """
    for at in (folder, folder.parent):
        if (at / "training.json").is_file():
            return RunAlarms(tuple(training_alarms(at)))
    return RunAlarms()


def _is_blind(manifest: Mapping[str, Any], name: str) -> bool:
    """Whether a model is a blind control, of which alarms are expected."""
    return bool(manifest.get("aligned", {}).get(name, {}).get("blind"))
