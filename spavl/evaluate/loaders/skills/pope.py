"""Loader of POPE (Li et al. 2023, arXiv 2305.10355): yes/no questions whether an object is in the picture.

Files: `output/coco/coco_pope_{random,popular,adversarial}.json` of https://github.com/AoiDragon/POPE, JSON *lines* of
`question_id, image, text, label`, two of them with CRLF; those of `output/seem` are JSON arrays. Six questions a
picture, so a picture is a cluster; `question_id` starts again at 1 in each file, so the file is part of an item's id.
In the Hub's Parquet (lmms-lab/POPE) `category` says which file a question is of, and the picture is in the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import PopeBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    PictureFolder,
    Read,
    benchmark_of,
    inline_picture,
    nothing_found,
    picture_folder,
)
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.skill_metrics import pope_metrics
from spavl.evaluate.tools import BenchmarkTools
from spavl.records import ImageRef
from spavl.rows import brief, rows_of

WAYS = ("random", "popular", "adversarial")
"""How the objects that are not there were chosen."""
SOURCE = Source(
    title="POPE", paper="arXiv 2305.10355",
    get="take output/coco or output/seem of https://github.com/AoiDragon/POPE with the pictures of COCO val2014, or the"
    " Parquet files of lmms-lab/POPE",
    licence="MIT", commercial=True,
    counts={f"{start}_{way}": 3_000 for start in ("coco_pope", "aokvqa_pope_seem", "gqa_pope_seem") for way in WAYS},
)  # fmt: skip
"""Where it comes from; the count is that of each file."""


def load_pope(spec: PopeBenchmark, tools: BenchmarkTools) -> Benchmark:
    """POPE from one file, or from all `*pope*.json*` or Parquet files of a folder.

    Args:
        spec: the file or folder, the folder of the pictures, and the prompt.
        tools: how answers are sampled, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, has another number of questions than published, or a picture
            cannot be read.
    """
    path = Path(spec.path)
    files = sorted(path.rglob("*pope*.json*")) if path.is_dir() else [path]
    parquet = [path] if path.suffix == ".parquet" else sorted(path.rglob("*.parquet")) if not files else []
    findings = Findings(path, tools.missing_pictures)
    if parquet:
        items = [item for file in parquet for item in _hub_items(file, tools, findings)]
    elif files and path.exists():
        images = picture_folder(spec.images, SOURCE)
        items = [item for file in files for item in _items(file, images, findings)]
    else:
        raise nothing_found(path, SOURCE)
    splits = list(dict.fromkeys(item.subset for item in items))
    read = Read(
        items=items, findings=findings, metrics=pope_metrics(splits, tools.refuses), part=lambda item: item.subset,
        source=replace(SOURCE, counts=_counts(splits, whole=path.is_dir())),
        stratum=lambda item: (item.group, item.expected),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _counts(splits: Sequence[str], *, whole: bool) -> dict[str, int]:
    """Published counts of the files that were read; of a folder also those of files that it lacks.

    F1 over two of three ways is another number than over all.
    """
    starts = {split.rpartition("_")[0] for split in splits}
    others = [split for split in SOURCE.counts if whole and split.rpartition("_")[0] in starts]
    return {split: SOURCE.counts.get(split, 0) for split in (*others, *splits)}


def _items(file: Path, images: PictureFolder, findings: Findings) -> Iterator[Item]:
    for row in rows_of(file):
        with findings.row(row.where):
            require(row.values, ("question_id", "image", "text", "label"))
            name = str(row.values["image"])
            yield _item(file.stem, row.values, ("text", "label"), images.picture(name), name)


def _hub_items(file: Path, tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for row in rows_of(file):
        with findings.row(row.where):
            require(row.values, ("question_id", "question", "answer"))
            way = str(row.values.get("category") or file.name.partition("-")[0])
            image = inline_picture(row.values, tools)
            name = str(row.values.get("image_source") or image.sha256)
            yield _item(f"coco_pope_{way}", row.values, ("question", "answer"), image, name)


def _item(split: str, row: Fields, fields: tuple[str, str], image: ImageRef, picture: str) -> Item:
    """The item of a row, by its fields of question and answer."""
    asked, right = fields
    answer = str(row[right]).strip().lower()
    if answer not in ("yes", "no"):
        raise DataError(f"A POPE label is yes or no, not {brief(row[right])}")
    return Item(
        item_id=f"{split}/{row['question_id']}", subset=split, question=text_of(row, asked), images=(image,),
        expected=answer, cluster=picture, group=split,
    )  # fmt: skip
