"""ImageRecord → ImageRecord: what every picture shows, in detail, for those who write questions about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spavl.config.asking import DescribeSettings
from spavl.dataset.caller import Caller
from spavl.dataset.question_text import apologises
from spavl.dataset.screen import passed
from spavl.judging.readers.refusal import refuses
from spavl.judging.templates import load_template
from spavl.models.base import Prompt, Reply
from spavl.records import ImageRecord, ImageRef, Status
from spavl.taxonomy import Taxonomy

PICTURE_PLACEHOLDERS = ("topic", "class1", "class2", "class3", "subcategory_description", "caption")
"""Placeholders for what is known of a picture from where it came."""
STANDS_IN = "; its caption stands in"
"""What `description_detail` says beside why there is no description, where there is a caption."""


def describe(
    images: Sequence[ImageRecord],
    *,
    call: Caller,
    describer: str,
    settings: DescribeSettings,
    folder: Path,
    taxonomy: Taxonomy | None = None,
) -> list[ImageRecord]:
    """The same pictures with descriptions; where the model gives none, the picture's caption stands in.

    Args:
        images: pictures to describe; those that a guard did not find safe stay as they are.
        call: the model.
        describer: its name.
        settings: the prompt template.
        folder: the run folder, to which `image_file` is relative.
        taxonomy: has the descriptions of subcategories. None: they are empty.

    Raises:
        DataError: the prompt template is unusable.
    """
    template = load_template("describe", PICTURE_PLACEHOLDERS, settings.prompt)
    prompts = []
    ready = [image for image in images if passed(image)]
    for image in ready:
        values = picture_values(image, taxonomy)
        shown = ImageRef(folder / image.image_file, image.image_sha256)
        prompts.append(Prompt(template.fill(values), images=(shown,), item=image.image_id, fields=values))
    replies = {image.image_id: reply for image, reply in zip(ready, call(prompts), strict=True)}
    return [
        _described(image, replies[image.image_id], describer) if image.image_id in replies else image
        for image in images
    ]


def describe_template(settings: DescribeSettings) -> str:
    """Text of the prompt template.

    Args:
        settings: the user's own template, if any.

    Raises:
        DataError: the template is unusable.
    """
    return load_template("describe", PICTURE_PLACEHOLDERS, settings.prompt).text


def picture_values(image: ImageRecord, taxonomy: Taxonomy | None) -> dict[str, str]:
    """What fills `PICTURE_PLACEHOLDERS`.

    Args:
        image: the picture.
        taxonomy: has the descriptions of subcategories. None: they are empty.
    """
    topic = image.topic
    known = taxonomy is not None and topic.class3 in taxonomy
    return {
        "topic": topic.path(), "class1": topic.class1, "class2": topic.class2, "class3": topic.class3,
        "subcategory_description": taxonomy.describe(topic.class3) if taxonomy is not None and known else "",
        "caption": image.caption,
    }  # fmt: skip


def _described(image: ImageRecord, reply: Reply, describer: str) -> ImageRecord:
    text = " ".join(reply.text.split())
    status: Status = reply.status
    detail = reply.detail
    if status == "ok" and not text:
        status = "empty"
    elif status == "ok" and (refuses(text) or apologises(text)):
        status, detail = "refused", text
    if status in ("ok", "truncated") and text:
        return replace(image, description=text, description_status=status, description_call=reply.key,
                       description_detail=detail, describer=describer)  # fmt: skip
    stands_in = STANDS_IN if image.caption else ""
    return replace(image, description=image.caption, description_status=status, description_call=reply.key,
                   description_detail=f"{detail or text or status}{stands_in}", describer=describer)  # fmt: skip
