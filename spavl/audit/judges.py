"""What is wrong with the judges of a run: position bias, verdicts that change when answers swap, judges that disagree.

Everything is read from the tables of judgments; no model is asked. Intervals count pictures: the comparisons about one
picture are right or wrong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from spavl.audit.finding import Finding, percent
from spavl.audit.judge_tables import audit
from spavl.config import AuditSettings
from spavl.plural import plural
from spavl.records import Winner
from spavl.statistics.agreement import PositionBias, position_bias
from spavl.statistics.clusters import effective_size
from spavl.statistics.intervals import Rate, clustered_rate, rate_of
from spavl.tables.query import query

Verdicts = Sequence[tuple[str, int, Winner | None, Winner | None]]
"""Of every comparison its category, picture, and winners in both reading orders."""
_ORDERS = """
SELECT coalesce(nullif(class2, ''), class3) AS category, dense_rank() OVER (ORDER BY min(image_id)),
    max(winner) FILTER ("order" = 'ab'), max(winner) FILTER ("order" = 'ba')
FROM judgments WHERE judge = ? GROUP BY match_id, category ORDER BY match_id
"""
_VOTES = """
SELECT match_id, image_id, CASE WHEN ab = ba THEN ab END AS vote FROM (
    SELECT match_id, min(image_id) AS image_id, max(winner) FILTER ("order" = 'ab') AS ab,
        max(winner) FILTER ("order" = 'ba') AS ba
    FROM {table} WHERE judge = ? GROUP BY match_id
)
"""
_TWO = """
WITH one AS ({one}), other AS ({other})
SELECT one.vote = other.vote, dense_rank() OVER (ORDER BY one.image_id)
FROM one JOIN other USING (match_id) WHERE one.vote IS NOT NULL AND other.vote IS NOT NULL
"""


def judge_findings(
    tables: Sequence[Path], settings: AuditSettings = AuditSettings(), *, by_category: bool = True
) -> list[Finding]:
    """What is found of every judge, and of every two.

    Args:
        tables: of judgments, as a run has them.
        settings: of the audit.
        by_category: whether the bias of every category is measured too, most of the work where there are many.
    """
    known = audit(tables)["judges"] if tables else {}
    places = _places(tables)
    found = [
        one
        for name, of in known.items()
        for one in _of_judge(name, of, places[name], settings, by_category=by_category)
    ]
    return [*found, *(_of_two(one, other, places, settings) for one, other in combinations(known, 2))]


def _of_judge(
    name: str, of: Mapping[str, Any], table: Path, settings: AuditSettings, *, by_category: bool
) -> Iterator[Finding]:
    yield _unreadable(name, of, settings)
    verdicts: Verdicts = [(one[0], one[1], one[2], one[3]) for one in query(_ORDERS, [name], judgments=table)]
    read = [one for one in verdicts if one[2] is not None and one[3] is not None]
    if not read:
        return
    yield _consistency(name, verdicts, settings)
    yield _bias(name, "", read, settings)
    for category in sorted({one[0] for one in read}) if by_category else ():
        own = [one for one in read if one[0] == category]
        if len(own) >= settings.least_matches:
            yield _bias(name, category, own, settings)


def _unreadable(name: str, of: Mapping[str, Any], settings: AuditSettings) -> Finding:
    share = rate_of(of["unreadable"], of["replies"], level=settings.level) if of["replies"] else None
    failed = of["asked"] - of["replies"]
    lost = f"; {plural(failed, 'call')} brought no whole reply" if failed else ""
    said = f"{percent(share)} of its {of['replies']:,} replies" if share else "no reply"
    return Finding(
        kind="unreadable_verdicts", subject=name, rate=share, limit=settings.limits.unreadable_verdicts,
        what=f"The judge `{name}` gave no readable verdict in {said}{lost}.",
        try_="look at its replies with `spavl show`, and at the end of its prompt",
    )  # fmt: skip


def _consistency(name: str, verdicts: Verdicts, settings: AuditSettings) -> Finding:
    outcomes = [None if ab is None or ba is None else ab == ba for _, _, ab, ba in verdicts]
    agree = clustered_rate(outcomes, [one[1] for one in verdicts], level=settings.level)
    return Finding(
        kind="swap_consistency", subject=name, rate=agree, limit=settings.limits.swap_consistency, below=True,
        what=f"The judge `{name}` names the same winner in both reading orders in {percent(agree)} of "
             f"{plural(agree.n, 'comparison')}{_read(agree)}.",
        try_="use a judge that follows the answers: too many of its comparisons make no pair",
    )  # fmt: skip


def _bias(name: str, category: str, verdicts: Verdicts, settings: AuditSettings) -> Finding:
    """Position bias as a share: of the side that gains, so that a bias to the last answer is as bad as to the first."""
    bias = _clustered_bias(verdicts, settings.level)
    value, low, high = bias.value or 0.0, bias.low, bias.high
    side = "first" if value >= 0 else "last"
    least, most = sorted((abs(low), abs(high))) if low * high > 0 else (0.0, max(-low, high))
    share = Rate(abs(value), least, most, bias.n)
    of = f", {category}" if category else ""
    return Finding(
        kind="position_bias", subject=f"{name}{of}", rate=share, limit=settings.limits.position_bias,
        what=f"The judge `{name}`{of} follows the position in {percent(share)} of {plural(bias.n, 'comparison')}: the "
             f"answer shown {side} gains.",
        try_="keep asking in both orders, and drop what changes: `build.pair`; or another judge",
        grouped=bool(category),
    )  # fmt: skip


def _clustered_bias(verdicts: Verdicts, level: float) -> PositionBias:
    """`position_bias` with as many comparisons as those of shared pictures are worth."""
    counts: dict[tuple[Winner | None, Winner | None], float] = {}
    for _, _, ab, ba in verdicts:
        counts[ab, ba] = counts.get((ab, ba), 0) + 1
    follows = {pair: position_bias({pair: 1}, level=level).value or 0.0 for pair in counts}
    worth = effective_size([follows[ab, ba] for _, _, ab, ba in verdicts], [one[1] for one in verdicts], level=level)
    scaled = {pair: count * worth / len(verdicts) for pair, count in counts.items()}
    found = position_bias(scaled, level=level)
    return PositionBias(found.value, found.low, found.high, len(verdicts))


def _places(tables: Sequence[Path]) -> dict[str, Path]:
    """The table of every judge."""
    return {row[0]: table for table in tables for row in query("SELECT DISTINCT judge FROM t ORDER BY 1", t=table)}


def _of_two(one: str, other: str, places: Mapping[str, Path], settings: AuditSettings) -> Finding:
    sql = _TWO.format(one=_VOTES.format(table="first"), other=_VOTES.format(table="second"))
    rows = query(sql, [one, other], first=places[one], second=places[other])
    same = clustered_rate([row[0] for row in rows], [row[1] for row in rows], level=settings.level)
    what = (
        f"The judges `{one}` and `{other}` have the same vote in {percent(same)} of {same.n:,} matches in which both "
        "have one." if rows else f"The judges `{one}` and `{other}` have no match in which both have a vote."
    )  # fmt: skip
    return Finding(
        kind="judge_agreement", subject=f"{one} and {other}", what=what, rate=same if rows else None,
        limit=settings.limits.judge_agreement, below=True,
        try_="see whom people agree with: `spavl review` and `spavl agreement`",
    )  # fmt: skip


def _read(rate: Rate) -> str:
    return f", of which {rate.unreadable:,} cannot be read" if rate.unreadable else ""
