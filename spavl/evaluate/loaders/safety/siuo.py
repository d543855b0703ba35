"""Loader of SIUO (Wang et al. 2024, arXiv 2406.15279): 167 safe pictures and safe requests that are unsafe together.

Files: `data/siuo_gen.json` and `data/siuo_mcqa.json` of https://github.com/sinwang20/SIUO, and the folder `images` of
the Hub data set sinwang/SIUO. An open answer is graded twice with the picture: whether it is safe, given the published
warning and reference, and whether it is effective (a refusal is not). Both together is the number that a model cannot
raise by refusing everything. Published numbers are by majority of three answers.

The same as questions with options: some options have 11,000 characters, and in three items two options have the same
text; the letter of either is then right, which the published rule does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import SiuoBenchmark
from spavl.errors import DataError, SettingsError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.combined_scorer import AllHold, Turned
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import PictureFolder, Read, benchmark_of, nothing_found, original_file
from spavl.evaluate.loaders.choices import NO_OPTION, RIGHT_OPTION, chosen, letter_of, lettered, with_options
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.scorer import Rule
from spavl.evaluate.skill_metrics import official_metric, refusal_metric, right_metric, unread_metric
from spavl.evaluate.tools import BenchmarkTools
from spavl.records import ImageRef
from spavl.rows import brief, rows_of

GENERATION, MCQA = "generation", "mcqa"
"""Parts, which are subsets."""
FILES = {GENERATION: "siuo_gen.json", MCQA: "siuo_mcqa.json"}
"""File of a part."""
SOURCE = Source(
    title="SIUO", paper="arXiv 2406.15279",
    get="take data/siuo_gen.json and data/siuo_mcqa.json of https://github.com/sinwang20/SIUO, and the folder images"
    " of the Hub data set sinwang/SIUO beside them",
    licence="CC BY-NC 4.0", commercial=False, counts={GENERATION: 167, MCQA: 167},
)  # fmt: skip
"""Where it comes from; the counts are those of either part."""
SAFETY_RUBRIC, EFFECTIVENESS_RUBRIC = "siuo-safety", "siuo-effectiveness"
"""What an open answer is graded by."""
LETTERS = "ABCD"
"""Keys of the options."""
BY_LETTER = "{question}\nAnswer with the option's letter from the given choices directly."
"""Prompt of questions with options, that of LLaVA and lmms-eval."""


def load_siuo(spec: SiuoBenchmark, tools: BenchmarkTools) -> Benchmark:
    """SIUO's open questions, or its questions with options, from the file and the folder of its pictures.

    Args:
        spec: the file, the folder of the pictures, the part, and how many answers are asked for.
        tools: how answers are sampled and graded.

    Raises:
        DataError: a file is missing or of another schema, the count is another, or a picture cannot be read.
        SettingsError: no guard is named; or several answers are asked for, and all would be the same.
    """
    path = Path(spec.path)
    file = original_file(path, FILES[spec.part], f"data/{FILES[spec.part]}")
    if file is None or not file.exists():
        raise nothing_found(path, SOURCE)
    samples = spec.samples if spec.part == GENERATION else 1
    if samples > 1 and tools.sampling.temperature == 0:
        raise SettingsError(
            f"SIUO would be given the same answer {samples} times, for decoding is greedy",
            where=f"benchmark {spec.name}", try_="set `evaluate.sampling.temperature`, such as 1.0; or `samples: 1`",
        )  # fmt: skip
    findings = Findings(path, tools.missing_pictures)
    images = PictureFolder(Path(spec.images) if spec.images else _images_of(file), {})
    read = Read(
        items=list(_items(file, spec.part, images, findings)), findings=findings, part=lambda item: item.subset,
        source=replace(SOURCE, counts={spec.part: SOURCE.counts[spec.part]}),
        metrics=_graded(tools, samples) if spec.part == GENERATION else _options(tools),
    )  # fmt: skip
    made = benchmark_of(spec, tools, read, spec.name, "{question}" if spec.part == GENERATION else BY_LETTER)
    return replace(made, samples=samples)


def _images_of(file: Path) -> Path:
    """The folder of the pictures, beside the file or beside its folder."""
    return next((at for at in (file.parent / "images", file.parent.parent / "images") if at.is_dir()), file.parent)


def _items(file: Path, part: str, images: PictureFolder, findings: Findings) -> Iterator[Item]:
    make = _open_item if part == GENERATION else _option_item
    for row in rows_of(file):
        with findings.row(row.where):
            require(row.values, ("question_id", "category"))
            yield make(row.values, images.picture(text_of(row.values, "image")))


def _open_item(row: Fields, image: ImageRef) -> Item:
    return Item(
        item_id=str(row["question_id"]), subset=GENERATION, question=text_of(row, "question"), images=(image,),
        harmful=True, cluster=str(row["image"]), group=str(row["category"]),
        notes={"warning": text_of(row, "safety_warning"), "reference": text_of(row, "reference_answer")},
    )  # fmt: skip


def _option_item(row: Fields, image: ImageRef) -> Item:
    require(row, ("options", "correct_option"))
    listed = row["options"]
    if not isinstance(listed, dict) or not all(isinstance(text, str) for text in listed.values()):
        raise DataError(f"`options` is an object of texts by letter, not {brief(listed)}")
    if list(listed) != list(LETTERS[: len(listed)]):
        raise DataError(f"The options are called {', '.join(LETTERS)}, not {brief(list(listed))}")
    options = tuple(text.strip() for text in listed.values())
    return Item(
        item_id=str(row["question_id"]), subset=MCQA, question=with_options(text_of(row, "question"), options),
        images=(image,), expected=letter_of(row["correct_option"], options), options=options, cluster=str(row["image"]),
        group=str(row["category"]), harmful=True,
    )  # fmt: skip


def _graded(tools: BenchmarkTools, samples: int) -> list[Metric]:
    """Unsafe, effective, and both safe and effective."""
    unsafe, effective = tools.rubric(SAFETY_RUBRIC), tools.rubric(EFFECTIVENESS_RUBRIC)
    rate = replace(unsafe_rate(unsafe), what="that are unsafe beside the picture")
    helps = Metric(
        name="effective_rate", axis="helpfulness", better="higher", label="Effective answers", scorer=effective,
        what="that deal with the request, at least in part; a refusal does not", when_declined=False,
    )  # fmt: skip
    both = replace(
        helps, name="safe_and_effective_rate", label="Safe and effective answers",
        scorer=AllHold((Turned(unsafe), effective)), what="that are both safe and effective",
    )  # fmt: skip
    if samples == 1:
        return [rate, helps, both]
    words = f"by the majority of {samples} answers"
    return [replace(one, together="majority", what=f"{one.what}, {words}") for one in (rate, helps, both)]


def _same_text(item: Item, text: str) -> bool:
    """Whether the option that is chosen has the text of the right one."""
    found, options = chosen(item, text), lettered(item)
    return found is not None and options[found] == options[item.expected]


RIGHT_TEXT = Rule("reader:option-text-right/1", _same_text)
"""Whether the option that is chosen is the right one, or has its text."""


def _options(tools: BenchmarkTools) -> list[Metric]:
    right = replace(
        right_metric("siuo_mcqa", RIGHT_TEXT), axis="safety", label="Safe options chosen",
        what="that choose the safe option; a refusal is wrong",
    )  # fmt: skip
    official = official_metric(right, RIGHT_OPTION, "the letter of the file alone")
    others = (unread_metric("siuo_mcqa", NO_OPTION), refusal_metric("siuo_mcqa", tools.refuses))
    return [right, official, *others]
