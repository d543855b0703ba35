"""PreferencePair → PreferencePair: pairs left out so that length, source and a few subjects do not tell chosen apart.

What is left out is decided by cuts: they are found in the whole table by DuckDB, and a pair stays if it is below all
cuts that concern it, whatever batch it falls into.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spavl.config.build import BalanceSettings
from spavl.dataset.cells import Cell, CellLimits, kept_of_cells
from spavl.errors import SettingsError
from spavl.records import PreferencePair
from spavl.tables.query import query

MOST_ROUNDS = 500
"""Most times that cuts are lowered before all limits hold together; every time some pair is left out."""
REASONS = {
    "cell": "source and length",
    "chosen": "source share",
    "rejected": "source share",
    "length": "length",
    "subcategory": "more than per_subcategory",
}
"""What a pair is counted as that is left out, by kind of the cut; a pair above several cuts by the first."""
ROUNDING = 1e-9

Cuts = Mapping[str, Mapping[str, tuple[float, str]]]
"""By kind (`cell`: who is chosen over whom; `chosen`, `rejected`: source; `length`; `subcategory`) and name the place
in the order of pairs, a ratio of lengths and a hash, from which on pairs are left out."""

_PLACED = """
COPY (
    SELECT class3 AS subcategory, chosen_source AS chosen, rejected_source AS rejected,
        md5('{seed}/' || pair_id) AS key,
        CASE sign(length(chosen) - length(rejected)) WHEN 1 THEN 'longer' WHEN -1 THEN 'shorter' ELSE 'equal' END
            AS length,
        greatest(length(chosen), length(rejected))::DOUBLE / greatest(1, least(length(chosen), length(rejected)))
            AS ratio,
        CASE WHEN harmful THEN 'harmful' ELSE 'harmless' END AS asked,
        concat_ws(chr(10), asked, chosen_source, rejected_source, length) AS cell
    FROM pairs
) TO '{path}' (FORMAT parquet)
"""
_SURVIVORS = """
WITH cuts AS (
    SELECT unnest(?::VARCHAR[]) AS kind, unnest(?::VARCHAR[]) AS name, unnest(?::DOUBLE[]) AS ratio,
        unnest(?::VARCHAR[]) AS key
), survivors AS (
    SELECT placed.* FROM placed
    LEFT JOIN cuts s ON s.kind = 'subcategory' AND s.name = placed.subcategory
    LEFT JOIN cuts c ON c.kind = 'chosen' AND c.name = placed.chosen
    LEFT JOIN cuts r ON r.kind = 'rejected' AND r.name = placed.rejected
    LEFT JOIN cuts l ON l.kind = 'length' AND l.name = placed.length
    LEFT JOIN cuts e ON e.kind = 'cell' AND e.name = placed.cell
    WHERE coalesce(placed.key < s.key, TRUE) AND coalesce(placed.key < c.key, TRUE)
        AND coalesce(placed.key < r.key, TRUE)
        AND coalesce(placed.ratio < l.ratio OR (placed.ratio = l.ratio AND placed.key < l.key), TRUE)
        AND coalesce(placed.ratio < e.ratio OR (placed.ratio = e.ratio AND placed.key < e.key), TRUE)
)
"""
_ABOVE_QUOTA = """
SELECT subcategory, min(key) FROM (
    SELECT subcategory, key, row_number() OVER (PARTITION BY subcategory ORDER BY key) AS place FROM survivors
) WHERE place > ? GROUP BY subcategory ORDER BY subcategory
"""
_FROM_PLACE_ON = """
SELECT cell, ratio, key FROM (
    SELECT cell, ratio, key, row_number() OVER (PARTITION BY cell ORDER BY ratio, key) AS place FROM survivors
) JOIN (SELECT unnest(?::VARCHAR[]) AS cell, unnest(?::BIGINT[]) AS kept) USING (cell)
WHERE place = kept + 1 ORDER BY cell
"""


def balance(pairs: Sequence[PreferencePair], *, cuts: Cuts, seed: int) -> tuple[list[PreferencePair], Counter[str]]:
    """The pairs below all cuts, and how many were `kept` or left out for what.

    Args:
        pairs: preference pairs.
        cuts: from `find_cuts`.
        seed: that the cuts were found with.
    """
    why = [_why_left_out(p, cuts, seed) for p in pairs]
    return [p for p, reason in zip(pairs, why, strict=True) if reason == "kept"], Counter(why)


def _why_left_out(p: PreferencePair, cuts: Cuts, seed: int) -> str:
    key = md5(f"{seed}/{p.pair_id}".encode(), usedforsecurity=False).hexdigest()
    chosen, rejected = len(p.chosen), len(p.rejected)
    ratio = max(chosen, rejected) / max(1, min(chosen, rejected))
    length = "longer" if chosen > rejected else "shorter" if chosen < rejected else "equal"
    cell = Cell("harmful" if p.query.harmful else "harmless", p.chosen_source, p.rejected_source, length)
    names = {"cell": cell.name, "chosen": p.chosen_source, "rejected": p.rejected_source, "length": length,
             "subcategory": p.query.image.topic.class3}  # fmt: skip
    for kind, name in names.items():
        cut = cuts.get(kind, {}).get(name)
        place = (ratio, key) if kind in ("cell", "length") else (0.0, key)
        if cut is not None and place >= (cut[0], cut[1]):
            return REASONS[kind]
    return "kept"


@dataclass(frozen=True, slots=True)
class _Table:
    """The pairs that are below the cuts so far."""

    placed: Path
    cuts: Cuts

    def ask(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query to `survivors`."""
        found = [(kind, name, *cut) for kind, by_name in self.cuts.items() for name, cut in by_name.items()]
        columns = [list(column) for column in zip(*found, strict=True)] if found else [[], [], [], []]
        return query(_SURVIVORS + sql, [*columns, *parameters], placed=self.placed)

    def counts(self, column: str) -> dict[str, int]:
        """Pairs by the values of a column."""
        return dict(self.ask(f"SELECT {column}, count(*) FROM survivors GROUP BY 1 ORDER BY 1"))


