"""Query → Query: a guard's verdict on every question alone, apart from any answer (SPA-VL Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spavl.dataset.ask import pictures
from spavl.dataset.caller import NO_VERDICT, Caller
from spavl.judging import Exchange, Guard
from spavl.models.base import Reply
from spavl.records import Query
from spavl.statistics.intervals import rate_of
from spavl.tables.query import query

UNSAFE = """
SELECT coalesce(nullif(class2, ''), class3) AS category, count(*) FILTER (request_outcome = 'unsafe'), count(*),
    count(*) FILTER (request_outcome IS NULL)
FROM queries WHERE harmful AND query_status = 'ok' GROUP BY category ORDER BY category
"""


def grade_requests(queries: Sequence[Query], *, call: Caller, guard: Guard, folder: Path) -> list[Query]:
    """The same questions with the guard's verdicts; one that could not be written keeps the status `skipped`.

    Args:
        queries: questions to grade.
        call: the guard's model.
        guard: what it is sent, and what its reply means; it grades requests.
        folder: the run folder, to which paths of pictures are relative.
    """
    asked = [q for q in queries if q.query_status == "ok"]
    replies = call([guard.prompt(_exchange(q, folder)) for q in asked])
    graded = {q.query_id: _graded(q, reply, guard) for q, reply in zip(asked, replies, strict=True)}
    return [graded.get(q.query_id, q) for q in queries]


def unsafe_requests(queries: Path) -> list[dict[str, Any]]:
    """Share of questions about harmful pictures that are unsafe by themselves, for every category of the taxonomy.

    Where a taxonomy has no categories, for every subcategory.

    Args:
        queries: table of the graded questions.
    """
    return [
        {"category": category, "unsafe": unsafe, "n": n, "unread": unread, "rate": rate_of(unsafe, n, unread).value}
        for category, unsafe, n, unread in query(UNSAFE, queries=queries)
    ]


def _exchange(asked: Query, folder: Path) -> Exchange:
    earlier = tuple(replace(turn, images=pictures(turn.images, folder)) for turn in asked.earlier)
    return Exchange(
        question=asked.question, answer="", images=pictures(asked.images, folder), earlier=earlier,
        system=asked.system, item=asked.image.image_id,
    )  # fmt: skip


def _graded(asked: Query, reply: Reply, guard: Guard) -> Query:
    found, status = guard.grade(reply)
    return replace(
        asked, request_outcome=found.outcome if found else None, request_category=found.category if found else "",
        request_guard=guard.name, request_status=status, request_call=reply.key,
        request_detail=reply.detail or (NO_VERDICT if status == "unreadable" else ""),
    )  # fmt: skip
