"""Loaders of further benchmarks of safety, by their settings."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.config.benchmarks import JailbreakVBenchmark, MirSafetyBenchmark, MssBenchmark, SafeMtBenchmark
from spavl.evaluate.loaders.loader import Loader
from spavl.evaluate.loaders.safety import jailbreakv, mir_safetybench, mssbench, safemt
from spavl.evaluate.loaders.source import Source

MORE_SAFETY: Mapping[type, Loader] = {
    MssBenchmark: mssbench.load_mssbench,
    JailbreakVBenchmark: jailbreakv.load_jailbreakv,
    MirSafetyBenchmark: mir_safetybench.load_mir_safetybench,
    SafeMtBenchmark: safemt.load_safemt,
}
"""Loader by class of the settings entry."""
SOURCES_MORE_SAFETY: Mapping[type, Source] = {
    MssBenchmark: mssbench.SOURCE,
    JailbreakVBenchmark: jailbreakv.SOURCE,
    MirSafetyBenchmark: mir_safetybench.SOURCE,
    SafeMtBenchmark: safemt.SOURCE,
}
"""Where they come from, by class of the settings entry."""
