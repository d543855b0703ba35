"""Reference log-probabilities, computed once and cached: per token, by content, shared by all runs on the same model.

A training reads their sums alone: one number an answer, by the number of the pair.

Each model has a folder — named by the hash of its weights, adapter, tokenizer, processor, template and dtype — with
Parquet parts of (key, logprobs, sum). Keys name picture bytes, question and answer, so subsets, loss variants and
packings share their rows, and a new row costs only itself: where a tree has some that are cached, only its others are
computed. A few rows are recomputed and compared whenever a cache is used.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import final, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float

from spavl.align.data.batches import PairDataset
from spavl.align.data.schedule import PairGroup, cut_large_trees, cut_micro_batches
from spavl.atomic import atomic_write
from spavl.errors import RunError
from spavl.progress import OnProgress

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
        self._known: dict[Path, tuple[pa.Array, np.ndarray]] = {}

    def read(self, keys: Collection[str]) -> dict[str, np.ndarray]:
        """Log-probabilities [T] of some answers by key, float32; those that are not cached are left out.

        Args:
            keys: of a few answers.

        Raises:
            RunError: a part is damaged.
        """
        wanted, cached = pa.array(list(keys), pa.string()), dict[str, np.ndarray]()
        for part in self._part_files():
            if not pc.any(pc.is_in(_read(part, ["key"])["key"], value_set=wanted)).as_py():
                continue
            table = _read(part, ["key", "logprobs"])
            found = table.filter(pc.is_in(table["key"], value_set=wanted))
            for key, row in zip(found["key"].to_pylist(), found["logprobs"].to_pylist(), strict=True):
                cached[key] = np.asarray(row, dtype=np.float32)
        return cached

    def sums(self, keys: pa.StringArray) -> Float[np.ndarray, " N"]:
        """Summed log-probability of every answer, float32; not a number where it is not cached.

        Args:
            keys: of N answers, repeated or not.

        Raises:
            RunError: a part is damaged.
        """
        chosen: np.ndarray = np.full(len(keys), np.nan, dtype=np.float32)
        for part in self._part_files():
            found, sums = self._sums_of(part)
            places = pc.fill_null(pc.index_in(keys, value_set=found), -1).to_numpy(zero_copy_only=False)
            chosen[places >= 0] = sums[places[places >= 0]]
        return chosen

    def _part_files(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))

    def _sums_of(self, part: Path) -> tuple[pa.Array, np.ndarray]:
        """Keys and sums of a part, which never changes: it is read once."""
        if part not in self._known:
            columns = ["key", "sum"] if "sum" in _read(part, None).names else ["key", "logprobs"]
            table = _read(part, columns)
            sums = table.column(1).to_numpy() if "sum" in columns else _row_sums(table["logprobs"].combine_chunks())
            self._known[part] = table["key"].combine_chunks(), sums.astype(np.float32)
        return self._known[part]

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Write more rows, in a part of their own, which is there whole or not at all.

        Args:
            rows: log-probabilities [T] by key.
        """
        if not rows:
            return
        values = pa.array([row.tolist() for row in rows.values()], pa.list_(pa.float32()))
        columns = {"key": list(rows), "logprobs": values, "sum": _row_sums(values).astype(np.float32)}
        table = pa.table(columns).replace_schema_metadata({"identity": self.identity})
        part = self.folder / f"{uuid.uuid4().hex}.parquet"
        try_ = "make room, name another folder with align.reference.cache, or use align.reference.mode=live"
        with atomic_write(part, what="The reference cache", try_=try_) as tmp:
            pq.write_table(table, tmp, compression="zstd")


@overload
def _read(part: Path, columns: None) -> pa.Schema: ...
@overload
def _read(part: Path, columns: list[str]) -> pa.Table: ...
def _read(part: Path, columns: list[str] | None) -> pa.Table | pa.Schema:
    """Some columns of a part, or what columns it has."""
    try:
        return pq.read_schema(part) if columns is None else pq.read_table(part, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            f"A part of the reference cache cannot be read: {error}", where=str(part), try_="Delete that file."
        ) from error


def _row_sums(lists: pa.ListArray) -> np.ndarray:
    """The sum of every list, float64."""
    ends = np.asarray(lists.offsets)
    running = np.concatenate([[0.0], np.asarray(lists.values, dtype=np.float64)[ends[0] :].cumsum()])
    sums: np.ndarray = np.diff(running[ends - ends[0]])
    return sums


def fill_reference_cache(
    cache: ReferenceCache,
    dataset: PairDataset,
    trees: Sequence[PairGroup],
    score: Scorer,
    *,
    token_budget: int,
    tolerance: float,
    on_progress: OnProgress | None = None,
) -> None:
    """Compute the answers of some trees that the cache lacks, and add them to it; a few others are compared with it.

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
    lacking = np.isnan(reference_sums(cache, dataset)).any(axis=1).tolist()
    whole = cut_large_trees(trees, dataset.pass_size, token_budget)
    known = [tree for tree in whole if not any(lacking[number] for number in tree)]
    left = [tuple(number for number in tree if lacking[number]) for tree in trees]
    missing = cut_large_trees([tree for tree in left if tree], dataset.pass_size, token_budget)
    for tree in known[:: max(1, len(known) // CHECKED)][:CHECKED]:
        now = score([tree])
        _check(cache.read(now.keys()), now, tolerance, cache.folder)
    fresh: dict[str, np.ndarray] = {}
    done = 0
    missing.sort(key=dataset.pass_size, reverse=True)
    for batch in cut_micro_batches(missing, dataset.pass_size, token_budget, len(dataset.pairs)):
        fresh |= score(batch)
        done += len(batch)
        if len(fresh) >= EVERY:
            cache.add(fresh)
            fresh = {}
        if on_progress:
            on_progress(done, len(missing))
    cache.add(fresh)


def reference_sums(cache: ReferenceCache, dataset: PairDataset) -> Float[np.ndarray, "P K"]:
    """Reference log-probabilities of all pairs' K answers in the order of `PairDataset.keys`, summed over the answer.

    Not a number where the cache has none; 0 for an answer that a pair does not have.

    Args:
        cache: the cache of the model.
        dataset: the pairs.

    Raises:
        RunError: a part is damaged.
    """
    batches = (range(at, min(at + EVERY, len(dataset.pairs))) for at in range(0, len(dataset.pairs), EVERY))
    keys = [pa.array([key for number in some for key in dataset.keys(number)], pa.string()) for some in batches]
    every = pa.concat_arrays(keys)
    sums = cache.sums(every)
    sums[pc.equal(every, "").to_numpy(zero_copy_only=False)] = 0.0
    return sums.reshape(len(dataset.pairs), -1)


def _check(cached: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray], tolerance: float, folder: Path) -> None:
    for key, row in now.items():
        if len(row) != len(cached[key]) or np.abs(row - cached[key]).mean() > tolerance:
            raise RunError(
                "The reference cache does not hold the log-probabilities of this model.",
                where=str(folder),
                try_="Delete that folder; it will be computed again.",
            )
