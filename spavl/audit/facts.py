"""What is worth knowing of a dataset beside its faults: coverage, who wins against whom, how varied answers are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spavl.audit.by_picture import Counted, rates_of
from spavl.audit.finding import Finding, percent
from spavl.config import AuditSettings
from spavl.plural import plural
from spavl.records import QUESTION_TYPES
from spavl.statistics.intervals import Rate, rate_of
from spavl.tables.query import query
from spavl.taxonomy import load_taxonomy

SAMPLE = 20_000
"""Refusals whose openings are counted."""
OPENINGS_NAMED = 5
"""Most openings that are kept."""
CELLS_NAMED = 6
"""Most empty cells that a finding names; the facts hold all."""
_OPENINGS = """
SELECT array_to_string(list_slice(string_split(lower(regexp_replace(trim(chosen), '\\s+', ' ', 'g')), ' '), 1, {words}),
    ' ') AS opening, count(*)
FROM (
    SELECT chosen FROM pairs WHERE malformed = '' AND chosen_outcome = 'refusal' ORDER BY hash(pair_id) LIMIT {sample}
)
GROUP BY opening ORDER BY count(*) DESC, opening
"""
_CELLS = """
SELECT class3, coalesce(question_type, 'any'), count(*) FROM pairs
WHERE malformed = '' AND class3 IS NOT NULL GROUP BY ALL ORDER BY ALL
"""
_WINS = """
SELECT chosen_source, rejected_source, count(*) FROM pairs
WHERE malformed = '' AND chosen_source IS NOT NULL AND rejected_source IS NOT NULL GROUP BY ALL ORDER BY ALL
"""
_OUTCOMES = """
SELECT count(*) FILTER (chosen_safe AND NOT rejected_safe), count(*) FILTER (chosen_safe AND rejected_safe),
    count(*) FILTER (NOT chosen_safe AND NOT rejected_safe), count(*) FILTER (NOT chosen_safe AND rejected_safe)
