"""LLaMA-Factory's `dataset_info.json`: how the columns of the files beside it are called, and who speaks.

An entry counts where it is of preferences (`ranking`) and its `file_name` is the file. The columns that it renames are
read under the names that the forms `alpaca` and `sharegpt` have for them; messages with other keys or other words for
who speaks become `role` and `content`. Pictures lie relative to the folder of `dataset_info.json`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.errors import DataError
from spavl.preferences.picture_values import is_there
from spavl.rows import Row, rows_of

INFO = "dataset_info.json"
"""Name of the file."""
_NAMES: Mapping[str, Mapping[str, str]] = {
    "alpaca": {"prompt": "instruction", "query": "input"},
    "sharegpt": {"messages": "conversations"},
}
"""The form's names for columns that LLaMA-Factory calls otherwise, by its `formatting`."""
_SAME = ("chosen", "rejected", "history", "system", "images")
"""Columns that both call alike."""
_TAGS: Mapping[str, str] = {
    "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt", "system_tag": "system",
}  # fmt: skip
"""How messages are written where an entry does not say."""
_SPEAKERS: Mapping[str, str] = {"user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}
"""Who speaks, by the tag."""
_MESSAGES = ("conversations", "chosen", "rejected")
"""Columns that hold messages."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """What an entry says of a file."""

    folder: Path
    """Folder of `dataset_info.json`."""
    columns: Mapping[str, str]
    """The file's column by the form's name for it."""
    tags: Mapping[str, str]
    """How messages are written, where the entry says so; empty: as the forms know them."""

    def wanted(self, columns: Collection[str]) -> set[str]:
        """The columns of the file that are read.

        Args:
            columns: the form's names of those that are wanted.
        """
        return {self.columns.get(name, name) for name in columns}

    def renamed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a row under the form's names.

        Args:
            values: of the row.
        """
        old = set(self.columns.values())
        found = {name: value for name, value in values.items() if name not in old}
        found |= {name: values[theirs] for name, theirs in self.columns.items() if theirs in values}
        if self.tags:
            found |= {name: self._messages(found[name]) for name in _MESSAGES if name in found}
        return found

    def _messages(self, value: Any) -> Any:
        """A message, or a list of them, with `role` and `content`; what is neither is left as it is."""
        if isinstance(value, list):
            return [self._messages(one) if isinstance(one, Mapping) else one for one in value]
        if not isinstance(value, Mapping):
            return value
        said_by = value.get(self.tags["role_tag"])
        speakers = {self.tags[tag]: role for tag, role in _SPEAKERS.items()}
        role = speakers.get(said_by, said_by) if isinstance(said_by, str) else said_by
        return {"role": role, "content": value.get(self.tags["content_tag"])}


def renaming_of(file: Path) -> Renaming | None:
    """What a `dataset_info.json` in the folder of a file, or in the one above, says of it; None: nothing.

    Args:
        file: of pairs.

    Raises:
        DataError: that file is no JSON object, or two of its entries differ on the file.
    """
    for folder in (file.parent, file.parent.parent):
        entries = [one for one in _rankings(folder) if _is_the_file(folder / one["file_name"], file)]
        found = [_renaming(folder, one) for one in entries]
        if any(one != found[0] for one in found):
            raise DataError(
                f"entries of {INFO} differ on this file", where=str(file), try_=f"leave one of them in {folder / INFO}"
            )
        if found:
            return found[0]
    return None


def listed_files(folder: Path) -> list[Path]:
    """The files of pairs that the `dataset_info.json` of a folder names and that are there; none without one.

    Args:
        folder: any folder.

    Raises:
        DataError: that file is no JSON object.
    """
    named = dict.fromkeys(folder / one["file_name"] for one in _rankings(folder))
    return [file for file in named if is_there(file) and file.resolve().is_relative_to(folder.resolve())]


def _is_the_file(named: Path, file: Path) -> bool:
    return is_there(named) and named.samefile(file)


def renamed_rows(file: Path, renaming: Renaming, columns: Collection[str] | None) -> Generator[Row]:
    """The rows of a file under the form's names.

    Args:
        file: of pairs.
        renaming: what `dataset_info.json` says of it.
        columns: the form's names of the columns that are wanted; None: all.

    Raises:
        DataError: the file cannot be read.
    """
    wanted = None if columns is None else renaming.wanted(columns)
    for row in rows_of(file, columns=wanted):
        yield Row(renaming.renamed(row.values), row.where)


def _rankings(folder: Path) -> list[Mapping[str, Any]]:
    """The entries of preferences with a file."""
    path = folder / INFO
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError("This file is no JSON", where=str(path), try_="mend it, or move it away") from error
    if not isinstance(entries, dict):
        raise DataError("This file holds no JSON object", where=str(path), try_="mend it, or move it away")
    found = [one for one in entries.values() if isinstance(one, dict) and one.get("ranking") is True]
    return [one for one in found if isinstance(one.get("file_name"), str)]


def _renaming(folder: Path, entry: Mapping[str, Any]) -> Renaming:
    formatting = entry.get("formatting", "alpaca")
    if not isinstance(formatting, str) or formatting not in _NAMES:
        raise DataError(
            f"an entry of {INFO} has a `formatting` that is neither {' nor '.join(_NAMES)}",
            where=str(folder / INFO), try_="mend it, or move the file away",
        )  # fmt: skip
    given, names = entry.get("columns") or {}, {**_NAMES[formatting], **{name: name for name in _SAME}}
    if not isinstance(given, dict):
        raise DataError(f"`columns` of an entry of {INFO} is no object", where=str(folder / INFO), try_="mend it")
    columns = {names[theirs]: name for theirs, name in given.items() if theirs in names and isinstance(name, str)}
    tags = entry.get("tags") if formatting == "sharegpt" else None
    if not isinstance(tags, dict):
        return Renaming(folder, columns, {})
    return Renaming(folder, columns, {**_TAGS, **{tag: word for tag, word in tags.items() if isinstance(word, str)}})
