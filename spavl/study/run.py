"""A study, from its settings to its table of results: plan, train what is missing, evaluate, gather."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

import spavl
from spavl.amounts import duration
from spavl.atomic import write_json, write_text
from spavl.config.study import StudySettings
from spavl.errors import RunError
from spavl.locks import Lock
from spavl.models.calls.segments import merge_segments
from spavl.models.calls.store import CallStore
from spavl.plural import plural
from spavl.progress import NoProgress, Progress
from spavl.report.page import check_report_packages
from spavl.run import Run
from spavl.study.folder import file_from, refuse_folder
from spavl.study.gather import gather, seconds_of
from spavl.study.page import FACTS, SETTINGS, write_page
from spavl.study.plan import WORLD, PlannedBase, PlannedTraining, StudyPlan, plan_study, waves
from spavl.study.processes import in_processes
from spavl.study.results import Result, read_results, write_results
from spavl.study.source import build_pairs, folder_of, open_source, refuse_trainings
from spavl.study.training import Made, TrainingTask, asked_of, is_evaluated, longest_first, make_training


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyMade:
    """What a study made."""

    plan: StudyPlan
    """What was planned."""
    results: Sequence[Result]
    """All rows of the table of results."""
    made: Sequence[Made]
    """What became of every training, models before training among them."""
    facts: Mapping[str, Any]
    """What was made, as `study.json` has it."""
    page: Path | None
    """The study's page, or where no training was made, the file that says why; None: nothing was written, for no
    training has a result and the folder holds earlier ones."""

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self.plan.folder

    @property
    def failed(self) -> list[Made]:
        """Trainings that were not made."""
        return [one for one in self.made if one.status == "failed"]

    @property
    def reused(self) -> int:
        """Trainings that were found finished."""
        return sum(one.status == "reused" and one.id in self.plan.trainings for one in self.made)

    @property
    def lost(self) -> int:
        """Calls of evaluations that brought no answer."""
        return sum(one.lost for one in self.made)

    def as_plain_data(self) -> dict[str, Any]:
        """What was made, as `study.json` has it, with all results."""
        return {**self.facts, "results": [asdict(one) for one in self.results]}


def prepare_study(
    study: StudySettings, file: Path, progress: Progress | None = None, *, allow_code: bool = False, build: bool = True
) -> StudyPlan:
    """The plan of a study, whose dataset is built first where that is asked for.

    Args:
        study: its settings.
        file: its file.
        progress: shows bars.
        allow_code: run Python classes of the user's own.
        build: whether the dataset may be built now.

    Raises:
        SettingsError: `trainings` is no folder, or the study's folder holds what is not the study's.
        SpavlError: the study cannot be planned.
    """
    check_report_packages()
    refuse_trainings(study, file)
    refuse_folder(study, file)
    source = open_source(study, file, allow_code=allow_code)
    if build:
        build_pairs(source, progress or NoProgress())
    folder = folder_of(study, file)
    return plan_study(source, folder.resolve().name, folder, progress)


def run_study(plan: StudyPlan, progress: Progress | None = None) -> StudyMade:
    """Train and evaluate what a study needs and is not there, and write its table of results.

    It can be run again after anything: finished trainings are kept, a stopped one goes on, and what failed is tried
    again. A training that cannot be made, or whose scores cannot be read, is told in the results, and the others go
    on. Where no training has a result, the earlier results of the folder stay as they are.

    Args:
        plan: from `prepare_study`.
        progress: shows bars and a line for every training.

    Raises:
        RunError: another process works on the study, or its folder cannot be written.
    """
    progress, began = progress or NoProgress(), time.perf_counter()
    lock = _locked(plan.folder)
    try:
        made = _make_all(plan, progress)
        results, unreadable = gather(plan, made)
        for one, why in unreadable.items():
            made[one] = replace(made[one], status="failed", why=why)
            _tell(progress, _label(plan, one), made[one])
        facts = _facts(plan, made, time.perf_counter() - began)
        page = _write(plan, results, facts)
    finally:
        lock.release()
    return StudyMade(plan=plan, results=results, made=list(made.values()), facts=facts, page=page)


def _write(plan: StudyPlan, results: Sequence[Result], facts: Mapping[str, Any]) -> Path | None:
    """Write the files of a study's folder, unless that would put no result in the place of earlier ones."""
    some = _has_trained(results)
    if not some and _holds_results(plan.folder):
        return None
    write_text(plan.folder / SETTINGS, _settings_text(plan))
    write_results(plan.folder, results)
    write_json(plan.folder / FACTS, facts)
    level = plan.source.settings.evaluate.level
    return write_page(plan.folder, level=level) if some else plan.folder / FACTS  # there is nothing to show


