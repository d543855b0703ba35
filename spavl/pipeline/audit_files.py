"""The files of an audit's folder. `audit.json` is written last: what it stands beside belongs to it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from spavl.atomic import atomic_write, remove_abandoned
from spavl.errors import RunError

FILE, FINDINGS, PAGE, FOLDER = "audit.json", "findings.parquet", "audit.html", "audit"
"""Files of an audit, and its folder in a run folder."""
PICTURES = "probe-pictures"
"""Folder of the pictures that probes send."""
PARTS = "parts"
"""Name of the folder of what an audit makes on its way, with an end of its own."""


def named_after(source: Path) -> Path:
    """The folder of an audit of what is no run, in the current one.

    Args:
        source: path or Hub id of the pairs.
    """
    return Path(f"audit-{source.stem or 'dataset'}")


def claimed_folder(folder: Path, source: str) -> Path:
    """The folder, made where it is missing; what is not an audit of these pairs is never written over.

    Args:
        folder: of the audit.
        source: path or Hub id of the pairs.

    Raises:
        RunError: the folder holds something else, or cannot be made.
    """
    for name in (PARTS, FILE, FINDINGS, PAGE):
        remove_abandoned(folder / name)
    there = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    if there and not there & {FILE, FINDINGS, PICTURES}:
        raise RunError("This folder holds something else than an audit", where=str(folder),
                       try_="name another with --out")  # fmt: skip
    if FILE in there and (other := read_audit(folder).get("dataset")) != source:
        raise RunError(f"This is the audit of other pairs: {other}", where=str(folder), try_="name another with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"The folder of the audit cannot be made: {error.strerror}", where=str(folder),
                       try_="name another with --out") from error  # fmt: skip
    return folder


@contextmanager
def parts_of(folder: Path) -> Iterator[Path]:
    """A folder for what an audit makes on its way; it goes when the block ends, or at the next audit.

    Args:
        folder: of the audit.

    Raises:
        RunError: it cannot be made.
    """
    parts = folder / f"{PARTS}.{os.getpid()}-{uuid.uuid4().hex[:12]}.tmp"
    try:
        parts.mkdir()
    except OSError as error:
        raise RunError(f"The folder of the audit cannot be written: {error.strerror}", where=str(folder),
                       try_="name another with --out") from error  # fmt: skip
    try:
        yield parts
    finally:
        rmtree(parts, ignore_errors=True)


def commit(folder: Path, findings: Path, made: Callable[[], tuple[Mapping[str, Any], str]]) -> None:
    """Put the files of an audit in their places, `audit.json` last.

    The old `audit.json` goes before the first new file comes. So a command that is killed here leaves a folder without
    an audit, and never findings that `audit.json` does not speak of.

    Args:
        folder: of the audit.
        findings: the table of suspected pairs, which is moved.
        made: makes what `audit.json` says, and the page.

    Raises:
        RunError: the folder cannot be written.
    """
    with (
        atomic_write(folder / FILE) as file,
        atomic_write(folder / PAGE) as page,
        atomic_write(folder / FINDINGS) as to,
    ):
        plain, html = made()
        file.write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", "utf-8")
        page.write_text(html, "utf-8")
        findings.replace(to)
        (folder / FILE).unlink(missing_ok=True)


def read_audit(folder: Path) -> dict[str, Any]:
    """What `audit.json` of an audit says.

    Args:
        folder: of the audit.

    Raises:
        RunError: there is none, or it is damaged.
    """
    try:
        return dict(json.loads((folder / FILE).read_text("utf-8")))
    except FileNotFoundError:
        raise RunError("There is no audit here", where=str(folder), try_="run `spavl audit`") from None
    except (OSError, RecursionError, ValueError) as error:
        raise RunError(f"This audit cannot be read: {error}", where=str(folder), try_="run `spavl audit`") from error
