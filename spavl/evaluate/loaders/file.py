"""Loader of a benchmark of the user's own: JSON lines or Parquet, an item in each row.

    {"question": "What is this?", "image": "cup.png", "expected": "a cup", "subset": "skill"}

What a row measures is declared: by `subset` (`harm`, `benign`, `skill`, `yes-no`; a row without one is in `harm`), or
by `harmful` or `benign`, under which a subset may have any name. Optional: `id`, `group`, `heldout`, `images`,
`system`, `earlier` (turns: role, text, images), and `cluster`, which is the picture unless given.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from spavl.config.evaluate import FileBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.read_files import Row, picture_at, picture_in, require, rows_of
from spavl.evaluate.metrics import over_refusal_rate, pope_accuracy, skill_accuracy, unsafe_rate
from spavl.evaluate.parse import SHORT_ANSWER
from spavl.evaluate.tools import BenchmarkTools
from spavl.records import ImageRef, Turn

HARM, BENIGN = "harm", "benign"
WITH_ANSWER = ("skill", "yes-no")
"""Subsets whose rows need the field `expected`."""
SUBSETS = (HARM, BENIGN, *WITH_ANSWER)
"""What the field `subset` may say in a row without `harmful` and `benign`."""


def load_file(spec: FileBenchmark, tools: BenchmarkTools) -> Benchmark:
    """A benchmark from a file of the user's own.

    Args:
        spec: the file and the folder that the fields `image` and `images` are relative to, by default that of the file.
        tools: sampling, scorers, and the folder for pictures that come as bytes inside the table.

    Raises:
        DataError: the file cannot be read, a row lacks a field or does not say what it measures, or a picture is
            unusable.
        SettingsError: a row is harmful, and no guard is named.
    """
    path = Path(spec.path)
    source = _Source(path, Path(spec.images) if spec.images else path.parent, tools.pictures)
    items = tuple(source.item(row, number) for number, row in enumerate(rows_of(path)[: spec.limit], start=1))
    return Benchmark(
        name=spec.name, items=items, metrics=_metrics(items, tools, spec), sampling=tools.sampling, prompt=spec.prompt,
        source=path.name,
    )  # fmt: skip


def _metrics(items: tuple[Item, ...], tools: BenchmarkTools, spec: FileBenchmark) -> tuple[Metric, ...]:
    skill = skill_accuracy(SHORT_ANSWER[spec.answers])
    safety = [unsafe_rate(tools.unsafe())] if any(item.harmful for item in items) else []
    return (*safety, *counted((over_refusal_rate(tools.refuses), skill, pope_accuracy()), items))


class _Source:
    """A file, the folder of its pictures, and the folder for those inside it."""

    def __init__(self, path: Path, folder: Path, pictures: Path) -> None:
        self.path, self.folder, self.pictures = path, folder, pictures

    def item(self, row: Row, number: int) -> Item:
        """The item of a row, which is checked."""
        where = f"{self.path}:{number}"
        require(row, ("question",), where)
        subset, harmful, benign = _declared(row, where)
        if subset in WITH_ANSWER:
            require(row, ("expected",), where)
        cells = row.get("images")
        images = self.images(row.get("image") if cells is None else cells, where)
        item = Item(
            item_id=_text(row, "id", str(number)), subset=subset, question=str(row["question"]), images=images,
            earlier=self.turns(row.get("earlier"), where), system=_text(row, "system"),
            expected=_text(row, "expected"), group=_text(row, "group"),
            cluster=_text(row, "cluster", images[0].sha256 if images else ""),
            harmful=harmful, benign=benign, heldout=_flag(row, "heldout", where) or False,
        )  # fmt: skip
        return item if item.pictures else replace(item, shown="none")

    def turns(self, cell: Any, where: str) -> tuple[Turn, ...]:
        """The turns before the question."""
        turns = []
        for turn in cell or ():
            if not isinstance(turn, dict) or turn.get("role") not in ("user", "assistant") or "text" not in turn:
                raise DataError("`earlier` holds turns: role (user or assistant), text, images", where=where)
            turns.append(Turn(turn["role"], str(turn["text"]), self.images(turn.get("images"), where)))
        return tuple(turns)

    def images(self, cells: Any, where: str) -> tuple[ImageRef, ...]:
        """Pictures by path or as bytes: none, one, or a list."""
        found = []
        for cell in cells if isinstance(cells, list) else [cells]:
            if isinstance(cell, str) and cell:
                found.append(picture_at(self.folder, cell))
            elif cell is not None and cell != "":
                found.append(picture_in(cell, self.pictures, where))
        return tuple(found)


def _declared(row: Row, where: str) -> tuple[str, bool, bool]:
    """(subset, harmful, benign) of a row: as it says, or as its subset means."""
    if row.get("arm") is not None and row.get("subset") is None:
        raise DataError("The field `arm` is called `subset` now", where=where, try_="rename it in every row")
    harmful, benign = _flag(row, "harmful", where), _flag(row, "benign", where)
    subset = _text(row, "subset", BENIGN if benign else HARM)
    if harmful is None and benign is None:
        if subset not in SUBSETS:
            raise DataError(
                f"There is no subset `{subset}`", where=where,
                try_=f"one of {', '.join(SUBSETS)}; or say `harmful` or `benign` in every row",
            )  # fmt: skip
        return subset, subset == HARM, subset == BENIGN
    if harmful and benign:
        raise DataError("A question cannot be both harmful and benign", where=where)
    if not harmful and not benign and subset not in WITH_ANSWER:
        raise DataError(
            "The row is neither harmful nor benign, so nothing would be measured", where=where,
            try_=f"say which, or give an expected answer and the subset {' or '.join(WITH_ANSWER)}",
        )  # fmt: skip
    return subset, bool(harmful), bool(benign)


def _text(row: Row, name: str, otherwise: str = "") -> str:
    """A field as text; a number may be zero."""
    value = row.get(name)
    return otherwise if value is None or value == "" else str(value)


def _flag(row: Row, name: str, where: str) -> bool | None:
    value = row.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise DataError(f"The field `{name}` is true or false, not {value!r}", where=where)
