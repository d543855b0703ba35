"""What is wrong with the judges of a run: position bias, verdicts that change when answers swap, judges that disagree.

Everything is read from the tables of judgments; no model is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from spavl.audit.finding import Finding
from spavl.audit.judge_tables import MOST_UNREADABLE, audit, counts_of
from spavl.plural import plural
from spavl.statistics.agreement import PositionBias, position_bias
from spavl.statistics.intervals import LEVEL, Rate, clustered_rate, rate_of
from spavl.tables.query import query

LEAST_CONSISTENT = 0.5
"""Share of matches with the same winner in both reading orders below which a judge's verdicts are a fault."""
MOST_POSITION_BIAS = 0.3
"""Share of comparisons decided by position above which it is a fault."""
LEAST_AGREEMENT = 0.6
"""Share of matches with the same vote below which two judges disagree too often."""
LEAST_MATCHES = 30
"""Fewest matches of a domain that are spoken of alone."""

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


def judge_findings(tables: Sequence[Path], *, level: float = LEVEL) -> list[Finding]:
    """What is found of every judge, and of every two.

    Args:
        tables: of judgments, as a run has them.
        level: confidence level of the intervals.
    """
    known = audit(tables)["judges"] if tables else {}
    found = [one for name, of in known.items() for one in _of_judge(name, of, level)]
    places = _places(tables)
    return [*found, *(_of_two(one, other, places, level) for one, other in combinations(known, 2))]


def _of_judge(name: str, of: Mapping[str, Any], level: float) -> Iterator[Finding]:
    yield _unreadable(name, of, level)
    whole = counts_of(of["verdicts"])
    if not sum(n for (ab, ba), n in whole.items() if ab is not None and ba is not None):
        return
    yield _consistency(name, Rate(**of["consistent"]))
    bias = position_bias(whole, level=level)
    yield _bias(name, "", bias)
    for category, figures in of["categories"].items():
        own = figures["position_bias"]
        if own["n"] >= LEAST_MATCHES:
            one = _bias(name, category, PositionBias(**own))
            yield from [one] if one.weight == "fault" else []


def _unreadable(name: str, of: Mapping[str, Any], level: float) -> Finding:
    share = rate_of(of["unreadable"], of["replies"], level=level) if of["replies"] else None
    failed = of["asked"] - of["replies"]
    lost = f"; {plural(failed, 'call')} brought no whole reply" if failed else ""
    said = f"{_percent(share)} of its {of['replies']:,} replies" if share else "no reply"
    return Finding(
        kind="unreadable_verdicts", weight="fault" if share and share.low > MOST_UNREADABLE else "note", subject=name,
        what=f"The judge `{name}` gave no readable verdict in {said}{lost}.", rate=share, limit=MOST_UNREADABLE,
        try_="look at its replies with `spavl show`, and at the end of its prompt" if of["unreadable"] else "",
    )  # fmt: skip


def _consistency(name: str, agree: Rate) -> Finding:
    fault = agree.value is not None and agree.high < LEAST_CONSISTENT
    return Finding(
        kind="swap_consistency", weight="fault" if fault else "note", subject=name, rate=agree, limit=LEAST_CONSISTENT,
        what=f"The judge `{name}` names the same winner in both reading orders in {_percent(agree)} of "
             f"{agree.n:,} comparisons{_read(agree)}.",
        try_="use a judge that follows the answers: more than half of its comparisons make no pair" if fault else "",
    )  # fmt: skip


def _bias(name: str, category: str, bias: PositionBias) -> Finding:
    """Position bias as a share: of the side that gains, so that a bias to the last answer is as bad as to the first."""
    value, low, high = bias.value or 0.0, bias.low, bias.high
    side = "first" if value >= 0 else "last"
    least, most = sorted((abs(low), abs(high))) if low * high > 0 else (0.0, max(-low, high))
    share = Rate(abs(value), least, most, bias.n)
    fault = share.low > MOST_POSITION_BIAS
    of = f", {category}" if category else ""
    return Finding(
        kind="position_bias", weight="fault" if fault else "note", rate=share, limit=MOST_POSITION_BIAS,
        subject=f"{name}{of}",
        what=f"The judge `{name}`{of} follows the position in {_percent(share)} of {bias.n:,} comparisons: the "
             f"answer shown {side} gains.",
        try_="keep asking in both orders, and drop what changes: `build.pair`; or another judge" if fault else "",
    )  # fmt: skip


def _places(tables: Sequence[Path]) -> dict[str, Path]:
    """The table of every judge."""
    return {row[0]: table for table in tables for row in query("SELECT DISTINCT judge FROM t ORDER BY 1", t=table)}


def _of_two(one: str, other: str, places: Mapping[str, Path], level: float) -> Finding:
    sql = _TWO.format(one=_VOTES.format(table="first"), other=_VOTES.format(table="second"))
    rows = query(sql, [one, other], first=places[one], second=places[other])
    same = clustered_rate([row[0] for row in rows], [row[1] for row in rows], level=level)
    fault = same.value is not None and same.high < LEAST_AGREEMENT
    what = (
        f"The judges `{one}` and `{other}` have the same vote in {_percent(same)} of {same.n:,} matches in which both "
        "have one." if rows else f"The judges `{one}` and `{other}` have no match in which both have a vote."
    )  # fmt: skip
    return Finding(
        kind="judge_agreement", weight="fault" if fault else "note", subject=f"{one} and {other}", what=what,
        rate=same if rows else None, limit=LEAST_AGREEMENT,
        try_="see whom people agree with: `spavl review` and `spavl agreement`" if fault else "",
    )  # fmt: skip


def _percent(rate: Rate | None) -> str:
    if rate is None or rate.value is None:
        return "none"
    return f"{100 * rate.value:.1f} % ({100 * rate.low:.1f}–{100 * rate.high:.1f} %)"


def _read(rate: Rate) -> str:
    return f", of which {rate.unreadable:,} cannot be read" if rate.unreadable else ""
