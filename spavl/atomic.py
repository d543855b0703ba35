"""Atomic writes: a file or folder is written under a temporary name in the same place, then renamed."""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from spavl.errors import RunError

MAKE_ROOM = "make room on the disk and run the same command again; finished calls are kept in the call store"
CHECK_PATH = "check the path and the rights to write there, or name another; then run the same command again"
NO_ROOM = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None])
"""Errors that room mends: a full disk, a used-up quota, a limit on files; None: a library did not say which."""


@contextmanager
def atomic_write(path: Path, *, what: str = "The file", try_: str = MAKE_ROOM) -> Iterator[Path]:
    """The temporary path to write to, as a file or as a folder; it takes the place of `path` when the block ends well.

    A reader of a file sees the old one or the new one, never half of one. A folder takes two renames: between them
    there is neither, and where the second fails the old folder is put back. Writers of one path do not disturb each
    other: the last one wins.

    Args:
        path: the file or folder to be written; its parents are made.
        what: what is being written, the subject of the error's sentence.
        try_: what the error suggests where the disk is full.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    tmp = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:12]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield tmp
        if tmp.is_dir():
            _swap_folder(tmp, path)
        else:
            tmp.replace(path)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        about = _other_file(error, tmp, path)
        advice = try_ if error.errno in NO_ROOM else CHECK_PATH
        raise RunError(f"{what} cannot be written: {why}{about}", where=str(path), try_=advice) from error
    finally:
        with suppress(OSError):
            _remove(tmp)


def _swap_folder(new: Path, path: Path) -> None:
    """Put a folder in the place of the old one, which is put back where that fails."""
    old = new.with_suffix(".old.tmp")
    with suppress(FileNotFoundError):
        path.replace(old)
    try:
        new.replace(path)
    except OSError:
        if old.exists():
            old.replace(path)
        raise
    with suppress(OSError):
        _remove(old)


def _other_file(error: OSError, tmp: Path, path: Path) -> str:
    """The file that an error is about, where it is not the one that is written."""
    name = str(error.filename or "")
    return f" ({name})" if name and not name.startswith((str(tmp), str(path))) else ""


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files and folders that killed processes of this machine left while they wrote `path`.

    For what is large: it lists the folder, which would be slow for every picture of a big one.

    Args:
        path: the file or folder that was being written.
    """
    for tmp in path.parent.glob(f"{glob.escape(path.name)}.*-*.tmp"):
        pid = tmp.name.removeprefix(f"{path.name}.").split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            with suppress(OSError):
                _remove(tmp)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically.

    Args:
        path: the file.
        text: all of its text.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    with atomic_write(path) as tmp:
        tmp.write_text(text, "utf-8")


def write_json(path: Path, tree: Any) -> None:
    """Write a JSON file atomically, indented, with letters as they are.

    Args:
        path: the file.
        tree: what `json.dumps` takes.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    write_text(path, json.dumps(tree, indent=2, ensure_ascii=False) + "\n")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
