"""Preference pairs as training reads them, from Parquet files, `datasets` folders or the Hub.

The published train split of `sqrti/SPA-VL` has `image` (a struct of bytes and path), `question`, `chosen`, `rejected`
and `image_name`, and no ids. More is read where it is there: `pair_id`, `images` (a list; these follow `image`),
`earlier` (turns before the question: role, text, images), `system`, `chosen_thought`, `rejected_thought`, `weight` (of
the pair's loss). A row without a picture is a row of text. Invalid rows are found later, by the preflight, with the
row's id; here only files that hold no pairs at all are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.errors import DataError
from spavl.models.families import ChatTurn, all_pictures
from spavl.models.trees.pack import Row
from spavl.pictures import Picture, file_sha256, grey_picture

TEXTS = ("question", "chosen", "rejected")
"""Columns that every file must have, beside one of `PICTURES`."""
PICTURES = ("image", "images")
"""Columns of pictures: one, or a list."""
OPTIONAL = ("pair_id", "system", "earlier", "chosen_thought", "rejected_thought", "weight")
"""Columns that are read where they are there."""
ROWS = 8
"""Rows of a file that are held at once; each may bring a picture."""
Thought = Literal["drop", "train"]
"""What becomes of the reasoning before an answer: left out, or written before the answer in `<think>` marks."""
RawRow = tuple[Mapping[str, Any], Path]
"""A row of a file, and the folder that its pictures' paths are relative to."""
_TRAIN_FILE = re.compile(r"^train(-\d+-of-\d+)?$")
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference pair as training reads it: a conversation, and two answers to its last turn, one of them preferred.

    `PreferencePair` is the record that the pipeline writes.
    """

    pair_id: str
    """Names the row in messages; unique in a file."""
    pictures: tuple[Picture, ...]
    """Pictures of the last user turn, before its text; none for a question of text only."""
    question: str
    """Text of the last user turn."""
    chosen: str
    """The preferred answer."""
    rejected: str
    """The other answer."""
    earlier: tuple[ChatTurn, ...] = ()
    """Turns before the last user turn."""
    system: str = ""
    """Text of the system turn; empty: none."""
    weight: float = 1.0
    """What the pair's loss is multiplied with, 0 or more; not read by PPO, which trains on no pairs."""

    @property
    def all_pictures(self) -> tuple[Picture, ...]:
        """The pictures of the whole conversation, in reading order."""
        return all_pictures(self.earlier, self.pictures)

    @property
    def context(self) -> str:
        """Names the content of all that stands before the question: equal for pairs that may share a tree.

        For one picture and nothing else the picture's own key. A pair without pictures and earlier turns shares its
        tree with pairs of the same question alone: else all rows of text in a dataset were one tree.
        """
        if not (self.pictures or self.earlier):
            return _sha256(json.dumps([self.system, self.question]))
        keys = [picture.key for picture in self.pictures]
        if len(keys) == 1 and not (self.earlier or self.system):
            return keys[0]
        turns = [[turn.role, turn.text, [picture.key for picture in turn.pictures]] for turn in self.earlier]
        return _sha256(json.dumps([self.system, turns, keys]))

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that training reads of the pair."""
        weight = [] if self.weight == 1 else [self.weight]
        content = json.dumps([self.context, self.question, self.chosen, self.rejected, *weight])
        return hashlib.sha256(content.encode()).digest()

    def row(self, *answers: str) -> Row:
        """The pair as a row of a tree.

        Args:
            answers: the answers that the row has; none given: chosen and rejected.
        """
        texts = answers or (self.chosen, self.rejected)
        return Row(self.pair_id, self.question, texts, self.pictures, self.system, self.earlier)

    def with_pictures(self, change: Callable[[Picture], Picture]) -> Pair:
        """The same pair with other pictures.

        Args:
            change: gives the picture in place of one of the pair's; called in reading order.
        """
        if not self.all_pictures:
            return self
        turns = tuple(replace(turn, pictures=tuple(map(change, turn.pictures))) for turn in self.earlier)
        return replace(self, earlier=turns, pictures=tuple(map(change, self.pictures)))


def with_blank_pictures(pair: Pair) -> Pair:
    """The same pair with grey pictures of the same sizes: the control that shows what is learnt without pictures.

    Args:
        pair: any pair; one without pictures is returned as it is.
    """
    return pair.with_pictures(_blank)


def _blank(picture: Picture) -> Picture:
    file = BytesIO()
    grey_picture(picture.size()).save(file, "PNG")
    return Picture(f"{picture.key}#blank", file.getvalue())


@dataclass(frozen=True, slots=True)
class PairSource:
    """Where pairs are read from."""

    files: tuple[Path, ...]
    """The files that hold them, beside the pictures that they name."""
    rows: Callable[[], Iterator[RawRow]]
    """Reads them, row by row."""


def find_pairs(source: str | Path) -> PairSource:
    """A Parquet file, a folder of them, a `datasets` folder, or a dataset on the Hub (its train split), to be read.

    In a folder only files named `train…` count, so held-out splits next to them are never trained on; of a folder
    without any, the Parquet files that lie directly in it are read.

    Args:
        source: a path or a Hub id.

    Raises:
        DataError: there are no pairs, or a file is not readable Parquet with the columns of SPA-VL.
    """
    path = Path(source)
    if path.is_file():
        return PairSource((path,), lambda: _parquet([path]))
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        files = tuple(sorted(file for file in path.rglob("*") if file.is_file()))
        return PairSource(files, lambda: _saved_dataset(path))
    if path.is_dir():
        train = _train_files(path)
        return PairSource(tuple(train), lambda: _parquet(train))
    if _HUB_ID.match(str(source)):
        loaded = _hub_dataset(str(source))
        return PairSource(
            tuple(Path(file["filename"]) for file in loaded.cache_files), lambda: _rows_of(loaded, Path())
        )
    raise DataError(
        "there are no pairs here", where=str(source), try_="a Parquet file, a folder with data/train.parquet"
    )


def file_key(path: Path) -> str:
    """The key of the picture in a file.

    Args:
        path: of the file, which need not be there.
    """
    return file_sha256(path) if path.is_file() else f"missing:{path}"


def read_rows(
    source: PairSource,
    *,
    limit: int | None = None,
    thought: Thought = "drop",
    key_of: Callable[[Path], str] | None = None,
) -> Iterator[Pair]:
    """The pairs of a source, one by one; each picture's bytes are in its pair.

    Args:
        source: where they are.
        limit: only the first so many pairs.
        thought: what becomes of the reasoning before an answer.
        key_of: gives the key of the picture in a file; else `file_key`, called once a file.

    Raises:
        DataError: a file is not readable, lacks columns, or has a turn of an unknown role.
    """
    key_of = key_of or cache(file_key)
    for number, (row, base) in enumerate(source.rows()):
        if limit is not None and number >= limit:
            return
        yield _pair(row, number, partial(_picture, base=base, key_of=key_of), thought)


def read_pairs(source: str | Path, *, limit: int | None = None, thought: Thought = "drop") -> list[Pair]:
    """All pairs of a source, in memory; equal pictures are kept once. `open_pairs` keeps them on disk.

    Args:
        source: a path or a Hub id, as for `find_pairs`.
        limit: only the first so many pairs.
        thought: what becomes of the reasoning before an answer.

    Raises:
        DataError: there are no pairs, or a file is not readable Parquet with the columns of SPA-VL.
    """
    known: dict[str, Picture] = {}
    rows = read_rows(find_pairs(source), limit=limit, thought=thought)
    pairs = [pair.with_pictures(lambda picture: known.setdefault(picture.key, picture)) for pair in rows]
    if not pairs:
        raise DataError("the file holds no pairs", where=str(source))
    return pairs


def _train_files(folder: Path) -> list[Path]:
    every = sorted(folder.rglob("*.parquet"))
    train = [file for file in every if _TRAIN_FILE.match(file.stem)] or [f for f in every if f.parent == folder]
    if not train:
        found = ", ".join(str(file.relative_to(folder)) for file in every[:5]) or "no Parquet file at all"
        raise DataError(f"no train split, but {found}", where=str(folder), try_="name the Parquet file itself")
    return train


def _parquet(files: Iterable[Path]) -> Iterator[RawRow]:
    for file in files:
        try:
            table = pq.ParquetFile(file, pre_buffer=False)  # else whole columns are read ahead
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError("not a readable Parquet file", where=f"{file}: {error}") from error
        wanted = _wanted(table.schema_arrow.names, file)
        for batch in table.iter_batches(batch_size=ROWS, columns=wanted, use_threads=False):
            for row in batch.to_pylist():
                yield row, file.parent


def _saved_dataset(folder: Path) -> Iterator[RawRow]:
    import datasets

    loaded = datasets.load_from_disk(str(folder))
    if isinstance(loaded, datasets.DatasetDict):
        if "train" not in loaded:
            raise DataError(f"no train split, but {', '.join(loaded)}", where=str(folder))
        loaded = loaded["train"]
    yield from _rows_of(loaded, folder)


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


def _rows_of(dataset: Any, base: Path) -> Iterator[RawRow]:
    import datasets

    dataset = dataset.select_columns(_wanted(dataset.column_names, base))
    undecoded = {name: _undecoded(kind) for name, kind in dataset.features.items()}
    for row in dataset.cast(datasets.Features(undecoded)):
        yield row, base


def _undecoded(kind: Any) -> Any:
    """A column's type with its pictures left as bytes or path."""
    import datasets

    if isinstance(kind, datasets.Image):
        return datasets.Image(decode=False)
    if isinstance(kind, datasets.List):
        return datasets.List(_undecoded(kind.feature))
    return {name: _undecoded(one) for name, one in kind.items()} if isinstance(kind, dict) else kind