def _has_trained(results: Sequence[Result]) -> bool:
    return any(not one.is_base for one in results)


def _holds_results(folder: Path) -> bool:
    """Whether a study's folder holds results of trainings, of an earlier run."""
    try:
        return _has_trained(read_results(folder))
    except RunError:  # there are none, or they are damaged
        return False


def _locked(folder: Path) -> Lock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"The study's folder cannot be made: {error.strerror}", where=str(folder),
                       try_="name another with `out=FOLDER`") from error  # fmt: skip
    return Lock(folder / "study", where=str(folder), what="The study is being worked on by",
                try_="wait until that command has ended, or name another folder with `out=FOLDER`")  # fmt: skip


def _make_all(plan: StudyPlan, progress: Progress) -> dict[str, Made]:
    """What became of every model before training and every training, by id."""
    made: dict[str, Made] = {}
    for base in _bases(plan):
        made[base.arm] = replace(make_training(_base_task(plan, base), progress), id=base.arm)
        _tell(progress, base.label, made[base.arm])
    for wave in waves(plan.trainings):
        left = []
        for one in wave:
            if is_done(plan, one):
                made[one.id] = Made(id=one.id, status="reused")
            elif one.reward and made[one.reward].status == "failed":
                made[one.id] = Made(id=one.id, status="failed", why="Its reward model was not made")
            else:
                left.append(one)
        if found := sum(made[one.id].status == "reused" for one in wave if one.id in made):
            progress.log(f"  {plural(found, 'training')} of {len(wave):,} found finished")
        made |= _make_wave(plan, left, progress)
    return made


def _bases(plan: StudyPlan) -> list[PlannedBase]:
    return list({base.arm: base for base in plan.bases.values()}.values())


def is_done(plan: StudyPlan, one: PlannedTraining) -> bool:
    """Whether a training is finished, and evaluated as its model before training was.

    Args:
        plan: of the study.
        one: its training.
    """
    if not one.is_finished or one.for_ppo:
        return one.is_finished
    arm, _ = plan.arms_of(one.id)[0]
    try:
        asked = asked_of(Run(Path(plan.bases[arm.name].settings.out)))
        return bool(asked) and is_evaluated(Run(one.folder), ("base", one.name), asked)
    except RunError:  # a run.json is damaged, which whoever makes the training is told
        return False


def _make_wave(plan: StudyPlan, trainings: Sequence[PlannedTraining], progress: Progress) -> dict[str, Made]:
    """Trainings that need nothing of each other, by id."""
    made: dict[str, Made] = {}
    tasks = [_task(plan, one) for one in trainings]
    for one in _runner(plan, tasks, progress)(tasks):
        made[one.id] = one
        _tell(progress, f"{len(made)} of {len(tasks)}: {_label(plan, one.id)}", one)
    _take_in(Path(plan.source.settings.store))
    return made


def _take_in(store: Path) -> None:
    """Take what other processes have stored into the call store; where it is in use, whoever opens it next does it."""
    with suppress(RunError), CallStore(store) as opened:
        merge_segments(opened)


