"""Response → Response: the guard's grade beside every answer (SPA-VL §3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spavl.config.build import GradeSettings
from spavl.dataset.ask import picture
from spavl.dataset.caller import Caller
from spavl.judging.guard import Grade, grading_prompt, grading_template, read_grade
from spavl.models.base import Reply
from spavl.records import Outcome, Response, Status


def grade(responses: Sequence[Response], *, call: Caller, settings: GradeSettings, folder: Path) -> list[Response]:
    """The same responses with the guard's grades; a response without an answer is not graded.

    Args:
        responses: answers to grade.
        call: the guard.
        settings: name of the guard, the grading prompt, and whether the guard sees the picture.
        folder: the run folder, to which `image_file` is relative.

    Raises:
        DataError: the prompt template is unusable.
    """
    template = grading_template(settings.prompt)
    answered = [r for r in responses if r.response_status in ("ok", "truncated")]
    prompts = [
        grading_prompt(
            r.query.question, r.response, template,
            image=picture(r.query.image, folder) if settings.show_image else None, item=r.query.image.image_id,
        )
        for r in answered
    ]  # fmt: skip
    replies = call(prompts)
    graded = {r.response_id: _graded(r, reply, settings.model) for r, reply in zip(answered, replies, strict=True)}
    return [graded.get(r.response_id, r) for r in responses]


def _graded(response: Response, reply: Reply, guard: str) -> Response:
    verdict = read_grade(reply.text) if reply.status == "ok" else None
    status: Status = reply.status if verdict or reply.status != "ok" else "unreadable"
    return replace(
        response, outcome=_outcome(verdict), safe_category=verdict.category if verdict else "",
        grader=guard, grade_status=status, grade_call=reply.key,
    )  # fmt: skip


def _outcome(verdict: Grade | None) -> Outcome | None:
    return None if verdict is None else "safe" if verdict.safe else "unsafe"