def _wanted(names: Sequence[str], where: Path) -> list[str]:
    """The columns that are read."""
    missing = [] if set(names) & set(PICTURES) else ["image"]
    missing += [name for name in TEXTS if name not in names]
    if missing:
        raise DataError(
            f"columns missing: {', '.join(missing)}; there are: {', '.join(names)}",
            where=str(where),
            try_="the schema of sqrti/SPA-VL: image, question, chosen, rejected",
        )
    return [name for name in (*PICTURES, *TEXTS, *OPTIONAL) if name in names]


def _pair(row: Mapping[str, Any], number: int, picture: Callable[[Any], Picture | None], thought: Thought) -> Pair:
    """The pair of a row; `picture` opens one of its pictures, None where there is none."""

    def pictures(values: Iterable[Any]) -> tuple[Picture, ...]:
        return tuple(found for found in map(picture, values) if found is not None)

    def answer(name: str) -> str:
        text, reasons = str(row[name] or ""), str(row.get(f"{name}_thought") or "")
        return f"<think>\n{reasons}\n</think>\n\n{text}" if thought == "train" and reasons and text.strip() else text

    given = pictures([row.get("image"), *(row.get("images") or ())])
    turns = tuple(
        ChatTurn(_role(turn, number), str(turn.get("text") or ""), pictures(turn.get("images") or ()))
        for turn in row.get("earlier") or ()
    )
    texts = {"question": str(row["question"] or ""), "chosen": answer("chosen"), "rejected": answer("rejected")}
    pair = Pair("", given, **texts, earlier=turns, system=str(row.get("system") or ""),
                weight=_weight(row.get("weight"), number))  # fmt: skip
    content = _sha256("\x00".join([pair.context, *texts.values()]))
    return replace(pair, pair_id=str(row.get("pair_id") or f"row{number}-{content[:8]}"))


def _weight(value: Any, number: int) -> float:
    """The weight of a pair: 1 where none is given."""
    try:
        weight = 1.0 if value is None else float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise DataError(f"the `weight` {value!r} is not a number of 0 or more", where=f"row {number}")
    return weight


def _role(turn: Mapping[str, Any], number: int) -> Literal["user", "assistant"]:
    role = turn.get("role")
    if role not in ("user", "assistant"):
        raise DataError(
            f"a turn of `earlier` has the role {role!r}", where=f"row {number}", try_="`user` or `assistant`"
        )
    return "user" if role == "user" else "assistant"


def _picture(value: Any, base: Path, key_of: Callable[[Path], str]) -> Picture | None:
    """A picture with the key of its content; None where nothing is named. No path leads out of the folder."""
    if isinstance(value, bytes):
        value = {"bytes": value}
    content, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (None, value)
    if content:
        return Picture(hashlib.sha256(content).hexdigest(), content)
    if not name:
        return None if content is None else Picture("empty", None)
    path = (base / str(name)).resolve()
    if not path.is_relative_to(base.resolve()):
        return Picture(f"outside:{name}", None)
    return Picture(key_of(path), path)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
