"""ImageRecord → ImageRecord: a guard's verdict on every picture, before anything is asked about it.

A picture that is unsafe, or that the guard did not answer readably, stays in the table with its verdict, and gets no
question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spavl.dataset.caller import NO_VERDICT, Caller
from spavl.judging import Exchange, Guard
from spavl.models.base import Reply
from spavl.records import ImageRecord, ImageRef, is_safe


def screen(images: Sequence[ImageRecord], *, call: Caller, guard: Guard, folder: Path) -> list[ImageRecord]:
    """The same pictures with the guard's verdicts.

    Args:
        images: pictures to grade.
        call: the guard's model.
        guard: what it is sent, and what its reply means; it grades pictures.
        folder: the run folder, to which `image_file` is relative.
    """
    shown = [
        Exchange(question="", answer="", images=(ImageRef(folder / i.image_file, i.image_sha256),), item=i.image_id)
        for i in images
    ]
    replies = call([guard.prompt(exchange) for exchange in shown])
    return [_screened(image, reply, guard) for image, reply in zip(images, replies, strict=True)]


def passed(image: ImageRecord) -> bool:
    """Whether questions may be asked about a picture: it was not screened, or a guard found it safe.

    Args:
        image: record of the picture.
    """
    return not image.screener or is_safe(image.picture_outcome) is True


def _screened(image: ImageRecord, reply: Reply, guard: Guard) -> ImageRecord:
    found, status = guard.grade(reply)
    return replace(
        image, picture_outcome=found.outcome if found else None, picture_category=found.category if found else "",
        screener=guard.name, screen_status=status, screen_call=reply.key,
        screen_detail=reply.detail or (NO_VERDICT if status == "unreadable" else ""),
    )  # fmt: skip
