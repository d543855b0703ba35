"""Loader of VizWiz's `val` (Gurari et al. 2018, arXiv 1802.08218): what blind people asked about their own pictures.

Files of https://vizwiz.org: `val.json`, an array of `image, question, answers` (ten, with their confidence),
`answer_type, answerable`, and the pictures by name; or the Hub's Parquet (lmms-lab/VizWiz-VQA), with `question_id,
image, question, answers, category`. Where people said "unanswerable", that is the right answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spavl.config.benchmarks import VizWizBenchmark
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
SOURCE = Source(
    title="VizWiz", paper="arXiv 1802.08218",
    get="take val.json and the pictures val.zip of https://vizwiz.org/tasks-and-datasets/vqa, or the Parquet files of"
    " lmms-lab/VizWiz-VQA",
    licence="CC BY 4.0", commercial=True, counts={VAL: 4_319}, sure="documentation",
)  # fmt: skip
"""Where it comes from."""


def load_vizwiz(spec: VizWizBenchmark, tools: BenchmarkTools) -> Benchmark:
    """VizWiz's val from its JSON file or the Hub's Parquet files.

    Args:
        spec: the file and the folder of the pictures.
        tools: how answers are sampled, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the count is another, or a picture cannot be read.
    """
    path = Path(spec.path)
    file = original_file(path, "val.json*")
    findings = Findings(path, tools.missing_pictures)
    if file and file.suffix != ".parquet":
        items = list(_items(spec, file, findings))
    elif files := hub_files(path, "val"):
        items = list(_hub_items(files, tools, findings))
    else:
        raise nothing_found(path, SOURCE)
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset,
        metrics=soft_metrics("vizwiz", evalai_accuracy, "EvalAI's soft accuracy", tools.refuses),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _items(spec: VizWizBenchmark, file: Path, findings: Findings) -> Iterator[Item]:
    images = picture_folder(spec.images, SOURCE)
    for row in rows_of(file):
        with findings.row(row.where):
            name = text_of(row.values, "image")
            yield _item(name, row.values, images.picture(name))


def _hub_items(files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            require(row.values, ("question_id",))
            yield _item(str(row.values["question_id"]), row.values, inline_picture(row.values, tools))


def _item(number: str, row: Fields, image: ImageRef) -> Item:
    first, *others = people_answers(row.get("answers"))
    return Item(
        item_id=number, subset=VAL, question=text_of(row, "question"), images=(image,), expected=first,
        also=tuple(others), group=str(row.get("answer_type") or row.get("category") or ""),
    )  # fmt: skip
