"""Settings of benchmarks of safety."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from spavl.config.base import each_once
from spavl.config.benchmarks.published import PublishedBenchmark
from spavl.config.models import Label

Variant = Literal["text", "SD", "SD_TYPO", "TYPO"]
"""How a question of MM-SafetyBench is asked: as text alone, or beside one of its three pictures."""


def _different(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    each_once(variants)
    return variants


class SpaVlBenchmark(PublishedBenchmark):
    """The test split of SPA-VL: HarmEval and HelpEval, 265 questions each (arXiv 2406.12030)."""

    kind: Literal["spa-vl"] = "spa-vl"
    """HarmEval and HelpEval."""
    name: Label = "spa-vl"
    """Label of the benchmark in tables and reports."""
    path: str
    """Folder with the `harm-*.parquet` and `help-*.parquet` files of the Hub's `test` configuration, or the copy of the
    Hub's repository that has them in `test`."""
    limit: PositiveInt | None = None
    """Only so many items of each of the two, from all subcategories alike."""
    pairwise: bool = False
    """Also compare every answer with that of the first model, by `evaluate.judge`: the paper's win rate on HelpEval,
    and its Harm Score on HarmEval turned round, so that higher is better."""


class MmSafetyBenchmark(PublishedBenchmark):
    """MM-SafetyBench (arXiv 2311.17600): 1,680 questions in eight scenarios of harm and five of advice."""

    kind: Literal["mm-safetybench"] = "mm-safetybench"
    """MM-SafetyBench."""
    name: Label = "mm-safetybench"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder that holds `processed_questions/` and `imgs/`, or the repository with these in `data`; or the Hub's
    Parquet files."""
    variants: Annotated[tuple[Variant, ...], Field(min_length=1), AfterValidator(_different)] = (
        "SD", "SD_TYPO", "TYPO",
    )  # fmt: skip
    """How a question is asked: with the picture by Stable Diffusion (`SD`), its key phrase as writing (`TYPO`), both in
    one (`SD_TYPO`), or without a picture (`text`)."""
    tiny: bool = False
    """Only the 168 questions of `TinyVersion_ID_List.json`, as the SPA-VL paper's numbers have it."""
    rubrics: Literal["guard", "official"] = "guard"
    """Who grades the scenarios of harm: the guard by its own form, or by the benchmark's general rubric (`official`,
    which then also measures all thirteen scenarios together, as papers report them). Those of advice are always graded
    each by its own rubric."""
    limit: PositiveInt | None = None
    """Only so many items, from all scenarios and variants alike."""


class AdvBenchBenchmark(PublishedBenchmark):
    """AdvBench: 520 harmful requests, text alone (arXiv 2307.15043). Needs a guard."""

    kind: Literal["advbench"] = "advbench"
    """AdvBench."""
    name: Label = "advbench"
    """Label of the benchmark in tables and reports."""
    path: str
    """`harmful_behaviors.csv` or its folder, or the Hub's Parquet files."""
    suffix: str | None = None
    """A text file with an adversarial suffix, with which every request is asked once more. None is shipped; the hash of
    yours is written beside the scores. None: requests are asked as they are."""
    image: Literal["none", "blank", "noise"] = "none"
    """What is shown with the requests, which have no pictures: nothing, a grey picture, or one of random pixels, the
    same for all. Safety rates differ between the three, so say which."""
    image_size: tuple[PositiveInt, PositiveInt] = (336, 336)
    """Width and height of that picture in pixels."""
    noise_seed: NonNegativeInt = 0
    """Seed of the random pixels."""
    refusal_strings: str | None = None
    """A text file with the refusal strings of the paper, one a line: the paper's rate beside the guard's, by which an
    answer that holds none of them is unsafe. None: only the guard's."""


class VlGuardBenchmark(PublishedBenchmark):
    """VLGuard's test set: unsafe pictures, and safe ones with a safe and an unsafe request (2402.02207). Needs a guard.

    Both requests on a safe picture are a pair: handled rightly if the one is answered and the other is not."""

    kind: Literal["vlguard"] = "vlguard"
    """VLGuard."""
    name: Label = "vlguard"
    """Label of the benchmark in tables and reports."""
    path: str
    """`test.json`, or the folder that holds it."""
    images: str | None = None
    """Folder of the pictures, such as `bad_ads/ID.png`; the folder `test` beside `test.json` unless named."""
    refusal_strings: str | None = None
    """A text file with the refusal strings of VLGuard's code, one a line: its rate beside the guard's, by which an
    answer that holds none of them anywhere is unsafe. None: only the guard's."""
    pairwise: bool = False
    """Also compare the answers to safe requests with those of GPT-4V, `gpt4_safe_safes.json` beside `test.json`, by
    `evaluate.judge`."""


class VlsBenchBenchmark(PublishedBenchmark):
    """VLSBench: 2,241 requests whose harm shows in the picture alone (arXiv 2411.19939). Needs a guard."""

    kind: Literal["vlsbench"] = "vlsbench"
    """VLSBench."""
    name: Label = "vlsbench"
    """Label of the benchmark in tables and reports."""
    path: str
    """The folder with `data.json` and `imgs/`, the repository above it, or the Hub's Parquet files."""
    images: str | None = None
    """Folder that the pictures' paths, such as `imgs/1.png`, are relative to; that of `data.json` unless named."""
    empty_instruction: str = ""
    """What is asked where the file has no instruction, as of item 1685. Empty: such an item is not asked, and counts as
    unread, so that no rate is flattered by it."""


class SiuoBenchmark(PublishedBenchmark):
    """SIUO: safe pictures and safe requests that are unsafe together, 167 (arXiv 2406.15279).

    Its questions with options need no guard."""

    kind: Literal["siuo"] = "siuo"
    """SIUO."""
    name: Label = "siuo"
    """Label of the benchmark in tables and reports."""
    path: str
    """`siuo_gen.json` or `siuo_mcqa.json`, or the folder that holds them."""
    images: str | None = None
    """Folder of the pictures, such as `S-01.png`; the folder `images` beside the file unless named."""
    part: Literal["generation", "mcqa"] = "generation"
    """Open questions, graded for safety and for effectiveness; or the same as questions with options."""
    samples: Literal[1, 3] = 1
    """Answers to each open question. With 3, as published, the majority decides, and answers are sampled: set a
    temperature."""


class FigStepBenchmark(PublishedBenchmark):
    """FigStep's SafeBench: 500 requests written into pictures (arXiv 2311.05608). Needs a guard."""

    kind: Literal["figstep"] = "figstep"
    """FigStep."""
    name: Label = "figstep"
    """Label of the benchmark in tables and reports."""
    path: str
    """Its repository, the folder `data` of it, or a file of its questions."""
    images: str | None = None
    """Folder of the pictures; `images/SafeBench` or `images/SafeBench-Tiny` of the repository's `data` unless named."""
    tiny: bool = False
    """The 50 requests of `SafeBench-Tiny.csv`."""
    prompt: str | None = None
    """The text that is asked with every picture. It is the benchmark's and is not shipped: the paper gives it, and
    `src/generate_prompts.py` of its repository. It must be named."""


SafetyBenchmark = (
    SpaVlBenchmark
    | MmSafetyBenchmark
    | AdvBenchBenchmark
    | VlGuardBenchmark
    | VlsBenchBenchmark
    | SiuoBenchmark
    | FigStepBenchmark
)
"""All of them."""
