"""ImageRecord → Query: questions of several types for every picture, the hard ones rewritten from the easy one.

The paper's three types (SPA-VL §3.2) and two that it lacks: a harmless request beside the harmful ones, and a second
turn after an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from spavl.config.asking import AskSettings
from spavl.dataset.caller import Caller
from spavl.dataset.describe import PICTURE_PLACEHOLDERS, picture_values
from spavl.dataset.question_text import SCHEMA, declines, read_question, read_structured
from spavl.dataset.screen import passed
from spavl.judging.templates import Template, load_template
from spavl.models.base import Prompt, Reply
from spavl.records import ImageRecord, ImageRef, Query, QuestionType, Response, Status, Turn
from spavl.taxonomy import Taxonomy

PLACEHOLDERS = (
    *PICTURE_PLACEHOLDERS, "description", "known", "question_type", "easy_question", "earlier_question",
    "earlier_answer",
)  # fmt: skip
"""Placeholders of the asker's templates: the topic, what is known of the picture (`known` is caption and description in
a line each, and empty where there are none), the type of question, the easy question that a hard one is rewritten from,
and what was asked and answered before a follow-up."""

Answer = Callable[[Sequence[Query]], Sequence[Response]]
"""Has one responder answer questions."""


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a question about a picture is made from, beside the picture."""

    question: str = ""
    """The question that is rewritten or followed."""
    earlier: tuple[Turn, ...] = ()
    """The turns that are followed."""
    harmful: bool | None = None
    """Whether these ask for harm; None where there are none."""
    lacks: str = ""
    """What is not there, so that the question cannot be written."""


def ask(
    images: Sequence[ImageRecord],
    *,
    call: Caller,
    settings: AskSettings,
    folder: Path,
    own_calls: Mapping[QuestionType, Caller] | None = None,
    answer: Answer | None = None,
    taxonomy: Taxonomy | None = None,
) -> list[Query]:
    """Have every type of question written for every picture, each after the one that it is made from.

    A question that could not be written is a Query with its status; those that are made from it are `skipped`. Where
    the asker refuses, its words are kept in `query_detail`.

    Args:
        images: pictures to write questions for; those that a guard did not find safe are passed over.
        call: the asker.
        settings: types of questions and the prompt templates.
        folder: the run folder, to which `image_file` is relative.
        own_calls: askers of single types.
        answer: what the type `follow_up` comes after; it is needed for that type alone.
        taxonomy: has the descriptions of subcategories. None: they are empty.

    Raises:
        DataError: a prompt template is unusable.
    """
    images = [image for image in images if passed(image)]
    written: dict[QuestionType, dict[str, Query]] = {}
    for kind in settings.written:
        bases = _bases(images, kind, written, settings, answer)
        template = _template(kind, settings)
        ready = [image for image in images if not bases[image.image_id].lacks]
        filled = [_values(image, kind, bases[image.image_id], taxonomy) for image in ready]
        prompts = [
            Prompt(template.fill(values), images=(picture(image, folder),), item=image.image_id, fields=values)
            for image, values in zip(ready, filled, strict=True)
        ]
        one = (own_calls or {}).get(kind, call)
        replies = one(prompts, schema=SCHEMA) if settings.structured else one(prompts)
        by_image = {image.image_id: reply for image, reply in zip(ready, replies, strict=True)}
        written[kind] = {
            image.image_id: _query(image, kind, bases[image.image_id], by_image.get(image.image_id), settings)
            for image in images
        }
    return [
        written[kind][image.image_id] for image in images for kind in sorted(set(settings.types))
    ]  # fmt: skip


def ask_templates(settings: AskSettings) -> dict[str, str]:
    """Text of the prompt template of every type of question that is written.

    Args:
        settings: types of questions and the user's own templates, if any.

    Raises:
        DataError: a template is unusable.
    """
    return {kind: _template(kind, settings).text for kind in settings.written}


