"""Near-duplicates among 20,000 questions: planted ones found, others left, speed and memory.

python -m bench.building.questions --json FILE
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from bench.measures import Measure, run
from spavl.dataset.near_duplicates import find_near_duplicates
from spavl.records import Query
from spavl.similarity.texts import similarity
from spavl.tables import schema_of, to_arrow, write_batches
from spavl.tables.query import query
from tests import samples

COUNT, PLANTED, LENGTH, BATCH, THRESHOLD = 20_000, 2_000, 18, 768, 0.8
"""Questions, those of them that repeat an earlier one, words of each, questions of a batch, similarity."""
WORDS = [f"word{n}" for n in range(3_000)]


def _texts(seed: int) -> tuple[list[str], dict[int, int]]:
    """The questions, and the place of the earlier one by that of each that repeats it with a word changed or none."""
    rng = Random(seed)
    texts: list[str] = []
    planted: dict[int, int] = {}
    repeats = set(rng.sample(range(COUNT // 2, COUNT), PLANTED))
    for place in range(COUNT):
        words = rng.choices(WORDS, k=LENGTH)
        if place in repeats:
            planted[place] = rng.randrange(COUNT // 2)
            words = texts[planted[place]].split()
            if rng.random() < 0.5:
                words[rng.randrange(LENGTH)] = rng.choice(WORDS)
        texts.append(" ".join(words))
    return texts, planted


def _write(texts: list[str], table: Path) -> None:
    one = samples.query()
    asked = (replace(one, query_id=str(place), question=text) for place, text in enumerate(texts))
    slices = (to_arrow(list(islice(asked, BATCH)), Query) for _ in range(0, COUNT, BATCH))
    write_batches(table, schema_of(Query), slices, footer=dict, hashed=True)


def measures() -> list[Measure]:
    """Share of planted near-duplicates that are found, questions wrongly left out, speed and memory."""
    texts, planted = _texts(20_261)
    with TemporaryDirectory() as folder:
        table, out = Path(folder) / "queries.parquet", Path(folder) / "duplicates.parquet"
        _write(texts, table)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        find_near_duplicates(table, threshold=THRESHOLD, out=out)
        seconds = time.perf_counter() - begun
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        found = {int(a): int(b) for a, b in query("SELECT query_id, duplicate_of FROM duplicates", duplicates=out)}
    wrong = sum(similarity(texts[a], texts[b]) < THRESHOLD for a, b in found.items())
    share = 100 * sum(found.get(a) == b for a, b in planted.items()) / PLANTED
    how = (
        f"{COUNT:,} questions of {LENGTH} words in one group, {PLANTED:,} repeat another with one word changed or none"
    )
    return [
        Measure("near-duplicate questions found", share, 99.9, "%", "higher", how),
        Measure("questions left out that are none", wrong, 0, "", "lower", "exact similarity below the threshold"),
        Measure("near-duplicates: questions a second", COUNT / seconds, None, "1/s", "higher", "MinHash, SQLite"),
        Measure("near-duplicates: memory grown", grown, 150, "MiB", "lower", "bands are on disk"),
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
