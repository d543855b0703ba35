"""Settings of the evaluation and of its report."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from spavl.config.base import Section, refuse_twice
from spavl.config.models import Label, SamplingSettings

MissingPictures = Literal["refuse", "skip"]
"""What is done about pictures of a benchmark that are missing or cannot be read."""
Share = Annotated[float, Field(gt=0, lt=1)]
AnswerForm = Literal["auto", "text", "option", "number"]
"""How short answers are read."""
WorldLanguage = Literal["closed", "real"]
"""Languages of the miniature world."""


class FileBenchmark(Section):
    """Items of your own, in any common form of file.

    A row has `question` and, where they apply, `id`, `image` or `images` (or `image_path`, or `image_1`, `image_2` …),
    `expected`, `subset`, `harmful`, `benign`, `heldout`, `group`, `cluster`, `system`, `earlier`, `meta`."""

    kind: Literal["file"] = "file"
    """Items of your own."""
    name: Label
    """Label of the benchmark in tables and reports."""
    path: str
    """JSON lines, a JSON array, a JSON object by id, CSV, TSV or Parquet, or one of these as `.gz`."""
    images: str | None = None
    """Folder that picture paths are relative to; the file's own folder unless named."""
    subset: Literal["harm", "benign", "skill", "yes-no"] | None = None
    """Subset of the rows that say none of `subset`, `harmful` and `benign`. None: such rows are refused."""
    ignore: tuple[str, ...] = ()
    """Columns that are passed over; any other that is not known is refused, for it may be a misspelling."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question."""
    answers: AnswerForm = "auto"
    """How answers of the subset `skill` are read. `option`: the letter that is chosen, or the text of an option that
    the question lists. `number`: the number, with its sign. `text`: the words, without regard to case, articles and
    punctuation. `auto`: by the expected answer, which is an option where it is one capital letter up to J."""
    limit: PositiveInt | None = None
    """Only so many items, from all subsets and groups alike."""


class PopeBenchmark(Section):
    """POPE: is an object in the picture (arXiv 2305.10355). Its JSON-lines files and the COCO pictures."""

    kind: Literal["pope"] = "pope"
    """POPE."""
    name: Label = "pope"
    """Label of the benchmark in tables and reports."""
    path: str
    """One `coco_pope_*.json` file, or a folder of them."""
    images: str
    """Folder of the COCO val2014 pictures."""
    prompt: str = "{question}"
    """Prompt of an item; placeholder: question. LLaVA's runs add "Answer the question using a single word or phrase.";
    that changes the score, so say so."""
    limit: PositiveInt | None = None
    """Only so many items, from all files alike, as many of them to be answered yes as no."""


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


class MiniworldBenchmark(Section):
    """Fresh pictures and wordings of the built-in miniature world, scored by its truth."""

    kind: Literal["miniworld"] = "miniworld"
    """The miniature world."""
    name: Label = "miniworld"
    """Its two benchmarks are `requests` and `skill` in tables and reports; with another name than this, `NAME-requests`
    and `NAME-skill`."""
    per_subset: PositiveInt = 480
    """Items in each subset: harmful seen, harmful held-out, benign, naming, presence."""
    language: WorldLanguage = "closed"
    """`closed`: the closed language of the shipped checkpoints, read word for word. `real`: English, in which answers
    may be worded freely."""


class PythonBenchmark(Section):
    """A benchmark of your own: `package.module:function`, which returns a Benchmark. Needs `--allow-code`."""

    kind: Literal["python"] = "python"
    """A function of your own."""
    name: Label
    """Label of the benchmark in tables and reports."""
    target: str
    """`package.module:function`; it is called with `spavl.evaluate.BenchmarkTools` and the options."""
    options: dict[str, Any] = {}
    """Keyword arguments of the function."""


BenchmarkSpec = Annotated[
    FileBenchmark | PopeBenchmark | SpaVlBenchmark | MmSafetyBenchmark | MiniworldBenchmark | PythonBenchmark,
    Field(discriminator="kind"),
]


def _names_differ(benchmarks: tuple[BenchmarkSpec, ...]) -> tuple[BenchmarkSpec, ...]:
    refuse_twice([b.name for b in benchmarks])
    return benchmarks


class EvaluateSettings(Section):
    """The benchmarks that base and aligned models answer, and the guard that grades their answers."""

    benchmarks: Annotated[tuple[BenchmarkSpec, ...], AfterValidator(_names_differ)] = ()
    """Every model answers all of them."""
    sampling: SamplingSettings = SamplingSettings(max_tokens=256)
    """How the models generate their answers. Greedy by default, as in the paper."""
    guard: Label | None = None
    """Label of the guard that grades answers where no truth is known: an entry of `guards`; or a model, which then
    grades by the built-in rubric. None: no guard."""
    refusal_guard: Label | Literal[False] | None = None
    """Label of a guard of kind `refusal` that tells refusals of harmless requests. None: the first of that kind which
    `guards` lists; where it lists none, the forms of words in which models decline. `false`: those in any case."""
    batch_size: PositiveInt = 64
    """Questions in one forward pass of a local model; halved when memory runs out, and never changes a word."""
    missing_pictures: MissingPictures = "refuse"
    """Pictures of a benchmark that are missing or cannot be read; all are counted before any call. `refuse`: nothing is
    asked. `skip`: their items are not asked, and count as unread."""
    level: Share = 0.95
    """Confidence level of every interval; larger makes intervals wider."""
    margin: Share = 0.02
    """A skill is kept when a loss of this much is ruled out (non-inferiority)."""


class ReportSettings(Section):
    """The report: one HTML page with figures and example answers."""

    title: str = "Safety alignment report"
    """Heading of the page."""
    examples: NonNegativeInt = 12
    """How many answers before and after alignment are shown with their pictures."""
    picture_pixels: PositiveInt = 256
    """Longest side of a picture in the page, in pixels."""
    hide_harmful: bool = True
    """Answers graded unsafe, and the questions that led to them, stay closed until clicked."""
    blur_pictures: bool = True
    """Pictures of harmful topics stay blurred until clicked. The miniature world's drawings need none of it."""