def _template(kind: QuestionType, settings: AskSettings) -> Template:
    return load_template(f"ask_{kind}", PLACEHOLDERS, settings.prompt_for(kind))


def _bases(
    images: Sequence[ImageRecord],
    kind: QuestionType,
    written: Mapping[QuestionType, Mapping[str, Query]],
    settings: AskSettings,
    answer: Answer | None,
) -> dict[str, _Basis]:
    """What the question about every picture is made from, by the picture's id."""
    source = settings.made_from(kind)
    if source is None:
        return {image.image_id: _Basis() for image in images}
    before = written[source]
    if settings.follow_up is not None and kind == "follow_up":
        assert answer is not None, "whoever wants follow-ups says who answers"
        return _answered(before, answer)
    return {image_id: _Basis(q.question) if q.query_status == "ok" else _Basis(lacks=NO_EASY)
            for image_id, q in before.items()}  # fmt: skip


NO_EASY = "there is no easy question to rewrite"
NO_QUESTION = "there is no question to follow"
NO_ANSWER = "there is no whole answer to follow"


def _answered(before: Mapping[str, Query], answer: Answer) -> dict[str, _Basis]:
    """The turns that a follow-up comes after, by the picture's id."""
    responses = answer([query for query in before.values() if query.query_status == "ok"])
    whole = {r.query.query_id: r.response for r in responses if r.response_status == "ok"}
    bases = {}
    for image_id, query in before.items():
        if query.query_id in whole:
            first = Turn("user", query.question, query.images)
            turns = (*query.earlier, first, Turn("assistant", whole[query.query_id]))
            bases[image_id] = _Basis(query.question, turns, query.harmful)
        else:
            bases[image_id] = _Basis(lacks=NO_ANSWER if query.query_status == "ok" else NO_QUESTION)
    return bases


def _values(image: ImageRecord, kind: QuestionType, basis: _Basis, taxonomy: Taxonomy | None) -> dict[str, str]:
    """What fills `PLACEHOLDERS`."""
    described = image.description if image.description != image.caption else ""  # a caption that stands in is told once
    known = [("Text that came with it", image.caption), ("What it shows", described)]
    follows = bool(basis.earlier)
    return {
        **picture_values(image, taxonomy), "description": image.description,
        "known": "".join(f"\n{what}: {text}" for what, text in known if text), "question_type": kind,
        "easy_question": "" if follows else basis.question,
        "earlier_question": basis.question if follows else "",
        "earlier_answer": basis.earlier[-1].text if follows else "",
    }  # fmt: skip


def _query(image: ImageRecord, kind: QuestionType, basis: _Basis, reply: Reply | None, settings: AskSettings) -> Query:
    text, status, detail = _read(reply, settings) if reply else ("", "skipped", basis.lacks)
    shown = () if basis.earlier else (ImageRef(Path(image.image_file), image.image_sha256),)
    harmful = not image.benign if basis.harmful is None else basis.harmful
    return Query(
        image=image, images=shown, earlier=basis.earlier, harmful=harmful and kind != "benign_question",
        query_id=f"{image.image_id}/{kind}", question_type=kind, question=text, asker=settings.model_for(kind),
        query_status=status, query_call=reply.key if reply else "", query_detail=detail,
    )  # fmt: skip


def _read(reply: Reply, settings: AskSettings) -> tuple[str, Status, str]:
    """The question, what became of it, and why."""
    if reply.status != "ok":
        words = " ".join(reply.text.split())
        return ("", reply.status, words or reply.detail) if reply.status == "refused" else (
            words, reply.status, reply.detail)  # fmt: skip
    text, why = read_structured(reply.text) if settings.structured else (read_question(reply.text), "")
    if why:
        return "", "unreadable", why
    if not text:
        return "", "empty", reply.detail
    return ("", "refused", text) if declines(text) else (text, "ok", reply.detail)


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
