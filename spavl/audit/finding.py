"""A finding of an audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spavl.statistics.intervals import Rate

Weight = Literal["fault", "note"]
"""`fault`: the dataset breaks a limit, and the verdict says so. `note`: worth knowing, and no fault by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that an audit found; where it is a fault, its interval lies beyond the limit as a whole."""

    kind: str
    """Its term, such as `position_bias` or `contradictions`: by it `spavl clean` is told what to drop."""
    weight: Weight
    """Whether it is a fault."""
    what: str
    """A sentence that says what was found, with its numbers."""
    try_: str
    """What to do about it; empty: nothing."""
    rate: Rate | None = None
    """The share that it speaks of, with its interval; None where it speaks of no share."""
    limit: float | None = None
    """From where on that share is a fault; None: it never is."""
    subject: str = ""
    """What it speaks of alone, such as a judge, a domain or a source; empty: the whole dataset."""
    pairs: int = 0
    """How many pairs it names in the table of findings."""
