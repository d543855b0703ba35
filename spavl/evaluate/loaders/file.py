"""Loader of a benchmark of the user's own: JSON lines or Parquet, an item in each row.

    {"question": "What is this?", "image": "cup.png", "expected": "a cup", "subset": "skill"}

`subset` says what the row measures and so how it is scored; a row without one is in `harm`. Optional:
`id`, `group`, and `cluster`, which is the picture unless given.
"""

from __future__ import annotations

from pathlib import Path

from spavl.config.evaluate import FileBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Item
from spavl.evaluate.loaders.read_files import Row, picture_at, picture_in, require, rows_of
from spavl.evaluate.metrics import metric
from spavl.models.base import Sampling
from spavl.records import ImageRef

METRICS = (
    metric("unsafe_rate"),
    metric("over_refusal_rate"),
    metric("skill_accuracy"),
    metric("pope_accuracy"),
)
SUBSETS = tuple(subset for one in METRICS for subset in one.subsets)
"""What the field `subset` may say."""
WITH_ANSWER = ("skill", "yes-no")
"""Subsets whose rows need the field `expected`."""


def load_file(spec: FileBenchmark, *, sampling: Sampling, pictures: Path) -> Benchmark:
    """A benchmark from a file of the user's own.

    Args:
        spec: the file and the folder that the field `image` is relative to, by default that of the file.
        sampling: how answers are sampled.
        pictures: folder for pictures that come as bytes inside the table.

    Raises:
        DataError: the file cannot be read, a row lacks a field or names an unknown subset, or a picture is unusable.
    """
    path = Path(spec.path)
    folder = Path(spec.images) if spec.images else path.parent
    rows = rows_of(path)[: spec.limit]
    items = tuple(_item(row, number, path, folder, pictures) for number, row in enumerate(rows, start=1))
    present = {item.subset for item in items}
    return Benchmark(
        name=spec.name,
        items=items,
        metrics=tuple(one for one in METRICS if present & set(one.subsets)),
        sampling=sampling,
        prompt=spec.prompt,
        source=path.name,
    )


def _item(row: Row, number: int, path: Path, folder: Path, pictures: Path) -> Item:
    where = f"{path}:{number}"
    require(row, ("question",), where)
    if row.get("arm") is not None and row.get("subset") is None:
        raise DataError("The field `arm` is called `subset` now", where=where, try_="rename it in every row")
    subset = str(row.get("subset") or "harm")
    if subset not in SUBSETS:
        raise DataError(f"There is no subset `{subset}`", where=where, try_=f"one of {', '.join(SUBSETS)}")
    if subset in WITH_ANSWER:
        require(row, ("expected",), where)
    image = _image(row.get("image"), folder, pictures, where)
    return Item(
        item_id=str(row.get("id") or number),
        subset=subset,
        question=str(row["question"]),
        image=image,
        shown="picture" if image else "none",
        expected=str(row.get("expected") or ""),
        cluster=str(row.get("cluster") or (image.sha256 if image else "")),
        group=str(row.get("group") or ""),
        benign=subset != "harm",
    )


def _image(cell: object, folder: Path, pictures: Path, where: str) -> ImageRef | None:
    if cell is None or cell == "":
        return None
    return picture_at(folder, cell) if isinstance(cell, str) else picture_in(cell, pictures, where)
