"""Work that is under way in a run, from the files that it writes: bars and calls, and the trainings as they stand."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spavl.pipeline.curves import curves_of, log_lines
from spavl.run import Run
from spavl.run.under_way import UnderWay, under_way
from spavl.serve.charts import Chart, chart_of

SHOWN: Final = {
    "loss": "loss", "margin": "margin", "accuracy": "pairs ranked rightly", "reward": "reward", "kl": "KL divergence",
    "grad_norm": "norm of the gradient", "learning_rate": "learning rate", "length": "tokens an answer",
}  # fmt: skip
"""Numbers of a line of `metrics.jsonl` that are shown, and what they are called."""
PANEL: Final = {"unsafe": "unsafe", "over_refusal": "over-refusal", "skill": "skill"}
"""Numbers of a line of `validation.jsonl` that are shown, and what they are called."""
FRESH: Final = 300.0
"""Seconds after its last line for which a training counts as new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingNow:
    """A training as its logs have it."""

    name: str
    """Name of the model."""
    at: str
    """The last step or round, in words."""
    numbers: Sequence[tuple[str, str]]
    """What each of the last numbers is called, and the number."""
    panel: Sequence[tuple[str, str]]
    """The same of the last in-loop validation; empty: there was none."""
    is_new: bool
    """Whether a line was written in the last minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """A run while work is under way in it."""

    now: UnderWay | None
    """The command; None: nothing works in it."""
    stages: Sequence[tuple[str, int | None, float | None]]
    """Name of each stage of the dataset with the records that it passed on and the seconds that it took; None of what
    has not been made."""
    trainings: Sequence[TrainingNow]
    """Trainings with logs, the newest first."""
    charts: Sequence[Chart]
    """Their curves."""
    spent: Mapping[str, float]
    """What all stages have spent: calls, stored, tokens, cost."""
    failed: int
    """Calls of the dataset that failed, and are made again next time."""
    at: str
    """The time, UTC."""


def live_state(run: Run) -> LiveState:
    """A run as its files have it now.

    Args:
        run: the run folder.

    Raises:
        RunError: `run.json` is damaged.
    """
    manifest = run.manifest()
    counts, seconds = manifest.get("counts", {}), manifest.get("seconds", {})
    logs = sorted(run.align.glob("*/metrics.jsonl"), key=_written, reverse=True)
    spent = list(manifest.get("spent", {}).values())
    return LiveState(
        now=under_way(run.folder),
        stages=[(one["name"], counts.get(one["name"], {}).get(one["kept"]), seconds.get(one["name"]))
                for one in manifest.get("stages", ())],
        trainings=[found for log in logs if (found := _training(log))],
        charts=[chart_of(curve) for curve in curves_of(run)],
        spent={name: sum(one.get(name, 0) for one in spent) for name in ("calls", "stored", "tokens", "cost")},
        failed=sum(manifest.get("again", {}).values()), at=time.strftime("%H:%M:%S", time.gmtime()),
    )  # fmt: skip


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _training(log: Path) -> TrainingNow | None:
    """A training as its logs have it; None where nothing was logged yet."""
    last = _last(log)
    if not last:
        return None
    unit = "round" if "round" in last else "step"
    panel = _last(log.with_name("validation.jsonl"))
    return TrainingNow(
        name=log.parent.name, at=f"{unit} {last.get(unit, '?')}", numbers=_numbers(last, SHOWN),
        panel=[(PANEL[name], f"{100 * value:.1f} %") for name, value in panel.items()
               if name in PANEL and isinstance(value, int | float)],
        is_new=is_new(log),
    )  # fmt: skip


def is_new(log: Path) -> bool:
    """Whether a line of a training's log was written in the last minutes.

    Args:
        log: `metrics.jsonl` of the training.
    """
    return time.time() - _written(log) < FRESH


def _numbers(line: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(called, f"{line[name]:.4g}") for name, called in names.items() if isinstance(line.get(name), int | float)]


def _last(log: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if log.is_file():
        for line in log_lines(log):
            found |= line
    return found
