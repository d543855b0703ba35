"""An item of a review and a person's label of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

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

    @property
    def answers_hash(self) -> str:
        """What tells its answers, in their order, from those of another version of it."""
        return hash_of_answers(one.text for one in self.answers)


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
    shown_first: Shown | None = None
    """Which answer of the item stood on the left, as A; None where that is not known."""
    seconds: float = 0.0
    """Time from showing the item to the label."""
    created: str = ""
    """When it was given: ISO 8601, UTC."""
    answers_hash: str = ""
    """`Item.answers_hash` of what the annotator read; empty where that is not known."""

    @property
    def unsafe(self) -> tuple[bool | None, ...]:
        """Whether each answer is unsafe; None where the annotator did not say."""
        return tuple(None if outcome is None else outcome == "unsafe" for outcome in self.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotator:
    """Somebody who labels."""

    name: str
    """The name; names that differ in capitals are of different people."""
    opted_out: tuple[str, ...] = ()
    """Subjects of any level whose items are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an annotator is."""

    labelled: int
    """Items that the annotator judged."""
    skipped: int
    """Items that the annotator skipped."""
    left: int
    """Items that are still open to the annotator, those that others have before them too."""
    seconds: float | None
    """Median time that the annotator's last labels took; None before the first."""

    @property
    def seconds_left(self) -> float | None:
        """Time that is still needed at this pace; None before the first label."""
        return None if self.seconds is None else self.seconds * self.left


def hash_of_answers(texts: Iterable[str]) -> str:
    """What tells answers in their order from others.

    Args:
        texts: the answers.
    """
    return sha256(json.dumps(list(texts)).encode()).hexdigest()[:32]


def fitted(label: Label, item: Item) -> Label | None:
    """A label as one of an item of its id; None where the annotator read other answers.

    Where the item holds the same two answers in the other order, as after people preferred the other one, what was
    said of them changes places too.

    Args:
        label: of an item of the same id; one that does not say what was read is taken as of this item.
        item: the item.
    """
    if label.answers_hash in ("", item.answers_hash):
        return replace(label, answers_hash=item.answers_hash)
    if label.answers_hash != hash_of_answers(one.text for one in reversed(item.answers)):
        return None
    other: Mapping[str | None, Preference] = {"first": "second", "second": "first"}
    return replace(
        label, preference=other.get(label.preference, label.preference), outcomes=_turned(label.outcomes, None),
        categories=_turned(label.categories, ""), severities=_turned(label.severities, None),
        shown_first=None if label.shown_first is None else "second" if label.shown_first == "first" else "first",
        answers_hash=item.answers_hash,
    )  # fmt: skip


def _turned(values: tuple[Any, ...], missing: Any) -> tuple[Any, ...]:
    return (*values, missing)[1::-1] if values else values


def labels_by_item(
    items: Iterable[Item], labels: Iterable[Label]
) -> tuple[list[tuple[Item, list[Label]]], list[Label]]:  # fmt: skip
    """Every item that somebody labelled with its current labels, and current labels of no item.

    Reviews that were drawn at different times may know an item by one id with different answers; a label is of those
    that its annotator read, and of the last where that is not known.

    Args:
        items: of one review or of several.
        labels: all of them in the order in which they were given.
    """
    versions: dict[str, dict[str, Item]] = {}
    for item in items:
        versions.setdefault(item.item_id, {})[item.answers_hash] = item
    found: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        known = versions.get(label.item_id, {})
        answers_hash = label.answers_hash or next(reversed(known), "")
        found.setdefault((label.item_id, answers_hash), []).append(label)
    there, strangers = list[tuple[Item, list[Label]]](), list[Label]()
    for (item_id, answers_hash), own in found.items():
        if answers_hash in versions.get(item_id, {}):
            there.append((versions[item_id][answers_hash], current_labels(own)))
        else:
            strangers += current_labels(own)
    return there, strangers


def current_labels(labels: Iterable[Label]) -> list[Label]:
    """The last label of every annotator and item, without those withdrawn, in the order of their first labels.

    Files are put together and sorted anew by people, so that the time decides which is the last where it is known.

    Args:
        labels: all labels in the order in which they were given.
    """
    last: dict[tuple[str, str], Label] = {}
    for label in labels:
        at = (label.annotator, label.item_id)
        if at not in last or not is_earlier(label.created, last[at].created):
            last[at] = label
    return [label for label in last.values() if label.status != "withdrawn"]


def is_earlier(one: str, other: str) -> bool:
    """Whether a time is known to lie before another; one without a zone is UTC.

    Args:
        one: ISO 8601; anything else is no time.
        other: likewise.
    """
    times = [_time(text) for text in (one, other)]
    return None not in times and times[0] < times[1]  # type: ignore[operator]


def is_time(text: str) -> bool:
    """Whether a text is ISO 8601, which spreadsheets may have made something else of.

    Args:
        text: a time, or anything else.
    """
    return _time(text) is not None


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
