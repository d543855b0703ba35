"""How many pairs of every kind stay, so that neither source nor length tells chosen from rejected: a linear programme.

A cell is what two pairs have in common that this cannot tell apart: who is chosen over whom, whether the chosen answer
is the longer one, and whether the question asks for harm. The programme knows counts alone, so its size depends on the
number of responders and not of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

SLACK = 1.0
"""Answers by which a responder may exceed its share, so that one with a single answer need not be left out."""
ROUNDING = 1e-7


class Cell(NamedTuple):
    """What pairs have in common."""

    group: str
    """`harmful` or `harmless`, by the question."""
    chosen: str
    """Responder of the chosen answer."""
    rejected: str
    """Responder of the rejected one."""
    length: str
    """`longer`, `shorter` or `equal`: the chosen answer."""

    @property
    def name(self) -> str:
        """The cell as one text."""
        return "\n".join(self)


@dataclass(frozen=True, slots=True)
class CellLimits:
    """What must hold of the pairs that stay."""

    source: float | None
    """Most by which the chosen share of a responder's answers may differ from a half; None: by anything."""
    length: float | None
    """Most by which the share of pairs whose chosen answer is the longer one may; None: by anything."""
    within: bool
    """Whether both hold within harmful and within harmless pairs, each by itself."""


def kept_of_cells(counts: Mapping[Cell, int], limits: CellLimits) -> dict[Cell, int]:
    """How many pairs of every cell stay: most of all of them for which the limits hold, up to whole numbers.

    Rounding down may break a limit by a pair; whoever asks again with what stays gets the rest put right.

    Args:
        counts: pairs by cell.
        limits: what must hold.
    """
    cells = sorted(counts)
    rows = [row for row in _rows(cells, limits) if _excess(row, cells, counts) > ROUNDING]
    if not rows:
        return dict(counts)
    every = list(_rows(cells, limits))
    found = linprog(
        -np.ones(len(cells)), A_ub=_matrix(every, len(cells)), b_ub=[row.most for row in every],
        bounds=[(0, counts[cell]) for cell in cells], method="highs",
    )  # fmt: skip
    kept = {cell: math.floor(value + ROUNDING) for cell, value in zip(cells, found.x, strict=True)}
    return kept if kept != dict(counts) else _one_less(kept, rows[0], cells)


@dataclass(frozen=True, slots=True)
class _Limit:
    """Σ weight · pairs of a cell ≤ most."""

    weights: Mapping[int, float]
    most: float


def _rows(cells: Sequence[Cell], limits: CellLimits) -> Iterator[_Limit]:
    """Every limit as an inequality in the numbers of pairs of the cells."""
    groups = sorted({cell.group for cell in cells}) if limits.within else [None]
    for group in groups:
        own = [place for place, cell in enumerate(cells) if group in (None, cell.group)]
        if limits.source is not None:
            yield from _of_sources(cells, own, 0.5 + limits.source)
        if limits.length is not None:
            for side in ("longer", "shorter"):
                part = {"equal": 0.5, side: 1.0}
                yield _Limit({at: part.get(cells[at].length, 0.0) - 0.5 - limits.length for at in own}, 0.0)


def _of_sources(cells: Sequence[Cell], own: Sequence[int], most: float) -> Iterator[_Limit]:
    """Of every responder's answers not too many are chosen, nor too many rejected."""
    by_source: dict[str, list[int]] = {}
    for at in own:
        for name in {cells[at].chosen, cells[at].rejected}:
            by_source.setdefault(name, []).append(at)
    for name, places in sorted(by_source.items()):
        for side in (0, 1):
            weights = {}
            for at in places:
                answers = [cells[at].chosen == name, cells[at].rejected == name]
                weights[at] = answers[side] - most * sum(answers)
            yield _Limit(weights, SLACK)


def _excess(row: _Limit, cells: Sequence[Cell], counts: Mapping[Cell, int]) -> float:
    """By how much a limit is exceeded."""
    return sum(weight * counts[cells[at]] for at, weight in row.weights.items()) - row.most


def _matrix(rows: Sequence[_Limit], width: int) -> csr_array:
    entries = [(number, at, weight) for number, row in enumerate(rows) for at, weight in row.weights.items()]
    numbers, places, weights = zip(*entries, strict=True)
    return csr_array((weights, (numbers, places)), shape=(len(rows), width))


def _one_less(kept: Mapping[Cell, int], broken: _Limit, cells: Sequence[Cell]) -> dict[Cell, int]:
    """One pair less, of the cell that counts most against a broken limit: rounding must not go on for ever."""
    at = max((at for at in broken.weights if kept[cells[at]]), key=lambda place: (broken.weights[place], -place))
    return {**kept, cells[at]: kept[cells[at]] - 1}
