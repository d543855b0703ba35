"""How well source and length alone tell chosen from rejected, and how much of that is who is unsafe how often.

In a dataset of safe and unsafe responders the source tells something by design: whoever is unsafe more often is chosen
less often. So the source is looked at again by what its unsafe rate alone tells, and in pairs of equal outcomes, where
that rate tells nothing: what is left there is preference for a source.

All is counted by DuckDB, cross-validated over five folds of pictures; what is kept grows with the number of responders,
of lengths and of pictures, and not with that of pairs. The interval of an AUC is that of its influence on every picture
(`spavl.audit.auc_interval`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from spavl.audit.auc_interval import Influence, influence_of, interval_of
from spavl.audit.by_picture import PICTURES
from spavl.audit.finding import Finding
from spavl.config import AuditSettings
from spavl.plural import plural
from spavl.statistics.intervals import LEVEL, Rate
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
_ANSWERS = f"""
WITH pairs_placed AS (
    SELECT {_GROUP} AS grp, {PICTURES} AS cluster, ('0x' || md5(cluster)[1:8])::BIGINT % {FOLDS} AS fold,
        coalesce(chosen_safe = rejected_safe, FALSE) AS alike, *
    FROM pairs WHERE malformed = ''
), answers AS (
    SELECT grp, fold, cluster, alike, TRUE AS preferred, chosen_source AS source, chosen_safe AS safe,
        length(chosen) AS chars
    FROM pairs_placed UNION ALL
    SELECT grp, fold, cluster, alike, FALSE, rejected_source, rejected_safe, length(rejected) FROM pairs_placed
)
"""
_TALLY = f"""{_ANSWERS}
SELECT grp, fold, alike, {{by}}, count(*) FILTER (preferred), count(*) FILTER (NOT preferred),
    count(*) FILTER (NOT safe), count(safe)
FROM answers WHERE {{by}} IS NOT NULL GROUP BY ALL ORDER BY ALL
"""
_SUMS = f"""{_ANSWERS},
influence AS (
    SELECT unnest(?::BIGINT[]) AS fold, unnest(?::{{type}}[]) AS {{by}}, unnest(?::DOUBLE[]) AS up,
        unnest(?::DOUBLE[]) AS down
)
SELECT sum(CASE WHEN preferred THEN up ELSE down END) FROM answers JOIN influence USING (fold, {{by}}) WHERE grp = ?
GROUP BY cluster ORDER BY cluster
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
    source_interval: Rate | None
    """`source` with an interval that counts pictures."""
    length_interval: Rate | None
    """`length` with one."""


def what_tells(rows: Path, *, level: float = LEVEL) -> list[Tells]:
    """What source and length tell, within harmful and within harmless questions.

    Args:
        rows: the table of an opened dataset.
        level: confidence level of the intervals.
    """
    sources = [Tally(*row) for row in query(_TALLY.format(by="source"), pairs=rows)]
    lengths = [Tally(*row) for row in query(_TALLY.format(by="chars"), pairs=rows)]
    return [_tells(rows, group, sources, lengths, level) for group in sorted({t.group for t in lengths})]


