"""What the page of an audit shows, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spavl.statistics.intervals import LEVEL, Rate

FEWEST = 0.5
"""Least width of a band on a scale of 0 to 100, so that it can be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingShown:
    """A finding of the audit."""

    kind: str
    """Its term, by which `spavl clean` is told what to drop."""
    fault: bool
    """Whether it breaks its limit."""
    what: str
    """What was found, in a sentence."""
    try_: str = ""
    """What to do about it; empty: nothing."""
    subject: str = ""
    """What it speaks of alone; empty: the whole dataset."""
    rate: Rate | None = None
    """Its share with the interval; None where it speaks of none."""
    limit: float | None = None
    """From where on that share is a fault."""
    pairs: int = 0
    """How many pairs it names."""

    @property
    def label(self) -> str:
        """Its term as words."""
        return self.kind.replace("_", " ")

    @property
    def nowhere(self) -> bool:
        """Whether it was looked for in the whole dataset and is not there."""
        return self.rate is not None and self.rate.value == 0 and not self.subject

    @property
    def left(self) -> float:
        """Where the band of the interval begins, in percent of the scale."""
        return 0.0 if self.rate is None else 100 * max(0.0, min(self.rate.low, 1 - FEWEST / 100))

    @property
    def width(self) -> float:
        """How wide the band is, in percent of the scale."""
        return FEWEST if self.rate is None else max(FEWEST, 100 * min(1.0, self.rate.high) - self.left)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsafeShown:
    """How many of the answers of a domain are unsafe."""

    domain: str
    """Name of the domain; `all` for the whole dataset."""
    chosen: Rate | None
    """Of the chosen answers; None where none is graded."""
    rejected: Rate | None
    """Of the rejected ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wins:
    """Who is chosen over whom."""

    sources: tuple[str, ...]
    """The responders, the one first whose answers are chosen most often."""
    counts: tuple[tuple[int, ...], ...]
    """Pairs in which the responder of the row is chosen over that of the column."""

    def share(self, row: int, column: int) -> float | None:
        """Share of the meetings of two responders that the first one wins; None where they never meet.

        Args:
            row: place of the first.
            column: place of the other.
        """
        met = self.counts[row][column] + self.counts[column][row]
        return self.counts[row][column] / met if met else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsShown:
    """How many pairs there are of every subcategory and type of question."""

    columns: tuple[str, ...]
    """Types of questions."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """(subcategory, pairs by column)."""

    @property
    def most(self) -> int:
        """Pairs of the largest cell."""
        return max((count for _, counts in self.rows for count in counts), default=0)

    @property
    def empty(self) -> int:
        """Cells without a pair."""
        return sum(count == 0 for _, counts in self.rows for count in counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A pair that the audit suspects."""

    pair_id: str
    """Its id."""
    why: str
    """What it is suspected of."""
    question: str
    """What was asked."""
    chosen: str
    """The preferred answer."""
    rejected: str
    """The other answer."""
    pictures: tuple[Path | bytes, ...] = ()
    """Its pictures: files, or their bytes."""
    topic: str = ""
    """Its subcategory."""
    benign: bool = False
    """Whether its picture is known to be harmless; all others stay closed until opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditShown:
    """All that the page shows. Every part may be empty, and is then left out."""

    dataset: str
    """Name of the dataset."""
    verdict: str
    """One sentence."""
    pairs: int
    """How many pairs there are."""
    findings: tuple[FindingShown, ...]
    """In any order: faults come first."""
    unsafe: tuple[UnsafeShown, ...] = ()
    """By domain."""
    wins: Wins | None = None
    """Who is chosen over whom."""
    cells: CellsShown | None = None
    """Coverage."""
    suspects: tuple[Suspect, ...] = ()
    """Examples of suspected pairs."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else is known, by its name, such as how many were asked about."""
    unanswered: Mapping[str, str] = field(default_factory=dict)
    """What the dataset lacks, and names of the checks that need it."""
    level: float = LEVEL
    """Confidence level of the intervals."""
    blur: bool = True
    """Blur pictures that are not known to be harmless until they are clicked."""
    picture_pixels: int = 320
    """Most pixels of a picture's longer side."""

    def of_weight(self, weight: Literal["fault", "note"]) -> list[FindingShown]:
        """The findings of a weight, in their order.

        Args:
            weight: `fault` or `note`.
        """
        return [one for one in self.findings if one.fault == (weight == "fault")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSummary:
    """What the report of a run shows of the audit of its pairs."""

    verdict: str
    """One sentence."""
    findings: tuple[FindingShown, ...]
    """All findings."""

    @property
    def faults(self) -> list[FindingShown]:
        """Those that break their limits."""
        return [one for one in self.findings if one.fault]

    @property
    def notes(self) -> list[FindingShown]:
        """The others."""
        return [one for one in self.findings if not one.fault]
