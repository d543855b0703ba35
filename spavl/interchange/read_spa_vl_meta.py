"""`meta_files` of `sqrti/SPA-VL`, joined to its pairs: classes, question type, rationales, who answered, what is safe.

The published train split has none of them. Files and their rows:

- `image_info/meta.json`: `image`, `class1`, `class2`, `class3`;
- `prefer/{easy,hardq,hards}.json`: `image`, `question`, `chosen`, `rejected`, `reason1`, `reason2`; which of the files
  a question stands in is its type;
- `model_answer/{easy,hardq,hards}.json`: `image`, `question`, and a column for each of the 12 models;
- `safety/{easy,hardq,hards}.json`: the same with `safe` or `unsafe` in place of answers (MD-Judge's labels).

A picture is known by the name of its file. The type of a pair is that of the one file that holds the pair itself, else
of the one that holds its question; a pair in several has none. An answer's model is the one that gave just this answer
to the question; where two did, none is named, and the label is taken only where both have the same. Nothing is guessed:
what is ambiguous is counted and stays empty. The files are read row by row into an SQLite file of hashes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, final

from spavl.atomic import MAKE_ROOM
from spavl.errors import DataError, RunError
from spavl.preferences.pairs import Pair
from spavl.records import QuestionType
from spavl.rows import Row, rows_of

TYPES: Mapping[str, QuestionType] = {"easy": "easy_question", "hardq": "hard_question", "hards": "hard_statement"}
"""Types of question by the name of their file."""
CLASSES: Final = ("class1", "class2", "class3")
MODELS: Final = (
    "Otter", "mPLUG-Owl", "LAMM_SFT", "LLaMA-Adapter-v2", "MiniGPT-4", "InstructBLIP", "LAMM", "LLaVA1.5",
    "InternLMXComposer", "QwenVL", "gemini", "gemini_jb",
)  # fmt: skip
"""Columns of the models that answered."""
FOUND: Final = ("class", "question type", "rationales", "chosen source", "rejected source", "chosen outcome",
                "rejected outcome")  # fmt: skip
"""What is found, in order."""
LABELS: Mapping[str, str] = {"safe": "safe", "unsafe": "unsafe"}
"""Labels of safety, and the outcomes that they are."""
INFO, PREFER, ANSWERS, SAFETY = "image_info/meta.json", "prefer", "model_answer", "safety"
_TABLES = """
PRAGMA journal_mode=OFF;
PRAGMA synchronous=OFF;
PRAGMA cache_size=-65536;
CREATE TABLE images (name TEXT PRIMARY KEY, class1 TEXT, class2 TEXT, class3 TEXT, ambiguous INTEGER) WITHOUT ROWID;
CREATE TABLE questions (key BLOB, type TEXT, PRIMARY KEY (key, type)) WITHOUT ROWID;
CREATE TABLE pairs (key BLOB, type TEXT, reason1 TEXT, reason2 TEXT, PRIMARY KEY (key, type)) WITHOUT ROWID;
CREATE TABLE answers (question BLOB, answer BLOB, model INTEGER, PRIMARY KEY (question, answer, model)) WITHOUT ROWID;
CREATE TABLE labels (question BLOB, model INTEGER, label TEXT, ambiguous INTEGER, PRIMARY KEY (question, model))
WITHOUT ROWID;
"""
_AMBIGUOUS_IMAGE = """ON CONFLICT (name) DO UPDATE SET ambiguous = 1 WHERE ambiguous OR class1 IS NOT excluded.class1
OR class2 IS NOT excluded.class2 OR class3 IS NOT excluded.class3"""
_AMBIGUOUS_LABEL = "ON CONFLICT DO UPDATE SET ambiguous = 1 WHERE label IS NOT excluded.label"


@dataclass(frozen=True, slots=True)
class Joined:
    """How many pairs got what."""

    pairs: int
    """Pairs that were looked up."""
    found: Mapping[str, int]
    """Of how many what was found: `class`, `question type`, `rationales`, `chosen source` and the like."""
    empty: Mapping[str, int]
    """Of how many what stays empty, and why."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"pairs": self.pairs, "found": dict(self.found), "empty": dict(self.empty)}


def meta_files(folder: Path) -> tuple[Path, ...]:
    """The files of a folder `meta_files` that are joined.

    Args:
        folder: the folder.

    Raises:
        DataError: it has none of them.
    """
    named = (folder / INFO, *(folder / part / f"{one}.json" for part in (PREFER, ANSWERS, SAFETY) for one in TYPES))
    found = tuple(path for path in named if path.is_file())
    if not found:
        raise DataError(
            "this folder has none of SPA-VL's meta files", where=str(folder),
            try_=f"the folder `meta_files` of sqrti/SPA-VL, with {INFO} and {PREFER}/easy.json",
        )  # fmt: skip
    return found


