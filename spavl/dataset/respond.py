"""Query → Response: a responder answers every question (SPA-VL §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spavl.dataset.ask import picture
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
    prompts = [Prompt(q.question, images=(picture(q.image, folder),), item=q.image.image_id) for q in asked]
    replies = call(f"respond: {responder}", prompts)
    return [_response(q, responder, reply) for q, reply in zip(asked, replies, strict=True)]


def _response(query: Query, responder: str, reply: Reply) -> Response:
    status: Status = "unreadable" if reply.status == "ok" and not reply.text.strip() else reply.status
    return Response(
        query=query, response_id=f"{query.query_id}/{responder}", responder=responder, response=reply.text.strip(),
        response_status=status, response_tokens=reply.completion_tokens, response_call=reply.key,
        safe=None, safe_category="", grader="", grade_status="skipped", grade_call="",
    )  # fmt: skip