FROM pairs WHERE malformed = ''
"""
_REPEATED = "SELECT count(*) - count(DISTINCT chosen), count(*) FROM pairs WHERE malformed = ''"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Pairs of every subcategory and type of question."""

    types: tuple[str, ...]
    """The types of questions."""
    counts: Mapping[str, tuple[int, ...]]
    """Pairs by type, for every subcategory: of the taxonomy where the dataset speaks of it, else of the dataset."""

    @property
    def empty(self) -> list[str]:
        """Names of the cells without a pair."""
        return [f"{name} / {kind}" for name, own in self.counts.items()
                for kind, count in zip(self.types, own, strict=True) if not count]  # fmt: skip

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.types) * len(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a dataset."""

    coverage: Coverage | None
    """None where no pair names a subcategory."""
    wins: tuple[tuple[str, str, int], ...]
    """(source of the chosen answer, of the rejected one, pairs)."""
    unsafe: Mapping[str, tuple[Rate | None, Rate | None]]
    """Shares of unsafe answers, of the chosen and of the rejected ones, by domain; `all` together."""
    outcomes: Mapping[str, int]
    """Pairs whose answers are both graded, by which of them are safe."""
    openings: tuple[tuple[str, int], ...]
    """Openings of chosen refusals and how often each comes, the most frequent first."""

    @property
    def entropy(self) -> float:
        """Entropy of the openings in bits: that of 2 to its power equally frequent ones."""
        total = sum(count for _, count in self.openings)
        return -sum(count / total * math.log2(count / total) for _, count in self.openings) if total else 0.0

    def plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        cover = self.coverage
        return {
            "coverage": {"types": cover.types, "counts": dict(cover.counts), "empty": cover.empty} if cover else None,
            "wins": [list(one) for one in self.wins],
            "unsafe": [{"domain": name, "chosen": chosen and asdict(chosen), "rejected": rejected and asdict(rejected)}
                       for name, (chosen, rejected) in self.unsafe.items()],
            "outcomes": dict(self.outcomes),
            "refusal_openings": {"different": len(self.openings), "entropy_bits": self.entropy,
                                 "most_frequent": [list(one) for one in self.openings[:OPENINGS_NAMED]]},
        }  # fmt: skip


def facts_of(rows: Path, settings: AuditSettings) -> Facts:
    """The facts of a dataset.

    Args:
        rows: the table of an opened dataset.
        settings: of the audit.
    """
    outcomes = query(_OUTCOMES, pairs=rows)[0]
    named = ("safe over unsafe", "both safe", "both unsafe", "unsafe over safe")
    return Facts(
        coverage=coverage_of(rows), wins=tuple((a, b, n) for a, b, n in query(_WINS, pairs=rows)),
        unsafe=_unsafe(rows, settings.level), outcomes=dict(zip(named, outcomes, strict=True)),
        openings=tuple((text, n) for text, n in query(
            _OPENINGS.format(words=settings.opening_words, sample=SAMPLE), pairs=rows)),
    )  # fmt: skip


def coverage_of(rows: Path) -> Coverage | None:
    """Pairs of every subcategory and type of question; None where no pair names a subcategory.

    Where at least half of the names are those of the built-in taxonomy, all its 53 are there, and the paper's three
    types of questions: what a dataset lacks altogether is empty, and not left out.

    Args:
        rows: the table of an opened dataset.
    """
    found: dict[tuple[str, str], int] = {}
    names: dict[str, None] = {}
    taxonomy, known = load_taxonomy(), 0
    counted = query(_CELLS, pairs=rows)
    for name in dict.fromkeys(name for name, _, _ in counted):
        known += taxonomy.find(name) is not None
        names[name] = None
    ours = 2 * known >= len(names)
    for name, kind, count in counted:
        topic = taxonomy.find(name) if ours else None
        cell = (topic.class3 if topic else name, kind)
        found[cell] = found.get(cell, 0) + count
    if not found:
        return None
    here = sorted({kind for _, kind in found})
    types = dict.fromkeys([*(QUESTION_TYPES if set(here) & set(QUESTION_TYPES) else ()), *here])
    whole = dict.fromkeys(
        [*((topic.class3 for topic in taxonomy.topics) if ours else ()), *sorted(n for n, _ in found)]
    )
    return Coverage(types=tuple(types), counts={n: tuple(found.get((n, kind), 0) for kind in types) for n in whole})


def _unsafe(rows: Path, level: float) -> dict[str, tuple[Rate | None, Rate | None]]:
    """Of every domain, and last of all together."""
    found: dict[str, list[Rate | None]] = {}
    bys = ("coalesce(class1, 'no domain')", "'all'")
    wanted = [Counted(f"NOT {side}_safe", by) for by in bys for side in ("chosen", "rejected")]
    for place, groups in enumerate(rates_of(rows, wanted, level=level)):
        for name, rate in groups.items():
            found.setdefault(name, [None, None])[place % 2] = rate
    if len(found) == 2:
        found.pop("all")
    return {name: (chosen, rejected) for name, (chosen, rejected) in found.items()}


def diversity_findings(rows: Path, facts: Facts, settings: AuditSettings) -> list[Finding]:
    """Whether chosen answers repeat, refusals begin alike, and cells of subcategories and types are empty.

    Args:
        rows: the table of an opened dataset.
        facts: of it.
        settings: of the audit.
    """
    repeated, pairs = query(_REPEATED, pairs=rows)[0]
    rate, limits = rate_of(repeated, pairs, level=settings.level), settings.limits
    found = [Finding(kind="repeated_answers", rate=rate, limit=limits.repeated_answers, try_="drop the copies",
                     what=f"{percent(rate)} of chosen answers repeat another, word for word.")]  # fmt: skip
    return [*found, *_openings(facts, settings), *_empty_cells(facts.coverage, settings)]


def _openings(facts: Facts, settings: AuditSettings) -> Sequence[Finding]:
    if not facts.openings:
        return ()
    total = sum(count for _, count in facts.openings)
    first = rate_of(facts.openings[0][1], total, level=settings.level)
    return [Finding(
        kind="refusal_openings", rate=first, limit=settings.limits.refusal_openings,
        what=f"{percent(first)} of chosen refusals begin with the same {settings.opening_words} words; "
        f"{plural(len(facts.openings), 'opening')} among {total:,}, as varied as {2**facts.entropy:,.1f} equally "
        f"frequent ones ({facts.entropy:.1f} bits).",
        try_="ask responders that refuse in their own words, or prefer safe completions",
    )]  # fmt: skip


def _empty_cells(coverage: Coverage | None, settings: AuditSettings) -> Sequence[Finding]:
    if coverage is None:
        return ()
    empty = coverage.empty
    share = len(empty) / coverage.cells
    named = "; ".join(empty[:CELLS_NAMED])
    more = f"; and {len(empty) - CELLS_NAMED:,} more" if len(empty) > CELLS_NAMED else ""
    return [Finding(
        kind="empty_cells", rate=Rate(share, share, share, coverage.cells), limit=settings.limits.empty_cells,
        what=f"{len(empty):,} of {coverage.cells:,} cells ({len(coverage.counts):,} subcategories × "
        f"{plural(len(coverage.types), 'type')} of questions) have no pair{f': {named}{more}' if empty else ''}.",
        try_="add pictures of these subcategories",
    )]  # fmt: skip
