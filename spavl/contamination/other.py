"""What a dataset is compared with: a benchmark, a file of questions, a folder of pictures, or another dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spavl.pictures import Picture


@dataclass(frozen=True, slots=True)
class OtherItem:
    """An item of what a dataset is compared with."""

    name: str
    """Its id there, or the name of its file."""
    texts: tuple[str, ...] = ()
    """What is asked in it."""
    pictures: tuple[Picture, ...] = ()
    """Its pictures."""


@dataclass(frozen=True, slots=True)
class Other:
    """What a dataset is compared with."""

    name: str
    """Name in tables."""
    items: Callable[[], Iterator[OtherItem]]
    """Gives its items, from the first, as often as it is called."""
    licence: str = ""
    """Its licence as published; empty: not known."""
    note: str = ""
    """What its licence says of training; empty: nothing."""
