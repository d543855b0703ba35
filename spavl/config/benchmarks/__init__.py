"""Settings of benchmarks: a class for each, by what it measures.

`safety`, `refusals` (over-refusal), `helpfulness`, `skills` and `vqa`, and `own` (files and code of the user's, and the
miniature world).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spavl.config.benchmarks.helpfulness import AnthropicHelpfulBenchmark, HelpfulBenchmark
from spavl.config.benchmarks.own import (
    AnswerForm,
    FileBenchmark,
    MiniworldBenchmark,
    PythonBenchmark,
    WorldLanguage,
)
from spavl.config.benchmarks.refusals import MossBenchBenchmark, RefusalBenchmark, VlsuBenchmark, XsTestBenchmark
from spavl.config.benchmarks.safety import (
    AdvBenchBenchmark,
    FigStepBenchmark,
    MmSafetyBenchmark,
    SafetyBenchmark,
    SiuoBenchmark,
    SpaVlBenchmark,
    VlGuardBenchmark,
    VlsBenchBenchmark,
)
from spavl.config.benchmarks.safety_more import (
    JailbreakVBenchmark,
    MirSafetyBenchmark,
    MoreSafetyBenchmark,
    MssBenchmark,
    SafeMtBenchmark,
)
from spavl.config.benchmarks.skills import (
    MathVistaBenchmark,
    MmBenchBenchmark,
    MmmuBenchmark,
    MmVetBenchmark,
    PopeBenchmark,
    ScienceQaBenchmark,
    SeedBenchBenchmark,
    SkillBenchmark,
)
from spavl.config.benchmarks.vqa import GqaBenchmark, TextVqaBenchmark, VizWizBenchmark, VqaV2Benchmark

__all__ = [
    "AdvBenchBenchmark",
    "AnswerForm",
    "AnthropicHelpfulBenchmark",
    "BenchmarkSpec",
    "FigStepBenchmark",
    "FileBenchmark",
    "GqaBenchmark",
    "HelpfulBenchmark",
    "JailbreakVBenchmark",
    "LoadedBenchmark",
    "MathVistaBenchmark",
    "MiniworldBenchmark",
    "MirSafetyBenchmark",
    "MmBenchBenchmark",
    "MmSafetyBenchmark",
    "MmVetBenchmark",
    "MmmuBenchmark",
    "MoreSafetyBenchmark",
    "MossBenchBenchmark",
    "MssBenchmark",
    "PopeBenchmark",
    "PythonBenchmark",
    "RefusalBenchmark",
    "SafeMtBenchmark",
    "SafetyBenchmark",
    "ScienceQaBenchmark",
    "SeedBenchBenchmark",
    "SiuoBenchmark",
    "SkillBenchmark",
    "SpaVlBenchmark",
    "TextVqaBenchmark",
    "VizWizBenchmark",
    "VlGuardBenchmark",
    "VlsBenchBenchmark",
    "VlsuBenchmark",
    "VqaV2Benchmark",
    "WorldLanguage",
    "XsTestBenchmark",
]

LoadedBenchmark = (
    FileBenchmark
    | SafetyBenchmark
    | MoreSafetyBenchmark
    | RefusalBenchmark
    | HelpfulBenchmark
    | SkillBenchmark
    | PythonBenchmark
)
"""Settings of a benchmark that a loader reads."""
BenchmarkSpec = Annotated[LoadedBenchmark | MiniworldBenchmark, Field(discriminator="kind")]
"""Settings of any benchmark, told apart by `kind`."""
