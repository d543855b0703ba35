"""Search of pictures by words: planted matches among 100k vectors, and the index against the exact search at 1 M.

python -m bench.building.search [--json FILE]

The vectors of the million and their index are made once, in some ten minutes, and kept in `.spavl/bench-search` (1 GB).
Both searches of the million are processes of their own, timed from opening the table to the last result, with
the files in the page cache and as many threads as there are cores. Settings of the index were chosen on another seed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.measures import Measure, run
from spavl.dataset.collect import index as indexing
from spavl.dataset.collect.index import VectorIndex
from spavl.dataset.collect.vectors import Entry, VectorTable

QUERIES = 53 * 6
"""Keywords: six for each subcategory of the taxonomy."""
PLANTED = 8
"""Matches that are planted for each keyword."""
LEAST_COSINE, MOST_COSINE = 0.3, 0.6
"""Similarity of a planted match to its keyword. The most similar of 100k random vectors of 512 dimensions is at 0.2."""
MEMORY_ROWS = (25_000, 100_000, 400_000)
"""Lengths of the tables at which memory is measured."""
SEED, MILLION, WIDTH, CLUSTERS = 2026, 1_000_000, 256, 2_000
"""The large table. Seed 100 was the one on which the settings of the index were chosen."""
PIECE = 50_000
"""Vectors that are made at once."""
NEAREST = 10
"""Rows that are looked for."""
PROCESSES = 3
"""Processes of each kind, one of either in turn, of whose seconds the median is taken."""
ENCODER = "bench"
KEPT = Path(".spavl/bench-search")

Vectors = NDArray[np.float32]


def measures() -> list[Measure]:
    """Rows of the table: planted matches, time and memory; then the million."""
    with TemporaryDirectory() as name:
        return [*planted(Path(name)), *memory(Path(name)), *million(KEPT)]


# ---- planted matches


def planted(folder: Path) -> list[Measure]:
    """Whether every planted match is among the first ten, and how long that takes."""
    random = np.random.default_rng(SEED)
    queries = _unit(random.standard_normal((QUERIES, 512), dtype=np.float32))
    noise = 100_000 - QUERIES * PLANTED
    cosine = random.uniform(LEAST_COSINE, MOST_COSINE, (QUERIES * PLANTED, 1)).astype(np.float32)
    own = queries.repeat(PLANTED, axis=0)
    aside = random.standard_normal(own.shape, dtype=np.float32)
    aside = _unit(aside - (aside * own).sum(1, keepdims=True) * own)
    everything = np.concatenate(
        (_unit(random.standard_normal((noise, 512), dtype=np.float32)), cosine * own + np.sqrt(1 - cosine**2) * aside)
    )
    order = random.permutation(len(everything))
    place = np.argsort(order)[noise:].reshape(QUERIES, PLANTED)
    with VectorTable(folder / "planted", ENCODER) as table:
        fill(table, [everything[order]])
        start = time.perf_counter()
        found = table.nearest(queries, NEAREST)
        seconds = time.perf_counter() - start
    hit = np.mean([np.isin(wanted, rows).mean() for wanted, rows in zip(place, found.rows, strict=True)])
    how = f"{QUERIES} keywords, 100,000 vectors of 512 dimensions in half precision, {PLANTED} matches planted for each"
    return [
        Measure("search: planted matches in the first ten", 100 * float(hit), 100, "%", "higher",
                f"{how} at a cosine of {LEAST_COSINE} to {MOST_COSINE}, exact search"),
        Measure("search: 318 keywords over 100k vectors", seconds, 5, "s", "lower", f"{how}; exact search, one run"),
    ]  # fmt: skip


def memory(folder: Path) -> list[Measure]:
    """The largest heap of an exact search by the table's length."""
    queries = _unit(np.random.default_rng(1).standard_normal((QUERIES, 512), dtype=np.float32))
    peaks = {}
    for rows in MEMORY_ROWS:
        with VectorTable(folder / f"{rows}", ENCODER) as table:
            pieces = range(0, rows, 25_000)
            fill(table, (np.random.default_rng(n).standard_normal((25_000, 512), dtype=np.float32) for n in pieces))
            tracemalloc.start()
            table.nearest(queries, NEAREST)
            peaks[rows] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    shown = ", ".join(f"{rows:,} vectors {peak / 1e6:.0f} MB" for rows, peak in peaks.items())
    return [
        Measure("search: peak heap at 400k vectors over 25k", peaks[MEMORY_ROWS[-1]] / peaks[MEMORY_ROWS[0]], 1.1, "",
                "lower", f"tracemalloc, which counts numpy's arrays; the vectors are mapped from their file: {shown}"),
    ]  # fmt: skip


# ---- the million


