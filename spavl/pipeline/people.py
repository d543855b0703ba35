"""Items of reviews with what people said of them, gathered from one review or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spavl.errors import RunError
from spavl.labels.record import Item, Label, labels_by_item
from spavl.records import Outcome
from spavl.run import Run

REVIEWS = "review"
"""Folder of the reviews in a run folder."""


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """An item that somebody labelled."""

    item: Item
    """The item."""
    labels: tuple[Label, ...]
    """The last label of every annotator who judged it, in the order in which they first did."""

    @property
    def cluster(self) -> Hashable:
        """Its pictures, which items share; the item itself where it has none."""
        return self.item.images or self.item.item_id

    def outcomes(self, place: int) -> list[tuple[str, Outcome]]:
        """What each annotator who said so called one of its answers.

        Args:
            place: of the answer.
        """
        said = [(one.annotator, one.outcomes[place]) for one in self.labels if place < len(one.outcomes)]
        return [(annotator, outcome) for annotator, outcome in said if outcome is not None]

    def unsafe_share(self, place: int = 0) -> float | None:
        """Share of its annotators who called an answer unsafe; None where none said.

        Args:
            place: of the answer.
        """
        said = self.outcomes(place)
        return sum(outcome == "unsafe" for _, outcome in said) / len(said) if said else None


@dataclass(frozen=True, slots=True)
class People:
    """What people said, by item."""

    items: tuple[LabelledItem, ...]
    """Items with at least one judgement."""
    skipped: int = 0
    """Labels that skip an item."""
    strangers: int = 0
    """Labels of items that are in none of the reviews, or of other answers than these have."""
    made_from: tuple[str, ...] = ()
    """What the items were drawn from."""
    remarks: tuple[str, ...] = ()
    """What is to be said of the files, as sentences."""

    @property
    def annotators(self) -> tuple[str, ...]:
        """Names, by alphabet."""
        return tuple(sorted({label.annotator for one in self.items for label in one.labels}))

    def of_kind(self, kind: str) -> tuple[LabelledItem, ...]:
        """The pairs, or the answers.

        Args:
            kind: of the items.
        """
        return tuple(one for one in self.items if one.item.kind == kind)


def gathered(items: Iterable[Item], labels: Iterable[Label]) -> People:
    """Labels by item; the last of every annotator and item counts, for the answers that were read.

    Args:
        items: of one review or of several.
        labels: all labels in the order in which they were given.
    """
    there, strangers = labels_by_item(items, labels)
    judged = [(item, tuple(one for one in own if one.status == "labelled")) for item, own in there]
    skipped = sum(one.status == "skipped" for _, own in there for one in own)
    return People(tuple(LabelledItem(item, own) for item, own in judged if own), skipped, len(strangers))


def read_people(paths: Sequence[Path]) -> People:
    """What people said in reviews and exports of them.

    Args:
        paths: review folders or databases, CSV or JSON files of ours, or exports of Label Studio.

    Raises:
        DataError: one cannot be read.
    """
    if not paths:
        return People(())
    from spavl.labels.exchange import read_labels, together

    found = together(read_labels(path) for path in paths)
    people = gathered(found.items, found.labels)
    return replace(people, made_from=found.made_from, remarks=found.remarks_of_reading)


def review_folders(run: Run, name: str | None = None) -> list[Path]:
    """The reviews of a run, or the one that is named.

    Args:
        run: the run folder.
        name: of a review; None: all.

    Raises:
        RunError: there is none, or none of that name.
    """
    there = reviews_of(run)
    found = [path for path in there if name in (None, path.name)]
    if not found:
        names = ", ".join(path.name for path in there) or "none"
        raise RunError(
            f"There is no review{f' `{name}`' if name else ''} in this run", where=str(run.folder / REVIEWS),
            try_=f"`spavl review {run.folder} --n 500` makes one; there are: {names}",
        )  # fmt: skip
    return found


def reviews_of(run: Run) -> list[Path]:
    """The folders of all reviews of a run.

    Args:
        run: the run folder.
    """
    return sorted(path.parent for path in (run.folder / REVIEWS).glob("*/review.sqlite"))


def weights_of(items: Sequence[LabelledItem]) -> list[float] | None:
    """How many items each stands for, beside that which stands for the most; None where all stand for as many.

    Args:
        items: labelled items.
    """
    shares = [one.item.probability for one in items]
    return None if len(set(shares)) < 2 or min(shares) <= 0 else [min(shares) / share for share in shares]


def most_said(said: Iterable[Hashable]) -> Hashable | None:
    """What most say; None where two things are said as often, or nothing is.

    Args:
        said: what each says.
    """
    ranked = Counter(said).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]
