"""Items of reviews with what people said of them, gathered from one review or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spavl.errors import RunError
from spavl.labels.record import Item, Label, current_labels
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
    """Labels of items that are in none of the reviews."""

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
    """Labels by item; the last of every annotator and item counts.

    Args:
        items: of one review or of several.
        labels: all labels in the order in which they were given.
    """
    known = {item.item_id: item for item in items}
    found: dict[str, list[Label]] = {}
    skipped = strangers = 0
    for label in current_labels(labels):
        if label.item_id not in known:
            strangers += 1
        elif label.status == "labelled":
            found.setdefault(label.item_id, []).append(label)
        else:
            skipped += 1
    made = tuple(LabelledItem(item, tuple(found[name])) for name, item in known.items() if name in found)
    return People(made, skipped, strangers)


def read_people(paths: Sequence[Path]) -> People:
    """What people said in reviews and exports of them.

    Args:
        paths: review folders or databases, CSV or JSON files of ours, or exports of Label Studio.

    Raises:
        DataError: one cannot be read.
    """
    if not paths:
        return People(())
    from spavl.labels.exchange import read_labels

    found = [read_labels(path) for path in paths]
    return gathered((item for one in found for item in one.items), (label for one in found for label in one.labels))


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
    """How many items each stands for; None where all stand for as many.

    Args:
        items: labelled items.
    """
    shares = [one.item.probability for one in items]
    return None if len(set(shares)) < 2 or min(shares) <= 0 else [1 / share for share in shares]


def most_said(said: Iterable[Hashable]) -> Hashable | None:
    """What most say; None where two things are said as often, or nothing is.

    Args:
        said: what each says.
    """
    ranked = Counter(said).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]
