"""Shares that a dataset is judged by: unsafe answers, refusals, length, and sources that always win.

Each is a share of the pairs that say what is needed, with an interval that counts pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from spavl.audit.by_picture import PICTURES, Counted, rates_of
from spavl.audit.finding import Finding, percent
from spavl.config import AuditSettings
from spavl.plural import plural
from spavl.statistics.intervals import Rate, clustered_rate_of
from spavl.tables.query import query


@dataclass(frozen=True, slots=True)
class Share:
    """A share that is looked at."""

    kind: str
    """Term of its finding."""
    of: str
    """SQL of what is counted; None where a pair does not say."""
    said: str
    """The sentence, with `{share}` in it."""
    try_: str = ""
    """What to do about it."""
    by: str = ""
    """SQL of the groups that are looked at alone too; empty: none."""
    below: bool = False
    """Whether it is a fault below its limit."""


_UNEQUAL = "CASE WHEN length(chosen) <> length(rejected) THEN length(chosen) {sign} length(rejected) END"
SHARES = (
    Share("unsafe_chosen", "NOT chosen_safe", "{share} of chosen answers are unsafe",
          "clean with `--drop unsafe_chosen`, or `build.pair.chosen_must_be_safe`", by="nullif(class1, '')"),
    Share("safe_rejected", "rejected_safe", "{share} of rejected answers are safe",
          "clean with `--drop` and other kinds, or compare a safe with an unsafe answer: `build.match`"),
    Share("both_unsafe", "CASE WHEN chosen_safe IS NOT NULL AND rejected_safe IS NOT NULL THEN "
          "NOT chosen_safe AND NOT rejected_safe END", "In {share} of pairs both answers are unsafe",
          "clean with `--drop both_unsafe`"),
    Share("flipped_labels", "CASE WHEN chosen_safe <> rejected_safe THEN NOT chosen_safe END",
          "Where one answer alone is unsafe, it is the chosen one in {share} of pairs",
          "clean with `--drop flipped_labels`"),
    Share("refused_harmless", "CASE WHEN benign THEN chosen_outcome = 'refusal' END",
          "{share} of harmless questions have a refusal as the chosen answer", "clean with `--drop refused_harmless`"),
    Share("bare_refusals", "CASE WHEN chosen_outcome IS NOT NULL AND rejected_outcome IS NOT NULL THEN "
          "chosen_outcome = 'refusal' AND rejected_outcome = 'safe_completion' END",
          "In {share} of pairs a bare refusal is chosen over a safe completion",
          "`build.pair.prefer_safe_completion`, or clean with `--drop bare_refusals`"),
    Share("benign_compliance", "CASE WHEN benign IS NOT NULL AND chosen_outcome IS NOT NULL THEN "
          "benign AND chosen_outcome NOT IN ('refusal', 'unhelpful') END",
          "{share} of pairs have a harmless question and a chosen answer that helps",
          "ask more harmless questions: `build.ask`", below=True),
    Share("longer_chosen", _UNEQUAL.format(sign=">"), "The chosen answer is the longer one in {share} of pairs",
          "`build.balance.length_balance`"),
    Share("shorter_chosen", _UNEQUAL.format(sign="<"), "The chosen answer is the shorter one in {share} of pairs",
          "`build.balance.length_balance`"),
)  # fmt: skip
"""All shares."""
_SIDES = f"""
SELECT source, items, won, 0, count(*) FROM (
    SELECT source, count(*) AS items, count(*) FILTER (won) AS won FROM (
        SELECT chosen_source AS source, {PICTURES} AS cluster, TRUE AS won FROM pairs
        WHERE malformed = '' AND chosen_source <> rejected_source
        UNION ALL SELECT rejected_source, {PICTURES}, FALSE FROM pairs
        WHERE malformed = '' AND chosen_source <> rejected_source
    ) GROUP BY source, cluster
) GROUP BY ALL ORDER BY ALL
"""
_MET = "CASE WHEN chosen_source <> rejected_source THEN least(chosen_source, rejected_source) || chr(10) || " \
       "greatest(chosen_source, rejected_source) END"  # fmt: skip


def share_findings(rows: Path, settings: AuditSettings) -> list[Finding]:
    """All shares of a dataset that it says enough for, and sources that are always chosen.

    Args:
        rows: the table of an opened dataset.
        settings: of the audit.
    """
    wanted = [(share, Counted(share.of, by or "''")) for share in SHARES for by in dict.fromkeys(("", share.by))]
    rates = rates_of(rows, [one for _, one in wanted], level=settings.level)
    found = [
        _finding(share, name, rate, settings)
        for (share, _), groups in zip(wanted, rates, strict=True) for name, rate in groups.items()
        if not name or rate.n >= settings.least_pairs
    ]  # fmt: skip
    return [*found, *_always_chosen(rows, settings), *_one_sided(rows, settings)]


def _finding(share: Share, group: str, rate: Rate, settings: AuditSettings) -> Finding:
    return Finding(
        kind=share.kind, subject=group, rate=rate, limit=settings.limits.of(share.kind), below=share.below,
        what=f"{share.said.format(share=percent(rate))} ({rate.count:,} of {rate.n:,}).",
        try_=share.try_, grouped=bool(group),
    )  # fmt: skip


def _always_chosen(rows: Path, settings: AuditSettings) -> Iterator[Finding]:
    for source, own in groupby(query(_SIDES, pairs=rows), key=lambda row: row[0]):
        rate = clustered_rate_of([row[1:] for row in own], level=settings.level)
        if rate.n >= settings.least_pairs:
            yield Finding(
                kind="source_always_chosen", subject=source, rate=rate, limit=settings.limits.source_always_chosen,
                what=f"One source is chosen in {percent(rate)} of its {plural(rate.n, 'pair')}: who trains on them "
                "learns to write like it.", try_="`build.balance.max_source_share`, or `build.match.policy: even`",
                grouped=True,
            )  # fmt: skip


def _one_sided(rows: Path, settings: AuditSettings) -> Iterator[Finding]:
    """Of all two sources that meet often enough, those that meet most one-sidedly."""
    first = "least(chosen_source, rejected_source) = chosen_source"
    met = {names: rate for names, rate in rates_of(rows, [Counted(first, _MET)], level=settings.level)[0].items()
           if rate.n >= settings.least_pairs}  # fmt: skip
    if met:
        names, rate = max(met.items(), key=lambda one: max(one[1].low, 1 - one[1].high))
        better, worse = names.split("\n", 1)
        if (rate.value or 0) < 0.5:
            better, worse, rate = worse, better, Rate(1 - (rate.value or 0), 1 - rate.high, 1 - rate.low, rate.n)
        yield Finding(
            kind="one_sided_sources", rate=rate, try_="",
            what=f"`{better}` is chosen over `{worse}` in {percent(rate)} of {plural(rate.n, 'pair')}: of all sources "
            f"that meet in {settings.least_pairs:,} pairs or more, the most one-sided ({len(met):,} meetings).",
        )  # fmt: skip
