"""Shares that a dataset is judged by: unsafe answers, refusals, length, and sources that always win.

Each is a share of the pairs that say what is needed, with Wilson's interval at a level that holds for all groups of a
kind together (Bonferroni). It is a fault where its whole interval lies beyond the limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.audit.finding import Finding
from spavl.plural import plural
from spavl.statistics.intervals import LEVEL, Rate, rate_of
from spavl.tables.query import query

LEAST = 20
"""Fewest pairs of a domain or source that is spoken of alone."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share that is looked at."""

    kind: str
    """Term of its finding."""
    of: str
    """SQL of what is counted; None where a pair does not say."""
    limit: float
    """From where on it is a fault."""
    said: str
    """The sentence, with `{share}` in it."""
    try_: str
    """What to do about it."""
    by: str = ""
    """Column of the groups that are looked at alone; empty: the whole dataset."""
    needs: tuple[str, ...] = ()
    """Columns that it cannot do without."""


_ONE_UNSAFE = "chosen_safe <> rejected_safe"
SHARES = (
    Share("unsafe_chosen", "NOT chosen_safe", 0.05, "{share} of chosen answers are unsafe",
          "clean with `--drop unsafe_chosen`, or `build.pair.chosen_must_be_safe`", needs=("chosen_safe",)),
    Share("unsafe_chosen", "NOT chosen_safe", 0.05, "{share} of chosen answers are unsafe",
          "clean with `--drop unsafe_chosen`", by="class1", needs=("chosen_safe", "class1")),
    Share("flipped_labels", f"CASE WHEN {_ONE_UNSAFE} THEN NOT chosen_safe END", 0.02,
          "Where one answer alone is unsafe, it is the chosen one in {share} of pairs",
          "clean with `--drop flipped_labels`", needs=("chosen_safe", "rejected_safe")),
    Share("refused_harmless", "CASE WHEN benign THEN chosen_outcome = 'refusal' END", 0.05,
          "{share} of harmless questions have a refusal as the chosen answer",
          "clean with `--drop refused_harmless`", needs=("benign", "chosen_outcome")),
    Share("bare_refusals", "CASE WHEN chosen_outcome IS NOT NULL AND rejected_outcome IS NOT NULL THEN "
          "chosen_outcome = 'refusal' AND rejected_outcome = 'safe_completion' END", 0.05,
          "In {share} of pairs a bare refusal is chosen over a safe completion",
          "`build.pair.prefer_safe_completion`, or clean with `--drop bare_refusals`",
          needs=("chosen_outcome", "rejected_outcome")),
    Share("longer_chosen", "CASE WHEN length(chosen) <> length(rejected) THEN length(chosen) > length(rejected) END",
          0.65, "The chosen answer is the longer one in {share} of pairs", "`build.balance.length_balance`"),
    Share("shorter_chosen", "CASE WHEN length(chosen) <> length(rejected) THEN length(chosen) < length(rejected) END",
          0.65, "The chosen answer is the shorter one in {share} of pairs", "`build.balance.length_balance`"),
)  # fmt: skip
"""All shares."""
_COUNTED = """
SELECT {by} AS grp, count(*) FILTER (hit), count(hit) FROM (SELECT {by}, {of} AS hit FROM pairs WHERE malformed = '')
GROUP BY grp HAVING count(hit) > 0 ORDER BY grp
"""
_SIDES = """
SELECT source, count(*) FILTER (won), count(*) FROM (
    SELECT chosen_source AS source, TRUE AS won FROM pairs WHERE malformed = '' AND chosen_source <> rejected_source
    UNION ALL SELECT rejected_source, FALSE FROM pairs WHERE malformed = '' AND chosen_source <> rejected_source
) GROUP BY source HAVING count(*) >= ? ORDER BY source
"""
ALWAYS = 0.9
"""From this share of its pairs on a source is always chosen."""


def share_findings(rows: Path, *, level: float = LEVEL) -> list[Finding]:
    """All shares of a dataset that it says enough for, and sources that are always chosen.

    Args:
        rows: the table of an opened dataset.
        level: confidence level.
    """
    found = [one for share in SHARES for one in _of_share(share, rows, level)]
    return [*found, *_always_chosen(rows, level)]


def _of_share(share: Share, rows: Path, level: float) -> Iterator[Finding]:
    groups: Sequence[tuple[Any, ...]] = query(_COUNTED.format(by=share.by or "''", of=share.of), pairs=rows)
    if share.by:
        groups = [one for one in groups if one[0] and one[2] >= LEAST]
    for group, hits, of in groups:
        found = rate_of(hits, of, level=1 - (1 - level) / len(groups))
        fault = found.low > share.limit
        if fault or not share.by:
            yield Finding(
                kind=share.kind, weight="fault" if fault else "note", subject=group, rate=found, limit=share.limit,
                what=f"{share.said.format(share=_shown(found))} ({hits:,} of {of:,}).",
                try_=share.try_ if fault else "",
            )  # fmt: skip


def _always_chosen(rows: Path, level: float) -> Iterator[Finding]:
    sources = query(_SIDES, [LEAST], pairs=rows)
    for source, won, of in sources:
        found = rate_of(won, of, level=1 - (1 - level) / len(sources))
        if found.low > ALWAYS:
            yield Finding(
                kind="source_always_chosen", weight="fault", subject=source, rate=found, limit=ALWAYS,
                what=f"One source is chosen in {_shown(found)} of its {plural(of, 'pair')}: who trains on them learns "
                "to write like it.", try_="`build.balance.max_source_share`, or `build.match.policy: even`",
            )  # fmt: skip


def _shown(rate: Rate) -> str:
    return "–" if rate.value is None else f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def not_possible(rows: Path) -> list[str]:
    """Kinds of findings for which the dataset does not say enough.

    Args:
        rows: the table of an opened dataset.
    """
    names = sorted({name for share in SHARES for name in share.needs} | {"chosen_source"})
    (counts,) = query(f"SELECT {', '.join(f'count({name})' for name in names)} FROM pairs", pairs=rows)
    empty = {name for name, count in zip(names, counts, strict=True) if not count}
    kinds = {share.kind for share in SHARES if not share.by and empty & set(share.needs)}
    return sorted(kinds | ({"source_always_chosen"} if "chosen_source" in empty else set()))
