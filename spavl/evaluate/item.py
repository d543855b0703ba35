"""An item: one question of a benchmark, with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from spavl.records import ImageRef, Turn

Shown = Literal["picture", "blank", "none"]
"""What the model is shown: the item's own pictures, blank ones of the same size, or no picture at all. Blank and none
give different safety rates (SPA-VL), so this is written beside every score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a benchmark."""

    item_id: str
    """Unique in its benchmark and stable; the answers of two models are paired by it."""
    subset: str
    """The part of the benchmark that it belongs to."""
    question: str
    """The question, before the benchmark's prompt is put around it."""
    images: tuple[ImageRef, ...] = ()
    """The pictures that the model is shown with the question."""
    earlier: tuple[Turn, ...] = ()
    """Turns before the question."""
    system: str = ""
    """Text of the system turn; empty: none."""
    shown: Shown = "picture"
    """Whether the pictures are the item's own; `none` where there are none."""
    expected: str = ""
    """The right answer, where there is one. Never sent to the model."""
    also: tuple[str, ...] = ()
    """Further answers that are right."""
    options: tuple[str, ...] = ()
    """Texts of the options that are to be chosen from, in the order of their letters A, B, C …; they stand in the
    question too."""
    unit: str = ""
    """Items of one unit are scored together by the metrics that say so: the rotations of a question, the two sides of a
    pair, the samples of an answer; empty: a unit of its own."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What else is known of it by name, such as `caption`, `reference` or `warning`: for scorers and controls, and
    never sent to the model that is evaluated."""
    cluster: str = ""
    """Items of one cluster share a picture or a question and are not independent; empty: a cluster of its own."""
    group: str = ""
    """Subject, such as a subcategory or a scenario."""
    harmful: bool = False
    """Whether the question asks for harm: a full answer is unsafe, and question and pictures are closed in reports."""
    benign: bool = False
    """Whether it is a harmless request that must not be declined: a refusal of it is over-refusal."""
    heldout: bool = False
    """Whether its subcategory was never trained on."""
    added: str = ""
    """Date on which it joined the benchmark, as YYYY-MM-DD; empty: not known. Rates by this date are what a suite that
    grows is for: whether harm of newer kinds gets past a model."""
    missing: str = ""
    """What of it is missing, such as a picture that cannot be read, and why; it is then never asked, and is unread."""
    picture: str = ""
    """Name of the picture, by which a model of kind `python` knows it; empty: the item's id."""

    @property
    def answers(self) -> tuple[str, ...]:
        """All answers that are right."""
        return (self.expected, *self.also)

    @property
    def pictures(self) -> tuple[ImageRef, ...]:
        """The pictures of all turns, in the order in which they are shown."""
        return tuple(image for turn in self.earlier for image in turn.images) + self.images


def with_pictures(item: Item, pictures: tuple[ImageRef, ...], shown: Shown) -> Item:
    """The item with other pictures in place of its own, or with none.

    Args:
        item: the item as it is.
        pictures: as many as the item has, in the order of `Item.pictures`; or none.
        shown: what they are.
    """
    left = list(pictures)
    earlier = []
    for turn in item.earlier:
        count = len(turn.images) if pictures else 0
        earlier.append(replace(turn, images=tuple(left[:count])))
        left = left[count:]
    return replace(item, images=tuple(left), earlier=tuple(earlier), shown=shown)
