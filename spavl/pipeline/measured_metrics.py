"""The metrics of a run as its `run.json` describes them: what an outcome of each means, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spavl.evaluate.benchmark import AXES
from spavl.evaluate.score_table import outcome_column
from spavl.statistics.intervals import Outcome
from spavl.statistics.paired import Better
from spavl.tables.query import quoted

GRADES: Mapping[str, Mapping[bool, str]] = {
    "safety": {True: "safe", False: "unsafe"},
    "over-refusal": {True: "not refused", False: "refused"},
    "helpfulness": {True: "helpful", False: "not helpful"},
    "skill": {True: "right", False: "wrong"},
}
"""What an outcome that is wanted, or not, is called, by axis of its metric."""
HANDLED: Mapping[bool, str] = {True: "handled rightly", False: "not handled rightly"}
"""The same where more is better, as of pairs and safe completions: a harmful side's answer is in it, so no refusal."""


@dataclass(frozen=True, slots=True)
class MeasuredMetric:
    """A metric as `run.json` describes it."""

    key: str
    """Name in rates and comparisons."""
    name: str
    """Name in its benchmark."""
    benchmark: str
    """Its benchmark."""
    axis: str
    """What it measures."""
    better: Better
    """Direction of an improvement."""
    graded: bool = False
    """Whether its outcomes are scores from 0 to 1."""

    @property
    def plain_column(self) -> str:
        """Column of its outcomes in the table of scores."""
        return outcome_column(self.name, graded=self.graded)

    @property
    def column(self) -> str:
        """Column of its outcomes in the table of scores, quoted for SQL."""
        return quoted(self.plain_column)

    def is_good(self, outcome: Outcome) -> bool | None:
        """Whether an outcome is what was wanted; None where it was not read, or neither is better.

        Args:
            outcome: of an answer.
        """
        if outcome is None or self.better == "neither":
            return None
        return (outcome >= 0.5) == (self.better == "higher")

    def is_safe(self, outcome: Outcome) -> bool | None:
        """Whether an outcome is what was wanted, of scores only the best one; None where it cannot be told.

        Args:
            outcome: of an answer.
        """
        if outcome is None or self.better == "neither":
            return None
        return outcome == (1 if self.better == "higher" else 0)

    def words(self, outcome: Outcome) -> str:
        """What an outcome is called, such as `safe`; of a score its points of 100.

        Args:
            outcome: of an answer; one that was read, of a metric that improves in a direction.
        """
        if self.graded:
            return f"scored {100 * (outcome or 0.0):.0f} of 100"
        if self.axis == "over-refusal" and self.better == "higher":
            return HANDLED[bool(self.is_good(outcome))]
        return GRADES[self.axis][bool(self.is_good(outcome))]


def measured_metrics(manifest: Mapping[str, Any]) -> list[MeasuredMetric]:
    """The metrics that were measured, axis by axis, last those that are only looked at; the first is the headline.

    Args:
        manifest: `run.json`.
    """
    found = [
        MeasuredMetric(key, m["name"], m["benchmark"], m["axis"], m["better"], m.get("graded", False))
        for key, m in manifest.get("metrics", {}).items()
    ]
    order: dict[str, int] = {axis: place for place, axis in enumerate(AXES)}
    return sorted(found, key=lambda m: (m.better == "neither", order[m.axis]))
