"""What a study would train, and what that takes, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spavl.amounts import duration, size
from spavl.config import AlignSettings
from spavl.errors import RunError
from spavl.models.identity import find_checkpoint
from spavl.pipeline.evaluate import base_of
from spavl.plural import plural
from spavl.preferences.table import open_pairs, select
from spavl.progress import NoProgress, Progress
from spavl.run import Run
from spavl.study.plan import MODEL, PlannedBase, PlannedTraining, StudyPlan
from spavl.study.run import is_done
from spavl.study.training import asked_of, is_evaluated

if TYPE_CHECKING:
    from spavl.align.preflight.checks import PreflightReport

FLOAT32_BYTES = 4
"""Bytes of a weight of an adapter, which is kept in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedArm:
    """An arm of a study that is not run yet."""

    label: str
    """Its name for readers."""
    pairs: int
    """Pairs of each of its trainings."""
    trainings: int
    """Its trainings, one a seed."""
    left: int
    """Of these, those that are not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What something takes, and where the number comes from."""

    amount: float | None
    """Seconds or bytes; None: not known."""
    basis: str
    """Where it comes from, or why it is not known, in a phrase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCheck:
    """What a study would train, and what that takes."""

    name: str
    """Name of the study."""
    kind: str
    """Its kind."""
    arms: Sequence[CheckedArm]
    """Its arms."""
    wanted: int
    """Arms times seeds."""
    distinct: int
    """Distinct trainings, reward models among them."""
    left: int
    """Of these, those that are still to be made."""
    training: Cost
    """Seconds of the trainings that are left, one after the other."""
    evaluation: Cost
    """Seconds of their evaluation."""
    disk: Cost
    """Bytes of what they leave."""
    scored: int
    """Pairs that trainings with a reference still need scored, each training's own."""
    distinct_scored: int
    """Distinct pairs among them, which the reference cache scores once."""

    def lines(self) -> list[str]:
        """The numbers as sentences."""
        lines = [f"{plural(self.wanted, 'training')} wanted, {self.distinct:,} distinct, {self.left:,} still to make."]
        if self.scored > self.distinct_scored:
            lines.append(f"The reference cache scores {plural(self.distinct_scored, 'pair')} once, in place of "
                         f"{self.scored:,} by every training for itself.")  # fmt: skip
        for what, cost, spoken in (("Training", self.training, duration), ("Evaluation", self.evaluation, duration),
                                   ("Disk", self.disk, size)):  # fmt: skip
            known = "not known" if cost.amount is None else f"about {spoken(cost.amount)}"
            lines.append(f"{what}: {known} ({cost.basis}).")
        return lines

    def as_plain_data(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return asdict(self)


def check_study(plan: StudyPlan, progress: Progress | None = None) -> StudyCheck:
    """What a study would train, and what that takes: measured on finished trainings, else by a preflight.

    Args:
        plan: of the study.
        progress: gets the bars of the preflight.

    Raises:
        DataError: the preflight finds pairs that cannot be trained on.
        ModelError: the model cannot be opened.
    """
    left = [one for one in plan.trainings.values() if not (is_done(plan, one) or _waits_for_base(plan, one))]
    untrained = [one for one in left if not one.is_finished]
    past = list(_past(Path(plan.study.trainings)))
    report = None
    if untrained and not _like(past, untrained[0]):
        report = _preflight(plan, min(untrained, key=lambda one: len(one.numbers)), progress or NoProgress())
    of_pairs = [one for one in untrained if _scores(one.settings.align)]
    return StudyCheck(
        name=plan.name, kind=plan.study.kind, arms=_arms(plan, {one.id for one in left}), wanted=len(plan.rows),
        distinct=len(plan.trainings), left=len(left), training=_training(untrained, past, report),
        evaluation=_evaluation(plan, [one for one in left if not one.for_ppo]),
        disk=_disk(untrained, past, report), scored=sum(len(one.numbers) for one in of_pairs),
        distinct_scored=_distinct(of_pairs),
    )  # fmt: skip


def _waits_for_base(plan: StudyPlan, one: PlannedTraining) -> bool:
    """Whether a training is finished and evaluated, and only its model before training is to be evaluated again."""
    arm, _ = plan.arms_of(one.id)[0]
    try:
        asked = asked_of(Run(one.folder))
        evaluated = bool(asked) and is_evaluated(Run(one.folder), ("base", one.name), asked)
        return one.is_finished and evaluated and not _is_asked(plan.bases[arm.name])
    except RunError:
        return False


def _scores(align: AlignSettings) -> bool:
    """Whether the reference cache keeps what the model before training says of a training's pairs."""
    return align.method == "dpo" and align.loss.has_reference and align.reference.mode != "live"


def _distinct(trainings: Sequence[PlannedTraining]) -> int:
    """Pairs that some trainings see, of which each dataset's count once for each model."""
    numbers: dict[tuple[str, str], np.ndarray] = {}
    for one in trainings:
        key = (str(one.dataset), one.model)
        numbers[key] = np.union1d(numbers.get(key, np.empty(0, dtype=np.int64)), one.numbers)
    return sum(map(len, numbers.values()))


def _arms(plan: StudyPlan, left: set[str]) -> list[CheckedArm]:
    found = []
    for arm in plan.arms:
        own = [training for of_arm, _, training in plan.rows if of_arm is arm]
        found.append(CheckedArm(label=arm.label, pairs=len(plan.trainings[own[0]].numbers), trainings=len(own),
                                left=sum(one in left for one in own)))  # fmt: skip
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """A training that is finished."""

    like: str
    passes: float
    seconds: float
    bytes: int


def _past(trainings: Path) -> Iterator[_Past]:
    """The finished trainings of a folder of trainings."""
    for file in sorted(trainings.glob("*/align/*/training.json")):
        try:
            said = json.loads(file.read_text("utf-8"))
            weights = json.loads((file.parent / "made-from.json").read_text("utf-8"))["weights"]
            epochs = weights["optimiser"]["epochs"]
            yield _Past(like=_likeness(weights), passes=said["pairs"] * epochs, seconds=said["seconds"],
                        bytes=sum(one.stat().st_size for one in file.parent.rglob("*") if one.is_file()))  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _likeness(weights: Mapping[str, Any]) -> str:
    """What decides the time of a training beside its number of pairs: method, model, what is trained, and batches."""
    parts = [weights["method"], weights["model"], weights["freeze"], weights["batching"]["pairs"]]
    return json.dumps(parts, sort_keys=True)


def _like(past: Sequence[_Past], one: PlannedTraining) -> list[_Past]:
    wanted = _likeness({**one.settings.align.model_dump(mode="json"), "model": one.model})
    same = [other for other in past if other.like == wanted]
    first = json.loads(wanted)[:2]  # method and model
    return same or [other for other in past if json.loads(other.like)[:2] == first]


def _training(left: Sequence[PlannedTraining], past: Sequence[_Past], report: PreflightReport | None) -> Cost:
    if not left:
        return Cost(amount=0.0, basis="all are finished")
    if report is not None and report.estimate is not None:
        a_pair = report.estimate.hours * 3600 / max(1, report.pairs)
        passes = sum(_passes(one) for one in left)
        return Cost(amount=a_pair * passes, basis="by the preflight of the smallest training")
    known = [_seconds(_like(past, one), _passes(one)) for one in left]
    if any(seconds is None for seconds in known):
        return Cost(amount=None, basis="no training of that method is finished, and a preflight cannot tell")
    return Cost(amount=sum(seconds or 0.0 for seconds in known), basis="by the trainings that are finished")


def _passes(one: PlannedTraining) -> float:
    return len(one.numbers) * one.settings.align.optimiser.epochs


def _seconds(past: Sequence[_Past], passes: float) -> float | None:
    """Seconds of a training: a line through those of finished ones, or in proportion where all are of one size."""
    if not past:
        return None
    x, y = np.array([one.passes for one in past]), np.array([one.seconds for one in past])
    slope, start = np.polyfit(x, y, 1) if len(set(x)) > 1 else (0.0, 0.0)
    if slope <= 0 or start < 0:
        return float(y.sum() / x.sum() * passes)
    return float(start + slope * passes)


def _evaluation(plan: StudyPlan, left: Sequence[PlannedTraining]) -> Cost:
    if not left and not all(map(_is_asked, plan.bases.values())):
        return Cost(amount=None, basis="only models before training are left, and stored answers are not asked again")
    if not left:
        return Cost(amount=0.0, basis="all are evaluated")
    runs = [one.folder for one in plan.trainings.values()]
    runs += [Path(base.settings.out) for base in plan.bases.values()]
    found = [seconds for run in runs for name, seconds in _noted(run, "seconds").items()
             if name in (f"evaluate {MODEL}", "evaluate base") and seconds > 1]  # fmt: skip
    if not found:
        return Cost(amount=None, basis="nothing of this study was evaluated yet")
    return Cost(amount=float(np.median(found)) * len(left), basis="by what was evaluated")


def _is_asked(base: PlannedBase) -> bool:
    """Whether a model before training was asked any benchmark."""
    return bool(_noted(Path(base.settings.out), "benchmarks"))


def _noted(run: Path, what: str) -> Mapping[str, Any]:
    """What the run.json of a run folder holds by a name; nothing where it is damaged."""
    try:
        found: Mapping[str, Any] = Run(run).manifest().get(what, {})
    except RunError:
        return {}
    return found


def _disk(left: Sequence[PlannedTraining], past: Sequence[_Past], report: PreflightReport | None) -> Cost:
    if not left:
        return Cost(amount=0.0, basis="all are finished")
    known = [_like(past, one) for one in left]
    if all(known):
        return Cost(amount=float(sum(np.mean([one.bytes for one in own]) for own in known)),
                    basis="by the trainings that are finished")  # fmt: skip
    adapter = FLOAT32_BYTES * sum(report.trained.values()) if report is not None else 0
    return Cost(amount=float(sum(_whole(one) or adapter for one in left)),
                basis="whole models as large as before training, adapters by their weights")  # fmt: skip


def _whole(one: PlannedTraining) -> int:
    """Bytes of the whole model that a training leaves; 0: it leaves an adapter."""
    align = one.settings.align
    if align.freeze.language == "lora" and align.freeze.vision in ("frozen", "lora") and not align.saving.merged:
        return 0
    folder = find_checkpoint(base_of(one.settings)).folder
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _preflight(plan: StudyPlan, one: PlannedTraining, progress: Progress) -> PreflightReport | None:
    """The preflight of a training on pairs; None for one with PPO, whose rounds it cannot time."""
    if one.settings.align.method == "ppo":
        return None
    from spavl.align.preflight.prepare import prepare

    path, reading = plan.source.pairs_at(one.dataset, one.settings.align)
    table = open_pairs(path, cache=Path(one.settings.align.machine.pairs_cache), reading=reading)
    align = one.settings.align
    return prepare(select(table, one.numbers), align, progress, reference=False).report
