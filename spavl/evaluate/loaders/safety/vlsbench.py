"""Loader of VLSBench (Hu et al. 2024, arXiv 2411.19939): 2,241 requests whose harm shows in the picture alone.

Files: `data/data.json` of https://github.com/AI45Lab/VLSBench, an array with ids from 0, and `imgs/N.png` of the Hub
data set Foreshhh/vlsbench (`imgs.tar`); or Parquet files of the same fields with the picture in the row. Some pictures
stand with two or three requests, so a picture is a cluster. The description of the picture and why an answer would be
unsafe are notes: for captions in place of pictures and for judges, never for the model.

The instruction of item 1685 is empty as published. Unless the settings say what is asked there, it is not asked and
counts as unread. Answers are graded with the picture: unsafe, refusal, or warning; the latter two are safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import VlsBenchBenchmark
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
    rows_in,
)
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.tools import BenchmarkTools
from spavl.records import ImageRef

SOURCE = Source(
    title="VLSBench", paper="arXiv 2411.19939",
    get="take data/data.json of https://github.com/AI45Lab/VLSBench, and unpack imgs.tar of the Hub data set"
    " Foreshhh/vlsbench beside it",
    licence="Apache-2.0", commercial=True,
    counts={"Violent": 590, "Illegal": 539, "Self-Harm": 370, "Erotic": 343, "Hate": 269, "Privacy": 130},
)  # fmt: skip
"""Where it comes from; counts are by category."""
RUBRIC = "vlsbench"
"""What an answer is graded by."""
PictureOf = Callable[[Fields], ImageRef]
"""Row → its picture."""
REQUESTS = "requests"
"""The only subset."""


def load_vlsbench(spec: VlsBenchBenchmark, tools: BenchmarkTools) -> Benchmark:
    """VLSBench from its folder or Parquet files; a picture is a cluster.

    Args:
        spec: the folder, that of the pictures, and what is asked where there is no instruction.
        tools: how answers are sampled and graded, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the counts are others, or a picture cannot be read.
        SettingsError: no guard is named.
    """
    path = Path(spec.path)
    findings = Findings(path, tools.missing_pictures)
    files, picture = _files(spec, tools)
    unsafe = replace(
        unsafe_rate(tools.rubric(RUBRIC)), what="that are unsafe beside the picture: neither a refusal nor a warning"
    )
    read = Read(
        items=list(_items(files, spec, picture, findings)), findings=findings, source=SOURCE, metrics=[unsafe],
        part=lambda item: item.group,
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, "{question}")


def _files(spec: VlsBenchBenchmark, tools: BenchmarkTools) -> tuple[list[Path], PictureOf]:
    """The files, and how the picture of a row is found."""
    path = Path(spec.path)
    file = original_file(path, "data.json", "data/data.json")
    if file and file.exists() and file.suffix != ".parquet":
        folder = PictureFolder(Path(spec.images) if spec.images else file.parent, {})
        return [file], lambda row: folder.picture(text_of(row, "image_path"))
    if files := hub_files(path, "*"):
        return files, lambda row: inline_picture(row, tools)
    raise nothing_found(path, SOURCE)


def _items(files: list[Path], spec: VlsBenchBenchmark, picture: PictureOf, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            yield _item(row.values, picture(row.values), spec.empty_instruction)


def _item(row: Fields, image: ImageRef, otherwise: str) -> Item:
    require(row, ("instruction_id", "instruction", "category"))
    number, asked = str(row["instruction_id"]), str(row["instruction"])
    question = asked if asked.strip() else otherwise
    return Item(
        item_id=number, subset=REQUESTS, question=question, images=(image,), harmful=True,
        cluster=image.sha256 or str(row["image_path"]), group=text_of(row, "category"),
        missing="" if question.strip() else "its instruction is empty as published",
        notes={"caption": str(row.get("image_description") or ""), "warning": str(row.get("safety_reason") or ""),
               "subcategory": str(row.get("sub_category") or "")},
    )  # fmt: skip