def million(folder: Path) -> list[Measure]:
    """Recall of the index, and how many times as fast as the exact search it is."""
    folder = folder / f"seed-{SEED}-m{indexing.CONNECTIVITY}-e{indexing.EXPANSION_ADD}"
    built = _made(folder, SEED)
    times: dict[str, list[list[float]]] = {"exact": [], "index": []}
    found: dict[str, Vectors] = {}
    for _ in range(PROCESSES):
        for kind, spent in times.items():
            seconds, found[kind] = _timed(folder, kind)
            spent.append(seconds)
    (exact, exact_cpu), (index, index_cpu) = (
        [statistics.median(column) for column in zip(*spent, strict=True)] for spent in times.values()
    )
    pairs = zip(found["exact"], found["index"], strict=True)
    recall = np.mean([np.isin(wanted, rows).mean() for wanted, rows in pairs])
    how = (
        f"{MILLION:,} vectors of {WIDTH} dimensions in {CLUSTERS:,} clusters, {QUERIES} queries, {os.cpu_count()} "
        f"threads; a process each, files in the page cache; medians of {PROCESSES}: exact {exact:.2f} s "
        f"({exact_cpu:.2f} s of processor), index {index:.2f} s ({index_cpu:.2f} s)"
    )
    return [
        Measure("search: recall@10 of the index at 1 M vectors", 100 * float(recall), 99, "%", "higher", how),
        Measure("search: exact over index, seconds at 1 M vectors", exact / index, 5, "×", "higher", how),
        Measure("search: the index of 1 M vectors is built in", built["seconds"] / 60, None, "min", "lower",
                f"once, and extended afterwards; {built['cpu'] / 60:.1f} min of processor"),
        Measure("search: peak memory while it is built", built["peak"] / 1e9, None, "GB", "lower",
                "of the process; the graph is held in memory, at most 1,048,576 rows of it"),
    ]  # fmt: skip


def clustered(seed: int) -> Iterator[Vectors]:
    """The vectors of the million, piece by piece; the same for the same seed.

    Args:
        seed: of centres and vectors.
    """
    centres = _unit(np.random.default_rng([seed, 0]).standard_normal((CLUSTERS, WIDTH), dtype=np.float32))
    for start in range(0, MILLION, PIECE):
        random = np.random.default_rng([seed, 1, start])
        yield _around(centres[random.integers(0, CLUSTERS, PIECE)], random)


def clustered_queries(seed: int) -> Vectors:
    """One query in each of as many clusters as there are keywords.

    Args:
        seed: that of the vectors.
    """
    centres = _unit(np.random.default_rng([seed, 0]).standard_normal((CLUSTERS, WIDTH), dtype=np.float32))
    random = np.random.default_rng([seed, 2])
    return _around(centres[random.choice(CLUSTERS, QUERIES, replace=False)], random)


def fill(table: VectorTable, pieces: Iterator[Vectors] | list[Vectors]) -> None:
    """Append vectors to a table.

    Args:
        table: what they are appended to.
        pieces: of vectors.
    """
    for piece in pieces:
        table.append([Entry(f"{len(table) + n}", "") for n in range(len(piece))], piece)


def _made(folder: Path, seed: int) -> dict[str, float]:
    """Seconds, those of the processor and peak memory of the index's making, once, in a process of its own."""
    note = folder / "built.json"
    if not note.exists():
        with VectorTable(folder, ENCODER) as table:
            if len(table) == 0:
                fill(table, clustered(seed))
        subprocess.run([sys.executable, "-m", "bench.building.search", "build", str(folder)], check=True)
    found: dict[str, float] = json.loads(note.read_text("utf-8"))
    return found


def _build(folder: Path) -> None:
    """Build the index and note what that took."""
    with VectorTable(folder, ENCODER) as table:
        start = time.perf_counter()
        VectorIndex(table).extend()
        seconds = time.perf_counter() - start
    cpu = time.process_time()
    peak = psutil.Process().memory_full_info().rss
    if sys.platform == "linux":
        import resource

        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (folder / "built.json").write_text(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak}), "utf-8")


def _timed(folder: Path, kind: str) -> tuple[list[float], Vectors]:
    """Seconds of one search in a process of its own, those of the processor, and the rows that it found."""
    for file in [folder / "vectors.bin", *folder.glob("index-*.usearch")]:
        with file.open("rb") as opened:  # into the page cache
            while opened.read(2**24):
                pass
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(os.cpu_count()))
    with TemporaryDirectory() as name:
        rows = Path(name) / "rows.npy"
        done = subprocess.run(
            [sys.executable, "-m", "bench.building.search", kind, str(folder), str(rows)],
            capture_output=True, text=True, check=True, env={**os.environ, **threads},
        )  # fmt: skip
        return [float(seconds) for seconds in done.stdout.split()], np.load(rows)


def _search(kind: str, folder: Path, out: Path) -> None:
    """One search: print its seconds, save its rows."""
    queries = clustered_queries(SEED)
    start, busy = time.perf_counter(), time.process_time()
    with VectorTable(folder, ENCODER, writes=False) as table:
        searched = VectorIndex(table) if kind == "index" else table
        found = searched.nearest(queries, NEAREST)
    seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    np.save(out, found.rows)
    print(seconds, cpu)


def _around(centres: Vectors, random: np.random.Generator) -> Vectors:
    """A vector near each centre, at a cosine of about 0.7."""
    return _unit(centres + random.standard_normal(centres.shape, dtype=np.float32) / np.float32(WIDTH**0.5))


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["build", at]:
            _build(Path(at))
        case ["exact" | "index" as which, at, to]:
            _search(which, Path(at), Path(to))
        case _:
            run(measures)
