"""Settings of benchmarks of safety."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from spavl.config.base import Section
from spavl.config.models import Label


class SpaVlBenchmark(Section):
    """The test split of SPA-VL: HarmEval and HelpEval, 265 questions each (arXiv 2406.12030)."""

    kind: Literal["spa-vl"] = "spa-vl"
    """HarmEval and HelpEval."""
    name: Label = "spa-vl"
    """Label of the benchmark in tables and reports."""
    path: str
    """Folder with the `harm-*.parquet` and `help-*.parquet` files of the Hub's `test` configuration."""
    limit: PositiveInt | None = None
    """Only so many items of each of the two, from all subcategories alike."""


class MmSafetyBenchmark(Section):
    """MM-SafetyBench (arXiv 2311.17600), in its repository's own folder layout."""

    kind: Literal["mm-safetybench"] = "mm-safetybench"
    """MM-SafetyBench."""
    name: Label = "mm-safetybench"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder that holds `processed_questions/` and `imgs/`."""
    variants: tuple[Literal["SD", "SD_TYPO", "TYPO"], ...] = ("SD", "SD_TYPO", "TYPO")
    """Which pictures of a question: Stable Diffusion (`SD`), typography (`TYPO`), or both in one (`SD_TYPO`)."""
    tiny: bool = False
    """Only the 168 questions of `TinyVersion_ID_List.json`, as the SPA-VL paper's numbers have it."""
    limit: PositiveInt | None = None
    """Only so many items, from all scenarios and variants alike."""


SafetyBenchmark = SpaVlBenchmark | MmSafetyBenchmark
"""All of them."""