def find_cuts(pairs: Path, *, settings: BalanceSettings, seed: int) -> dict[str, dict[str, tuple[float, str]]]:
    """The cuts that leave out as few pairs as are needed, step by step, for all limits to hold together.

    Args:
        pairs: table of all preference pairs.
        settings: the limits.
        seed: decides which pairs are left out where any will do.

    Raises:
        SettingsError: a limit cannot hold, for there are too few responders.
    """
    with TemporaryDirectory() as folder:
        placed = Path(folder) / "placed.parquet"  # without the texts, which every round would read again
        query(_PLACED.format(seed=seed, path=str(placed).replace("'", "''")), pairs=pairs)
        return _cuts_of(placed, settings)


def _cuts_of(placed: Path, settings: BalanceSettings) -> dict[str, dict[str, tuple[float, str]]]:
    cuts: dict[str, dict[str, tuple[float, str]]] = {kind: {} for kind in REASONS}
    if settings.max_source_share is not None:
        _refuse_few_sources(_Table(placed, cuts), settings.max_source_share)
    for _ in range(MOST_ROUNDS):
        kind, lower = _lower(_Table(placed, cuts), settings)
        if not lower:
            return cuts
        cuts[kind] |= lower
    raise SettingsError("The limits of `build.balance` cannot hold together for these pairs", where="build.balance",
                        try_="set fewer of them, or wider ones")  # fmt: skip


def _lower(table: _Table, settings: BalanceSettings) -> tuple[str, dict[str, tuple[float, str]]]:
    """The cuts of the first kind whose limit does not hold; none where all do."""
    if settings.max_source_share is not None:
        for side in ("chosen", "rejected"):
            if lower := _sources(table, side, settings.max_source_share):
                return side, lower
    if settings.by_cell:
        if lower := _cells(
            table, CellLimits(settings.source_balance, settings.length_balance, settings.within_harmful)
        ):
            return "cell", lower
    elif settings.length_balance is not None and (lower := _lengths(table, settings.length_balance)):
        return "length", lower
    if settings.per_subcategory is not None:
        found = table.ask(_ABOVE_QUOTA, settings.per_subcategory)
        return "subcategory", {name: (0.0, key) for name, key in found}
    return "", {}


def _refuse_few_sources(table: _Table, most: float) -> None:
    for side in ("chosen", "rejected"):
        sources = len(table.counts(side))
        if 0 < sources < 1 / most - ROUNDING:
            raise SettingsError(
                f"`max_source_share` is {most:g}, and the {side} answers come from {sources} alone",
                where="build.balance.max_source_share", try_=f"set it to {1 / sources:.2g} or more, or leave it out",
            )  # fmt: skip


def _sources(table: _Table, side: str, most: float) -> dict[str, tuple[float, str]]:
    """Cuts for responders that have too many of the answers of one side."""
    counts = table.counts(side)
    total = sum(counts.values())
    found = {}
    for name, count in counts.items():
        if count > most * total + ROUNDING:
            dropped = math.ceil((count - most * total) / (1 - most) - ROUNDING)
            sql = f"SELECT key FROM survivors WHERE {side} = ? ORDER BY key DESC LIMIT 1 OFFSET ?"
            found[name] = (0.0, table.ask(sql, name, dropped - 1)[0][0])
    return found


def _cells(table: _Table, limits: CellLimits) -> dict[str, tuple[float, str]]:
    """Cuts for the cells of which pairs are left out; in each those whose lengths differ most go first."""
    sql = "SELECT asked, chosen, rejected, length, count(*) FROM survivors GROUP BY ALL"
    counts = {Cell(*names): count for *names, count in table.ask(sql)}
    kept = kept_of_cells(counts, limits)
    fewer = {cell.name: kept[cell] for cell in counts if kept[cell] < counts[cell]}
    found = table.ask(_FROM_PLACE_ON, list(fewer), list(fewer.values())) if fewer else []
    return {name: (ratio, key) for name, ratio, key in found}


def _lengths(table: _Table, tolerance: float) -> dict[str, tuple[float, str]]:
    """The cut for pairs whose chosen answer is longer, or shorter, where these are too many."""
    counts = table.counts("length")
    total, most = sum(counts.values()), 0.5 + tolerance
    for side in ("longer", "shorter"):
        too_many = counts.get(side, 0) + counts.get("equal", 0) / 2 - most * total
        if too_many > ROUNDING:
            dropped = math.ceil(too_many / (1 - most) - ROUNDING)
            sql = "SELECT ratio, key FROM survivors WHERE length = ? ORDER BY ratio DESC, key DESC LIMIT 1 OFFSET ?"
            return {side: table.ask(sql, side, dropped - 1)[0]}
    return {}
