"""The report: one self-contained HTML page of what was built, what alignment changed, how sure that is, and its cost.

`data` (what the page shows, plain data that anything can fill), `numbers` (how they are written), `phrases` (sentences
made from them), `figures` (SVG), `pictures` (inlined images), `page` (all of it into the template). Nothing here knows
the stages that made the data.
"""

from spavl.report.cost_data import StageCost
from spavl.report.data import (
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
    Step,
)
from spavl.report.page import write_report
from spavl.report.phrases import headline

__all__ = [
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
