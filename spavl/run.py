"""The run folder: where every thing of a run lies, what it was made with, and what it cost."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from spavl.atomic import write_json, write_text
from spavl.errors import RunError
from spavl.strict_yaml import load_yaml
from spavl.tables import FORMAT

SHOWN_VERSIONS = ("spavl", "torch", "transformers", "peft", "accelerate", "pyarrow", "numpy", "pillow")


class Run:
    """A folder with numbered tables, pictures, checkpoints, scores and a report.

    Everything in it is derived: delete any of it, and the same command remakes it from the call store without a call.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "1-images.parquet"
        self.queries = folder / "2-queries.parquet"
        self.responses = folder / "3-responses.parquet"
        self.matches = folder / "4-matches.parquet"
        self.judgments = folder / "5-judgments.parquet"
        self.pairs = folder / "6-pairs.parquet"
        self.dataset = folder / "dataset"
        self.pictures = folder / "images"
        self.align = folder / "align"
        self.evaluate = folder / "evaluate"
        self.report = folder / "report.html"
        self.summary = folder / "summary.json"
        self._manifest = folder / "run.json"
        self._settings = folder / "settings.yaml"

    def aligned(self) -> dict[str, Path]:
        """Models made in this run, by name: a checkpoint, or an adapter where nothing was merged. No reward model."""
        made: dict[str, Path] = {}
        for folder in sorted(self.align.glob("*")):
            found = [folder / kind for kind in ("checkpoint", "adapter") if (folder / kind).is_dir()]
            if found and not (folder / "reward.json").exists():
                made[folder.name] = found[0]
        return made

    def open(self) -> Run:
        """Make the folder if need be.

        Raises:
            RunError: it cannot be made, or holds a run of another format version.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"The run folder cannot be made: {error.strerror}",
                where=str(self.folder),
                try_="name another with `--out`",
            ) from error
        found = self.manifest().get("format", FORMAT)
        if found != FORMAT:
            raise RunError(
                f"This run folder is of format version {found}; this spavl reads version {FORMAT}",
                where=str(self.folder),
                try_="name a new folder with `--out`; the call store is shared, so nothing is paid twice",
            )
        return self

    def manifest(self) -> dict[str, Any]:
        """What `run.json` says; empty for a new folder."""
        if not self._manifest.exists():
            return {}
        try:
            read = json.loads(self._manifest.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"run.json cannot be read: {error}", where=str(self._manifest), try_="delete it") from error
        if not isinstance(read, dict):
            raise RunError("run.json is no run's", where=str(self._manifest), try_="delete it")
        return read

    def note(self, **facts: Any) -> None:
        """Lay facts into `run.json`; mappings are merged, so each stage adds its own counts and seconds."""
        manifest = self.manifest() or {
            "format": FORMAT,
            "started": _now(),
            "machine": machine(),
            "versions": versions(),
        }
        for name, value in facts.items():
            old = manifest.get(name)
            manifest[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        manifest["changed"] = _now()
        write_json(self._manifest, manifest)

    def replace(self, **facts: Any) -> None:
        """Put facts into `run.json` in place of what stood under their names."""
        write_json(self._manifest, {**self.manifest(), **dict.fromkeys(facts)})
        self.note(**facts)

    def settings_before(self) -> dict[str, Any]:
        """The settings of the last run into this folder; empty for a new one."""
        if not self._settings.exists():
            return {}
        try:
            read = load_yaml(self._settings.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            why = " ".join(str(error).split())
            raise RunError(f"The settings of the last run cannot be read: {why}", where=str(self._settings),
                           try_="delete the file") from error  # fmt: skip
        return read if isinstance(read, dict) else {}

    def keep_settings(self, settings: dict[str, Any]) -> None:
        """Write the settings as run, defaults filled in."""
        write_text(self._settings, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage and note its counts: `with run.stage("ask") as counts: counts["made"] = …`."""
        counts: dict[str, Any] = {}
        began = time.perf_counter()
        yield counts
        self.note(seconds={name: round(time.perf_counter() - began, 3)}, counts={name: counts})


def changes(before: Any, now: Any, path: str = "") -> list[str]:
    """The differences between two settings trees, one `key.path: old → new` line each."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = list(dict.fromkeys([*before, *now]))
        return [line for n in names for line in changes(before.get(n), now.get(n), f"{path}.{n}" if path else str(n))]
    if isinstance(before, list) and isinstance(now, list):
        both = zip_longest(before, now)
        return [line for place, (b, n) in enumerate(both) for line in changes(b, n, f"{path}.{place}")]
    if before == now:
        return []
    return [f"{path}: {_short(before)} → {_short(now)}"]


def machine() -> dict[str, Any]:
    """What ran it; nothing that names a person or a host."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of what decides numbers, as far as installed."""
    found = {}
    for name in SHOWN_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
