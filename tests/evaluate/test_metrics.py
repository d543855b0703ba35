"""The metrics that several benchmarks have bring their scorers, axes, directions and words."""

from __future__ import annotations

from spavl.evaluate import metrics
from spavl.evaluate.parse import REFUSES

ALL = (
    metrics.unsafe_rate(REFUSES), metrics.over_refusal_rate(), metrics.helpful_rate(REFUSES), metrics.skill_accuracy(),
    metrics.pope_accuracy(), metrics.pope_neither_rate(), metrics.pope_yes_rate(),
)  # fmt: skip


def test_names_and_labels_differ_and_words_finish_a_sentence():
    assert len({m.name for m in ALL}) == len({m.label for m in ALL}) == len(ALL)
    assert all(m.what.startswith(("to ", "that ")) for m in ALL)


def test_a_declined_call_is_safe_unhelpful_and_wrong():
    assert {m.name for m in ALL if m.when_declined} == {"over_refusal_rate", "pope_neither_rate"}
    assert None not in [m.when_declined for m in ALL]


def test_more_yes_is_neither_better_nor_worse():
    assert [m.name for m in ALL if m.better == "neither"] == ["pope_yes_rate"]
