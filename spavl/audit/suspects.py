"""Pairs that are suspected of something: each kind is a query for their numbers, details and scores.

A table of findings holds them: `number` and `pair_id` of the pair, `kind`, `detail`, `score` (higher is surer). Shares
of all pairs become findings; what is no pair at all, or contradicts another, is a fault from the first share on whose
interval lies above the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from spavl.audit.finding import Finding
from spavl.statistics.intervals import LEVEL, Rate, wilson
from spavl.tables import write_batches
from spavl.tables.query import query

SCHEMA = pa.schema(
    [("number", pa.int64()), ("pair_id", pa.string()), ("kind", pa.string()), ("detail", pa.string()),
     ("score", pa.float64())]
)  # fmt: skip
"""Columns of the table of findings."""
SLICE = 50_000
"""Rows of it that are held at once."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A kind of suspected pairs."""

    kind: str
    """Its term."""
    sql: str
    """Query for number, pair_id, detail and score."""
    what: str = ""
    """The sentence of its finding, with `{share}` in it; empty: another finding speaks of it."""
    limit: float = 0.0
    """From which share of all pairs on it is a fault."""
    try_: str = ""
    """What to do about it."""
    together: int = 1
    """How many pairs are suspected together, so that they count as one observation."""


_ORDERED = """
SELECT number, pair_id, detail, score::DOUBLE FROM ({sql}) suspects(number, pair_id, detail, score) ORDER BY 4 DESC, 1
"""
_PAIRS = "FROM pairs WHERE malformed = ''"
_SAME = "SELECT number, pair_id, '{detail}', 1.0 {pairs} AND {where}"


def _those(where: str, detail: str = "") -> str:
    return _SAME.format(detail=detail, pairs=_PAIRS, where=where)


SUSPICIONS = (
    Suspicion("malformed", "SELECT number, pair_id, malformed, 1.0 FROM pairs WHERE malformed <> ''",
              "{share} of rows are no pairs", 0.001, "look at the reasons in the table of findings"),
    Suspicion("same_answers", _those("chosen = rejected"), "In {share} of pairs both answers are the same text", 0.001,
              "clean with `--drop same_answers`"),
    Suspicion("empty_answers", _those("trim(chosen) = '' OR trim(rejected) = '' OR trim(question) = ''"),
              "{share} of pairs have an empty question or answer", 0.001, "clean with `--drop empty_answers`"),
    Suspicion("missing_pictures", "SELECT number, pair_id, 'a picture cannot be read', 1.0 FROM pairs, "
              "(SELECT list(key) AS keys FROM hashes WHERE fault IS NOT NULL) "
              "WHERE malformed = '' AND list_has_any(images, keys)",
              "{share} of pairs name a picture that cannot be read", 0.001, "add the pictures, or clean"),
    Suspicion("duplicates", f"SELECT number, pair_id, 'as pair ' || first, 1.0 FROM (SELECT number, pair_id, "
              f"min(number) OVER (PARTITION BY digest) AS first {_PAIRS}) WHERE number > first",
              "{share} of pairs are copies of another", 0.005, "clean with `--drop duplicates`"),
    Suspicion("contradictions", "SELECT a.number, a.pair_id, 'against pair ' || min(b.number), 1.0 FROM pairs a JOIN "
              "pairs b ON a.digest = b.swapped_digest WHERE a.malformed = '' AND b.malformed = '' AND "
              "a.chosen <> a.rejected GROUP BY a.number, a.pair_id",
              "{share} of pairs stand beside one that prefers the other answer", 0.005,
              "clean with `--drop contradictions`", together=2),
    Suspicion("unsafe_chosen", _those("NOT chosen_safe")),
    Suspicion("flipped_labels", _those("NOT chosen_safe AND rejected_safe", "the unsafe answer is chosen")),
    Suspicion("refused_harmless", _those("benign AND chosen_outcome = 'refusal'")),
    Suspicion("bare_refusals", _those("chosen_outcome = 'refusal' AND rejected_outcome = 'safe_completion'")),
    Suspicion("disputed", "SELECT number, pair_id, len(judges_against) || ' of ' || (len(judges_for) + "
              "len(judges_against)) || ' judges', len(judges_against)::DOUBLE / (len(judges_for) + "
              f"len(judges_against)) {_PAIRS} AND len(judges_against) > 0"),
)  # fmt: skip
"""All kinds whose pairs a query finds."""


def write_suspects(rows: Path, hashes: Path, out: Path, *, more: Sequence[tuple[Any, ...]] = ()) -> dict[str, int]:
    """Write the table of findings, the surest of each kind first. Returns its rows by kind.

    Args:
        rows: the table of an opened dataset.
        hashes: of its pictures.
        out: the table that is written.
        more: rows that other parts of the audit found.

    Raises:
        RunError: a table is damaged, or the disk is full.
    """
    counts: dict[str, int] = {}

    def tables() -> Iterator[pa.Table]:
        for suspicion in SUSPICIONS:
            sql = _ORDERED.format(sql=suspicion.sql)
            found = query(sql, None, pairs=rows, hashes=hashes)
            counts[suspicion.kind] = len(found)
            for start in range(0, len(found), SLICE):
                yield _table([(n, i, suspicion.kind, detail, s) for n, i, detail, s in found[start : start + SLICE]])
        for row in more:
            counts[row[2]] = counts.get(row[2], 0) + 1
        yield _table(list(more))

    write_batches(out, SCHEMA, tables())
    return counts


def suspect_findings(counts: dict[str, int], pairs: int, *, level: float = LEVEL) -> list[Finding]:
    """A finding of every kind of suspected pairs that speaks for itself.

    Args:
        counts: from `write_suspects`.
        pairs: rows of the dataset.
        level: confidence level.
    """
    found = []
    for one in SUSPICIONS:
        if not one.what:
            continue
        rate = _rate(counts.get(one.kind, 0), pairs, one.together, level)
        fault = rate.low > one.limit
        share = f"{100 * (rate.value or 0):.2f} %"
        found.append(Finding(
            kind=one.kind, weight="fault" if fault else "note", rate=rate, limit=one.limit,
            pairs=counts.get(one.kind, 0),
            what=f"{one.what.format(share=share)} ({counts.get(one.kind, 0):,} of {pairs:,}).",
            try_=one.try_ if fault else "",
        ))  # fmt: skip
    return found


def _rate(count: int, pairs: int, together: int, level: float) -> Rate:
    """A share whose interval is that of as many observations as there are."""
    low, high = wilson(count / together, pairs / together, level=level)
    return Rate(count / pairs if pairs else None, low, high, pairs)


def _table(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)] or [[] for _ in SCHEMA], schema=SCHEMA)
