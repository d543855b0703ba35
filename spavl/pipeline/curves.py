"""Training curves of a run, from the logs of its trainings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from spavl.report.data import Curve
from spavl.run import Run

Rows = Sequence[Mapping[str, Any]]
"""Lines of a log."""
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


def curves_of(run: Run) -> Iterator[Curve]:
    """The curves of all trainings of a run, also of one that is under way; those of less than two points are left out.

    Args:
        run: the run folder.
    """
    files = dict.fromkeys(file for file, *_ in CURVES)
    logs = {file: {log.parent.name: list(log_lines(log)) for log in sorted(run.align.glob(f"*/{file}"))}
            for file in files}  # fmt: skip
    for file, key, title, what, percent in CURVES:
        series = {name: _points(rows, key) for name, rows in logs[file].items()}
        series = {name: points for name, points in series.items() if len(points) > 1}
        if series:
            bands = {name: _bands(logs[file][name], key) for name in series}
            bands = {name: band for name, band in bands.items() if len(band) > 1}
            yield Curve(title=title, what=what, series=series, percent=percent, bands=bands)


def _points(rows: Rows, key: str) -> tuple[tuple[float, float], ...]:
    """(step, value) of the lines that hold the key; a round of PPO counts as a step, and its loss is not shown."""
    steps = "round" if rows and "round" in rows[0] else "step"
    if steps == "round" and key == "loss":
        return ()
    found = ((row.get(steps), row.get(key)) for row in rows)
    return tuple((float(at), float(value)) for at, value in found if _is_finite(at) and _is_finite(value))


def _bands(rows: Rows, key: str) -> tuple[tuple[float, float, float], ...]:
    """(step, lower bound, upper bound) of the lines that hold an interval of the key."""
    found = ((row.get("step"), row.get(f"{key}_low"), row.get(f"{key}_high")) for row in rows)
    return tuple(
        (float(at), float(low), float(high))
        for at, low, high in found
        if _is_finite(at) and _is_finite(low) and _is_finite(high)
    )


def log_lines(log: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; one that a killed training, or one that is under way, wrote in part is left out.

    Args:
        log: `metrics.jsonl` or `validation.jsonl` of a training.
    """
    for line in log.read_text("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except (RecursionError, ValueError):
            continue
        if isinstance(row, dict):
            yield row


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)
