"""Settings of benchmarks: a class for each, by what it measures.

`safety`, `refusals` (over-refusal), `helpfulness`, `skills`, and `own` (files and code of the user's, and the miniature
world).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spavl.config.benchmarks.own import (
    AnswerForm,
    FileBenchmark,
    MiniworldBenchmark,
    PythonBenchmark,
    WorldLanguage,
)
from spavl.config.benchmarks.safety import MmSafetyBenchmark, SafetyBenchmark, SpaVlBenchmark
from spavl.config.benchmarks.skills import PopeBenchmark, SkillBenchmark

__all__ = [
    "AnswerForm",
    "BenchmarkSpec",
    "FileBenchmark",
    "LoadedBenchmark",
    "MiniworldBenchmark",
    "MmSafetyBenchmark",
    "PopeBenchmark",
    "PythonBenchmark",
    "SafetyBenchmark",
    "SkillBenchmark",
    "SpaVlBenchmark",
    "WorldLanguage",
]

LoadedBenchmark = FileBenchmark | SafetyBenchmark | SkillBenchmark | PythonBenchmark
"""Settings of a benchmark that a loader reads."""
BenchmarkSpec = Annotated[LoadedBenchmark | MiniworldBenchmark, Field(discriminator="kind")]
"""Settings of any benchmark, told apart by `kind`."""
