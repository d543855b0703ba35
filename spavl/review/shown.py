"""An item as the page shows it, blinded: no model, no outcome, no category, and a position in place of its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spavl.labels.record import Item, Progress
from spavl.review.form import SIDES, Order, side_name


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer on the page."""

    side: str
    """Where it stands."""
    name: str
    """`A` or `B`; `the answer` where there is one."""
    text: str
    """Its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownItem:
    """An item on the page."""

    position: int
    """Its position in the review, by which the form names it."""
    number: int
    """Number of the annotator's last label of it, by which a form that comes again is known."""
    item: Item
    """The item, of which the page shows the conversation alone."""
    answers: tuple[ShownAnswer, ...]
    """From left to right."""
    form: Mapping[str, str] = field(default_factory=dict)
    """What is filled in already."""

    @property
    def is_pair(self) -> bool:
        """Whether two answers are compared."""
        return len(self.answers) > 1

    @property
    def has_pictures(self) -> bool:
        """Whether any turn shows a picture."""
        return bool(self.item.images) or any(turn.images for turn in self.item.earlier)


def shown_answers(item: Item, order: Order) -> tuple[ShownAnswer, ...]:
    """The answers of an item in the order of a page.

    Args:
        item: the item.
        order: of its answers.
    """
    texts = [item.answers[place].text for place in order.places(len(item.answers))]
    if len(texts) == 1:
        return (ShownAnswer(SIDES[0], "the answer", texts[0]),)
    return tuple(ShownAnswer(side, side_name(side), text) for side, text in zip(SIDES, texts, strict=True))


def progress_words(progress: Progress) -> str:
    """How far an annotator is, with the time that is left, in a line.

    Args:
        progress: the annotator's.
    """
    done = progress.labelled + progress.skipped
    words = f"{done:,} of {done + progress.left:,}"
    if progress.seconds_left is None or not progress.left:
        return words
    minutes = max(1, round(progress.seconds_left / 60))
    left = f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
    return f"{words} · about {left} left"
