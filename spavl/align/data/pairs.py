"""Preference pairs as training reads them, from Parquet files, `datasets` folders or the Hub.

The published train split of `sqrti/SPA-VL` has `image` (a struct of bytes and path), `question`, `chosen`, `rejected`
and `image_name`, and no ids. Our own export has more columns; `pair_id` is used where it is there. Invalid rows
are found later, by the preflight, with the row's id; here only files that hold no pairs at all are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.errors import DataError
from spavl.pictures import Picture, file_sha256, grey_picture

COLUMNS = ("image", "question", "chosen", "rejected")
"""Columns that every file must have."""
_TRAIN_FILE = re.compile(r"^train(-\d+-of-\d+)?$")
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference pair as training reads it: a picture, a question, and two answers, one of them preferred.

    `PreferencePair` is the record that the pipeline writes.
    """

    pair_id: str
    """Names the row in messages; unique in a file."""
    image: bytes | Path | None
    """The picture's file, or where it lies; None where the row has neither."""
    image_key: str
    """Names the picture's content; pairs with one picture have one key."""
    question: str
    """The user's turn."""
    chosen: str
    """The preferred answer."""
    rejected: str
    """The other answer."""


def read_pairs(source: str | Path, *, limit: int | None = None) -> list[Pair]:
    """Pairs from a Parquet file, a folder of them, a `datasets` folder, or a dataset on the Hub (its train split).

    In a folder only files named `train…` count, so held-out splits next to them are never trained on; of a folder
    without any, the Parquet files that lie directly in it are read.

    Args:
        source: a path or a Hub id.
        limit: only the first so many pairs.

    Raises:
        DataError: there are no pairs, or a file is not readable Parquet with the columns of SPA-VL.
    """
    path = Path(source)
    if path.is_file():
        batches = _parquet([path])
    elif (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        batches = _saved_dataset(path)
    elif path.is_dir():
        batches = _parquet(_train_files(path))
    elif _HUB_ID.match(str(source)):
        batches = _hub_dataset(str(source))
    else:
        raise DataError(
            "there are no pairs here", where=str(source), try_="a Parquet file, a folder with data/train.parquet"
        )
    pairs = list(_pairs(batches, limit))
    if not pairs:
        raise DataError("the file holds no pairs", where=str(source))
    return pairs


def pairs_fingerprint(pairs: Iterable[Pair]) -> str:
    """Hash of the content, the ids and the order of pairs: equal only where training reads the same.

    Args:
        pairs: the pairs, in their order.
    """
    digest = hashlib.sha256()
    for pair in pairs:
        fields = [pair.pair_id, pair.image_key, pair.question, pair.chosen, pair.rejected]
        digest.update(json.dumps(fields).encode() + b"\n")
    return digest.hexdigest()


def with_blank_picture(pair: Pair) -> Pair:
    """The same pair with a grey picture of the same size: the control that shows what is learnt without pictures.

    Args:
        pair: one that has a picture.
    """
    assert pair.image is not None, "pairs without a picture are left out before"
    file = BytesIO()
    grey_picture(Picture(pair.image_key, pair.image).size()).save(file, "PNG")
    return replace(pair, image=file.getvalue(), image_key=f"{pair.image_key}#blank")


def _train_files(folder: Path) -> list[Path]:
    every = sorted(folder.rglob("*.parquet"))
    train = [file for file in every if _TRAIN_FILE.match(file.stem)] or [f for f in every if f.parent == folder]
    if not train:
        found = ", ".join(str(file.relative_to(folder)) for file in every[:5]) or "no Parquet file at all"
        raise DataError(f"no train split, but {found}", where=str(folder), try_="name the Parquet file itself")
    return train


def _parquet(files: Iterable[Path]) -> Iterator[tuple[Mapping[str, Any], Path]]:
    for file in files:
        try:
            table = pq.ParquetFile(file)
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError("not a readable Parquet file", where=f"{file}: {error}") from error
        _require_columns(table.schema_arrow.names, file)
        wanted = [name for name in (*COLUMNS, "pair_id") if name in table.schema_arrow.names]
        for batch in table.iter_batches(batch_size=256, columns=wanted):
            for row in batch.to_pylist():
                yield row, file.parent


def _saved_dataset(folder: Path) -> Iterator[tuple[Mapping[str, Any], Path]]:
    import datasets

    loaded = datasets.load_from_disk(str(folder))
    if isinstance(loaded, datasets.DatasetDict):
        if "train" not in loaded:
            raise DataError(f"no train split, but {', '.join(loaded)}", where=str(folder))
        loaded = loaded["train"]
    yield from _rows_of(loaded, folder)


def _hub_dataset(name: str) -> Iterator[tuple[Mapping[str, Any], Path]]:
    import datasets

    try:
        loaded = datasets.load_dataset(name, split="train")
    except (OSError, ValueError) as error:
        raise DataError(
            f"neither a path here nor a dataset that can be loaded: {str(error).splitlines()[0]}",
            where=name,
            try_="the path of a Parquet file or folder",
        ) from error
    yield from _rows_of(loaded, Path())


def _rows_of(dataset: Any, base: Path) -> Iterator[tuple[Mapping[str, Any], Path]]:
    import datasets

    _require_columns(dataset.column_names, base)
    wanted = [name for name in (*COLUMNS, "pair_id") if name in dataset.column_names]
    dataset = dataset.select_columns(wanted)
    if isinstance(dataset.features["image"], datasets.Image):
        dataset = dataset.cast_column("image", datasets.Image(decode=False))
    for row in dataset:
        yield row, base


def _require_columns(names: Iterable[str], where: Path) -> None:
    missing = [name for name in COLUMNS if name not in set(names)]
    if missing:
        raise DataError(
            f"columns missing: {', '.join(missing)}; there are: {', '.join(names)}",
            where=str(where),
            try_="the schema of sqrti/SPA-VL: image, question, chosen, rejected",
        )


def _pairs(rows: Iterable[tuple[Mapping[str, Any], Path]], limit: int | None) -> Iterator[Pair]:
    distinct: dict[str, bytes] = {}
    for number, (row, base) in enumerate(rows):
        if limit is not None and number >= limit:
            return
        image, key = _image(row["image"], base, distinct)
        texts = {name: str(row[name] or "") for name in ("question", "chosen", "rejected")}
        content = hashlib.sha256("\x00".join([key, *texts.values()]).encode()).hexdigest()
        yield Pair(str(row.get("pair_id") or f"row{number}-{content[:8]}"), image, key, **texts)


def _image(value: Any, base: Path, distinct: dict[str, bytes]) -> tuple[bytes | Path | None, str]:
    """The picture and the key of its content; equal bytes are kept once. No path leads out of the folder."""
    content, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (None, value)
    if content:
        key = hashlib.sha256(content).hexdigest()
        return distinct.setdefault(key, content), key
    if not name:
        return None, "missing"
    path = (base / str(name)).resolve()
    if not path.is_relative_to(base.resolve()):
        return None, f"outside:{name}"
    return path, file_sha256(path) if path.is_file() else f"missing:{path}"
