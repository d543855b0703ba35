"""Where preference pairs are read from: files, folders of them, `datasets` folders, the Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from spavl.errors import DataError
from spavl.preferences.folder_files import files_of
from spavl.preferences.llama_factory import INFO, Renaming, renamed_rows, renaming_of
from spavl.preferences.picture_values import LONGEST
from spavl.rows import Row, brief, rows_of

TRAIN = "train"
"""The split that is read where none is named."""
_HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w. -]+|\*)(?:/([\w.-]+))?)?")
MOST_LETTERS = 4_000
"""Letters of the longest path."""
ALL = "*"
"""Stands for every config of a dataset on the Hub."""


@dataclass(frozen=True, slots=True)
class PairFile:
    """Rows of one form."""

    name: str
    """Names them in messages."""
    base: Path | None
    """Folder that the paths of pictures are relative to; None: there is none."""
    rows: Callable[[Collection[str] | None], Generator[Row]]
    """Reads the rows, of all columns or of some."""
    tails: bool = False
    """Whether of the path of a picture the last parts count too."""


@dataclass(frozen=True, slots=True)
class PairSource:
    """Where pairs are read from."""

    files: tuple[Path, ...]
    """The files that hold them, beside the pictures that they name."""
    tables: tuple[PairFile, ...]
    """Their rows, in order."""
    passed_over: tuple[str, ...] = ()
    """Files and splits beside them that may hold pairs and are not read, relative to the source."""


def find_pairs(source: str | Path, *, images: Path | None = None) -> PairSource:
    """A file of pairs, a folder of them, a `datasets` folder, or a dataset on the Hub, to be read.

    In a folder only files named `train…` count, so held-out splits next to them are never trained on; of a folder
    without any, those that lie directly in it and are no held-out split (`spavl.preferences.folder_files`). Of the Hub
    `OWNER/NAME` is the train split, `OWNER/NAME:CONFIG` that of a config or its only split, `OWNER/NAME:CONFIG/SPLIT`
    one of several, and `OWNER/NAME:*` every config. Where LLaMA-Factory's `dataset_info.json` lies beside a file, its
    columns are renamed as it says.

    Args:
        source: a path or a Hub id.
        images: folder of the pictures; folders that stand before their names need not be there. None: paths are
            relative to the folder of each file.

    Raises:
        DataError: there are no pairs, or `images` is no folder.
    """
    if images is not None and not images.is_dir():
        raise DataError("this folder of pictures does not exist", where=str(images), try_="look at the path")
    found = _find(source)
    if images is None:
        return found
    return replace(found, tables=tuple(replace(table, base=images, tails=True) for table in found.tables))


def check_source(source: str | Path) -> None:
    """Refuse what can be no path, before a file of that name is looked for.

    Args:
        source: what a user typed.

    Raises:
        DataError: it is empty, or longer than any path.
    """
    text = str(source)
    if not text.strip():
        raise DataError("no source is named", try_="a file, a folder, or OWNER/NAME of the Hub")
    if len(text) > MOST_LETTERS or any(len(part.encode("utf-8", "replace")) > LONGEST for part in text.split("/")):
        raise DataError(f"{brief(text)} is no path and no dataset of the Hub", try_="the path of a file or a folder")


def _find(source: str | Path) -> PairSource:
    check_source(source)
    path = Path(source)
    if path.is_file():
        return _of_files([path])
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        files = tuple(sorted(file for file in path.rglob("*") if file.is_file()))
        table = PairFile(str(path), path, partial(_saved_dataset, path))
        return PairSource(files, (table,), tuple(sorted(one for one in _splits(path) if one != TRAIN)))
    if path.is_dir():
        found = files_of(path)
        others = tuple(str(file.relative_to(path)) for file in found.passed_over)
        return replace(_of_files(found.train), passed_over=others)
    if named := _HUB_ID.fullmatch(str(source)):
        name, config, split = named.groups()
        return _of_hub(_hub_datasets(name, config, split))
    raise DataError(
        "there are no pairs here", where=str(source), try_="a Parquet file, a folder with data/train.parquet"
    )


def _of_files(files: Sequence[Path]) -> PairSource:
    renamings = {file: renaming for file in files if (renaming := renaming_of(file)) is not None}
    infos = dict.fromkeys(renaming.folder / INFO for renaming in renamings.values())
    return PairSource((*files, *infos), tuple(_pair_file(file, renamings.get(file)) for file in files))


def _pair_file(file: Path, renaming: Renaming | None) -> PairFile:
    if renaming is None:
        return PairFile(str(file), file.parent, partial(_rows, file))
    return PairFile(str(file), renaming.folder, partial(renamed_rows, file, renaming))


def _rows(file: Path, columns: Collection[str] | None) -> Generator[Row]:
    yield from rows_of(file, columns=columns)


def _saved_dataset(folder: Path, columns: Collection[str] | None) -> Generator[Row]:
    import datasets

    with _readable(folder):
        loaded = datasets.load_from_disk(str(folder))
    if isinstance(loaded, datasets.DatasetDict):
        if TRAIN not in loaded:
            raise DataError(f"no train split, but {', '.join(loaded)}", where=str(folder))
        loaded = loaded[TRAIN]
    rows = _rows_of_dataset(loaded, columns)
    while True:
        with _readable(folder):
            row = next(rows, None)
        if row is None:
            return
        yield row


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn what `datasets` raises over a damaged folder into a sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        what = " ".join(str(error).split())[:160]
        raise DataError(f"This saved dataset cannot be read: {what}", where=str(folder),
                        try_="save it anew, or name its Parquet files") from error  # fmt: skip


def _splits(folder: Path) -> list[str]:
    """Names of the splits of a saved dataset; none where it is one split alone."""
    try:
        found = json.loads((folder / "dataset_dict.json").read_text("utf-8"))["splits"]
    except (OSError, RecursionError, ValueError, KeyError, TypeError):
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _of_hub(loaded: Mapping[str, Any]) -> PairSource:
    cached = tuple(Path(file["filename"]) for one in loaded.values() for file in one.cache_files)
    tables = tuple(PairFile(name, None, partial(_rows_of_dataset, one)) for name, one in loaded.items())
    return PairSource(cached, tables)


def _hub_datasets(name: str, config: str | None, split: str | None) -> dict[str, Any]:
    """The splits of a dataset on the Hub that are read, by a name for messages."""
    import datasets

    source = f"{name}:{config}" if config else name
    try:
        if config == ALL:
            every = datasets.get_dataset_config_names(name)
            return {f"{name}:{one}": _hub_split(name, one, split) for one in every}
        return {source: _hub_split(name, config, split)}
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        what = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(
            f"neither a path here nor a dataset that can be loaded: {what}",
            where=source,
            try_="the path of a Parquet file or folder; of a dataset with configs OWNER/NAME:CONFIG, or OWNER/NAME:* "
            "for all of them",
        ) from error


def _hub_split(name: str, config: str | None, split: str | None) -> Any:
    """The split that is named, else `train`, else the only one of a config that is named."""
    import datasets

    if config is None or split is not None:
        return datasets.load_dataset(name, config, split=split or TRAIN)
    splits = datasets.load_dataset(name, config)
    if TRAIN in splits or len(splits) == 1:
        return splits[TRAIN if TRAIN in splits else next(iter(splits))]
    raise DataError(
        f"this config has the splits {', '.join(splits)}, and none is `train`", where=f"{name}:{config}",
        try_=f"name one, such as {name}:{config}/{next(iter(splits))}",
    )  # fmt: skip


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
