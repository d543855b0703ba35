"""Loader of a benchmark of the user's own code: a function `make(tools, **options)` that returns a Benchmark."""

from __future__ import annotations

from dataclasses import replace

from spavl.config.evaluate import PythonBenchmark
from spavl.errors import SettingsError, SpavlError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.tools import BenchmarkTools
from spavl.own_code import import_own


def load_own(spec: PythonBenchmark, tools: BenchmarkTools, *, allow_code: bool) -> Benchmark:
    """The benchmark that the user's function makes.

    Args:
        spec: the function and its options.
        tools: handed to the function.
        allow_code: run a function from outside spavl.

    Raises:
        SettingsError: the function is not allowed, not there, fails, or returns something else.
    """
    make = import_own(spec.target, name=spec.name, allow_code=allow_code)
    try:
        made = make(tools, **spec.options)
    except SpavlError:
        raise
    except Exception as error:
        raise SettingsError(
            f"Benchmark `{spec.name}` cannot be made: {type(error).__name__}: {error}", where=spec.target,
            try_="the function takes BenchmarkTools and the entry's `options` as keyword arguments",
        ) from error  # fmt: skip
    if not isinstance(made, Benchmark):
        raise SettingsError(
            f"Benchmark `{spec.name}` is no Benchmark but a {type(made).__name__}", where=spec.target,
            try_="return spavl.evaluate.Benchmark(name=tools.name, items=…, metrics=…, sampling=tools.sampling)",
        )  # fmt: skip
    return replace(made, name=spec.name)
