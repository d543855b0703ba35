"""One self-contained page: what was built, what changed, how sure that is, and what it cost.

`ReportData` is plain data that anything can fill; nothing here knows the stages that made it.
"""

from spavl.report.data import (
    STANDARD_METRICS,
    AnswerShown,
    Bar,
    Curve,
    Example,
    GroupShown,
    JudgeQuality,
    MetricShown,
    ModelShown,
    ReportData,
    ResponderShown,
    StageCost,
    Step,
)
from spavl.report.page import write_report
from spavl.report.words import headline

__all__ = [
    "STANDARD_METRICS",
    "AnswerShown",
    "Bar",
    "Curve",
    "Example",
    "GroupShown",
    "JudgeQuality",
    "MetricShown",
    "ModelShown",
    "ReportData",
    "ResponderShown",
    "StageCost",
    "Step",
    "headline",
    "write_report",
]
