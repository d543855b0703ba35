"""Loader of VQAv2's `val` (Goyal et al. 2017, arXiv 1612.00837): 214,354 questions that ten people answered.

Files of https://visualqa.org: `v2_OpenEnded_mscoco_val2014_questions.json`, an object with `questions` of `image_id,
question, question_id`, and `v2_mscoco_val2014_annotations.json`, one with `annotations` of `question_id` and ten
`answers`; both are read a row at a time. Pictures `COCO_val2014_{image_id, twelve digits}.jpg`. Or the Hub's Parquet
(lmms-lab/VQAv2, split validation). A picture has about five questions, and is a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from spavl.config.benchmarks import VqaV2Benchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    PictureFolder,
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
from spavl.judging.readers.vqa import vqa_accuracy
from spavl.records import ImageRef
from spavl.rows import rows_of

VAL = "val"
"""The split, and the only subset."""
SOURCE = Source(
    title="VQAv2", paper="arXiv 1612.00837",
    get="take the questions and annotations of val2014 of https://visualqa.org/download.html with the pictures of COCO"
    " val2014, or the Parquet files of lmms-lab/VQAv2",
    licence="CC BY 4.0", commercial=True, counts={VAL: 214_354}, sure="documentation",
)  # fmt: skip
"""Where it comes from."""
Answers = Mapping[str, tuple[str, ...]]
"""What people answered, by the number of the question."""


def load_vqav2(spec: VqaV2Benchmark, tools: BenchmarkTools) -> Benchmark:
    """VQAv2's val from its two files or the Hub's Parquet files.

    Args:
        spec: the folder and that of the pictures.
        tools: how answers are sampled, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the count is another, or a picture cannot be read.
    """
    path = Path(spec.path)
    questions = original_file(path, "*OpenEnded*val2014*questions.json*") if path.is_dir() else None
    annotations = original_file(path, "*val2014*annotations.json*") if path.is_dir() else None
    findings = Findings(path, tools.missing_pictures)
    if questions and annotations:
        answers = _answers(annotations, findings)
        items = list(_items(questions, answers, picture_folder(spec.images, SOURCE), findings))
    elif files := hub_files(path, "validation"):
        items = list(_hub_items(files, tools, findings))
    else:
        raise nothing_found(path, SOURCE)
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset,
        metrics=soft_metrics("vqav2", vqa_accuracy, "VQA's soft accuracy", tools.refuses),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _answers(file: Path, findings: Findings) -> Answers:
    found: dict[str, tuple[str, ...]] = {}
    for row in rows_of(file, under="annotations"):
        with findings.row(row.where):
            require(row.values, ("question_id", "answers"))
            found[str(row.values["question_id"])] = people_answers(row.values["answers"])
    return found


def _items(file: Path, answers: Answers, images: PictureFolder, findings: Findings) -> Iterator[Item]:
    for row in rows_of(file, under="questions"):
        with findings.row(row.where):
            require(row.values, ("question_id", "image_id"))
            number, picture = str(row.values["question_id"]), str(row.values["image_id"])
            if number not in answers:
                raise DataError("The annotations have no answers to this question")
            name = f"COCO_val2014_{picture.zfill(12)}.jpg"
            yield _item(row.values, answers[number], images.picture(name), name)


def _hub_items(files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            require(row.values, ("question_id", "answers"))
            image = inline_picture(row.values, tools)
            yield _item(row.values, people_answers(row.values["answers"]), image, image.sha256)


def _item(row: Fields, answers: tuple[str, ...], image: ImageRef, picture: str) -> Item:
    first, *others = answers
    return Item(
        item_id=str(row["question_id"]), subset=VAL, question=text_of(row, "question"), images=(image,), expected=first,
        also=tuple(others), cluster=picture, group=str(row.get("question_type") or ""),
    )  # fmt: skip
