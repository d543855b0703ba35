"""What the report needs of a run's trainings: curves, looks on the way, settings and hours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from spavl.report.data import Curve
from spavl.report.summary_data import TrainingShown, Validated
from spavl.run import Run

CURVES = (
    ("metrics.jsonl", "loss", "Training loss", "mean over the pairs of a step", False),
    ("metrics.jsonl", "margin", "Margin", "gain of the chosen answer over that of the rejected one, times β", False),
    ("metrics.jsonl", "accuracy", "Pairs ranked rightly", "share of pairs with a margin above zero", True),
    ("metrics.jsonl", "reward", "Reward", "mean score of sampled answers by the reward model, a round of PPO", False),
    ("metrics.jsonl", "kl", "KL divergence from the reference", "nats an answer, a round of PPO", False),
    ("metrics.jsonl", "held_out_loss", "Held-out loss", "mean over pairs that were not trained on", False),
    ("metrics.jsonl", "held_out_accuracy", "Held-out pairs ranked rightly", "share of pairs not trained on", True),
    ("validation.jsonl", "unsafe", "Validation: unsafe", "harmful requests that were answered unsafely", True),
    ("validation.jsonl", "over_refusal", "Validation: over-refusal", "harmless requests that were refused", True),
    ("validation.jsonl", "skill", "Validation: skill", "skill items that were answered rightly", True),
)
"""(file in the folder of a trained model, key of its lines, title, meaning, whether a share) of the training curves."""


def curves(run: Run) -> Iterator[Curve]:
    """The training curves of a run; those of fewer than two points are left out.

    Args:
        run: the run folder.
    """
    for file, key, title, what, percent in CURVES:
        series = {log.parent.name: _points(log, key) for log in sorted(run.align.glob(f"*/{file}"))}
        series = {name: points for name, points in series.items() if len(points) > 1}
        if series:
            bands = {name: _bands(run.align / name / file, key) for name in series}
            bands = {name: band for name, band in bands.items() if len(band) > 1}
            yield Curve(title=title, what=what, series=series, percent=percent, bands=bands)


def _points(log: Path, key: str) -> tuple[tuple[float, float], ...]:
    """(step, value) of the lines that hold the key; a round of PPO counts as a step, and its loss is not shown."""
    rows = list(_lines(log))
    steps = "round" if rows and "round" in rows[0] else "step"
    if steps == "round" and key == "loss":
        return ()
    found = ((row.get(steps), row.get(key)) for row in rows)
    return tuple((float(at), float(value)) for at, value in found if _is_finite(at) and _is_finite(value))


def _bands(log: Path, key: str) -> tuple[tuple[float, float, float], ...]:
    """(step, lower bound, upper bound) of the lines that hold an interval of the key."""
    found = ((row.get("step"), row.get(f"{key}_low"), row.get(f"{key}_high")) for row in _lines(log))
    return tuple(
        (float(at), float(low), float(high))
        for at, low, high in found
        if _is_finite(at) and _is_finite(low) and _is_finite(high)
    )


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; one that a killed training, or one that is under way, wrote in part is left out."""
    for line in log.read_text("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def validations(run: Run) -> Iterator[Validated]:
    """What trainings measured on their way, where they looked at all three: unsafe answers, over-refusal and skill.

    Args:
        run: the run folder.
    """
    for log in sorted(run.align.glob("*/validation.jsonl")):
        for row in _lines(log):
            found = {key: _bounded(row, key) for key in ("unsafe", "over_refusal", "skill")}
            unsafe, refused, skill = found.values()
            if _is_finite(row.get("step")) and unsafe and refused and skill:
                yield Validated(training=log.parent.name, step=int(row["step"]), unsafe=unsafe, over_refusal=refused,
                                skill=skill)  # fmt: skip


def _bounded(row: Mapping[str, Any], key: str) -> tuple[float, float, float] | None:
    """A share with its bounds; where none were noted they are the share itself."""
    value = row.get(key)
    low, high = row.get(f"{key}_low", value), row.get(f"{key}_high", value)
    return (
        (float(value), float(low), float(high)) if _is_finite(value) and _is_finite(low) and _is_finite(high) else None
    )


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
    except (OSError, ValueError):
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
