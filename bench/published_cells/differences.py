"""Which published differences are findings: without pairs, and under every pairing that the two counts allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scipy.stats import fisher_exact

from bench.published_cells.cells import BASE, COLUMNS, DPO, PPO, cells
from bench.published_cells.counts import Counted, counted
from spavl.statistics.paired import mcnemar_exact

COMPARED = (
    ("Table 2", BASE, DPO), ("Table 2", BASE, PPO), ("Table 2", DPO, PPO),
    ("Table 2", BASE, "+ VLGuard-SFT"), ("Table 2", BASE, "+ HH-Harmless-PPO"),
    ("projector", "with projector", "without projector"),
    ("answers of which models", "All (12)", "Safe (3 models)"),
    ("answers of which models", "All (12)", "Relative safe (5)"), ("answers of which models", "All (12)", "Unsafe (5)"),
    ("which questions", "Mixed", "Easy-Q"), ("which questions", "Mixed", "Hard-Q"),
    ("which questions", "Mixed", "Hard-S"),
)  # fmt: skip
"""Table and two of its rows: those that the paper's claims rest on."""
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """Two cells of a column."""

    table: str
    """Which table they stand in."""
    before: Counted
    """The first."""
    after: Counted
    """The second."""

    @property
    def unpaired(self) -> float:
        """Fisher's exact p, as if the items were others."""
        n, k, l = self.before.cell.n, self.before.nearest, self.after.nearest
        return float(fisher_exact([[k, n - k], [l, n - l]]).pvalue)

    @property
    def paired(self) -> tuple[float, float]:
        """Smallest and largest exact McNemar p over every pairing that the counts allow."""
        n, k, l = self.before.cell.n, self.before.nearest, self.after.nearest
        most = min(k, n - l)
        found = [mcnemar_exact(fixed, l - k + fixed) for fixed in range(max(0, k - l), most + 1)]
        return min(found), max(found)

    @property
    def verdict(self) -> str:
        """What can be said without the answers."""
        least, most = self.paired
        if least > ALPHA:
            return "not significant under any pairing"
        return "significant under every pairing" if most <= ALPHA else "depends on the pairing"


def differences() -> Iterator[Difference]:
    """All that are compared, by column."""
    found = {(cell.table, cell.row, cell.column): counted(cell) for cell in cells()}
    for table, before, after in COMPARED:
        for column in COLUMNS:
            pair = found.get((table, before, column)), found.get((table, after, column))
            if pair[0] is not None and pair[1] is not None:
                yield Difference(table, pair[0], pair[1])
