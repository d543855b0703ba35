"""Reference log-probabilities, computed once and kept: per token, by content, shared by every run on the same model.

One folder a model — named by the hash of its weights, adapter, tokenizer, processor, template and dtype — with Parquet
parts of (key, logprobs). Keys name picture bytes, question and answer, so subsets, loss variants and layouts share
their rows, and a new row costs only itself. What is read back is checked against the model before it is used.
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
"""Trees recomputed whenever a cache is opened."""
EVERY = 2000
"""Answers computed between two writes."""


@final
class ReferenceCache:
    """Log-probabilities of one model. `identity` names everything they depend on besides picture and words."""

    def __init__(self, root: Path, identity: str) -> None:
        self.folder = root / identity.replace(":", "-")
        self.identity = identity

    def read(self) -> dict[str, np.ndarray]:
        """Everything kept, by key; each [tokens] float32. Raises RunError for a damaged part."""
        kept: dict[str, np.ndarray] = {}
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
                kept[key] = values[ends[row] : ends[row + 1]]
        return kept

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Keep more rows, in a part of their own, which is there whole or not at all."""
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
    budget: int,
    tolerance: float,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Every answer of these trees by key, read from the cache, or computed now and kept.

    `tolerance`: largest mean difference per token, in nats, between what was kept and what the model says now; other
    batch shapes round differently, other weights are off by far more. Raises RunError beyond it.
    """
    kept = cache.read()
    known: list[PairGroup] = []
    missing: list[PairGroup] = []
    for tree in trees:
        (known if dataset.keys(tree) <= kept.keys() else missing).append(tree)
    for tree in known[:: max(1, len(known) // CHECKED)][:CHECKED]:
        _check(kept, score([tree]), tolerance, cache.folder)
    fresh: dict[str, np.ndarray] = {}
    done = 0
    missing.sort(key=dataset.size, reverse=True)
    for some in cut_micro_batches(missing, dataset.size, budget, len(dataset.pairs)):
        fresh |= score(some)
        done += len(some)
        if len(fresh) >= EVERY:
            cache.add(fresh)
            kept |= fresh
            fresh = {}
        if on_progress:
            on_progress(done, len(missing))
    cache.add(fresh)
    return kept | fresh


def _check(kept: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray], tolerance: float, folder: Path) -> None:
    for key, row in now.items():
        if len(row) != len(kept[key]) or np.abs(row - kept[key]).mean() > tolerance:
            raise RunError(
                "The reference cache does not hold what this model says.",
                where=str(folder),
                try_="Delete that folder; it will be computed again.",
            )
