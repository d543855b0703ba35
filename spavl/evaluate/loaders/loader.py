"""What a loader is: a function from a settings entry to a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.tools import BenchmarkTools

Loader = Callable[[Any, BenchmarkTools], Benchmark]
"""(entry of `evaluate.benchmarks`, tools) → benchmark. It raises DataError where files are missing or of another
schema, and SettingsError where a guard or judge is needed and none is named."""
