"""Texts that a dataset shares with another: the questions of its pairs, and what the user said before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow.parquet as pq

from spavl.contamination.other import Other
from spavl.contamination.table import MOST, Shared
from spavl.preferences.dataset import PreferenceDataset
from spavl.progress import OnProgress
from spavl.similarity.texts import TextIndex

THRESHOLD: Final = 0.55
"""Least Jaccard similarity of texts that are nearly the same: one word of ten may be another."""
BLOCK: Final = 100_000
"""Distinct texts of the other that are held at a time."""
TOGETHER: Final = 2_048
"""Pairs whose texts are looked up at once."""


@dataclass(slots=True)
class _Block:
    """Some texts of the other."""

    index: TextIndex
    names: list[str] = field(default_factory=list)
    """Of each text the first item that has it."""
    times: list[int] = field(default_factory=list)
    """Items that have it."""


def shared_texts(
    dataset: PreferenceDataset, other: Other, on_progress: OnProgress, *, threshold: float = THRESHOLD
) -> Iterator[Shared]:
    """What the questions of a dataset share with the texts of another.

    Args:
        dataset: an open dataset.
        other: what it is compared with.
        on_progress: called with the pairs that are done.
        threshold: least similarity, above 0 and at most 1.
    """
    done = 0
    for block in _blocks(other, threshold):
        for numbers, ids, texts in _asked(dataset):
            for place, found in enumerate(block.index.near(texts)):
                for near in found[:MOST]:
                    kind = "exact" if near.exact else "near"
                    name, times = block.names[near.place], block.times[near.place]
                    yield Shared(numbers[place], ids[place], other.name, name, kind, near.similarity, times)
            done += len(set(numbers))
            on_progress(min(done, len(dataset.pairs)), len(dataset.pairs))


def _blocks(other: Other, threshold: float) -> Iterator[_Block]:
    """The distinct texts of the other, some at a time."""
    places: dict[str, int] = {}
    block = _Block(TextIndex(threshold))
    for item in other.items():
        for text in dict.fromkeys(item.texts):
            place = places.setdefault(text, len(places))
            if place == len(block.names):
                block.names.append(item.name)
                block.times.append(0)
            block.times[place] += 1
        if len(places) >= BLOCK:
            block.index.add(places)
            yield block
            places, block = {}, _Block(TextIndex(threshold))
    if places:
        block.index.add(places)
        yield block


def _asked(dataset: PreferenceDataset) -> Iterator[tuple[list[int], list[str], list[str]]]:
    """Numbers and ids of pairs, and what the user says in them; a pair of several turns has several."""
    columns = ["number", "pair_id", "question", "earlier"]
    with pq.ParquetFile(dataset.rows) as file:
        for batch in file.iter_batches(TOGETHER, columns=columns, use_threads=False):
            rows = [(row["number"], row["pair_id"], text) for row in batch.to_pylist() for text in _said(row)]
            if rows:
                numbers, ids, texts = map(list, zip(*rows, strict=True))
                yield numbers, ids, texts


def _said(row: dict[str, Any]) -> Sequence[str]:
    earlier = (turn["text"] for turn in row["earlier"] or () if turn["role"] == "user")
    return list(dict.fromkeys(text for text in (row["question"], *earlier) if text))
