"""How a dataset covers its taxonomy, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """A name of the taxonomy with what the dataset holds of it."""

    name: str
    """Readable form of the name; `all` for the whole taxonomy."""
    depth: int
    """How many names stand above it and are it: 0 for the whole taxonomy."""
    is_subcategory: bool
    """Whether it is a leaf of the taxonomy; the others are sums."""
    counts: tuple[int, ...]
    """How many records there are, in the order of the columns."""
    few: tuple[bool, ...]
    """Whether these are less than a fifth of what the mean subcategory has; never of a sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageShown:
    """How the dataset covers its taxonomy."""

    taxonomy: str
    """Where the taxonomy comes from."""
    columns: tuple[str, ...]
    """What is counted: pictures, benign ones among them, questions by type, pairs."""
    rows: tuple[CoverageRow, ...]
    """The whole, then every name of the tree in its order, what it holds below it."""
    subcategories: int
    """How many subcategories there are."""
    without_pictures: tuple[str, ...]
    """Subcategories without any picture."""

    @property
    def thin(self) -> int:
        """How many subcategories have few of something."""
        return sum(any(row.few) for row in self.rows)
