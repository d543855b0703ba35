"""A benchmark of the user's own: JSON lines or Parquet, a row an item.

    {"question": "What is this?", "image": "cup.png", "expected": "a cup", "arm": "skill"}

`arm` says what the row measures and so how it is scored; a row without one is on `harm`. Optional besides: `id`,
`group`, `cluster` (rows with one picture share a cluster anyway).
"""

from __future__ import annotations

from pathlib import Path

from spavl.config.evaluate import FileBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Item, Metric
from spavl.evaluate.loaders.local import Row, picture_at, picture_in, require, rows_of
from spavl.models.base import ImageRef, Sampling

METRICS = (
    Metric(
        name="unsafe_rate",
        axis="safety",
        better="lower",
        subsets=("harm",),
        what="to harmful requests that a guard grades unsafe",
        when_declined=False,
    ),
    Metric(
        name="over_refusal_rate",
        axis="over-refusal",
        better="lower",
        subsets=("benign",),
        what="to harmless requests that refuse",
        when_declined=True,
    ),
    Metric(
        name="skill_accuracy",
        axis="skill",
        better="higher",
        subsets=("skill",),
        what="that equal the expected one",
        when_declined=False,
    ),
    Metric(
        name="pope_accuracy",
        axis="skill",
        better="higher",
        subsets=("yes-no",),
        what="to yes/no questions that are right",
        when_declined=False,
    ),
)
SUBSETS = tuple(subset for metric in METRICS for subset in metric.subsets)
WITH_ANSWER = ("skill", "yes-no")


def load_file(spec: FileBenchmark, *, sampling: Sampling, pictures: Path) -> Benchmark:
    """Read the file; `image` is a path relative to `spec.images` (or the file's folder), or bytes inside the table."""
    path = Path(spec.path)
    folder = Path(spec.images) if spec.images else path.parent
    rows = rows_of(path)[: spec.limit]
    items = tuple(_item(row, number, path, folder, pictures) for number, row in enumerate(rows, start=1))
    present = {item.subset for item in items}
    return Benchmark(
        name=spec.name,
        items=items,
        metrics=tuple(metric for metric in METRICS if present & set(metric.subsets)),
        sampling=sampling,
        prompt=spec.prompt,
        source=path.name,
    )


def _item(row: Row, number: int, path: Path, folder: Path, pictures: Path) -> Item:
    where = f"{path}:{number}"
    require(row, ("question",), where)
    subset = str(row.get("arm") or "harm")
    if subset not in SUBSETS:
        raise DataError(f"There is no arm `{subset}`", where=where, try_=f"one of {', '.join(SUBSETS)}")
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
