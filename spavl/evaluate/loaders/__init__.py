"""Loaders of benchmarks, one module each: local files in their published layout, or own code; none downloads.

`safety`, `refusals`, `helpfulness` and `skills` hold those of published benchmarks, `file` that of the user's own
files, `own` that of own code. What they share: `loader` (the type), `source` (paper, licence, counts), `catalogue` (all
that are published), `read_files` (fields and pictures), `findings` (what is wrong, told at once), `assembly` (what was
read becomes a benchmark), `choices` (questions with options), `columns`, `item_of_row`, `answers_of_row` and
`rotations` (the user's own files), `labelled` (examples on which guards are measured).
"""

from __future__ import annotations

from collections.abc import Mapping

from spavl.config.benchmarks import FileBenchmark, LoadedBenchmark, PythonBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.loaders.catalogue import source_of
from spavl.evaluate.loaders.file import load_file
from spavl.evaluate.loaders.helpfulness import HELPFULNESS
from spavl.evaluate.loaders.loader import Loader
from spavl.evaluate.loaders.own import load_own
from spavl.evaluate.loaders.refusals import REFUSALS
from spavl.evaluate.loaders.safety import SAFETY
from spavl.evaluate.loaders.safety.more import MORE_SAFETY
from spavl.evaluate.loaders.skills import SKILLS
from spavl.evaluate.tools import BenchmarkTools

__all__ = ["LOADERS", "Loader", "load_own", "open_benchmark"]

LOADERS: Mapping[type, Loader] = {
    FileBenchmark: load_file, **SAFETY, **MORE_SAFETY, **REFUSALS, **HELPFULNESS, **SKILLS,
}  # fmt: skip
"""Loader by class of the settings entry."""


def open_benchmark(spec: LoadedBenchmark, tools: BenchmarkTools, *, allow_code: bool = False) -> Benchmark:
    """The benchmark that a settings entry names.

    Args:
        spec: an entry of `evaluate.benchmarks`.
        tools: sampling, folder for pictures, and scorers.
        allow_code: run a function of the user's own.

    Raises:
        DataError: a file is missing, has another schema, or names a picture outside its folder; of a published
            benchmark it says where the files are got.
        SettingsError: a guard is needed and none is named, or a function is not allowed or is not there.
    """
    if isinstance(spec, PythonBenchmark):
        return load_own(spec, tools, allow_code=allow_code)
    try:
        return LOADERS[type(spec)](spec, tools)
    except DataError as error:
        source = source_of(spec)
        if source is None or source.get in error.try_:
            raise
        got = f"the files as published: {source.get}"
        raise DataError(error.what, where=error.where, try_="; ".join(filter(None, (error.try_, got)))) from error
