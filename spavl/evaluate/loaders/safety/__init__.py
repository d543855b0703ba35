"""Loaders of benchmarks of safety, one module each.

What they share: `refusal_strings` (the rule of older papers, by the user's list).
"""

from __future__ import annotations

from collections.abc import Mapping

from spavl.config.base import Section
from spavl.config.benchmarks import (
    AdvBenchBenchmark,
    FigStepBenchmark,
    MmSafetyBenchmark,
    SiuoBenchmark,
    SpaVlBenchmark,
    VlGuardBenchmark,
    VlsBenchBenchmark,
)
from spavl.evaluate.loaders.loader import Loader
from spavl.evaluate.loaders.safety import advbench, figstep, mm_safetybench, siuo, spa_vl, vlguard, vlsbench
from spavl.evaluate.loaders.source import Source

SAFETY: Mapping[type, Loader] = {
    MmSafetyBenchmark: mm_safetybench.load_mm_safetybench,
    SpaVlBenchmark: spa_vl.load_spa_vl,
    AdvBenchBenchmark: advbench.load_advbench,
    VlGuardBenchmark: vlguard.load_vlguard,
    VlsBenchBenchmark: vlsbench.load_vlsbench,
    SiuoBenchmark: siuo.load_siuo,
    FigStepBenchmark: figstep.load_figstep,
}
"""Loader by class of the settings entry."""
SOURCES_SAFETY: Mapping[type[Section], Source] = {
    MmSafetyBenchmark: mm_safetybench.SOURCE,
    SpaVlBenchmark: spa_vl.SOURCE,
    AdvBenchBenchmark: advbench.SOURCE,
    VlGuardBenchmark: vlguard.SOURCE,
    VlsBenchBenchmark: vlsbench.SOURCE,
    SiuoBenchmark: siuo.SOURCE,
    FigStepBenchmark: figstep.SOURCE,
}
"""Where each comes from, by class of the settings entry."""
