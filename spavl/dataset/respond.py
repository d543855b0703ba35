"""Query → Response: a responder answers every question (SPA-VL §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spavl.dataset.ask import pictures
from spavl.dataset.caller import Caller
from spavl.models.base import Prompt, Reply
from spavl.records import Query, Response, Status


def respond(queries: Sequence[Query], *, call: Caller, responder: str, folder: Path) -> list[Response]:
    """One model's answer to every question that could be written; a failed call is a Response with its status.

    Args:
        queries: questions, in order of their pictures, so that image features are shared.
        call: the model.
        responder: the model's name.
        folder: the run folder, to which `image_file` is relative.
    """
    asked = [q for q in queries if q.query_status == "ok"]
    replies = call([question_prompt(q, folder) for q in asked])
    return [_response(q, responder, reply) for q, reply in zip(asked, replies, strict=True)]


def question_prompt(query: Query, folder: Path) -> Prompt:
    """What a responder is sent: the conversation with its pictures, and nothing of what is known of the question.

    Args:
        query: the question.
        folder: the run folder, to which the paths of pictures are relative.
    """
    earlier = tuple(replace(turn, images=pictures(turn.images, folder)) for turn in query.earlier)
    return Prompt(
        query.question, pictures(query.images, folder), query.system, item=query.image.image_id, earlier=earlier
    )


def _response(query: Query, responder: str, reply: Reply) -> Response:
    status: Status = "empty" if reply.status == "ok" and not reply.text.strip() else reply.status
    return Response(
        query=query, response_id=f"{query.query_id}/{responder}", responder=responder, response=reply.text.strip(),
        thought=reply.thought.strip(), response_status=status, response_tokens=reply.completion_tokens,
        response_call=reply.key, response_detail=reply.detail,
        outcome=None, safe_category="", grader="", grade_status="skipped", grade_call="",
    )  # fmt: skip
