"""Benchmarks as data, answers through the call store, scores that a broken judge cannot improve.

benchmark (items, metrics) → answer → score → summarise, compare
"""

from spavl.evaluate.benchmark import Axis, Benchmark, Item, Metric
from spavl.evaluate.controls import blanked, pictureless
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
