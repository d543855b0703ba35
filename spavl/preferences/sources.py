"""Where preference pairs are read from: files, folders of them, `datasets` folders, the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spavl.errors import DataError
from spavl.rows import Row, rows_of

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
"""Ends of the names of files that a folder is searched for, each also before `.gz`."""
_TRAIN_FILE = re.compile(r"^train(-\d+-of-\d+)?$")
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True, slots=True)
class PairFile:
    """Rows of one form."""

    name: str
    """Names them in messages."""
    base: Path | None
    """Folder that the paths of pictures are relative to; None: there is none."""
    rows: Callable[[Collection[str] | None], Generator[Row]]
    """Reads the rows, of all columns or of some."""


@dataclass(frozen=True, slots=True)
class PairSource:
    """Where pairs are read from."""

    files: tuple[Path, ...]
    """The files that hold them, beside the pictures that they name."""
    tables: tuple[PairFile, ...]
    """Their rows, in order."""


def find_pairs(source: str | Path) -> PairSource:
    """A file of pairs, a folder of them, a `datasets` folder, or a dataset on the Hub (its train split), to be read.

    In a folder only files named `train…` count, so held-out splits next to them are never trained on; of a folder
    without any, the files that lie directly in it are read.

    Args:
        source: a path or a Hub id.

    Raises:
        DataError: there are no pairs.
    """
    path = Path(source)
    if path.is_file():
        return _of_files([path])
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        files = tuple(sorted(file for file in path.rglob("*") if file.is_file()))
        return PairSource(files, (PairFile(str(path), path, partial(_saved_dataset, path)),))
    if path.is_dir():
        return _of_files(_train_files(path))
    if _HUB_ID.match(str(source)):
        loaded = _hub_dataset(str(source))
        cached = tuple(Path(file["filename"]) for file in loaded.cache_files)
        return PairSource(cached, (PairFile(str(source), None, partial(_rows_of_dataset, loaded)),))
    raise DataError(
        "there are no pairs here", where=str(source), try_="a Parquet file, a folder with data/train.parquet"
    )


def _of_files(files: list[Path]) -> PairSource:
    return PairSource(tuple(files), tuple(PairFile(str(file), file.parent, partial(_rows, file)) for file in files))


def _rows(file: Path, columns: Collection[str] | None) -> Generator[Row]:
    yield from rows_of(file, columns=columns)


def _train_files(folder: Path) -> list[Path]:
    every = sorted(file for file in folder.rglob("*") if _suffix(file) in SUFFIXES and file.is_file())
    train = [file for file in every if _TRAIN_FILE.match(file.name.partition(".")[0])]
    if not train:
        train = [file for file in every if file.parent == folder]
    kinds = {_suffix(file) for file in train}
    if len(kinds) > 1:
        raise DataError(
            f"files of several kinds: {', '.join(file.name for file in train[:5])}", where=str(folder),
            try_="name the one that holds the pairs",
        )  # fmt: skip
    if not train:
        found = ", ".join(str(file.relative_to(folder)) for file in every[:5]) or "no file of pairs at all"
        raise DataError(f"no train split, but {found}", where=str(folder), try_="name the file itself")
    return train


def _suffix(file: Path) -> str:
    return (Path(file.stem) if file.suffix == ".gz" else file).suffix


def _saved_dataset(folder: Path, columns: Collection[str] | None) -> Generator[Row]:
    import datasets

    loaded = datasets.load_from_disk(str(folder))
    if isinstance(loaded, datasets.DatasetDict):
        if "train" not in loaded:
            raise DataError(f"no train split, but {', '.join(loaded)}", where=str(folder))
        loaded = loaded["train"]
    yield from _rows_of_dataset(loaded, columns)


def _hub_dataset(name: str) -> Any:
    import datasets

    try:
        return datasets.load_dataset(name, split="train")
    except (OSError, ValueError) as error:
        raise DataError(
            f"neither a path here nor a dataset that can be loaded: {str(error).splitlines()[0]}",
            where=name,
            try_="the path of a Parquet file or folder",
        ) from error


def _rows_of_dataset(dataset: Any, columns: Collection[str] | None) -> Generator[Row]:
    import datasets

    if columns is not None:
        dataset = dataset.select_columns([name for name in dataset.column_names if name in columns])
    undecoded = {name: _undecoded(kind) for name, kind in dataset.features.items()}
    for number, row in enumerate(dataset.cast(datasets.Features(undecoded)), start=1):
        yield Row(row, f"row {number}")


def _undecoded(kind: Any) -> Any:
    """A column's type with its pictures left as bytes or path."""
    import datasets

    if isinstance(kind, datasets.Image):
        return datasets.Image(decode=False)
    if isinstance(kind, datasets.List):
        return datasets.List(_undecoded(kind.feature))
    return {name: _undecoded(one) for name, one in kind.items()} if isinstance(kind, Mapping) else kind
