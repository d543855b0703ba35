"""What is said of calibrated guards: the rows of their tables, and the section of the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spavl.pipeline.agreement_words import share_words
from spavl.plural import plural

if TYPE_CHECKING:
    from spavl.pipeline.calibrate import Calibrated, CalibratedRate

HEAD = ("model", "metric", "guard", "by the guard", "by people", "labels", "sensitivity", "specificity", "to halve")
"""Columns of the corrected rates."""
STYLE_HEAD = ("model", "metric", "guard", "answers that are", "guard right", "labels")
"""Columns of the errors by style."""


def rows(made: Calibrated) -> Iterator[tuple[str, ...]]:
    """Rows of the corrected rates, with the columns of `HEAD`.

    Args:
        made: the calibration.
    """
    for one in made.rates:
        found = one.corrected
        yield (one.model, one.metric, one.guard, share_words(one.raw), _corrected(one), f"{found.labels:,}",
               share_words(found.sensitivity), share_words(found.specificity), _needed(one))  # fmt: skip


def _corrected(one: CalibratedRate) -> str:
    found = one.corrected.rate
    if found.value is None:
        return f"not corrected: {found.refusal or 'no verdict was read'}"
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _needed(one: CalibratedRate) -> str:
    if one.needed.total is None:
        return f"more answers: labels of all leave ±{50 * one.needed.least:.1f}"
    return f"{one.needed.total:,} labels in all"


def style_rows(made: Calibrated) -> Iterator[tuple[str, ...]]:
    """Rows of the errors by style, with the columns of `STYLE_HEAD`.

    Args:
        made: the calibration.
    """
    for one in made.styles:
        yield one.model, one.metric, one.guard, one.style, share_words(one.right), f"{one.right.n:,}"


def calibration_shown(made: Calibrated) -> dict[str, Any]:
    """The entry of `run.json`, which the report shows.

    Args:
        made: the calibration.
    """
    labels = sum(one.corrected.labels for one in made.rates)
    refused = sum(one.corrected.rate.value is None for one in made.rates)
    verdict = f"{plural(len(made.rates), 'rate')} held against {plural(labels, 'label')} by people"
    verdict += f"; {refused:,} could not be corrected." if refused else "."
    tables = [
        {"caption": "Rates by the guard and by people", "head": HEAD, "rows": list(rows(made))},
        {"caption": "The guard by what the answer is", "head": STYLE_HEAD, "rows": list(style_rows(made))},
    ]
    return {"verdict": verdict, "tables": [table for table in tables if table["rows"]]}
