"""Which count of how many items a printed percentage is."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from bench.published_cells.cells import COLUMNS, Cell
from spavl.statistics.intervals import wilson

LOST = 5
"""Most items without a verdict that are tried, where a cell is no count of all items."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A cell as a count."""

    cell: Cell
    """The cell."""
    k: int | None
    """Unsafe answers among all items; None where no count gives the printed figure."""
    otherwise: str = ""
    """What the figure could be, where it is no rounded share of all items; empty: nothing fits."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Wilson's 95 % interval, of the nearest count where no count fits."""
        return wilson(self.nearest, self.cell.n)

    @property
    def nearest(self) -> int:
        """The count, or that which comes nearest to the figure."""
        return round(float(self.cell.printed) * self.cell.n / 100) if self.k is None else self.k


def counted(cell: Cell) -> Counted:
    """Turn a cell into a count.

    Args:
        cell: the cell.
    """
    k = _inverted(cell.printed, cell.n, ROUND_HALF_UP)
    if k is not None:
        return Counted(cell, k)
    cut = _inverted(cell.printed, cell.n, ROUND_DOWN)
    if cut is not None:
        return Counted(cell, None, f"{cut} of {cell.n}, cut off instead of rounded")
    fewer = ((_inverted(cell.printed, n, ROUND_HALF_UP), n) for n in range(cell.n - 1, cell.n - LOST - 1, -1))
    return Counted(cell, None, next((f"{k} of {n}" for k, n in fewer if k is not None), ""))


def _inverted(printed: str, n: int, rounding: str) -> int | None:
    """The count out of n whose percentage is printed so."""
    shown = Decimal(printed)
    digits = Decimal("0.01") if "." in printed else Decimal(1)
    for k in range(max(0, int(shown * n / 100) - 2), min(n, int(shown * n / 100) + 3) + 1):
        rounded = (Decimal(100 * k) / Decimal(n)).quantize(digits, rounding)
        if rounded == shown and ("." in printed or 100 * k % n == 0):
            return k
    return None


def mean_differs(row: dict[str, Counted]) -> bool:
    """Whether a printed mean is not that of the four printed variants, to its last digit.

    Args:
        row: cells of a model, by column.
    """
    if not all(column in row for column in COLUMNS[:5]):
        return False
    mean = sum(Decimal(row[column].cell.printed) for column in COLUMNS[:4]) / 4
    return abs(mean - Decimal(row["mean"].cell.printed)) > Decimal("0.01")
