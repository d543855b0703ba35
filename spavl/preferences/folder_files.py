"""Which files of a folder hold pairs to train on, and which are passed over: held-out splits are never trained on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spavl.errors import DataError
from spavl.plural import plural
from spavl.preferences.llama_factory import INFO, listed_files

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv")
"""Ends of the names of files that a folder is searched for, in any case, each also before `.gz`."""
ABOUT_DATASETS = (INFO, "dataset_infos.json", "import.json", "export.json", "clean.json")
"""Files that lie beside pairs and hold none."""
_TRAIN = re.compile(r"train([-_]?(part|shard)?[-_]?\d+([-_]of[-_]\d+)?)?", re.IGNORECASE)
_HELD_OUT = re.compile(r"(test|val|valid|validation|dev|eval|evaluation|held[-_]?out)([-_\d].*)?", re.IGNORECASE)
_PART = re.compile(r"(?P<name>.*?)[-_](?P<number>\d+)[-_]of[-_](?P<all>\d+)")


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of a folder that may hold pairs."""

    train: tuple[Path, ...]
    """Those that are read, in order."""
    passed_over: tuple[Path, ...]
    """Those that are not."""


def files_of(folder: Path) -> FolderFiles:
    """The files of a folder that are read: those named `train`, else those beside them that are no held-out split.

    Without one named `train…` anywhere in the folder, those count that LLaMA-Factory's `dataset_info.json` names, else
    those that lie directly in the folder, but for `test`, `validation` and the like. Hidden files are none.

    Args:
        folder: any folder.

    Raises:
        DataError: there are none, or of several kinds, or a file is there twice, or a part of a split is not.
    """
    every = sorted(file for file in folder.rglob("*") if _is_table(file, folder))
    train = [file for file in every if _TRAIN.fullmatch(_name(file))] or listed_files(folder)
    train = train or [file for file in every if file.parent == folder and not _HELD_OUT.fullmatch(_name(file))]
    if not train:
        found = ", ".join(str(file.relative_to(folder)) for file in every[:5]) or "no file of pairs at all"
        raise DataError(f"no train split, but {found}", where=str(folder), try_="name the file itself")
    _check_kinds(train, folder)
    _check_parts(train)
    read = set(train)
    return FolderFiles(tuple(train), tuple(file for file in every if file not in read))


def _is_table(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and _suffix(file) in SUFFIXES and file.name not in ABOUT_DATASETS and file.is_file()


def _name(file: Path) -> str:
    """A file's name up to its first dot."""
    return file.name.partition(".")[0]


def _suffix(file: Path) -> str:
    return (Path(file.stem) if file.suffix.lower() == ".gz" else file).suffix.lower()


def _check_kinds(train: Sequence[Path], folder: Path) -> None:
    """Refuse files of several kinds, and a file beside its own `.gz`: they may hold the same rows."""
    if len({_suffix(file) for file in train}) > 1:
        raise DataError(
            f"files of several kinds: {', '.join(file.name for file in train[:5])}", where=str(folder),
            try_="name the one that holds the pairs",
        )  # fmt: skip
    packed = next((file for file in train if file.suffix.lower() == ".gz" and file.with_suffix("") in train), None)
    if packed is not None:
        raise DataError("this file is there twice, packed and unpacked", where=str(packed), try_="move one away")


def _check_parts(train: Iterable[Path]) -> None:
    """Refuse a split of which a part, `train-00001-of-00003`, is not there."""
    parts: dict[tuple[Path, str, int], set[int]] = {}
    for file in train:
        if found := _PART.fullmatch(_name(file)):
            split = file.parent, found["name"], int(found["all"])
            parts.setdefault(split, set()).add(int(found["number"]))
    for (parent, name, total), there in parts.items():
        if len(there) < total:
            raise DataError(
                f"of {plural(total, 'part')} of `{name}` only {len(there):,} are here", where=str(parent),
                try_="download the others, or name one part after the other",
            )  # fmt: skip
