"""What a dataset is compared with, read from files: another preference dataset, questions, or pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from spavl.contamination.other import Other, OtherItem
from spavl.errors import DataError
from spavl.pictures import Picture
from spavl.preferences.dataset import PreferenceDataset, open_dataset
from spavl.preferences.messages import RowError
from spavl.preferences.pairs import file_key
from spavl.preferences.picture_values import picture_of
from spavl.rows import Row, rows_of

QUESTIONS: Final = ("question", "prompt", "instruction", "query", "text")
"""Columns that a file of questions may have them in; the first of them that a row has counts."""
IDS: Final = ("id", "item_id", "question_id")
"""Columns that name an item."""
IMAGES: Final = ("image", "images", "image_path", "image_file")
"""Columns of pictures."""
ANSWERS: Final = ("chosen", "rejected")
"""Columns that make a row a preference pair."""
TABLES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".gz")
"""How names of files end that are looked at in a folder."""
PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
"""How names of pictures end."""


def open_other(path: str, *, cache: Path) -> Other:
    """A dataset, a file or folder of questions, or a folder of pictures, by what it holds.

    Args:
        path: its path, or the id of a preference dataset on the Hub.
        cache: folder of converted pairs.

    Raises:
        DataError: it holds nothing that can be compared.
    """
    found = Path(path)
    name = found.resolve().name if found.exists() else path
    if not found.exists():
        return of_dataset(name, open_dataset(path, cache=cache))
    tables = [found] if found.is_file() else _files(found, TABLES)
    if tables and _has_questions(tables[0]):
        return Other(name, partial(_questions, tuple(tables)))
    if not tables and _files(found, PICTURES):
        return Other(name, partial(_pictures, found))
    if not tables:
        raise DataError("This folder holds neither questions nor pictures nor pairs", where=path,
                        try_=f"a file with a column {' or '.join(QUESTIONS[:2])}, or a folder of pictures")  # fmt: skip
    return of_dataset(name, open_dataset(path, cache=cache))


def of_dataset(name: str, dataset: PreferenceDataset) -> Other:
    """Another preference dataset: its questions, what users said before them, and all pictures.

    Args:
        name: name in tables.
        dataset: an open dataset.
    """
    return Other(name, partial(_pairs, dataset))


def _pairs(dataset: PreferenceDataset) -> Iterator[OtherItem]:
    for pair in dataset.pairs:
        said = (pair.question, *(turn.text for turn in pair.earlier if turn.role == "user"))
        yield OtherItem(pair.pair_id, tuple(filter(None, said)), pair.all_pictures)


def _files(folder: Path, ends: tuple[str, ...]) -> list[Path]:
    """Files of a folder and those below it, without hidden ones."""
    every = (path for path in folder.rglob("*") if path.suffix.lower() in ends and path.is_file())
    return sorted(path for path in every if not path.name.startswith("."))


def _has_questions(path: Path) -> bool:
    first = next(rows_of(path), None)
    if first is None:
        raise DataError("This file has no rows", where=str(path))
    names = first.values.keys()
    return not any(name in names for name in ANSWERS) and any(name in names for name in QUESTIONS)


def _questions(files: tuple[Path, ...]) -> Iterator[OtherItem]:
    key_of = cache(file_key)
    for path in files:
        opened = partial(picture_of, base=path.parent, key_of=key_of)
        for number, row in enumerate(rows_of(path), start=1):
            yield _question(row, number, path, opened)


def _question(row: Row, number: int, path: Path, opened: Any) -> OtherItem:
    values = row.values
    text = next((values[name] for name in QUESTIONS if values.get(name)), "")
    if not isinstance(text, str):
        raise DataError("A question is no text", where=row.where,
                        try_="give the texts alone, or the file as a preference dataset")  # fmt: skip
    name = next((str(values[name]) for name in IDS if values.get(name) is not None), f"{path.name} {number}")
    return OtherItem(name, (text,) if text else (), tuple(_shown(values, opened, row.where)))


def _shown(values: Mapping[str, Any], opened: Any, where: str) -> Iterator[Picture]:
    found = [values[name] for name in IMAGES if values.get(name)]
    for cell in (one for value in found for one in (value if isinstance(value, list) else [value])):
        try:
            picture = opened(cell)
        except RowError as error:
            raise DataError(str(error), where=where) from error
        if picture is not None:
            yield picture


def _pictures(folder: Path) -> Iterator[OtherItem]:
    for path in _files(folder, PICTURES):
        yield OtherItem(path.relative_to(folder).as_posix(), (), (Picture(file_key(path), path),))
