"""What an annotator sends for an item, read into a label; which answer stood left is the server's to know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from spavl.labels.plain import MOST_SEVERE
from spavl.labels.record import Item, Label, Preference, Shown
from spavl.records import Outcome
from spavl.visible_text import visible

OUTCOMES: Final[tuple[Outcome, ...]] = ("refusal", "safe_completion", "unhelpful", "unsafe")
"""The four kinds of answers that people tell apart."""
SIDES: Final = ("left", "right")
"""Where answers stand; the one answer of an item with one stands left."""
MOST_LETTERS: Final = 4000
"""Letters of a note."""
MOST_SECONDS: Final = 86400.0
"""The longest time that is believed."""
SKIP_REASONS: Final[Mapping[str, str]] = {
    "cannot tell": "I cannot tell",
    "language": "I do not read this language",
    "broken": "The picture or a text is missing or broken",
    "distressing": "I do not want to judge this one",
    "other": "Another reason, which the note says",
}
"""Why an item may be skipped, with the words on the page."""


class FormError(Exception):
    """A form lacks something or holds what no page sends; the text says what, and `field` where.

    Args:
        what: a sentence for the annotator.
        field: the question that it concerns.
    """

    def __init__(self, what: str, field: str = "") -> None:
        super().__init__(what)
        self.field = field


@dataclass(frozen=True, slots=True)
class Order:
    """Which answer of an item an annotator sees left: by a hash, so that every page of theirs shows the same."""

    first_is_left: bool
    """Whether the first answer of the item stands left."""

    @classmethod
    def of(cls, item: Item, annotator: str, review: str) -> Order:
        """The order of an item.

        Args:
            item: the item.
            annotator: who sees it.
            review: what names the review.
        """
        if len(item.answers) < 2:
            return cls(True)
        return cls(sha256(f"{review}\0{annotator}\0{item.item_id}".encode()).digest()[0] % 2 == 0)

    @property
    def shown(self) -> Shown:
        """The answer that stands left."""
        return "first" if self.first_is_left else "second"

    def places(self, count: int) -> tuple[int, ...]:
        """Numbers of the item's answers, from left to right.

        Args:
            count: how many answers there are.
        """
        return tuple(range(count)) if self.first_is_left else tuple(reversed(range(count)))


def field_name(subject: str) -> str:
    """A subject as a form can carry it: browsers change line ends, and pages show what is invisible.

    Args:
        subject: of any level.
    """
    return " ".join(visible(subject).split())


def label_of_form(
    form: Mapping[str, str], item: Item, annotator: str, order: Order, *, subjects: frozenset[str]
) -> Label:
    """The label that a form holds.

    Args:
        form: fields by name.
        item: that it is of.
        annotator: who sent it.
        order: in which the annotator saw the answers.
        subjects: subcategories that there are.

    Raises:
        FormError: something is missing, or is not of the page.
    """
    if "skip_reason" in form:
        return _skip(form, item, annotator, order)
    if item.flagged and "opened" not in form:
        raise FormError("Open the item before you judge it", "opened")
    count = len(item.answers)
    by_side = [_judged(form, side, count, subjects) for side in SIDES[:count]]
    ordered = [by_side[place] for place in order.places(count)]
    return Label(
        item_id=item.item_id, annotator=annotator, preference=_preference(form, order) if count > 1 else None,
        outcomes=tuple(outcome for outcome, _, _ in ordered), categories=tuple(category for _, category, _ in ordered),
        severities=tuple(severity for _, _, severity in ordered), picture_needed=_needed(form), note=_note(form),
        shown_first=order.shown, seconds=_seconds(form), answers_hash=item.answers_hash,
    )  # fmt: skip


def _skip(form: Mapping[str, str], item: Item, annotator: str, order: Order) -> Label:
    reason = form.get("skip_reason", "")
    if reason not in SKIP_REASONS:
        raise FormError("Say why you skip it", "skip_reason")
    return Label(item_id=item.item_id, annotator=annotator, status="skipped", skip_reason=reason, note=_note(form),
                 shown_first=order.shown, seconds=_seconds(form), answers_hash=item.answers_hash)  # fmt: skip


def _preference(form: Mapping[str, str], order: Order) -> Preference:
    given = form.get("preference", "")
    if not given:
        raise FormError("Say which answer is better", "preference")
    by_side: Mapping[str, Preference] = {
        "left": "first" if order.first_is_left else "second",
        "right": "second" if order.first_is_left else "first",
        "tie": "tie", "both_bad": "both_bad",
    }  # fmt: skip
    if given not in by_side:
        raise FormError("That is none of the choices", "preference")
    return by_side[given]


def _judged(
    form: Mapping[str, str], side: str, count: int, subjects: frozenset[str]
) -> tuple[Outcome, str, int | None]:
    outcome = form.get(f"outcome_{side}", "")
    name = "the answer" if count == 1 else f"answer {side_name(side)}"
    if not outcome:
        raise FormError(f"Say what {name} is", f"outcome_{side}")
    known = next((kind for kind in OUTCOMES if kind == outcome), None)
    if known is None:
        raise FormError("That is none of the choices", f"outcome_{side}")
    if known != "unsafe":
        return known, "", None
    category = form.get(f"category_{side}", "")
    named = {"": ""} | {field_name(subject): subject for subject in subjects}
    if category not in named:
        raise FormError("That is no subcategory of this review", f"category_{side}")
    return known, named[category], _severity(form.get(f"severity_{side}", ""), side)


def side_name(side: str) -> str:
    """The letter of an answer by where it stands.

    Args:
        side: of the page.
    """
    return "A" if side == SIDES[0] else "B"


def _severity(given: str, side: str) -> int | None:
    if not given:
        return None
    if given not in {str(number) for number in range(MOST_SEVERE + 1)}:
        raise FormError("That is no severity", f"severity_{side}")
    return int(given)


def _needed(form: Mapping[str, str]) -> bool | None:
    given = form.get("picture_needed", "")
    if given not in ("", "yes", "no"):
        raise FormError("That is none of the choices", "picture_needed")
    return None if not given else given == "yes"


def _note(form: Mapping[str, str]) -> str:
    note = form.get("note", "").replace("\r\n", "\n").replace("\0", "").strip()
    note = note.encode("utf-8", "replace").decode("utf-8")
    if len(note) > MOST_LETTERS:
        raise FormError(f"The note has {len(note):,} letters; there is room for {MOST_LETTERS:,}", "note")
    return note


def _seconds(form: Mapping[str, str]) -> float:
    """The time that the page measured; what is no time counts as none, for no label is lost over it."""
    try:
        seconds = float(form.get("seconds", "0"))
    except ValueError:
        return 0.0
    return min(seconds, MOST_SECONDS) if math.isfinite(seconds) and seconds > 0 else 0.0


def form_of_label(label: Label, order: Order) -> dict[str, str]:
    """The fields that a label was given by, to fill in a page again.

    Args:
        label: a label of the annotator.
        order: in which the answers are shown.
    """
    found = {"note": label.note, "skip_reason": label.skip_reason}
    if label.preference:
        stood = "left" if label.preference == order.shown else "right"
        found["preference"] = label.preference if label.preference in ("tie", "both_bad") else stood
    if label.picture_needed is not None:
        found["picture_needed"] = "yes" if label.picture_needed else "no"
    for side, place in zip(SIDES, order.places(len(label.outcomes)), strict=False):
        severity = label.severities[place] if place < len(label.severities) else None
        found[f"outcome_{side}"] = label.outcomes[place] or ""
        found[f"category_{side}"] = label.categories[place] if place < len(label.categories) else ""
        found[f"severity_{side}"] = "" if severity is None else str(severity)
    return found
