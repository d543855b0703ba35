"""An item of a review and a person's label of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from spavl.records import Outcome, Turn

ItemKind = Literal["pair", "answer"]
"""What is labelled: a preference pair, or one answer of an evaluated model."""
Preference = Literal["first", "second", "tie", "both_bad"]
"""The better answer of a pair, by the order in which the item holds them, never by where they stood on the screen."""
Shown = Literal["first", "second"]
"""Which answer of the item stood on the left, as A."""
LabelStatus = Literal["labelled", "skipped", "withdrawn"]
"""`labelled`: the item was judged. `skipped`: it was not, for a reason. `withdrawn`: undone; the item is open again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as an annotator reads it."""

    text: str
    """The answer, without the thought."""
    source: str = ""
    """The model that gave it, which annotators never see; empty where it is not known."""
    outcome: Outcome | None = None
    """What guards said of it, which annotators never see; None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What an annotator is shown: a conversation with one answer, or with two."""

    item_id: str
    """Unique in the review: the `pair_id` of a pair; of an answer `MODEL/BENCHMARK/ITEM`, its parts in `about`."""
    kind: ItemKind
    """What is labelled."""
    stratum: str
    """The stratum that it was drawn for."""
    question: str
    """The last turn of the user."""
    answers: tuple[Answer, ...]
    """The two answers of a pair, the chosen one first; or the one answer."""
    images: tuple[str, ...] = ()
    """Keys of the pictures of the last turn: SHA-256 of their bytes."""
    earlier: tuple[Turn, ...] = ()
    """Turns before it; their pictures are referred to by the same keys."""
    system: str = ""
    """Text of the system turn; empty: none."""
    flagged: bool = False
    """Whether its pictures and answers are closed until they are opened: something in it was graded unsafe."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What is known of it and never shown: `class1`, `class2`, `class3`, `question_type`, `judge`, `winner` (the
    judges' preference: `first` or `tie`), or `model`, `benchmark`, `item_id`, `verdict`."""
    probability: float = 1.0
    """With what probability it was drawn, for estimates of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What one annotator said of one item, once; a later one of the same annotator and item takes its place."""

    item_id: str
    """The item."""
    annotator: str
    """Name of the person."""
    status: LabelStatus = "labelled"
    """Whether the item was judged."""
    preference: Preference | None = None
    """The better answer; None for an item with one answer, and where it was not judged."""
    outcomes: tuple[Outcome | None, ...] = ()
    """What each answer is, in the order of the item; None where the annotator did not say."""
    categories: tuple[str, ...] = ()
    """Subcategory of each unsafe answer; empty texts where none was given."""
    severities: tuple[int | None, ...] = ()
    """How bad each unsafe answer is, from 0 to 4; None where the annotator did not say."""
    picture_needed: bool | None = None
    """Whether the picture was needed to judge; None where the annotator did not say."""
    note: str = ""
    """The annotator's own words."""
    skip_reason: str = ""
    """Why it was skipped."""
    shown_first: Shown = "first"
    """Which answer of the item stood on the left, as A."""
    seconds: float = 0.0
    """Time from showing the item to the label."""
    created: str = ""
    """When it was given: ISO 8601, UTC."""

    @property
    def unsafe(self) -> tuple[bool | None, ...]:
        """Whether each answer is unsafe; None where the annotator did not say."""
        return tuple(None if outcome is None else outcome == "unsafe" for outcome in self.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotator:
    """Somebody who labels."""

    name: str
    """The name; names that differ in capitals are of different people."""
    token_hash: str = ""
    """Hash of the person's own token; empty: none."""
    opted_out: tuple[str, ...] = ()
    """Subjects of any level whose items are not shown."""
    created: str = ""
    """When the person joined: ISO 8601, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an annotator is."""

    labelled: int
    """Items that the annotator judged."""
    skipped: int
    """Items that the annotator skipped."""
    left: int
    """Items that are still open to the annotator, those that others have before them too."""
    finished: int
    """Items of the whole review that nobody is wanted for any more, or that somebody labelled of those for all."""
    items: int
    """Items of the whole review."""
    seconds: float | None
    """Median time that the annotator's last labels took; None before the first."""

    @property
    def seconds_left(self) -> float | None:
        """Time that is still needed at this pace; None before the first label."""
        return None if self.seconds is None else self.seconds * self.left


def current_labels(labels: Iterable[Label]) -> list[Label]:
    """The last label of every annotator and item, without those withdrawn, in the order of their first labels.

    Args:
        labels: all labels in the order in which they were given.
    """
    last = {(label.annotator, label.item_id): label for label in labels}
    return [label for label in last.values() if label.status != "withdrawn"]
