"""Loaders of benchmarks from local files in their published layout, one module each; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

from spavl.config.evaluate import FileBenchmark, MmSafetyBenchmark, PopeBenchmark, SpaVlBenchmark
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.loaders.file import load_file
from spavl.evaluate.loaders.mm_safetybench import load_mm_safetybench
from spavl.evaluate.loaders.pope import load_pope
from spavl.evaluate.loaders.spa_vl import load_spa_vl
from spavl.models.base import Sampling

__all__ = ["load_file", "load_mm_safetybench", "load_pope", "load_spa_vl", "open_benchmark"]

LocalBenchmark = FileBenchmark | PopeBenchmark | SpaVlBenchmark | MmSafetyBenchmark
"""Settings of a benchmark that is read from local files."""


def open_benchmark(spec: LocalBenchmark, *, sampling: Sampling, pictures: Path) -> Benchmark:
    """The benchmark that a settings entry names.

    Args:
        spec: an entry of `evaluate.benchmarks`.
        sampling: how answers are sampled.
        pictures: folder for pictures that come inside a table, written there under the hash of their bytes.

    Raises:
        DataError: a file is missing, has another schema, or names a picture outside its folder.
    """
    match spec:
        case FileBenchmark():
            return load_file(spec, sampling=sampling, pictures=pictures)
        case PopeBenchmark():
            return load_pope(spec, sampling=sampling)
        case SpaVlBenchmark():
            return load_spa_vl(spec, sampling=sampling, pictures=pictures)
        case MmSafetyBenchmark():
            return load_mm_safetybench(spec, sampling=sampling)
