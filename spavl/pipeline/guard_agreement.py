"""How far guards that voted on the same answers agree, two by two, counted by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spavl.report.data import JudgeQuality
from spavl.statistics.intervals import Outcome
from spavl.statistics.raters import rater_agreement
from spavl.tables.query import query

PAIRS = """
SELECT first.place, second.place, any_value(first.guard), any_value(second.guard), first.outcome = 'unsafe' AS one,
    second.outcome = 'unsafe' AS other, count(*)
FROM (SELECT response_id, v.guard AS guard, v.outcome AS outcome, place FROM
        (SELECT response_id, unnest(votes) AS v, unnest(range(len(votes))) AS place FROM responses)) AS first
JOIN (SELECT response_id, v.guard AS guard, v.outcome AS outcome, place FROM
        (SELECT response_id, unnest(votes) AS v, unnest(range(len(votes))) AS place FROM responses)) AS second
    ON first.response_id = second.response_id AND first.place < second.place
GROUP BY first.place, second.place, one, other ORDER BY first.place, second.place
"""


def guard_agreement(responses: Path) -> list[dict[str, Any]]:
    """Agreement of every two guards, as plain data for `run.json`: raw with its interval, and Cohen's κ.

    Args:
        responses: table of the answers with their votes.
    """
    return list(_rows(responses))


def _rows(responses: Path) -> Iterator[dict[str, Any]]:
    found: dict[tuple[str, str], dict[tuple[Outcome, Outcome], int]] = {}
    for _, _, first, second, one, other, count in query(PAIRS, responses=responses):
        found.setdefault((first, second), {})[one, other] = count
    for (first, second), counts in found.items():
        yield {"first": first, "second": second, **asdict(rater_agreement(counts))}


def guards_together(found: Sequence[Mapping[str, Any]]) -> tuple[JudgeQuality, ...]:
    """How far guards that voted agree, a line for every two of them.

    Args:
        found: `guard_agreement` of `run.json`.
    """
    return tuple(
        JudgeQuality(name=f"{one['first']} and {one['second']}", what=_said_the_same(one)) for one in found
    )  # fmt: skip


def _said_the_same(one: Mapping[str, Any]) -> str:
    same, kappa = one["same"], one["kappa"]
    share = "unread" if same["value"] is None else f"{100 * same['value']:.1f} %"
    read = same["n"] - same["unreadable"]
    beyond = "undefined" if kappa is None else f"{kappa:.2f}"
    return f"two guards on the same answers: {share} of {read:,} alike, {same['unreadable']:,} unread, κ {beyond}"


def questions_alone(found: Sequence[Mapping[str, Any]], guard: str) -> tuple[JudgeQuality, ...]:
    """How many questions a guard finds unsafe by themselves, over all categories and in the extreme ones.

    Args:
        found: `unsafe_requests` of `run.json`.
        guard: name of the guard.
    """
    read = sorted((one for one in found if one["rate"] is not None), key=lambda one: one["rate"])
    n, unread = (sum(one[name] for one in found) for name in ("n", "unread"))
    if not read:
        return (JudgeQuality(name=guard, what=f"questions alone: none read, {unread:,} unread"),) if unread else ()
    share = sum(one["unsafe"] for one in found) / (n - unread)
    what = (
        f"questions alone: {100 * share:.1f} % of {n - unread:,} unsafe, {unread:,} unread; from "
        f"{100 * read[0]['rate']:.0f} % ({read[0]['category']}) to {100 * read[-1]['rate']:.0f} % "
        f"({read[-1]['category']})"
    )
    return (JudgeQuality(name=guard, what=what),)
