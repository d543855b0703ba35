"""Loaders of benchmarks, one module each: local files in their published layout, or own code; none downloads."""

from __future__ import annotations

from spavl.config.evaluate import FileBenchmark, MmSafetyBenchmark, PopeBenchmark, PythonBenchmark, SpaVlBenchmark
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.loaders.file import load_file
from spavl.evaluate.loaders.mm_safetybench import load_mm_safetybench
from spavl.evaluate.loaders.own import load_own
from spavl.evaluate.loaders.pope import load_pope
from spavl.evaluate.loaders.spa_vl import load_spa_vl
from spavl.evaluate.tools import BenchmarkTools

__all__ = ["load_file", "load_mm_safetybench", "load_own", "load_pope", "load_spa_vl", "open_benchmark"]

LoadedBenchmark = FileBenchmark | PopeBenchmark | SpaVlBenchmark | MmSafetyBenchmark | PythonBenchmark
"""Settings of a benchmark that a loader reads."""


def open_benchmark(spec: LoadedBenchmark, tools: BenchmarkTools, *, allow_code: bool = False) -> Benchmark:
    """The benchmark that a settings entry names.

    Args:
        spec: an entry of `evaluate.benchmarks`.
        tools: sampling, folder for pictures, and scorers.
        allow_code: run a function of the user's own.

    Raises:
        DataError: a file is missing, has another schema, or names a picture outside its folder.
        SettingsError: a guard is needed and none is named, or a function is not allowed or is not there.
    """
    match spec:
        case FileBenchmark():
            return load_file(spec, tools)
        case PopeBenchmark():
            return load_pope(spec, tools)
        case SpaVlBenchmark():
            return load_spa_vl(spec, tools)
        case MmSafetyBenchmark():
            return load_mm_safetybench(spec, tools)
        case PythonBenchmark():
            return load_own(spec, tools, allow_code=allow_code)
