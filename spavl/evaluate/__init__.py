"""Evaluation: benchmarks, model answers, rule-based and guard scorers, rates with intervals, paired comparison.

In reading order: `item`, `scorer` (answers, and what scores them), `benchmark` (items and metrics), `metrics` (those
that several benchmarks have), `skill_metrics` (those of skills), `tools` (what a benchmark is made with), `loaders`,
`samples` (several answers to an item), `spread` (a part of the items), `order` (who is asked beside whom), `run`
(answer → score → summarise and compare), `score_table`, `stored_answers` (read back from it), `parse` (scorers by what
`spavl.judging.readers` reads), `guard_scorer`, `preference_scorer` (win rates by a judge), `combined_scorer` (of the
outcomes of others), `blind_control` (no pictures), `controls` (the same items asked in another way), `pictures` (kept
by their hash).
"""

from spavl.evaluate.benchmark import Axis, Benchmark, Metric
from spavl.evaluate.blind_control import blanked, pictureless
from spavl.evaluate.guard_scorer import GuardScorer
from spavl.evaluate.item import Item
from spavl.evaluate.run import Changed, Scored, answer, by_group, changed, compare, score, summarise
from spavl.evaluate.score_table import write_scores
from spavl.evaluate.scorer import Answer, Rule, Scorer
from spavl.evaluate.tools import BenchmarkTools

__all__ = [
    "Answer",
    "Axis",
    "Benchmark",
    "BenchmarkTools",
    "Changed",
    "GuardScorer",
    "Item",
    "Metric",
    "Rule",
    "Scored",
    "Scorer",
    "answer",
    "blanked",
    "by_group",
    "changed",
    "compare",
    "pictureless",
    "score",
    "summarise",
    "write_scores",
]
