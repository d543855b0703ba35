"""What alone tells chosen from rejected answers in a table of pairs: length, source, refusals; and its subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.statistics.ranking import auc_of
from spavl.tables.query import query

_COUNTS = """
SELECT count(*) AS pairs, avg(CASE sign(length(chosen) - length(rejected)) WHEN 1 THEN 1 WHEN 0 THEN 0.5 ELSE 0 END),
    count(*) FILTER (NOT chosen_safe), count(chosen_safe), count(*) FILTER (NOT rejected_safe), count(rejected_safe)
FROM pairs
"""
_ANSWERS = """
WITH answers AS (
    SELECT TRUE AS preferred, length(chosen) AS length, chosen_source AS source, chosen_outcome AS outcome, pair_id
    FROM pairs UNION ALL
    SELECT FALSE, length(rejected), rejected_source, rejected_outcome, pair_id FROM pairs
)
"""
_PREFERRED = "count(*) FILTER (preferred), count(*) FILTER (NOT preferred)"
_LENGTHS = f"{_ANSWERS} SELECT length, {_PREFERRED} FROM answers GROUP BY length"
_SOURCES = f"""
{_ANSWERS} SELECT source, md5(pair_id) < '8' AS half, {_PREFERRED} FROM answers GROUP BY ALL ORDER BY ALL
"""
_REFUSALS = f"""
{_ANSWERS} SELECT preferred, count(*) FILTER (outcome = 'refusal'), count(outcome),
    count(*) FILTER (outcome IN ('refusal', 'safe_completion', 'unhelpful'))
FROM answers GROUP BY preferred
"""
_SUBJECTS = "SELECT class3, count(*) FROM pairs GROUP BY class3 ORDER BY class3"


def shortcuts(pairs: Path) -> dict[str, Any]:
    """What is measured of a table of pairs, as plain data; None stands for what cannot be told.

    `length_auc` and `source_auc`: probability that a chosen answer ranks above a rejected one by its length, or by how
    often its responder is chosen in the other half of the pairs; 0.5 tells nothing.

    Args:
        pairs: table of preference pairs.
    """
    (count, longer, chosen_unsafe, chosen_graded, rejected_unsafe, rejected_graded), *_ = query(_COUNTS, pairs=pairs)
    sources = query(_SOURCES, pairs=pairs)
    return {
        "pairs": count,
        "chosen_longer": longer,
        "length_auc": auc_of(query(_LENGTHS, pairs=pairs)),
        "source_auc": _source_auc(sources),
        "chosen_unsafe": _share(chosen_unsafe, chosen_graded),
        "rejected_unsafe": _share(rejected_unsafe, rejected_graded),
        **_refusals(pairs),
        "largest_source": {"chosen": _largest(sources, 2), "rejected": _largest(sources, 3)},
        "subcategories": dict(query(_SUBJECTS, pairs=pairs)),
    }


def short_of(wanted: int, images: Path, found: Mapping[str, int]) -> dict[str, int]:
    """Subcategories with fewer pairs than wanted, the fewest first, with their number of pairs.

    Args:
        wanted: pairs of every subcategory.
        images: table of the pictures, which names the subcategories.
        found: pairs by subcategory.
    """
    names = [row[0] for row in query("SELECT DISTINCT class3 FROM images ORDER BY class3", images=images)]
    short = {name: found.get(name, 0) for name in names if found.get(name, 0) < wanted}
    return dict(sorted(short.items(), key=lambda one: one[1]))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _source_auc(rows: Sequence[tuple[Any, ...]]) -> float | None:
    """AUC of how often a responder is chosen, learnt on one half of the pairs and measured on the other, both ways."""
    halves: dict[bool, dict[str, tuple[int, int]]] = {True: {}, False: {}}
    for source, half, chosen, rejected in rows:
        halves[half][source] = (chosen, rejected)
    found = []
    for learnt, measured in ((halves[True], halves[False]), (halves[False], halves[True])):
        rate = {source: chosen / (chosen + rejected) for source, (chosen, rejected) in learnt.items()}
        auc = auc_of((rate.get(source, 0.5), *counts) for source, counts in measured.items())
        found += [] if auc is None or not learnt else [(auc, sum(chosen for chosen, _ in measured.values()))]
    return sum(auc * n for auc, n in found) / sum(n for _, n in found) if found else None


def _refusals(pairs: Path) -> dict[str, float | None]:
    """Share of refusals among graded answers of both sides; None where the guard tells refusals from nothing."""
    found: dict[str, float | None] = {"chosen_refusal": None, "rejected_refusal": None}
    rows = query(_REFUSALS, pairs=pairs)
    if any(kinds for *_, kinds in rows):
        found |= {"chosen_refusal" if preferred else "rejected_refusal": _share(n, of) for preferred, n, of, _ in rows}
    return found


def _largest(rows: Sequence[tuple[Any, ...]], column: int) -> dict[str, Any] | None:
    """The responder with most answers of one side, and its share of them."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row[0]] = counts.get(row[0], 0) + row[column]
    total = sum(counts.values())
    if not total:
        return None
    name = max(counts, key=lambda source: counts[source])
    return {"name": name, "share": counts[name] / total}
