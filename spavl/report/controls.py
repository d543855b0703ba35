"""What the page shows of controls, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison

PictureShown = Literal["own", "removed", "blank", "unrelated", "described"]
"""What a controlled item shows: its own picture in whatever form, none, a grey one, another item's, or its caption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlledRate:
    """One metric of one model under one control."""

    paired: PairedComparison
    """With the control against without it, on the same items."""
    flips: Rate
    """Share of the items whose outcome changes, either way."""
    rate: Rate
    """The rate with the control."""
    kept: Rate | None = None
    """Of the items whose outcome is the wanted one without the control, the share where it is with it too."""
    lost: Rate | None = None
    """Share of the items with the wanted outcome without the control and another with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRow:
    """One control of one model."""

    name: str
    """Its name."""
    what: str
    """What it does to an item."""
    seen: PictureShown
    """What of its picture an item shows."""
    resampled: bool = False
    """Whether only the seed differs, so that what changes changes by chance."""
    rates: Mapping[str, ControlledRate]
    """What came of it, by name of the metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlledModel:
    """A model with its controls."""

    name: str
    """Key of the model."""
    label: str
    """Name on the page."""
    rows: tuple[ControlRow, ...]
    """Its controls."""
