"""What the alarms of a run are read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spavl.audit.finding import Finding
from spavl.config import Settings
from spavl.pipeline.compared_models import ScoredModel
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.report import numbers
from spavl.run import Run


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """An alarm that could not be looked at."""

    why: str
    """A sentence that says why, and how it could be."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A run, as alarms read it."""

    run: Run
    """The run folder."""
    manifest: Mapping[str, Any]
    """Its `run.json`, without models whose weights are gone."""
    settings: Settings
    """With the limits."""
    base: ScoredModel | None
    """The model that the others are compared with; None where its scores are gone, or nothing was evaluated."""
    models: tuple[ScoredModel, ...]
    """The other models, without blind controls."""
    judges: tuple[Finding, ...] = ()
    """What the audit finds of the dataset's judges."""

    def metrics(self, *axes: str) -> list[MeasuredMetric]:
        """The metrics of some axes that improve in a direction.

        Args:
            axes: what they measure.
        """
        return [one for one in measured_metrics(self.manifest) if one.axis in axes and one.better != "neither"]

    def label(self, metric: MeasuredMetric) -> str:
        """What a metric counts.

        Args:
            metric: the metric.
        """
        return str(self.manifest["metrics"][metric.key]["label"])


def percent(share: float) -> str:
    """A share in percent as the report writes it, or a difference of shares.

    Args:
        share: the share.
    """
    return numbers.percent(share).replace("-", "−")


def span(low: float, high: float) -> str:
    """An interval in percent or in points, without the sign of either.

    Args:
        low: lower bound.
        high: upper bound.
    """
    return f"[{100 * low:.1f}, {100 * high:.1f}]".replace("-", "−")
