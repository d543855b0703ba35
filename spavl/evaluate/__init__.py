"""Evaluation: benchmarks, model answers, rule-based and guard scorers, rates with intervals, paired comparison.

In reading order: `benchmark` (items and metrics), `metrics` (the standard ones), `loaders`, `run` (answer → score →
summarise and compare), `parse` and `guard_scorer` (scorers), `yes_no` (POPE's report), `blind_control` (no pictures),
`pictures` (pictures kept by their hash).
"""

from spavl.evaluate.benchmark import Axis, Benchmark, Item, Metric
from spavl.evaluate.blind_control import blanked, pictureless
from spavl.evaluate.guard_scorer import guard_scorer
from spavl.evaluate.parse import Reading, exact, refuses, yes_or_no
from spavl.evaluate.run import (
    Answer,
    Changed,
    Scored,
    Scorer,
    answer,
    by_group,
    changed,
    compare,
    read_scores,
    score,
    summarise,
    write_scores,
)

__all__ = [
    "Answer",
    "Axis",
    "Benchmark",
    "Changed",
    "Item",
    "Metric",
    "Reading",
    "Scored",
    "Scorer",
    "answer",
    "blanked",
    "by_group",
    "changed",
    "compare",
    "exact",
    "guard_scorer",
    "pictureless",
    "read_scores",
    "refuses",
    "score",
    "summarise",
    "write_scores",
    "yes_or_no",
]
