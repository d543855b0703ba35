"""A review that is open for annotators: the next item, a label that is durable before the one after it, and undo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from spavl.labels.record import Item, Progress
from spavl.labels.store import LabelStore
from spavl.review.breaks import Breaks
from spavl.review.form import FormError, Order, form_of_label, label_of_form
from spavl.review.pictures import PictureIndex
from spavl.review.shown import ShownItem, shown_answers
from spavl.review.subjects import Subjects, subjects_of

AGAIN = "You had labelled that item already, perhaps on another page. Your first label stands; undo takes it back."
"""Notice where a form comes again."""
GONE = "That item is not of this review. The page is of another one; here is the next item."
"""Notice where a form names no item."""
FOREIGN = "That page was of another person or another review, so nothing was done by it. Here is your next item."
"""Notice where a form comes from a page that was made for somebody else: its item and its sides are not the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an annotator is shown next."""

    annotator: str
    """The name."""
    shown: ShownItem | None
    """The item; None where nothing is open to the annotator."""
    progress: Progress
    """How far the annotator is."""
    undo_number: int
    """Number of the annotator's last label, by which an undo that comes again is known; 0: there is none."""
    minutes: int | None
    """Minutes since the last break where it is time for one."""
    notice: str = ""
    """What became of the form before."""
    problem: str = ""
    """What the form lacks; nothing of it was written."""
    field: str = ""
    """The question that the problem concerns."""


@dataclass(frozen=True, slots=True)
class OpenReview:
    """A review with its pictures."""

    store: LabelStore
    """Items and labels."""
    folder: Path
    """Folder of the review."""
    title: str
    """What the pages are headed by."""
    token: str
    """The token in its address."""
    pictures: PictureIndex
    """Where its pictures are."""
    subjects: Subjects
    """Subjects of its items."""
    breaks: Breaks = field(default_factory=Breaks)
    """Who has labelled for how long."""

    @classmethod
    def of(cls, store: LabelStore, folder: Path, *, title: str, token: str) -> OpenReview:
        """A review that was drawn.

        Args:
            store: items and labels.
            folder: of the review.
            title: what the pages are headed by.
            token: in its address.

        Raises:
            DataError: the list of its pictures is damaged.
        """
        return cls(store, folder, title, token, PictureIndex(folder), subjects_of(store))

    @property
    def name(self) -> str:
        """What tells it from other reviews on this machine: its cookies bear it."""
        return sha256(f"{self.store.made_from}\0{self.store.created}".encode()).hexdigest()[:12]

    def work(self, annotator: str, *, notice: str = "", item: Item | None = None) -> Work:
        """What an annotator is shown now.

        Args:
            annotator: the name.
            notice: what became of the form before.
            item: to be shown; None: the next one.
        """
        item = item or self.store.next_item(annotator)
        before = None if item is None else self.store.withdrawn(annotator, item.item_id)
        form = {} if item is None or before is None else form_of_label(before, self.order(item, annotator))
        return self._work(annotator, item, form, notice=notice)

    def order(self, item: Item, annotator: str) -> Order:
        """The order in which an annotator sees the answers of an item.

        Args:
            item: the item.
            annotator: the name.
        """
        return Order.of(item, annotator, self.name)

    def page_of(self, annotator: str) -> str:
        """What the pages of an annotator are known by: sent from any other page, a form would label another item.

        Args:
            annotator: the name.
        """
        return sha256(f"{self.name}\0{annotator}".encode()).hexdigest()[:16]

    def save(self, annotator: str, form: Mapping[str, str], page: str = "") -> Work:
        """Write the label of a form. Returns what is shown next: the same item where something is missing.

        Args:
            annotator: the name.
            form: fields by name.
            page: what the page says of itself, as `page_of` has it; empty: nothing.

        Raises:
            RunError: the disk is full; nothing was written.
        """
        if page and page != self.page_of(annotator):
            return self.work(annotator, notice=FOREIGN)
        item = self.store.at(_number(form.get("position")))
        if item is None:
            return self.work(annotator, notice=GONE)
        try:
            label = label_of_form(form, item, annotator, self.order(item, annotator), subjects=self.subjects.names)
        except FormError as error:
            return self._work(annotator, item, form, problem=str(error), field=error.field)
        written = self.store.add(label, key=f"label/{_number(form.get('position'))}/{_number(form.get('number'))}")
        if written:
            self.breaks.note(annotator)
        return self.work(annotator, notice="" if written else AGAIN)

    def undo(self, annotator: str, form: Mapping[str, str], page: str = "") -> Work:
        """Take an annotator's last label back. Returns its item, filled in as it was.

        Args:
            annotator: the name.
            form: fields by name.
            page: as for `save`.

        Raises:
            RunError: the disk is full.
        """
        if page and page != self.page_of(annotator):
            return self.work(annotator, notice=FOREIGN)
        number = _number(form.get("number"))
        if number != self.store.last_number(annotator):
            return self.work(annotator, notice="Nothing was undone: this page was not the last that you worked on.")
        item = self.store.undo(annotator, key=f"undo/{number}")
        return self.work(annotator, item=item, notice="" if item else "There is nothing to undo.")

    def _work(
        self, annotator: str, item: Item | None, form: Mapping[str, str], *, notice: str = "", problem: str = "",
        field: str = "",
    ) -> Work:  # fmt: skip
        shown = None
        if item is not None:
            shown = ShownItem(
                position=self.store.place(item.item_id), number=self.store.last_number(annotator, item.item_id),
                item=item, answers=shown_answers(item, self.order(item, annotator)), form=form,
            )  # fmt: skip
        return Work(
            annotator=annotator, shown=shown, progress=self.store.progress(annotator), notice=notice, problem=problem,
            undo_number=self.store.last_number(annotator), minutes=self.breaks.minutes(annotator), field=field,
        )  # fmt: skip


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else -1
