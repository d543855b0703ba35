"""What a source of pictures gives, and what becomes of pictures that are not used.

A source (a folder, a manifest, a dataset, a search) yields candidates; it opens no picture. `collect` reads, checks and
stores them, whatever they come from.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

from spavl.errors import DataError
from spavl.records import Topic

FILE_READERS = min(16, 2 * (os.cpu_count() or 1))
"""Pictures that are read and decoded side by side where they are files."""

FilterName = Literal[
    "download", "unreadable", "too many pixels", "hash list", "resolution", "aspect", "exact duplicate",
    "near duplicate", "text", "classifier", "similarity", "embedding duplicate",
]  # fmt: skip
"""The filters in the order in which a picture passes them, by the names that `rejected.json`, the counts of `run.json`
and the report give them."""
FILTERS: tuple[FilterName, ...] = get_args(FilterName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A picture that has not been checked yet, wherever it is."""

    name: str
    """What messages and `rejected.json` call it: a path, an address, a row of a dataset; UTF-8 text, unique."""
    stamp: str
    """Changes when the picture may have changed: a file's size and time, an address, the fingerprint of a dataset."""
    read: Callable[[int], bytes] = field(repr=False, compare=False)
    """Its bytes, of which there may be at most so many. Raises DataError with a part of a sentence where they cannot be
    had, as `Unusable` where a filter of its own names that. It is called from a pool of threads."""
    topic: Topic
    """What the picture shows."""
    image_id: str
    """Id of its record, unique."""
    benign: bool
    """Whether it is a harmless counterpart."""
    heldout: bool
    """Whether its subcategory is kept out of alignment."""
    source: str
    """Where it comes from, kept in the record."""
    license: str
    """Its licence, kept in the record."""
    caption: str = ""
    """Text that came with the picture, such as its title."""
    similarity: float | None = None
    """Similarity of the picture to the keyword that it was found by, from -1 to 1; None where it was not searched."""


class Unusable(DataError):
    """A picture that is not used, by a filter.

    Args:
        kind: name of the filter.
        what: why it is not used, as part of a sentence.
        pdq: hash of the picture, where nothing else of it may be kept.
    """

    def __init__(self, kind: FilterName, what: str, *, pdq: str = "") -> None:
        super().__init__(what)
        self.kind: FilterName = kind
        self.pdq = pdq


@dataclass(frozen=True, slots=True)
class Rejected:
    """A picture that is not used, and why."""

    file: str
    """What its candidate is called; empty where nothing but its hash is kept."""
    reason: str
    """Why it is not used, as part of a sentence."""
    kind: FilterName
    """The filter that it fails."""
    pdq: str = ""
    """Its PDQ hash, where nothing else of it is kept."""

    @classmethod
    def of(cls, candidate: Candidate, error: DataError) -> Rejected:
        """What is kept of a picture that a filter, or its source, refuses.

        Args:
            candidate: the picture.
            error: what is wrong with it.
        """
        if not isinstance(error, Unusable):
            return cls(candidate.name, error.what, "unreadable")
        return cls("" if error.pdq else candidate.name, error.what, error.kind, error.pdq)

    def plain(self) -> dict[str, str]:
        """Its fields for `rejected.json`, without those that are empty."""
        return {name: value for name, value in asdict(self).items() if value}

    def __str__(self) -> str:
        return f"{self.file or 'a picture'}: {self.reason}"
