"""A row to be written, and what a dataset holds beyond questions and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spavl.preferences.about import ABOUT
from spavl.preferences.dataset import PreferenceDataset
from spavl.preferences.pairs import Pair
from spavl.tables.query import query


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A pair and what is known of it."""

    pair: Pair
    """The conversation with its two answers."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else is known, by the columns of `spavl.preferences.about`; what is not known is left out."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the pairs of a dataset hold beyond a question and two answers."""

    about: tuple[str, ...] = ()
    """Columns of `spavl.preferences.about` that say something in a row or more."""
    most_pictures: int = 0
    """Pictures of the last turn, of the row that has most."""
    earlier: bool = False
    """Whether a row has earlier turns."""
    system: bool = False
    """Whether a row has a system turn."""
    weights: bool = False
    """Whether a row has another weight than 1."""

    def fields(self) -> tuple[str, ...]:
        """Names of all that is held: fields of a pair, and columns of what is known of it."""
        optional = {"pictures": self.most_pictures > 0, "earlier": self.earlier, "system": self.system,
                    "weight": self.weights}  # fmt: skip
        there = (name for name, held in optional.items() if held)
        return ("question", "chosen", "rejected", *there, "pair_id", *self.about)


def holdings(datasets: Sequence[PreferenceDataset]) -> Holdings:
    """What some datasets hold together.

    Args:
        datasets: open datasets.

    Raises:
        RunError: a table of a dataset is damaged.
    """
    found = [_holdings(dataset) for dataset in datasets]
    return Holdings(
        about=tuple(name for name in ABOUT if any(name in one.about for one in found)),
        most_pictures=max((one.most_pictures for one in found), default=0),
        earlier=any(one.earlier for one in found),
        system=any(one.system for one in found),
        weights=any(one.weights for one in found),
    )


def _holdings(dataset: PreferenceDataset) -> Holdings:
    counts = ", ".join(f"count({name})" for name in ABOUT)
    ((most, earlier, system, weights, *about),) = query(
        "SELECT max(len(images)), max(len(earlier)), max(length(system)), count(*) FILTER (weight <> 1), "
        f"{counts} FROM pairs",
        pairs=dataset.rows,
    )
    held = tuple(name for name, count in zip(ABOUT, about, strict=True) if count)
    return Holdings(held, int(most or 0), bool(earlier), bool(system), bool(weights))


def export_rows(dataset: PreferenceDataset, about: Sequence[str]) -> Iterator[ExportRow]:
    """The rows of a dataset, in their order; one is held at a time, of pictures where they lie.

    Args:
        dataset: an open dataset.
        about: columns of what is known of a pair, of which those are given that say something in the row.
    """
    pairs = iter(dataset.pairs)
    for batch in dataset.pairs.batches():
        known = batch.select(list(about)).to_pylist() if about else [{}] * batch.num_rows
        for one in known:
            yield ExportRow(next(pairs), {name: value for name, value in one.items() if value is not None})