@final
class MetaFiles:
    """SPA-VL's meta files in an SQLite file of hashes, and what they say of pairs.

    Args:
        folder: the folder `meta_files`.
        database: where the SQLite file is written; it may be deleted afterwards.
        on_row: called after every row that is read.

    Raises:
        DataError: a file cannot be read, or its rows lack a column.
        RunError: the disk is full.
    """

    def __init__(self, folder: Path, database: Path, on_row: Callable[[], None] = lambda: None) -> None:
        self._path = database
        self._database = sqlite3.connect(database, isolation_level=None)
        self._database.executescript(_TABLES)
        self._on_row = on_row
        self._found: Counter[str] = Counter()
        self._empty: Counter[str] = Counter()
        self._pairs = 0
        self._unread_labels = 0
        self._parts = {path.parent.name for path in meta_files(folder)}
        self._fill(folder)

    def close(self) -> None:
        """Close the SQLite file."""
        self._database.close()

    def joined(self) -> Joined:
        """How many pairs got what so far."""
        unread = {"labels of safety that are neither safe nor unsafe": self._unread_labels}
        empty = {**dict(sorted(self._empty.items())), **{why: n for why, n in unread.items() if n}}
        return Joined(self._pairs, {what: self._found[what] for what in FOUND if self._found[what]}, empty)

    def join(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Pairs with what the files say of them; what a pair says itself stays.

        Args:
            pairs: of SPA-VL, each with its `image_name`, or with a picture in a file of that name.
        """
        for pair in pairs:
            if pair.malformed:
                yield pair
                continue
            self._pairs += 1
            said = self._said(pair)
            yield replace(
                pair, about={**{name: value for name, value in said.items() if value is not None}, **pair.about}
            )

    def _said(self, pair: Pair) -> dict[str, Any]:
        name = _image_name(pair)
        if not name:
            self._empty["pairs without `image_name`, which nothing can be found by"] += 1
            return {}
        asked = _key(name, pair.question)
        parts = self._parts
        return {
            "image_name": name,
            **(self._classes(name) if Path(INFO).parent.name in parts else {}),
            **(self._type(asked, pair) if PREFER in parts else {}),
            **(self._answer(asked, pair.chosen, "chosen") if ANSWERS in parts else {}),
            **(self._answer(asked, pair.rejected, "rejected") if ANSWERS in parts else {}),
        }

    def _classes(self, name: str) -> dict[str, Any]:
        row = self._one("SELECT class1, class2, class3, ambiguous FROM images WHERE name = ?", name)
        if row is None or row[3]:
            self._empty["class: two entries of the picture differ" if row else "class: no entry of the picture"] += 1
            return {}
        self._found["class"] += 1
        return dict(zip(CLASSES, row[:3], strict=True))

    def _type(self, asked: bytes, pair: Pair) -> dict[str, Any]:
        exact = self._all("SELECT type, reason1, reason2 FROM pairs WHERE key = ?",
                          _key(asked, pair.chosen, pair.rejected))  # fmt: skip
        types = [row[0] for row in exact] or self._column("SELECT type FROM questions WHERE key = ?", asked)
        found: dict[str, Any] = {}
        if len(types) == 1:
            self._found["question type"] += 1
            found["question_type"] = types[0]
        else:
            self._empty["question type: the question is in several files" if types
                        else "question type: no file has the question"] += 1  # fmt: skip
        if len(exact) == 1:
            self._found["rationales"] += 1
            found |= {"reason_ab": exact[0][1], "reason_ba": exact[0][2]}
        return found

    def _answer(self, asked: bytes, answer: str, role: str) -> dict[str, Any]:
        models = self._column("SELECT model FROM answers WHERE question = ? AND answer = ?", asked, _key(answer))
        found: dict[str, Any] = {}
        if len(models) == 1:
            self._found[f"{role} source"] += 1
            found[f"{role}_source"] = MODELS[models[0]]
        else:
            self._empty[f"{role} source: several models gave this answer" if models
                        else f"{role} source: no model gave this answer"] += 1  # fmt: skip
        labels = self._labels(asked, models)
        if len(labels) == 1 and (outcome := labels.pop()) is not None:
            self._found[f"{role} outcome"] += 1
            found |= {f"{role}_outcome": outcome, f"{role}_safe": outcome == LABELS["safe"]}
        return found

    def _labels(self, asked: bytes, models: Iterable[int]) -> set[str | None]:
        """The labels of the answers of some models; None: one has none, or two that differ."""
        sql = "SELECT label, ambiguous FROM labels WHERE question = ? AND model = ?"
        rows = [self._one(sql, asked, model) for model in models]
        return {None if row is None or row[1] else row[0] for row in rows}

    # ---- reading the files

    def _fill(self, folder: Path) -> None:
        insert = self._insert
        if (path := folder / INFO).is_file():
            insert(f"INSERT INTO images VALUES (?, ?, ?, ?, 0) {_AMBIGUOUS_IMAGE}", self._image_rows(path))
        for name, kind in TYPES.items():
            if (path := folder / PREFER / f"{name}.json").is_file():
                insert("INSERT OR IGNORE INTO pairs VALUES (?, ?, ?, ?)", self._pair_rows(path, kind))
            if (path := folder / ANSWERS / f"{name}.json").is_file():
                insert("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", self._answer_rows(path))
            if (path := folder / SAFETY / f"{name}.json").is_file():
                insert(f"INSERT INTO labels VALUES (?, ?, ?, 0) {_AMBIGUOUS_LABEL}", self._label_rows(path))

    def _image_rows(self, path: Path) -> Iterator[tuple[Any, ...]]:
        for row in self._rows(path):
            yield _file_name(_text(row, "image")), *(_class(row, name) for name in CLASSES)

    def _pair_rows(self, path: Path, kind: QuestionType) -> Iterator[tuple[Any, ...]]:
        for row in self._rows(path):
            asked = _asked(row)
            self._database.execute("INSERT OR IGNORE INTO questions VALUES (?, ?)", (asked, kind))
            reasons = (row.values.get("reason1"), row.values.get("reason2"))
            yield (_key(asked, _text(row, "chosen"), _text(row, "rejected")), kind,
                   *(one if isinstance(one, str) else None for one in reasons))  # fmt: skip

    def _answer_rows(self, path: Path) -> Iterator[tuple[Any, ...]]:
        for row in self._rows(path):
            asked = _asked(row)
            for number, model in enumerate(MODELS):
                if isinstance(answer := row.values.get(model), str) and answer:
                    yield asked, _key(answer), number

    def _label_rows(self, path: Path) -> Iterator[tuple[Any, ...]]:
        for row in self._rows(path):
            asked = _asked(row)
            for number, model in enumerate(MODELS):
                value = row.values.get(model)
                label = LABELS.get(value.strip().lower()) if isinstance(value, str) else None
                self._unread_labels += label is None and value is not None
                if label is not None:
                    yield asked, number, label

    def _rows(self, path: Path) -> Iterator[Row]:
        for row in rows_of(path):
            self._on_row()
            yield row

    def _insert(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        try:
            self._database.execute("BEGIN")
            self._database.executemany(sql, rows)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise RunError(
                f"The meta files cannot be sorted: {error}", where=str(self._path), try_=MAKE_ROOM
            ) from error

    def _all(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        with closing(self._database.execute(sql, given)) as cursor:
            return cursor.fetchall()

    def _one(self, sql: str, *given: Any) -> tuple[Any, ...] | None:
        return next(iter(self._all(sql, *given)), None)

    def _column(self, sql: str, *given: Any) -> list[Any]:
        return [row[0] for row in self._all(sql, *given)]


def _image_name(pair: Pair) -> str:
    """The name of a pair's picture as the meta files have it, from its column or its path; empty: it has none."""
    named = pair.about.get("image_name")
    paths = (picture.source.name for picture in pair.pictures if isinstance(picture.source, Path))
    return _file_name(named) if named else next(paths, "")


def _asked(row: Row) -> bytes:
    return _key(_file_name(_text(row, "image")), _text(row, "question"))


def _text(row: Row, name: str) -> str:
    value = row.values.get(name)
    if not isinstance(value, str):
        raise DataError(f"this row of SPA-VL's meta files has no text `{name}`", where=row.where,
                        try_="take the folder `meta_files` as it is on the Hub")  # fmt: skip
    return value


def _class(row: Row, name: str) -> str | None:
    value = row.values.get(name)
    return value if isinstance(value, str) and value else None


def _file_name(path: str) -> str:
    """The last part of a path: the authors' JSON has folders before it, the Hub has none."""
    return path.rpartition("/")[2]


def _key(*parts: str | bytes) -> bytes:
    """A hash of texts and hashes."""
    content = blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        content.update(len(data).to_bytes(8, "little"))
        content.update(data)
    return content.digest()
