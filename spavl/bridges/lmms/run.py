"""Tasks of lmms-eval by name on our models: its metrics as it reports them, its sample scores in our tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spavl.bridges.lmms.task_benchmark import ScoredTask, reported_numbers, task_benchmark, without_score
from spavl.errors import DataError, MissingExtra
from spavl.evaluate.benchmark import Axis
from spavl.pipeline.build import keep_sections
from spavl.pipeline.evaluate import models_of, run_benchmarks
from spavl.pipeline.scores import Scores
from spavl.pipeline.session import Session


@dataclass(slots=True)
class TaskScores:
    """What lmms-eval found."""

    scores: Scores
    """Rates with intervals and paired comparison, of the metrics that are means over samples."""
    reported: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """The numbers as lmms-eval reports them by metric, by task, by name of the model."""
    only_reported: dict[str, list[str]] = field(default_factory=dict)
    """Metrics that are no mean over samples, by task."""
    interleaved: int = 0
    """Questions with a picture after words, which was shown before them."""

    @property
    def lines(self) -> list[str]:
        """What lmms-eval reports, and what is to be known of it, in words."""
        found = [
            f"{model}, {task}, as lmms-eval reports it: {', '.join(f'{m} {v:.4g}' for m, v in numbers.items())}"
            for model, tasks in self.reported.items()
            for task, numbers in tasks.items()
        ]
        found += [
            f"{task}: {', '.join(names)} cannot be had from single samples, and have no interval here"
            for task, names in self.only_reported.items()
        ]
        if self.interleaved:
            found.append(f"{self.interleaved} questions have a picture after words; it was shown before them")
        return found


def evaluate_tasks(
    session: Session,
    tasks: Sequence[str],
    *,
    models: Sequence[str] = (),
    include: Path | None = None,
    axis: Axis = "skill",
) -> TaskScores:
    """Evaluate models on tasks of lmms-eval; the run folder gets the scores.

    Args:
        session: the settings and the run folder; its limit is the most documents of a task.
        tasks: names of tasks.
        models: as for `spavl.pipeline.evaluate.evaluate`.
        include: folder of further tasks.
        axis: what the tasks measure.

    Raises:
        MissingExtra: lmms-eval is not installed.
        SettingsError: there is no such task, or it wants more than words.
        DataError: a picture or another part of a question cannot be shown.
    """
    try:
        from spavl.bridges.lmms.model import EvaluatedModel, run_tasks
    except ImportError as missing:
        raise MissingExtra(f"lmms-eval is not installed: {missing}.", try_="pip install 'spavl[lmms]'") from missing
    specs, done, interleaved = models_of(session, models), dict[str, ScoredTask](), 0
    for spec in specs:
        model = EvaluatedModel(session.engine, session.model(spec), session.world / "lmms", session.settings.seed)
        with session.stage(f"lmms-eval {spec.name}"):
            found = run_tasks(model, tasks, include=include, limit=session.settings.limit)
        _take(done, spec.name, found, model.asked)
        interleaved += model.interleaved
        if model.lost:
            session.progress.log(f"{spec.name}: {model.lost} calls have no answer; lmms-eval was given an empty one")
    benchmarks = {name: task_benchmark(task, axis) for name, task in done.items()}
    scores = run_benchmarks(session, specs, [one for one in benchmarks.values() if one is not None])
    reported = {
        spec.name: {name: reported_numbers(task.reported[spec.name]) for name, task in done.items()} for spec in specs
    }
    keep_sections(session, "evaluate", "report")
    session.run.note(lmms={"version": version("lmms_eval"), "reported": reported})
    left = {name: without_score(task) for name, task in done.items()}
    return TaskScores(scores, reported, {name: some for name, some in left.items() if some}, interleaved)


def _take(done: dict[str, ScoredTask], model: str, found: dict[str, Any], asked: dict[str, Any]) -> None:
    """Add what lmms-eval found for a model to its tasks."""
    if not asked:
        raise DataError("lmms-eval asked nothing", where="--task")
    for name, samples in found["samples"].items():
        task = done.setdefault(name, ScoredTask(name, version("lmms_eval")))
        task.asked[model] = asked[name]
        task.samples[model] = samples
        task.reported[model] = found["results"][name]
        task.higher = found.get("higher_is_better", {}).get(name) or {}
