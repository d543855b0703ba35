"""Query → Response: a responder answers every question, once or several times (SPA-VL §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spavl.dataset.ask import pictures
from spavl.dataset.caller import Caller
from spavl.errors import DataError
from spavl.models.base import Prompt, Reply
from spavl.records import Query, Response, Status


def respond(
    queries: Sequence[Query], *, call: Caller, responder: str, folder: Path, samples: int = 1, system: str = ""
) -> list[Response]:
    """One model's answers to every question that could be written; a failed call is a Response with its status.

    Args:
        queries: questions, in order of their pictures, so that image features are shared.
        call: the model.
        responder: the model's name.
        folder: the run folder, to which `image_file` is relative.
        samples: answers to each question.
        system: text before the conversation's own system turn; empty: none. It is no part of the records.
    """
    asked = [q for q in queries if q.query_status == "ok"]
    prompts = [question_prompt(q, folder, system) for q in asked]
    replies = call(prompts, samples=samples)
    answers = [(q, sample) for q in asked for sample in range(samples)]
    return [_response(q, responder, sample, reply) for (q, sample), reply in zip(answers, replies, strict=True)]


def question_prompt(query: Query, folder: Path, system: str = "") -> Prompt:
    """What a responder is sent: the conversation with its pictures, and nothing of what is known of the question.

    Args:
        query: the question.
        folder: the run folder, to which the paths of pictures are relative.
        system: text before the conversation's own system turn; empty: none.
    """
    earlier = tuple(replace(turn, images=pictures(turn.images, folder)) for turn in query.earlier)
    whole = "\n\n".join(text for text in (system, query.system) if text)
    return Prompt(query.question, pictures(query.images, folder), whole, item=query.image.image_id, earlier=earlier)


def system_text(path: str | None) -> str:
    """The system prompt that a file of the user's own holds.

    Args:
        path: the file. None: there is none, and the text is empty.

    Raises:
        DataError: it cannot be read, or is blank.
    """
    if path is None:
        return ""
    try:
        text = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The system prompt cannot be read: {error}", where=path, try_="check its path") from error
    if not text:
        raise DataError("The system prompt is blank", where=path, try_="write it, or set `null` for an empty slot")
    return text


def _response(query: Query, responder: str, sample: int, reply: Reply) -> Response:
    status: Status = "empty" if reply.status == "ok" and not reply.text.strip() else reply.status
    further = f"#{sample + 1}" if sample else ""
    return Response(
        query=query, response_id=f"{query.query_id}/{responder}{further}", responder=responder, sample=sample,
        response=reply.text.strip(), thought=reply.thought.strip(), response_status=status,
        response_tokens=reply.completion_tokens, response_call=reply.key, response_detail=reply.detail,
        outcome=None, safe_category="", grader="", grade_status="skipped", grade_call="",
    )  # fmt: skip
