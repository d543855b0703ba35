"""Reference log-probabilities, computed once and cached: per token, by content, shared by all runs on the same model.

Each model has a folder — named by the hash of its weights, adapter, tokenizer, processor, template and dtype — with
Parquet parts of (key, logprobs). Keys name picture bytes, question and answer, so subsets, loss variants and packings
share their rows, and a new row costs only itself. A few rows are recomputed and compared whenever a cache is used.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spavl.align.data.batches import PairDataset
from spavl.align.data.schedule import PairGroup, cut_micro_batches
from spavl.atomic import atomic_write
from spavl.errors import RunError

Scorer = Callable[[Sequence[PairGroup]], Mapping[str, np.ndarray]]
"""Reference log-probabilities per token, by key, of all answers of some trees."""
CHECKED = 4
"""Trees recomputed whenever a cache is used."""
EVERY = 2000
"""Answers computed between two writes."""


@final
class ReferenceCache:
    """The cached log-probabilities of one model.

    Args:
        root: folder of all caches.
        identity: hash of everything that the numbers depend on except picture, question and answer.
    """

    def __init__(self, root: Path, identity: str) -> None:
        self.folder = root / identity.replace(":", "-")
        self.identity = identity

    def read(self) -> dict[str, np.ndarray]:
        """Every cached answer by its key, log-probabilities [T] in float32.

        Raises:
            RunError: a part is damaged.
        """
        cached: dict[str, np.ndarray] = {}
        for part in sorted(self.folder.glob("*.parquet")):
            try:
                table = pq.read_table(part)
            except (OSError, pa.ArrowInvalid) as error:
                raise RunError(
                    f"A part of the reference cache cannot be read: {error}", where=str(part), try_="Delete that file."
                ) from error
            lists = table["logprobs"].combine_chunks()
            ends, values = np.asarray(lists.offsets), np.asarray(lists.values)
            for row, key in enumerate(table["key"].to_pylist()):
                cached[key] = values[ends[row] : ends[row + 1]]
        return cached

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Write more rows, in a part of their own, which is there whole or not at all.

        Args:
            rows: log-probabilities [T] by key.
        """
        if not rows:
            return
        values = pa.array([row.tolist() for row in rows.values()], pa.list_(pa.float32()))
        table = pa.table({"key": list(rows), "logprobs": values}).replace_schema_metadata({"identity": self.identity})
        part = self.folder / f"{uuid.uuid4().hex}.parquet"
        try_ = "make room, name another folder with align.reference.cache, or use align.reference.mode=live"
        with atomic_write(part, what="The reference cache", try_=try_) as tmp:
            pq.write_table(table, tmp, compression="zstd")


def reference_logprobs(
    cache: ReferenceCache,
    dataset: PairDataset,
    trees: Sequence[PairGroup],
    score: Scorer,
    *,
    token_budget: int,
    tolerance: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Log-probabilities [T] of every answer of some trees by key, read from the cache, or computed now and added to it.

    Args:
        cache: the cache of the model.
        dataset: the pairs; tells keys and sizes of trees.
        trees: whose answers are wanted.
        score: the model.
        token_budget: most tokens of a padded batch.
        tolerance: largest mean difference per token, in nats, between a cached answer and the model; other batch
            shapes round differently, other weights are off by far more.
        on_progress: called with (trees computed, trees to compute).

    Raises:
        RunError: the cache is damaged, or is not of this model.
    """
    cached = cache.read()
    known: list[PairGroup] = []
    missing: list[PairGroup] = []
    for tree in trees:
        (known if dataset.keys(tree) <= cached.keys() else missing).append(tree)
    for tree in known[:: max(1, len(known) // CHECKED)][:CHECKED]:
        _check(cached, score([tree]), tolerance, cache.folder)
    fresh: dict[str, np.ndarray] = {}
    done = 0
    missing.sort(key=dataset.size, reverse=True)
    for batch in cut_micro_batches(missing, dataset.size, token_budget, len(dataset.pairs)):
        fresh |= score(batch)
        done += len(batch)
        if len(fresh) >= EVERY:
            cache.add(fresh)
            cached |= fresh
            fresh = {}
        if on_progress:
            on_progress(done, len(missing))
    cache.add(fresh)
    return cached | fresh


def _check(cached: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray], tolerance: float, folder: Path) -> None:
    for key, row in now.items():
        if len(row) != len(cached[key]) or np.abs(row - cached[key]).mean() > tolerance:
            raise RunError(
                "The reference cache does not hold the log-probabilities of this model.",
                where=str(folder),
                try_="Delete that folder; it will be computed again.",
            )
