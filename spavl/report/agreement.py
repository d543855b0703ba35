"""What the page shows of a review by people, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgreementTable:
    """One table of it."""

    caption: str
    """What it shows."""
    head: tuple[str, ...]
    """Its columns."""
    rows: tuple[tuple[str, ...], ...]
    """Its rows, as texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementShown:
    """A review: what people said against each other and the judges."""

    name: str
    """Name of the review."""
    verdict: str
    """A sentence on all of it."""
    tables: tuple[AgreementTable, ...]
    """Its tables; empty ones are left out."""
