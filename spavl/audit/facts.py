"""What is worth knowing of a dataset beside its faults: coverage, who wins against whom, how varied answers are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spavl.audit.finding import Finding
from spavl.statistics.intervals import LEVEL, rate_of
from spavl.tables.query import query

SAMPLE = 20_000
"""Refusals whose openings are counted."""
WORDS = 4
"""Words of an opening."""
MOST_OPENINGS = 0.5
"""From this share of refusals with one opening on they are said to be of one mould."""
_OPENINGS = f"""
SELECT array_to_string(list_slice(string_split(lower(regexp_replace(trim(chosen), '\\s+', ' ', 'g')), ' '), 1, {WORDS}),
    ' ') AS opening, count(*)
FROM (
    SELECT chosen FROM pairs WHERE malformed = '' AND chosen_outcome = 'refusal' ORDER BY hash(pair_id) LIMIT {SAMPLE}
)
GROUP BY opening ORDER BY count(*) DESC, opening
"""
_CELLS = "SELECT class3, question_type, count(*) FROM pairs WHERE malformed = '' GROUP BY ALL ORDER BY ALL"
_WINS = """
SELECT chosen_source, rejected_source, count(*) FROM pairs
WHERE malformed = '' AND chosen_source IS NOT NULL AND rejected_source IS NOT NULL GROUP BY ALL ORDER BY ALL
"""
_REPEATED = "SELECT count(*) - count(DISTINCT chosen), count(*) FROM pairs WHERE malformed = ''"


def facts_of(rows: Path) -> dict[str, Any]:
    """Counts of pairs by subcategory and question type, by winner and loser, and of openings, as plain data.

    Args:
        rows: the table of an opened dataset.
    """
    return {
        "cells": [list(one) for one in query(_CELLS, pairs=rows)],
        "wins": [list(one) for one in query(_WINS, pairs=rows)],
        "distinct_refusal_openings": len(query(_OPENINGS, pairs=rows)),
    }


def diversity_findings(rows: Path, *, level: float = LEVEL) -> list[Finding]:
    """Whether chosen answers repeat, and refusals begin alike.

    Args:
        rows: the table of an opened dataset.
        level: confidence level.
    """
    repeated, pairs = query(_REPEATED, pairs=rows)[0]
    rate = rate_of(repeated, pairs, level=level)
    said = f"{100 * (rate.value or 0):.1f} % of chosen answers repeat another, word for word."
    found = [Finding(kind="repeated_answers", weight="note", rate=rate, try_="", what=said)]  # fmt: skip
    openings = query(_OPENINGS, pairs=rows)
    if openings:
        total = sum(count for _, count in openings)
        first = rate_of(openings[0][1], total, level=level)
        fault = first.low > MOST_OPENINGS and total >= WORDS**2
        found.append(Finding(
            kind="refusal_openings", weight="fault" if fault else "note", rate=first, limit=MOST_OPENINGS,
            what=f"{100 * (first.value or 0):.1f} % of chosen refusals begin with the same {WORDS} words; "
            f"{len(openings):,} openings among {total:,}.",
            try_="ask responders that refuse in their own words, or prefer safe completions" if fault else "",
        ))  # fmt: skip
    return found
