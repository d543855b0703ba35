"""Loader of POPE (Li et al. 2023, arXiv 2305.10355): yes/no questions whether an object is in the picture.

Files: `output/coco/coco_pope_{random,popular,adversarial}.json` of https://github.com/AoiDragon/POPE, JSON *lines* of
`question_id, image, text, label`; those of `output/seem` are JSON arrays. Six questions a picture, so a picture is a
cluster; `question_id` starts again at 1 in each file, so the file is part of an item's id.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spavl.config.benchmarks import PopeBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, picture_at, require, text_of
from spavl.evaluate.metrics import pope_accuracy, pope_neither_rate, pope_yes_rate
from spavl.evaluate.spread import spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import brief, rows_of

SUBSET = "yes-no"
"""The only subset."""
METRICS = (pope_accuracy(), pope_neither_rate(), pope_yes_rate())
"""Accuracy first, then how often neither and how often yes is said."""


def load_pope(spec: PopeBenchmark, tools: BenchmarkTools) -> Benchmark:
    """POPE from one file, or from all `*pope*.json*` files of a folder.

    Args:
        spec: the file or folder, the folder of the pictures, and the prompt.
        tools: how answers are sampled.

    Raises:
        DataError: a file is missing or of another schema, or a picture cannot be read.
    """
    path = Path(spec.path)
    files = sorted(path.glob("*pope*.json*")) if path.is_dir() else [path]
    if not files:
        raise DataError(
            "There is no POPE file in this folder", where=str(path), try_="coco_pope_random.json and the like"
        )
    findings = Findings(path, tools.missing_pictures)
    items = [item for file in files for item in _items(file, Path(spec.images), findings)]
    findings.refuse_rows()
    return Benchmark(
        name=spec.name,
        items=findings.resolve(spread(items, spec.limit, lambda item: (item.group, item.expected))),
        metrics=METRICS,
        sampling=tools.sampling,
        prompt=spec.prompt,
        source="POPE, arXiv 2305.10355",
    )


def _items(file: Path, images: Path, findings: Findings) -> Iterator[Item]:
    for row in rows_of(file):
        with findings.row(row.where):
            yield _item(file, images, row.values)


def _item(file: Path, images: Path, row: Fields) -> Item:
    require(row, ("question_id", "image", "text", "label"))
    name, answer = str(row["image"]), str(row["label"]).strip().lower()
    if answer not in ("yes", "no"):
        raise DataError(f"A POPE label is yes or no, not {brief(row['label'])}")
    return Item(
        item_id=f"{file.stem}/{row['question_id']}",
        subset=SUBSET,
        question=text_of(row, "text"),
        images=(picture_at(images, name),),
        expected=answer,
        cluster=name,
        group=file.stem,
    )
