"""Reasons why rows are left out: some name a value of the row, so that only so many are told apart."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

MOST: Final = 40
"""Most reasons that are told apart."""
OTHER: Final = "other reasons"
"""What the rest is called."""


def bounded(reason: str, known: Collection[str]) -> str:
    """The reason itself, or `OTHER` where as many as are told apart are known already.

    Args:
        reason: why a row is left out.
        known: reasons so far.
    """
    return reason if reason in known or len(known) < MOST else OTHER
