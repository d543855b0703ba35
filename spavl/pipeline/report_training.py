"""What the report needs of a run's trainings beside their curves: looks on the way, settings and hours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spavl.pipeline.curves import log_lines
from spavl.report.summary_data import TrainingShown, Validated
from spavl.run import Run


def validations(run: Run) -> Iterator[Validated]:
    """What trainings measured on their way, where they looked at all three: unsafe answers, over-refusal and skill.

    Args:
        run: the run folder.
    """
    for log in sorted(run.align.glob("*/validation.jsonl")):
        for row in log_lines(log):
            unsafe, refused, skill = (_bounded(row, key) for key in ("unsafe", "over_refusal", "skill"))
            step = _number(row, "step")
            if step is not None and unsafe and refused and skill:
                yield Validated(training=log.parent.name, step=int(step), unsafe=unsafe, over_refusal=refused,
                                skill=skill)  # fmt: skip


def _bounded(row: Mapping[str, Any], key: str) -> tuple[float, float, float] | None:
    """A share with its bounds; where none were noted they are the share itself."""
    value, low, high = _number(row, key), _number(row, f"{key}_low"), _number(row, f"{key}_high")
    return None if value is None else (value, value if low is None else low, value if high is None else high)


def _number(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def trainings_shown(run: Run) -> Iterator[TrainingShown]:
    """The finished trainings of a run, with what identifies them.

    Args:
        run: the run folder.
    """
    for file in sorted(run.align.glob("*/training.json")):
        made = _read(file)
        settings = file.parent / "settings.yaml"
        yield TrainingShown(
            name=file.parent.name, method=str(made.get("method", "")), seconds=float(made.get("seconds", 0.0)),
            device=str(made.get("device", "")), facts={k: v for k, v in _facts(made).items() if v},
            settings=settings.read_text("utf-8", "replace") if settings.is_file() else "",
        )  # fmt: skip


def _read(file: Path) -> dict[str, Any]:
    try:
        made = json.loads(file.read_text("utf-8"))
    except (OSError, RecursionError, ValueError):
        return {}
    return made if isinstance(made, dict) else {}


def _facts(made: Mapping[str, Any]) -> dict[str, str]:
    """What is said of a training, by name; empty where it was not noted."""
    unit = "round" if "rounds" in made else "step"
    done, chosen = made.get(f"{unit}s", 0), made.get(f"chosen_{unit}", 0)
    trained = {part: n for part, n in made.get("trained", {}).items() if n}
    left_out = sum(len(rows) for rows in made.get("left_out", {}).values())
    return {
        "pairs": f"{made['pairs']:,}" if "pairs" in made else "",
        "held out": f"{made['held_out']:,}" if made.get("held_out") else "",
        f"{unit}s": f"{done:,}", "kept": f"{unit} {chosen:,}, {made['why']}" if made.get("why") else "",
        "trained weights": ", ".join(f"{part} {n:,}" for part, n in trained.items()),
        "packing": str(made.get("packing", "")), "reference": str(made.get("reference", "")),
        "pairs left out": f"{left_out:,}" if left_out else "", "record": str(made.get("id", "")),
    }  # fmt: skip
