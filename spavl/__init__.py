"""spavl: safety preference alignment for vision-language models, from pictures to a report.

    run = spavl.open_run("my.yaml")
    run.build(); run.align(); run.evaluate(); run.report()

Here stands what a notebook, or code of your own that the settings name, is written with; `docs/guides/python.md` shows
it. A name is imported when it is first used, so that `import spavl` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spavl.api import PairSet, PipelineRun, Study, import_pairs, open_pairs, open_run, open_study
    from spavl.config import Settings, load_settings
    from spavl.errors import SpavlError
    from spavl.evaluate import Answer, Benchmark, BenchmarkTools, Item, Metric, Rule, Scorer
    from spavl.judging import Exchange, Grade, Guard, GuardKind, Judge
    from spavl.models.base import Prompt, Reply, Request, Sampling
    from spavl.pipeline.check import RunPlan
    from spavl.pipeline.scores import Scores
    from spavl.progress import Progress, TerminalProgress
    from spavl.records import ImageRecord, ImageRef, Judgment, Match, PreferencePair, Query, Response, Topic, Turn
    from spavl.run import Made, ModelUse, Stage, StageContext
    from spavl.statistics.intervals import Rate
    from spavl.statistics.paired import PairedComparison
    from spavl.tables import read_table, slices_of

__version__ = "0.1.0"

_MODULES = {
    "spavl.api": ("PairSet", "PipelineRun", "Study", "import_pairs", "open_pairs", "open_run", "open_study"),
    "spavl.config": ("Settings", "load_settings"),
    "spavl.errors": ("SpavlError",),
    "spavl.evaluate": ("Answer", "Benchmark", "BenchmarkTools", "Item", "Metric", "Rule", "Scorer"),
    "spavl.judging": ("Exchange", "Grade", "Guard", "GuardKind", "Judge"),
    "spavl.models.base": ("Prompt", "Reply", "Request", "Sampling"),
    "spavl.pipeline.check": ("RunPlan",),
    "spavl.pipeline.scores": ("Scores",),
    "spavl.progress": ("Progress", "TerminalProgress"),
    "spavl.records": (
        "ImageRecord", "ImageRef", "Judgment", "Match", "PreferencePair", "Query", "Response", "Topic", "Turn",
    ),
    "spavl.run": ("Made", "ModelUse", "Stage", "StageContext"),
    "spavl.statistics.intervals": ("Rate",),
    "spavl.statistics.paired": ("PairedComparison",),
    "spavl.tables": ("read_table", "slices_of"),
}  # fmt: skip
"""Where every public name is defined; the imports above say the same to type checkers, and a test compares the two."""

__all__ = [
    "Answer",
    "Benchmark",
    "BenchmarkTools",
    "Exchange",
    "Grade",
    "Guard",
    "GuardKind",
    "ImageRecord",
    "ImageRef",
    "Item",
    "Judge",
    "Judgment",
    "Made",
    "Match",
    "Metric",
    "ModelUse",
    "PairSet",
    "PairedComparison",
    "PipelineRun",
    "PreferencePair",
    "Progress",
    "Prompt",
    "Query",
    "Rate",
    "Reply",
    "Request",
    "Response",
    "Rule",
    "RunPlan",
    "Sampling",
    "Scorer",
    "Scores",
    "Settings",
    "SpavlError",
    "Stage",
    "StageContext",
    "Study",
    "TerminalProgress",
    "Topic",
    "Turn",
    "__version__",
    "import_pairs",
    "load_settings",
    "open_pairs",
    "open_run",
    "open_study",
    "read_table",
    "slices_of",
]


if not TYPE_CHECKING:  # a type checker that saw it would take a misspelt name for one that is there

    def __getattr__(name: str) -> Any:
        """A public name, imported where it is defined."""
        for module, names in _MODULES.items():
            if name in names:
                return vars(import_module(module))[name]
        raise AttributeError(f"module 'spavl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
