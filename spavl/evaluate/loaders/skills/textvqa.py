"""Loader of TextVQA's `val` (Singh et al. 2019, arXiv 1904.08920): 5,000 questions on text in pictures.

Files of https://textvqa.org: `TextVQA_0.5.1_val.json`, an object with `data` of `question_id, question, image_id` and
ten `answers`; pictures `train_images/{image_id}.jpg`; what an OCR read in `TextVQA_Rosetta_OCR_v0.2_val.json`, by
`image_id`. Or the Hub's Parquet (lmms-lab/textvqa), which has `ocr_tokens` in the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.config.benchmarks import TextVqaBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    Read,
    benchmark_of,
    hub_files,
    inline_picture,
    nothing_found,
    original_file,
    picture_folder,
    rows_in,
)
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.skills.soft_answers import people_answers, soft_metrics
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.readers.vqa import evalai_accuracy
from spavl.records import ImageRef
from spavl.rows import rows_of

VAL = "val"
"""The split, and the only subset."""
TOKENS = "TextVQA_Rosetta_OCR_v0.2_val.json"
"""The file of what an OCR read."""
SOURCE = Source(
    title="TextVQA", paper="arXiv 1904.08920",
    get="take TextVQA_0.5.1_val.json and the pictures train_val_images.zip of https://textvqa.org/dataset, or the"
    " Parquet files of lmms-lab/textvqa",
    licence="CC BY 4.0", commercial=True, counts={VAL: 5_000}, sure="code",
)  # fmt: skip
"""Where it comes from."""


def load_textvqa(spec: TextVqaBenchmark, tools: BenchmarkTools) -> Benchmark:
    """TextVQA's val from its JSON file or the Hub's Parquet files.

    Args:
        spec: the file, the folder of the pictures, and whether OCR tokens are shown.
        tools: how answers are sampled, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the count is another, or a picture cannot be read.
    """
    path = Path(spec.path)
    file = original_file(path, "TextVQA_0.5.1_val.json*")
    findings = Findings(path, tools.missing_pictures)
    if file and file.suffix != ".parquet":
        items = list(_items(spec, file, findings))
    elif files := hub_files(path, "validation"):
        items = list(_hub_items(spec, files, tools, findings))
    else:
        raise nothing_found(path, SOURCE)
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset,
        metrics=soft_metrics("textvqa", evalai_accuracy, "EvalAI's soft accuracy", tools.refuses),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _items(spec: TextVqaBenchmark, file: Path, findings: Findings) -> Iterator[Item]:
    images = picture_folder(spec.images, SOURCE)
    read_by_ocr = _tokens(file.with_name(TOKENS)) if spec.ocr else {}
    for row in rows_of(file, under="data"):
        with findings.row(row.where):
            require(row.values, ("question_id", "image_id"))
            name = str(row.values["image_id"])
            tokens = _shown(read_by_ocr.get(name)) if spec.ocr else ""
            yield _item(row.values, images.picture(f"{name}.jpg"), name, tokens)


def _hub_items(spec: TextVqaBenchmark, files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            require(row.values, ("question_id",))
            image = inline_picture(row.values, tools)
            tokens = _shown(row.values.get("ocr_tokens")) if spec.ocr else ""
            yield _item(row.values, image, str(row.values.get("image_id") or image.sha256), tokens)


def _tokens(file: Path) -> Mapping[str, Sequence[str]]:
    """What an OCR read in every picture."""
    return {
        str(row.values["image_id"]): row.values["ocr_tokens"]
        for row in rows_of(file, under="data")
        if isinstance(row.values.get("ocr_tokens"), list) and "image_id" in row.values
    }


def _shown(tokens: Any) -> str:
    """The line under the question, as LLaVA and lmms-eval write it."""
    if not isinstance(tokens, list):
        raise DataError("There are no OCR tokens of this picture", try_="set `ocr: false`, or take another file")
    return f"\nReference OCR token: {', '.join(map(str, tokens))}"


def _item(row: Fields, image: ImageRef, picture: str, tokens: str) -> Item:
    first, *others = people_answers(row.get("answers"))
    return Item(
        item_id=str(row["question_id"]), subset=VAL, question=text_of(row, "question") + tokens, images=(image,),
        expected=first, also=tuple(others), cluster=picture,
    )  # fmt: skip