def _runner(
    plan: StudyPlan, tasks: Sequence[TrainingTask], progress: Progress
) -> Callable[[Sequence[TrainingTask]], Iterator[Made]]:
    """What makes the trainings: this process, several, or a Ray cluster."""
    settings = plan.source.settings
    if settings.runner == "ray":
        from spavl.study.ray_trainings import on_ray

        return lambda tasks: on_ray(settings, longest_first(tasks))
    if plan.study.at_once > 1 and len(tasks) > 1:
        return lambda tasks: in_processes(longest_first(tasks), plan.study.at_once)
    return lambda tasks: (make_training(task, progress) for task in tasks)


def _label(plan: StudyPlan, made: str) -> str:
    """What a training or a model before training is called, by its id."""
    if made not in plan.trainings:
        return next(base.label for base in _bases(plan) if base.arm == made)
    arm, seed = plan.arms_of(made)[0]
    return f"{arm.label}, seed {seed}{', reward model' if plan.trainings[made].for_ppo else ''}"


def _tell(progress: Progress, what: str, one: Made) -> None:
    if one.status == "failed":
        progress.log(f"  {what}: not made. {one.why}")
    else:
        progress.log(f"  {what}: {one.status} in {duration(one.seconds)}")


def _task(plan: StudyPlan, one: PlannedTraining) -> TrainingTask:
    path, reading = plan.source.pairs_at(one.dataset, one.settings.align)
    return TrainingTask(
        id=one.id, settings=one.settings, world=_world(plan), allow_code=plan.source.allow_code, pairs=path,
        reading=reading, numbers=one.numbers, name=one.name, for_ppo=one.for_ppo,
        reward=plan.trainings[one.reward].made if one.reward else one.reward_folder,
    )  # fmt: skip


def _base_task(plan: StudyPlan, base: PlannedBase) -> TrainingTask:
    return TrainingTask(id=Path(base.settings.out).name, settings=base.settings, world=_world(plan),
                        allow_code=plan.source.allow_code)  # fmt: skip


def _world(plan: StudyPlan) -> Path:
    return Path(plan.study.trainings) / WORLD


def _settings_text(plan: StudyPlan) -> str:
    return yaml.safe_dump(plan.study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _facts(plan: StudyPlan, made: dict[str, Made], seconds: float) -> dict[str, Any]:
    """What `study.json` holds."""
    return {
        "name": plan.name, "kind": plan.study.kind, "title": plan.study.title, "made_by": f"spavl {spavl.__version__}",
        "file": file_from(plan.folder, plan.source.file), "run": str(plan.source.run.folder),
        "seeds": list(plan.study.seeds), "seconds": round(seconds, 1),
        "arms": [
            {"name": arm.name, "label": arm.label, "what": arm.what, "value": arm.value,
             "base": plan.bases[arm.name].arm, "without": list(arm.pairs.without)}
            for arm in plan.arms
        ],
        "wanted": len(plan.rows), "distinct": len(plan.trainings),
        "reused": sum(made[one].status == "reused" for one in plan.trainings),
        "failed": sum(made[one].status == "failed" for one in plan.trainings),
        "bases": [
            {"arm": base.arm, "label": base.label, "run": base.settings.out, "status": made[base.arm].status,
             "why": made[base.arm].why}
            for base in _bases(plan)
        ],
        "trainings": [_training_facts(plan, one, made[one.id]) for one in plan.trainings.values()],
    }  # fmt: skip


def _training_facts(plan: StudyPlan, one: PlannedTraining, made: Made) -> dict[str, Any]:
    return {
        "id": one.id, "run": one.settings.out, "name": one.name, "pairs": len(one.numbers), "reward": one.reward,
        "for": [[arm.name, seed] for arm, seed in plan.arms_of(one.id)],
        "status": made.status, "seconds_now": made.seconds, "seconds": seconds_of(one), "why": made.why,
        "lost": made.lost,
    }  # fmt: skip
