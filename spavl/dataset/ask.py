"""ImageRecord → Query: three questions for every picture, the hard ones rewritten from the easy one (SPA-VL §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from spavl.config.build import AskSettings
from spavl.dataset.caller import Caller
from spavl.dataset.screen import passed
from spavl.judging.templates import Template, load_template
from spavl.models.base import Prompt, Reply
from spavl.records import ImageRecord, ImageRef, Query, QuestionType

PLACEHOLDERS = ("class1", "class2", "class3", "question_type", "easy_question")
"""Placeholders of the asker's templates: labels of the topic, question type, and the easy question if there is one."""


def ask(images: Sequence[ImageRecord], *, call: Caller, settings: AskSettings, folder: Path) -> list[Query]:
    """Have the asker write every type of question for every picture, the easy ones first.

    A question that could not be written is a Query with its status; where that is the easy one, the hard ones, which
    are made from it, are `skipped`.

    Args:
        images: pictures to write questions for; those that a guard did not find safe are passed over.
        call: the asker.
        settings: types of questions and the prompt template.
        folder: the run folder, to which `image_file` is relative.

    Raises:
        DataError: the prompt template is unusable.
    """
    images = [image for image in images if passed(image)]
    easy = _ask_one_type(images, "easy_question", {}, call=call, settings=settings, folder=folder)
    texts = {q.image.image_id: q.question for q in easy if q.query_status == "ok"}
    ready = [i for i in images if i.image_id in texts]
    hard: list[Query] = []
    for kind in settings.types:
        if kind != "easy_question":
            hard += _ask_one_type(ready, kind, texts, call=call, settings=settings, folder=folder)
            without = (i for i in images if i.image_id not in texts)
            skipped = Reply("", status="skipped", detail="there is no easy question to rewrite")
            hard += [_query(image, kind, skipped, settings.model) for image in without]
    wanted = [*easy, *hard] if "easy_question" in settings.types else hard
    place = {image.image_id: number for number, image in enumerate(images)}
    return sorted(wanted, key=lambda q: (place[q.image.image_id], q.query_id))


def ask_templates(settings: AskSettings) -> dict[str, str]:
    """Text of the prompt template of every type of question.

    Args:
        settings: types of questions and the user's own template, if any.

    Raises:
        DataError: a template is unusable.
    """
    kinds = dict.fromkeys(("easy_question", *settings.types))
    return {kind: load_template(f"ask_{kind}", PLACEHOLDERS, settings.prompt).text for kind in kinds}


def _ask_one_type(
    images: Sequence[ImageRecord],
    kind: QuestionType,
    easy: dict[str, str],
    *,
    call: Caller,
    settings: AskSettings,
    folder: Path,
) -> list[Query]:
    template = load_template(f"ask_{kind}", PLACEHOLDERS, settings.prompt)
    prompts = [_prompt(image, kind, easy.get(image.image_id, ""), template, folder) for image in images]
    replies = call(prompts)
    return [_query(image, kind, reply, settings.model) for image, reply in zip(images, replies, strict=True)]


def _prompt(image: ImageRecord, kind: QuestionType, easy: str, template: Template, folder: Path) -> Prompt:
    topic = image.topic
    values = {
        "class1": topic.class1, "class2": topic.class2, "class3": topic.class3,
        "question_type": kind, "easy_question": easy,
    }  # fmt: skip
    return Prompt(template.fill(values), images=(picture(image, folder),), item=image.image_id, fields=values)


def _query(image: ImageRecord, kind: QuestionType, reply: Reply, asker: str) -> Query:
    text = " ".join(reply.text.split())
    status = "empty" if reply.status == "ok" and not text else reply.status
    return Query(
        image=image, images=(ImageRef(Path(image.image_file), image.image_sha256),), harmful=not image.benign,
        query_id=f"{image.image_id}/{kind}", question_type=kind, question=text, asker=asker,
        query_status=status, query_call=reply.key, query_detail=reply.detail,
    )  # fmt: skip


def picture(image: ImageRecord, folder: Path) -> ImageRef:
    """Reference to the file of a picture, as a prompt takes it.

    Args:
        image: record of the picture.
        folder: the run folder, to which `image_file` is relative.
    """
    return ImageRef(folder / image.image_file, image.image_sha256)


def pictures(images: Sequence[ImageRef], folder: Path) -> tuple[ImageRef, ...]:
    """The pictures of a record, as a prompt takes them.

    Args:
        images: as the record has them.
        folder: the run folder, to which their paths are relative.
    """
    return tuple([_placed(image, folder) for image in images])


@lru_cache(maxsize=4096)
def _placed(image: ImageRef, folder: Path) -> ImageRef:
    """The picture with its whole path; asked for by every model, and slow to make."""
    return ImageRef(folder / image.path, image.sha256)
