"""How models are measured, and how the report shows it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from spavl.config.base import Section, refuse_twice
from spavl.config.models import Label, SamplingSettings

Share = Annotated[float, Field(gt=0, lt=1)]


class FileBenchmark(Section):
    """Items of your own: JSON lines or Parquet with `question` and, where they apply, `image`, `expected`, `arm`."""

    kind: Literal["file"] = "file"
    name: Label
    """Names the benchmark's tables."""
    path: str
    """A `.jsonl` or `.parquet` file."""
    images: str | None = None
    """Folder that picture paths are relative to; the file's own folder unless named."""
    prompt: str = "{question}"
    """What is said to the model about an item."""
    limit: PositiveInt | None = None
    """Only the first so many items."""


class PopeBenchmark(Section):
    """POPE: is an object in the picture (arXiv 2305.10355). Its JSON-lines files and the COCO pictures."""

    kind: Literal["pope"] = "pope"
    name: Label = "pope"
    path: str
    """One `coco_pope_*.json` file, or a folder of them."""
    images: str
    """Folder of the COCO val2014 pictures."""
    prompt: str = "{question}"
    """LLaVA's runs add "Answer the question using a single word or phrase."; that changes the score, so say so."""
    limit: PositiveInt | None = None


class SpaVlBenchmark(Section):
    """The test split of SPA-VL: HarmEval and HelpEval, 265 questions each (arXiv 2406.12030)."""

    kind: Literal["spa-vl"] = "spa-vl"
    name: Label = "spa-vl"
    path: str
    """Folder with the `harm-*.parquet` and `help-*.parquet` files of the Hub's `test` configuration."""
    limit: PositiveInt | None = None


class MmSafetyBenchmark(Section):
    """MM-SafetyBench (arXiv 2311.17600), in its repository's own folder layout."""

    kind: Literal["mm-safetybench"] = "mm-safetybench"
    name: Label = "mm-safetybench"
    path: str
    """The folder that holds `processed_questions/` and `imgs/`."""
    variants: tuple[Literal["SD", "SD_TYPO", "TYPO"], ...] = ("SD", "SD_TYPO", "TYPO")
    """Which pictures of a question."""
    tiny: bool = False
    """Only the 168 questions of `TinyVersion_ID_List.json`, as the SPA-VL paper's numbers have it."""
    limit: PositiveInt | None = None


class MiniworldBenchmark(Section):
    """Fresh pictures and wordings of the built-in miniature world, scored by its truth."""

    kind: Literal["miniworld"] = "miniworld"
    name: Label = "miniworld"
    per_subset: PositiveInt = 480
    """Items on each arm: harmful seen, harmful held-out, benign, naming, presence."""


BenchmarkSpec = Annotated[
    FileBenchmark | PopeBenchmark | SpaVlBenchmark | MmSafetyBenchmark | MiniworldBenchmark, Field(discriminator="kind")
]


def _names_differ(benchmarks: tuple[BenchmarkSpec, ...]) -> tuple[BenchmarkSpec, ...]:
    refuse_twice([b.name for b in benchmarks])
    return benchmarks


class EvaluateSettings(Section):
    """What base and aligned models are asked, and who reads the answers."""

    benchmarks: Annotated[tuple[BenchmarkSpec, ...], AfterValidator(_names_differ)] = ()
    """Every model answers all of them."""
    sampling: SamplingSettings = SamplingSettings(max_tokens=256)
    """Greedy unless told otherwise, as in the paper."""
    judge: Label | None = None
    """The guard of the roster that grades answers safe or unsafe where no truth is known."""
    judge_prompt: str | None = None
    """A template file; placeholders: question, answer."""
    judge_sees_image: bool = True
    """Send the picture with the answer. Text-only guards (MD-Judge) need false."""
    judge_sampling: SamplingSettings = SamplingSettings(max_tokens=64)
    batch_size: PositiveInt = 64
    """Questions in one forward pass of a local model; halved when memory runs out, and never changes a word."""
    level: Share = 0.95
    """Confidence of every interval."""
    margin: Share = 0.02
    """A skill is kept when a loss of this much is ruled out (non-inferiority)."""


class ReportSettings(Section):
    """The page at the end."""

    title: str = "Safety alignment report"
    examples: NonNegativeInt = 12
    """Answers before and after, shown with their pictures."""
    picture_pixels: PositiveInt = 256
    """Longest side of a picture in the page."""
    hide_harmful: bool = True
    """Answers graded unsafe, and the questions that led to them, stay closed until clicked."""
    blur_pictures: bool = True
    """Pictures of harmful topics stay blurred until clicked. The miniature world's drawings need none of it."""
