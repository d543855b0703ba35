"""A study in the list: its folder holds `study.json`, and its page `study.html` once it was written."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

STUDY: Final = "study.json"
"""Name of the file that makes a folder that of a study."""
PAGE: Final = "study.html"
"""Name of its page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A study in the list."""

    key: str
    """What its address names it by."""
    place: str
    """Its folder, relative to the one that is served."""
    title: str
    """Its title, or the name of its folder."""
    kind: str
    """What is studied, such as `scale`; empty where the file does not say."""
    trainings: int
    """Distinct trainings that it speaks of."""
    runs: frozenset[tuple[str, ...]]
    """Run folders of these, and of its models before training: each as `place_of` has it."""
    changed: str
    """When `study.json` was last written, UTC."""
    has_page: bool
    """Whether its page was written."""


def study_row(folder: Path, key: str, place: str) -> StudyRow:
    """The row of a study; what its file does not say is left empty.

    Args:
        folder: of the study.
        key: what its address names it by.
        place: the folder, relative to the one that is served.
    """
    try:
        said: Any = json.loads((folder / STUDY).read_text("utf-8"))
    except (OSError, RecursionError, ValueError):
        said = {}
    said = said if isinstance(said, dict) else {}
    listed, bases = (said.get(name) if isinstance(said.get(name), list) else [] for name in ("trainings", "bases"))
    named = [one.get("run") for one in (*listed, *bases) if isinstance(one, dict)]
    return StudyRow(
        key=key, place=place, title=str(said.get("title") or folder.resolve().name), kind=str(said.get("kind", "")),
        changed=_changed(folder / STUDY), trainings=len(listed),
        runs=frozenset(place_of(Path(one)) for one in named if isinstance(one, str) and one),
        has_page=(folder / PAGE).is_file(),
    )  # fmt: skip


def place_of(folder: Path) -> tuple[str, ...]:
    """What a run folder of a study is known by, wherever the study was run from: its name and that of its parent.

    Args:
        folder: of the run, as `study.json` or the disk has it.
    """
    return folder.parts[-2:]


def _changed(path: Path) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(path.stat().st_mtime))
    except OSError:
        return ""
