"""What an audit cannot say of a dataset, and why: a sentence for every kind of finding that needs what it lacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from spavl.tables.query import query

_CHOSEN, _REJECTED = "count(chosen_safe)", "count(rejected_safe)"
_OUTCOME, _OTHER = "count(chosen_outcome)", "count(rejected_outcome)"
_SOURCES = "count(*) FILTER (chosen_source IS NOT NULL AND rejected_source IS NOT NULL)"
_PICTURES = "count(*) FILTER (len(images) > 0)"
_HARMLESS = "count(benign)"
LACKED: Mapping[str, str] = {
    _CHOSEN: "no chosen answer is graded safe or unsafe (`chosen_safe`)",
    _REJECTED: "no rejected answer is graded safe or unsafe (`rejected_safe`)",
    _OUTCOME: "no chosen answer is graded as a refusal or another outcome (`chosen_outcome`)",
    _OTHER: "no rejected answer is graded as a refusal or another outcome (`rejected_outcome`)",
    _SOURCES: "no pair names who wrote its answers (`chosen_source`, `rejected_source`)",
    _PICTURES: "no pair shows a picture",
    _HARMLESS: "no pair says whether its question is harmless (`benign`)",
    "count(class3)": "no pair names a subcategory (`class3`)",
    "count(judges_against)": "no pair names the judges for and against it (`judges_for`, `judges_against`)",
}
"""By what is counted: what it means that there is none."""
NEEDS: Mapping[str, tuple[str, ...]] = {
    "unsafe_chosen": (_CHOSEN,), "safe_rejected": (_REJECTED,), "both_unsafe": (_CHOSEN, _REJECTED),
    "flipped_labels": (_CHOSEN, _REJECTED), "refused_harmless": (_HARMLESS, _OUTCOME),
    "benign_compliance": (_HARMLESS, _OUTCOME), "bare_refusals": (_OUTCOME, _OTHER), "refusal_openings": (_OUTCOME,),
    "source_always_chosen": (_SOURCES,), "one_sided_sources": (_SOURCES,), "source_alone": (_SOURCES,),
    "missing_pictures": (_PICTURES,), "duplicate_pictures": (_PICTURES,), "overused_pictures": (_PICTURES,),
    "empty_cells": ("count(class3)",), "disputed": ("count(judges_against)",),
}  # fmt: skip
"""Kinds of findings by what they need of the pairs."""
JUDGES = ("unreadable_verdicts", "swap_consistency", "position_bias")
"""Kinds that need what a judge said."""
TOGETHER = "judge_agreement"
"""The kind that needs two judges."""
PROBES: Mapping[str, str] = {"text_only": "necessity", "wording_flips": "wording"}
"""Kinds that need a probe, and its name."""
GROUPED = ("source_always_chosen", "disputed")
"""Kinds without a finding of their own where nothing is wrong."""


def not_possible(rows: Path, found: Collection[str], also: Mapping[str, str]) -> dict[str, str]:
    """Kinds of findings of which nothing can be said, and why, in order of their names.

    Args:
        rows: the table of an opened dataset.
        found: kinds of the findings that there are.
        also: kinds that another part of the audit gives its reasons for.
    """
    counts = query(f"SELECT {', '.join(LACKED)} FROM pairs WHERE malformed = ''", pairs=rows)[0]
    lacked = {what for what, count in zip(LACKED, counts, strict=True) if not count}
    reasons = dict(also)
    for kind, needs in NEEDS.items():
        missing = [LACKED[what] for what in needs if what in lacked]
        if missing:
            reasons[kind] = "; ".join(missing)
        elif kind not in found and kind not in GROUPED:
            reasons[kind] = "no pair is of the kind that it speaks of"
    judged = set(JUDGES) & set(found)
    reasons |= {
        kind: f"no {'readable ' * bool(judged)}verdicts of judges in both reading orders come with the pairs"
        for kind in JUDGES
        if kind not in found
    }
    if TOGETHER not in found:
        reasons[TOGETHER] = (
            "the verdicts of two judges are needed" if judged else "no verdicts of judges come with the pairs"
        )
    reasons |= {kind: f"no judge was asked: `--probe {name}`" for kind, name in PROBES.items() if kind not in found}
    return dict(sorted(reasons.items()))