def _tells(rows: Path, group: str, all_sources: Sequence[Tally], all_lengths: Sequence[Tally], level: float) -> Tells:
    sources, lengths = ([one for one in several if one.group == group] for several in (all_sources, all_lengths))
    alike = [tally for tally in sources if tally.alike]
    bands = [tally._replace(by=tally.by // BAND) for tally in lengths]
    source, length = _cross_validated(sources, _chosen_rate), _cross_validated(lengths, _by_length)
    return Tells(
        group=group, pairs=sum(t.chosen for t in sources), source=_auc(source),
        unsafe_rate=_auc(_cross_validated(sources, _safe_rate)), alike=sum(t.chosen for t in alike),
        source_alike=_auc(_cross_validated(alike, _chosen_rate)), length=_auc(length),
        length_bands=_auc(_cross_validated(bands, _chosen_rate)),
        source_interval=_interval(rows, group, source, "source", level),
        length_interval=_interval(rows, group, length, "chars", level),
    )  # fmt: skip


Score = Callable[[Any], float]
Learn = Callable[[Sequence[Tally]], Score]
"""From the answers of other folds to a score."""


def _cross_validated(tallies: Sequence[Tally], learn: Learn) -> dict[int, Influence[Any]]:
    """Of every fold its AUC, and what each value of its answers adds to it, by what the other folds teach."""
    found: dict[int, Influence[Any]] = {}
    for fold in range(FOLDS):
        score = learn([one for one in tallies if one.fold != fold])
        counts: dict[Any, tuple[float, int, int]] = {}
        for one in tallies:
            if one.fold == fold:
                _, chosen, rejected = counts.get(one.by, (0.0, 0, 0))
                counts[one.by] = (score(one.by), chosen + one.chosen, rejected + one.rejected)
        own = influence_of(counts)
        found |= {} if own is None else {fold: own}
    return found


def _auc(folds: Mapping[int, Influence[Any]]) -> float | None:
    """Mean of the AUC of all folds, weighted by their answers."""
    answers = sum(one.answers for one in folds.values())
    return sum(one.auc * one.answers for one in folds.values()) / answers if answers else None


def _interval(rows: Path, group: str, folds: Mapping[int, Influence[Any]], by: str, level: float) -> Rate | None:
    auc, answers = _auc(folds), sum(one.answers for one in folds.values())
    if auc is None:
        return None
    table = [
        (fold, value, up * one.answers / answers, down * one.answers / answers)
        for fold, one in folds.items() for value, (up, down) in one.parts.items()
    ]  # fmt: skip
    sql = _SUMS.format(by=by, type="VARCHAR" if by == "source" else "BIGINT")
    sums = query(sql, [*(list(column) for column in zip(*table, strict=True)), group], pairs=rows)
    return interval_of(auc, [row[0] for row in sums], answers // 2, level=level)


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


def alone_findings(rows: Path, settings: AuditSettings) -> list[Finding]:
    """What the length alone and the source alone tell, and how much of the latter is its unsafe rate.

    Args:
        rows: the table of an opened dataset.
        settings: of the audit.
    """
    found = []
    for tells in what_tells(rows, level=settings.level):
        subject = "all questions" if tells.group == "all" else f"{tells.group} questions"
        said = [("length_alone", tells.length_interval, _of_length(tells), "`build.balance.length_balance`"),
                ("source_alone", tells.source_interval, _of_source(tells),
                 "`build.match.policy: even` and `build.balance.source_balance`")]  # fmt: skip
        found += [
            Finding(kind=kind, rate=rate, limit=settings.limits.of(kind), subject=subject, what=what, try_=try_)
            for kind, rate, what, try_ in said if rate is not None
        ]  # fmt: skip
    return found


def _shown(rate: Rate | None) -> str:
    return "" if rate is None else f"{rate.value:.2f} [{rate.low:.2f}, {rate.high:.2f}]"


def _of_length(tells: Tells) -> str:
    bands = f"; in bands of {BAND} characters, each better or worse by itself, with {tells.length_bands:.2f}" \
        if tells.length_bands is not None else ""  # fmt: skip
    return (
        f"The length alone tells chosen from rejected with an AUC of {_shown(tells.length_interval)}{bands}, "
        "cross-validated by picture."
    )


def _of_source(tells: Tells) -> str:
    shown = _shown(tells.source_interval)
    parts = [f"The source alone tells chosen from rejected with an AUC of {shown}, cross-validated by picture"]
    if tells.source is not None and tells.source >= TELLING:
        if tells.unsafe_rate is not None and tells.unsafe_rate > 0.5:
            parts.append(f"how often it is unsafe, and nothing else of it, tells it with {tells.unsafe_rate:.2f}")
        if tells.source_alike is not None and tells.alike >= LEAST_PAIRS:
            parts.append(
                f"in {plural(tells.alike, 'pair')} of equal outcomes, where that says nothing, the source has "
                f"{tells.source_alike:.2f}"
            )
    return f"{'; '.join(parts)}."
