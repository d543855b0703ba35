"""How well source and length alone tell chosen from rejected, and how much of that is who is unsafe how often.

In a dataset of safe and unsafe responders the source tells something by design: whoever is unsafe more often is chosen
less often. So the source is looked at again by what its unsafe rate alone tells, and in pairs of equal outcomes, where
that rate tells nothing: what is left there is preference for a source.

All is counted by DuckDB, cross-validated over five folds of pictures; what is kept grows with the number of responders
and of lengths, and not with that of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from spavl.audit.finding import Finding
from spavl.plural import plural
from spavl.statistics.ranking import auc_of
from spavl.tables.query import query

FOLDS = 5
"""Parts of the pictures; each is measured by what the others teach."""
LEAST_PAIRS = 50
"""Fewest pairs of equal outcomes that are spoken of."""
BAND = 4
"""Characters of a band of lengths."""
TELLING = 0.55
"""From this AUC on it is said how much of what the source tells its unsafe rate tells."""

_GROUP = """CASE WHEN benign OR question_type = 'benign_question' THEN 'harmless' WHEN benign IS NULL THEN 'all'
    ELSE 'harmful' END"""
_TALLY = f"""
WITH pairs_placed AS (
    SELECT {_GROUP} AS grp, ('0x' || md5(coalesce(image_id, context))[1:8])::BIGINT % {FOLDS} AS fold,
        coalesce(chosen_safe = rejected_safe, FALSE) AS alike, *
    FROM pairs WHERE malformed = ''
), answers AS (
    SELECT grp, fold, alike, TRUE AS preferred, chosen_source AS source, chosen_safe AS safe, length(chosen) AS chars
    FROM pairs_placed UNION ALL
    SELECT grp, fold, alike, FALSE, rejected_source, rejected_safe, length(rejected) FROM pairs_placed
)
SELECT grp, fold, alike, {{by}}, count(*) FILTER (preferred), count(*) FILTER (NOT preferred),
    count(*) FILTER (NOT safe), count(safe)
FROM answers WHERE {{by}} IS NOT NULL GROUP BY ALL ORDER BY ALL
"""


class Tally(NamedTuple):
    """Answers that have something in common."""

    group: str
    """`harmful` or `harmless` by the question, or `all` where that is not told."""
    fold: int
    """Part of the pictures."""
    alike: bool
    """Whether both answers of the pair are safe, or both unsafe."""
    by: Any
    """The source, or the length in characters."""
    chosen: int
    """How many are chosen."""
    rejected: int
    """How many are rejected."""
    unsafe: int
    """How many are unsafe."""
    graded: int
    """How many are graded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tells:
    """How well something alone tells chosen from rejected answers: an AUC each, cross-validated by picture."""

    group: str
    """The questions."""
    pairs: int
    """How many pairs name their sources."""
    source: float | None
    """By how often the source is chosen."""
    unsafe_rate: float | None
    """By how often the source is unsafe, and nothing else of it."""
    alike: int
    """How many of the pairs have equal outcomes."""
    source_alike: float | None
    """By the source, in these alone."""
    length: float | None
    """By the length, the longer or the shorter answer being better."""
    length_bands: float | None
    """By the length in bands, each better or worse by itself: what a reader of lengths could learn at most."""


def what_tells(rows: Path) -> list[Tells]:
    """What source and length tell, within harmful and within harmless questions.

    Args:
        rows: the table of an opened dataset.
    """
    sources = [Tally(*row) for row in query(_TALLY.format(by="source"), pairs=rows)]
    lengths = [Tally(*row) for row in query(_TALLY.format(by="chars"), pairs=rows)]
    return [
        _tells(group, [t for t in sources if t.group == group], [t for t in lengths if t.group == group])
        for group in sorted({t.group for t in lengths})
    ]


def _tells(group: str, sources: Sequence[Tally], lengths: Sequence[Tally]) -> Tells:
    alike = [tally for tally in sources if tally.alike]
    bands = [tally._replace(by=tally.by // BAND) for tally in lengths]
    return Tells(
        group=group, pairs=sum(t.chosen for t in sources), source=_cross_validated(sources, _chosen_rate),
        unsafe_rate=_cross_validated(sources, _safe_rate), alike=sum(t.chosen for t in alike),
        source_alike=_cross_validated(alike, _chosen_rate), length=_cross_validated(lengths, _by_length),
        length_bands=_cross_validated(bands, _chosen_rate),
    )  # fmt: skip


Score = Callable[[Any], float]
Learn = Callable[[Sequence[Tally]], Score]
"""From the answers of other folds to a score."""


def _cross_validated(tallies: Sequence[Tally], learn: Learn) -> float | None:
    """Mean of the AUC of all folds, each by what the others teach, weighted by its answers."""
    found = []
    for fold in range(FOLDS):
        score = learn([one for one in tallies if one.fold != fold])
        measured = [one for one in tallies if one.fold == fold]
        auc = auc_of((score(one.by), one.chosen, one.rejected) for one in measured)
        found += [] if auc is None else [(auc, sum(one.chosen + one.rejected for one in measured))]
    return sum(auc * n for auc, n in found) / sum(n for _, n in found) if found else None


def _chosen_rate(taught: Sequence[Tally]) -> Score:
    rates = _rates(taught, lambda one: (one.chosen, one.chosen + one.rejected))
    return lambda by: rates.get(by, 0.5)


def _safe_rate(taught: Sequence[Tally]) -> Score:
    rates = _rates(taught, lambda one: (one.graded - one.unsafe, one.graded))
    return lambda by: rates.get(by, 0.5)


def _by_length(taught: Sequence[Tally]) -> Score:
    auc = auc_of((one.by, one.chosen, one.rejected) for one in taught)
    return float if auc is None or auc >= 0.5 else lambda by: -float(by)


def _rates(taught: Iterable[Tally], of: Callable[[Tally], tuple[int, int]]) -> Mapping[Any, float]:
    """Share by value, drawn towards a half where there are few."""
    rates = {}
    for by, own in groupby(sorted(taught, key=lambda one: one.by), key=lambda one: one.by):
        part, whole = map(sum, zip(*map(of, own), strict=True))
        rates[by] = (part + 1) / (whole + 2)
    return rates


def source_findings(rows: Path) -> list[Finding]:
    """How much of what the source tells is its unsafe rate, for questions where it tells something.

    Args:
        rows: the table of an opened dataset.
    """
    return [
        Finding(kind="source_by_outcome", weight="note", subject=f"{tells.group} questions",
                what=_sentence(tells), try_="")
        for tells in what_tells(rows) if tells.source is not None and tells.source >= TELLING
    ]  # fmt: skip


def _sentence(tells: Tells) -> str:
    parts = [f"The source alone tells chosen from rejected with an AUC of {tells.source:.2f}"]
    if tells.unsafe_rate is not None and tells.unsafe_rate > 0.5:
        parts.append(f"how often it is unsafe, and nothing else of it, tells it with {tells.unsafe_rate:.2f}")
    if tells.source_alike is not None and tells.alike >= LEAST_PAIRS:
        parts.append(
            f"in {plural(tells.alike, 'pair')} of equal outcomes, where that says nothing, the source has "
            f"{tells.source_alike:.2f}"
        )
    return f"{'; '.join(parts)}."
