"""Response → Response: the guard's grade beside every answer (SPA-VL §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spavl.dataset.ask import pictures
from spavl.dataset.caller import NO_VERDICT, Caller
from spavl.judging.exchange import Exchange
from spavl.judging.guard import Guard
from spavl.models.base import Reply
from spavl.records import Response


def grade(responses: Sequence[Response], *, call: Caller, guard: Guard, folder: Path) -> list[Response]:
    """The same responses with the guard's grades; one without an answer keeps the grade status `skipped`.

    Args:
        responses: answers to grade.
        call: the guard's model.
        guard: what it is sent, and what its reply means.
        folder: the run folder, to which paths of pictures are relative.
    """
    answered = [(r, _exchange(r, folder)) for r in responses if r.response_status in ("ok", "truncated")]
    asked = [(r, exchange) for r, exchange in answered if guard.can_grade(exchange)]
    replies = call([guard.prompt(exchange) for _, exchange in asked])
    graded = {r.response_id: _graded(r, reply, guard) for (r, _), reply in zip(asked, replies, strict=True)}
    return [graded.get(r.response_id) or replace(r, grade_detail="there is no answer to grade") for r in responses]


def _exchange(response: Response, folder: Path) -> Exchange:
    query = response.query
    earlier = tuple(replace(turn, images=pictures(turn.images, folder)) for turn in query.earlier)
    return Exchange(
        question=query.question, answer=response.response, thought=response.thought,
        images=pictures(query.images, folder), earlier=earlier, system=query.system, item=query.image.image_id,
    )  # fmt: skip


def _graded(response: Response, reply: Reply, guard: Guard) -> Response:
    found, status = guard.grade(reply)
    return replace(
        response, outcome=found.outcome if found else None, severity=found.severity if found else None,
        safe_category=found.category if found else "", grader=guard.name, grade_status=status, grade_call=reply.key,
        grade_detail=reply.detail or (NO_VERDICT if status == "unreadable" else ""),
    )  # fmt: skip
