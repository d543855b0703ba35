"""An approximate index over a table of vectors, kept beside it: HNSW graphs of usearch, read through a memory map.

A graph holds vectors of eight bits, which it is searched by; what it finds is compared with the vectors of the table.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spavl.atomic import atomic_write, remove_abandoned
from spavl.dataset.collect.vectors import Nearest, VectorTable
from spavl.errors import MissingExtra, RunError
from spavl.progress import OnProgress

if TYPE_CHECKING:
    from usearch.index import Index

PART_ROWS = 2**20
"""Rows in one graph, which is what is held in memory while it grows (about 0.5 GB with 256 numbers a vector)."""
ADDED_ROWS = 16_384
"""Rows that are added to a graph at once."""
FIRST_ROWS = 1024
"""Rows up to which a graph grows on one thread: rows that several add to a small graph may not find each other, and are
then found by no search."""
CONNECTIVITY, EXPANSION_ADD = 16, 128
"""Neighbours of a node, and nodes that are looked at for them."""
EXPANSION_SEARCH = 384
"""Least number of nodes that a search looks at."""
OVERSAMPLING = 4
"""How many times as many rows as are wanted are taken from a graph, and compared again with the table's vectors."""


class VectorIndex:
    """The index of a table. It covers the rows that there were when it was last extended.

    Args:
        table: the table, in whose folder it is kept.

    Raises:
        MissingExtra: usearch is not installed.
    """

    def __init__(self, table: VectorTable) -> None:
        try:
            from usearch.index import Index
        except ImportError as missing:
            raise MissingExtra("An index over vectors needs usearch.", where="build.collect.search.index",
                               try_="pip install 'spavl[search]', or set `index: exact`") from missing  # fmt: skip
        self._kind = Index
        self._table = table
        self._views: dict[int, Any] = {}

    def extend(self, on_progress: OnProgress = lambda done, total: None) -> int:
        """Add the rows that the table has and the index lacks. Returns their number.

        A graph is written whole, and then takes the place of the one before: a killed process loses what it added to
        one graph.

        Args:
            on_progress: called with rows covered and rows in all.

        Raises:
            RunError: the disk is full, or a graph is damaged.
        """
        total, before = len(self._table), 0
        for part, start in enumerate(range(0, total, PART_ROWS)):
            wanted = min(PART_ROWS, total - start)
            covered = len(self._view(part)) if self._path(part).exists() else 0
            before += covered
            if covered < wanted:
                self._views.pop(part, None)
                self._grow(part, start + covered, start + wanted, on_progress)
        return total - before

    def _grow(self, part: int, start: int, stop: int, on_progress: OnProgress) -> None:
        """Add rows to one graph and save it."""
        path = self._path(part)
        remove_abandoned(path)
        graph = self._open(path, view=False) if path.exists() else self._empty()
        vectors = self._table.vectors()
        for first in range(start, stop, ADDED_ROWS):
            last = min(stop, first + ADDED_ROWS)
            threads = 1 if len(graph) < FIRST_ROWS else 0
            graph.add(np.arange(first, last), np.asarray(vectors[first:last], np.float32), threads=threads)
            on_progress(last, len(self._table))
        with atomic_write(path, what="The index of the vectors") as tmp:
            try:
                graph.save(tmp)
            except RuntimeError as error:
                raise OSError(errno.ENOSPC, str(error), str(tmp)) from error

    def nearest(self, queries: NDArray[np.float32], k: int, *, threshold: float = -1.0) -> Nearest:
        """The rows most similar to each query, nearly always all of them, with exact similarities.

        Rows that are hidden are left out; where they leave too few, the query is searched exactly.

        Args:
            queries: [Q, width], of length one.
            k: most rows for a query.
            threshold: least similarity.

        Raises:
            RunError: a graph is damaged.
        """
        table = self._table
        rows = np.concatenate(list(self._found(queries, OVERSAMPLING * k)), axis=1)
        rows[np.isin(rows, table.hidden_rows(0, len(table)))] = -1
        found = table.measured(queries, rows)
        short = np.flatnonzero((found.rows >= 0).sum(axis=1) < min(k, len(table)))
        rows, similarities = found.rows[:, :k].copy(), found.similarities[:, :k].copy()
        if len(short):
            exact = table.nearest(queries[short], k)
            rows[short], similarities[short] = exact.rows, exact.similarities
        far = similarities < threshold
        rows[far], similarities[far] = -1, -np.inf
        return Nearest(rows, similarities)

    def _found(self, queries: NDArray[np.float32], count: int) -> Iterator[NDArray[np.int64]]:
        """[Q, count] rows of each graph, -1 where it has fewer."""
        for part in range(-(-len(self._table) // PART_ROWS)):
            graph = self._view(part)
            graph.expansion_search = max(EXPANSION_SEARCH, count)
            matches: Any = graph.search(np.concatenate((queries, queries[:1])), count)  # one alone has another form
            there = np.arange(matches.keys.shape[1]) < matches.counts[:, None]
            yield np.where(there, matches.keys.astype(np.int64), -1)[:-1]

    def _view(self, part: int) -> Any:
        if part not in self._views:
            self._views[part] = self._open(self._path(part), view=True)
        return self._views[part]

    def _open(self, path: Path, *, view: bool) -> Index:
        try:
            graph = self._kind.restore(path, view=view)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(path, str(error)) from error
        if graph is None or graph.ndim != self._table.width:
            raise self._damaged(path, "it is none, or of other vectors")
        return graph

    def _damaged(self, path: Path, why: str) -> RunError:
        return RunError(f"The index of the vectors is damaged: {why}", where=str(path),
                        try_="delete this file; it is then made anew")  # fmt: skip

    def _empty(self) -> Index:
        return self._kind(
            ndim=self._table.width, metric="ip", dtype="i8", connectivity=CONNECTIVITY, expansion_add=EXPANSION_ADD,
            enable_key_lookups=False,
        )  # fmt: skip

    def _path(self, part: int) -> Path:
        return self._table.folder / f"index-{self._table.token}-{part:04}.usearch"
