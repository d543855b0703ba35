"""One training of a study: made from plain data in whatever process, with its scores in a run folder of its own."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from spavl.config import LocalSpec, ModelSpec, Settings
from spavl.errors import SpavlError
from spavl.pipeline.align import align_settings, train_on
from spavl.pipeline.evaluate import base_of, checkpoint_spec, open_benchmarks, run_benchmarks
from spavl.pipeline.session import Session
from spavl.pipeline.weights import stale_scores
from spavl.preferences.pairs import Reading
from spavl.preferences.table import open_pairs, select
from spavl.progress import NoProgress, Progress
from spavl.run import Run
from spavl.visible_text import visible

Status = Literal["made", "reused", "failed"]
"""What became of a training: trained now, found finished, or not made."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingTask:
    """All that one training needs, as plain data that can be sent to another process."""

    id: str
    """Its id in the plan; of a model before training its run folder's name."""
    settings: Settings
    """All settings of its run."""
    world: Path
    """Folder of pictures that the trainings share."""
    allow_code: bool
    """Run Python classes of the user's own."""
    pairs: str = ""
    """Where its pairs are; empty: nothing is trained, and the model is evaluated as it is."""
    reading: Reading = field(default_factory=Reading)
    """How they are read."""
    numbers: np.ndarray | None = None
    """Which of them, int64 [P]."""
    name: str = ""
    """Name of what is trained."""
    reward: Path | None = None
    """Folder of PPO's reward model."""
    for_ppo: bool = False
    """Whether this is the reward model of a training with PPO, which answers nothing."""
    segment: str | None = None
    """Segment of the call store to write into; None: the store itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of a training."""

    id: str
    """Its id in the plan."""
    status: Status
    """Trained now, found finished, or not made."""
    seconds: float = 0.0
    """Seconds that it took now, its evaluation among them."""
    why: str = ""
    """Why it was not made."""
    lost: int = 0
    """Calls of its evaluation that brought no answer."""


def make_training(task: TrainingTask, progress: Progress | None = None) -> Made:
    """Train and evaluate, as far as that is not done yet. An error of the user's is told, not raised.

    Args:
        task: what is trained.
        progress: gets bars and lines.
    """
    began = time.perf_counter()
    finished = bool(task.pairs) and (Path(task.settings.out) / "align" / task.name / "training.json").is_file()
    try:
        lost = _make(task, progress or NoProgress())
    except SpavlError as error:
        return Made(id=task.id, status="failed", why=error.render(), seconds=_since(began))
    except MemoryError:
        return Made(id=task.id, status="failed", why="memory ran out", seconds=_since(began))
    except Exception as error:  # whatever a library raises, such as for a full card: the other trainings go on
        return Made(id=task.id, status="failed", why=_unforeseen(task, error), seconds=_since(began))
    reused = finished if task.pairs else lost is None
    return Made(id=task.id, status="reused" if reused else "made", seconds=_since(began), lost=lost or 0)


def _unforeseen(task: TrainingTask, error: Exception) -> str:
    """What is said of an error that is no mistake of the user's; where it came from is kept in a file."""
    path = Path(task.settings.out) / "error.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(traceback.format_exception(error)), "utf-8")
    first = next(iter(str(error).splitlines()), "no reason given")
    return f"{type(error).__name__}: {visible(first)} ({path})"


def _make(task: TrainingTask, progress: Progress) -> int | None:
    """Train and evaluate. Returns the calls without an answer; None where all answers were there."""
    with Session(task.settings, progress, allow_code=task.allow_code, world=task.world,
                 segment=task.segment) as session:  # fmt: skip
        base = base_of(task.settings)
        if not task.pairs:
            return evaluate_once(session, [base])
        table = open_pairs(task.pairs, cache=Path(task.settings.align.machine.pairs_cache), reading=task.reading)
        pairs = table if task.numbers is None else select(table, task.numbers)
        made = train_on(session, pairs, align_settings(session, {}), name=task.name, reward=task.reward,
                        for_ppo=task.for_ppo)  # fmt: skip
        if task.settings.align.method == "reward":
            return 0
        return evaluate_once(session, [base, checkpoint_spec(task.name, made, base)])


def evaluate_once(session: Session, specs: Sequence[LocalSpec]) -> int | None:
    """Evaluate models unless the run holds their scores on these benchmarks.

    Returns the calls without an answer; None where the run holds the scores.

    Args:
        session: of the run.
        specs: the models, the base first.
    """
    benchmarks = open_benchmarks(session)
    asked = {benchmark.name: benchmark.protocol() for benchmark in benchmarks}
    if is_evaluated(session.run, [spec.name for spec in specs], asked):
        return None
    session.run.replace(models={}, lost_calls=None)  # tables are written before the scores that they belong to
    scores = run_benchmarks(session, list[ModelSpec](specs), benchmarks)
    session.run.replace(lost_calls=scores.failed)
    session.run.keep_settings(session.settings.model_dump(mode="json"))
    return scores.failed


def asked_of(run: Run) -> dict[str, str]:
    """The benchmarks that the models of a run were asked, with their protocols.

    Args:
        run: the run.
    """
    return {name: str(one.get("protocol")) for name, one in run.manifest().get("benchmarks", {}).items()}


def is_evaluated(run: Run, names: Sequence[str], asked: Mapping[str, str]) -> bool:
    """Whether a run holds scores of models, as they are now, with no call lost.

    Args:
        run: the run.
        names: of the models.
        asked: protocols of the benchmarks by name.
    """
    manifest = run.manifest()
    there = all((run.evaluate / name / f"{benchmark}.parquet").is_file() for name in names for benchmark in asked)
    if asked_of(run) != asked or list(manifest.get("models", {})) != list(names) or not there:
        return False
    return manifest.get("lost_calls") == 0 and not stale_scores(run, manifest)


def longest_first(tasks: Sequence[TrainingTask]) -> list[TrainingTask]:
    """The tasks in the order in which they end soonest side by side: those of most pairs first.

    Args:
        tasks: trainings that need nothing of each other.
    """
    return sorted(tasks, key=lambda task: 0 if task.numbers is None else -len(task.numbers))


def with_segment(task: TrainingTask) -> TrainingTask:
    """The task for a process beside others, which writes into a segment of the call store of its own.

    Args:
        task: the task.
    """
    return replace(task, segment=task.id)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 1)
