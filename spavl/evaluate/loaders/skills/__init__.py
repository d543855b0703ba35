"""Loaders of benchmarks of skills, one module each; `soft_answers` is of questions that ten people answered."""

from __future__ import annotations

from collections.abc import Mapping

from spavl.config.base import Section
from spavl.config.benchmarks import (
    GqaBenchmark,
    MathVistaBenchmark,
    MmBenchBenchmark,
    MmmuBenchmark,
    MmVetBenchmark,
    PopeBenchmark,
    ScienceQaBenchmark,
    SeedBenchBenchmark,
    TextVqaBenchmark,
    VizWizBenchmark,
    VqaV2Benchmark,
)
from spavl.evaluate.loaders.loader import Loader
from spavl.evaluate.loaders.skills import (
    gqa,
    mathvista,
    mm_vet,
    mmbench,
    mmmu,
    pope,
    scienceqa,
    seed_bench,
    textvqa,
    vizwiz,
    vqav2,
)
from spavl.evaluate.loaders.skills.gqa import load_gqa
from spavl.evaluate.loaders.skills.mathvista import load_mathvista
from spavl.evaluate.loaders.skills.mm_vet import load_mm_vet
from spavl.evaluate.loaders.skills.mmbench import load_mmbench
from spavl.evaluate.loaders.skills.mmmu import load_mmmu
from spavl.evaluate.loaders.skills.pope import load_pope
from spavl.evaluate.loaders.skills.scienceqa import load_scienceqa
from spavl.evaluate.loaders.skills.seed_bench import load_seed_bench
from spavl.evaluate.loaders.skills.textvqa import load_textvqa
from spavl.evaluate.loaders.skills.vizwiz import load_vizwiz
from spavl.evaluate.loaders.skills.vqav2 import load_vqav2
from spavl.evaluate.loaders.source import Source

SKILLS: Mapping[type, Loader] = {
    PopeBenchmark: load_pope,
    ScienceQaBenchmark: load_scienceqa,
    MmBenchBenchmark: load_mmbench,
    SeedBenchBenchmark: load_seed_bench,
    TextVqaBenchmark: load_textvqa,
    VqaV2Benchmark: load_vqav2,
    VizWizBenchmark: load_vizwiz,
    GqaBenchmark: load_gqa,
    MathVistaBenchmark: load_mathvista,
    MmmuBenchmark: load_mmmu,
    MmVetBenchmark: load_mm_vet,
}
"""Loader by class of the settings entry."""
SOURCES_SKILLS: Mapping[type[Section], Source] = {
    PopeBenchmark: pope.SOURCE,
    ScienceQaBenchmark: scienceqa.SOURCE,
    MmBenchBenchmark: mmbench.SOURCE,
    SeedBenchBenchmark: seed_bench.SOURCE,
    TextVqaBenchmark: textvqa.SOURCE,
    VqaV2Benchmark: vqav2.SOURCE,
    VizWizBenchmark: vizwiz.SOURCE,
    GqaBenchmark: gqa.SOURCE,
    MathVistaBenchmark: mathvista.SOURCE,
    MmmuBenchmark: mmmu.SOURCE,
    MmVetBenchmark: mm_vet.SOURCE,
}
"""Where each comes from, by class of the settings entry."""
