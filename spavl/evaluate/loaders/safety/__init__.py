"""Loaders of benchmarks of safety."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.config.benchmarks import MmSafetyBenchmark, SpaVlBenchmark
from spavl.evaluate.loaders.loader import Loader
from spavl.evaluate.loaders.safety.mm_safetybench import load_mm_safetybench
from spavl.evaluate.loaders.safety.spa_vl import load_spa_vl

SAFETY: Mapping[type, Loader] = {MmSafetyBenchmark: load_mm_safetybench, SpaVlBenchmark: load_spa_vl}
"""Loader by class of the settings entry."""
