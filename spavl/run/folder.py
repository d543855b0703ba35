"""The run folder: paths of its files, and `run.json`, which says what the run was made with and what it cost."""

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

import psutil
import yaml

from spavl.atomic import write_json, write_text
from spavl.errors import RunError
from spavl.locks import Lock
from spavl.strict_yaml import load_yaml
from spavl.tables import FORMAT

SHOWN_VERSIONS = ("spavl", "torch", "transformers", "peft", "accelerate", "pyarrow", "numpy", "pillow")
"""Packages whose versions are noted in `run.json`."""


class Run:
    """A run folder: numbered tables, pictures, dataset, checkpoints, scores and report.

    Everything in it is derived: delete any of it, and the same command remakes it from the call store without
    a call. A model that is trained anew is the same up to rounding; to the bit where one thread trains it.

    Args:
        folder: the run folder; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "1-images.parquet"
        self.queries = folder / "2-queries.parquet"
        self.responses = folder / "3-responses.parquet"
        self.matches = folder / "4-matches.parquet"
        self.judgments = folder / "5-judgments.parquet"
        self.pairs = folder / "6-pairs.parquet"
        self.labelled = folder / "6-labelled.parquet"
        self.balanced = folder / "7-balanced.parquet"
        self.dataset = folder / "dataset"
        self.pictures = folder / "images"
        self.align = folder / "align"
        self.evaluate = folder / "evaluate"
        self.report = folder / "report.html"
        self.summary = folder / "summary.json"
        self._manifest = folder / "run.json"
        self._settings = folder / "settings.yaml"

    def aligned(self) -> dict[str, Path]:
        """Folders of the models trained in this run, by name: a checkpoint, or an adapter that was not merged.

        Reward models are left out, and trainings that are not finished.
        """
        made: dict[str, Path] = {}
        for folder in sorted(self.align.glob("*")):
            found = [folder / kind for kind in ("checkpoint", "adapter") if (folder / kind).is_dir()]
            if found and (folder / "training.json").is_file() and not (folder / "reward.json").exists():
                made[folder.name] = found[0]
        return made

    def open(self) -> Run:
        """Make the folder where it is missing, and return this run.

        Raises:
            RunError: the folder cannot be made, or holds a run of another format version.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"The run folder cannot be made: {error.strerror}",
                where=str(self.folder),
                try_="name another with `--out`",
            ) from error
        return self.checked()

    def checked(self) -> Run:
        """This run, once it is known that the folder holds none of another format version; nothing is made.

        Raises:
            RunError: it does.
        """
        found = self.manifest().get("format", FORMAT)
        if found != FORMAT:
            raise RunError(
                f"This run folder is of format version {found}; this spavl reads version {FORMAT}",
                where=str(self.folder),
                try_="name a new folder with `--out`; this one is left as it is",
            )
        return self

    def found(self) -> Run:
        """This run, which must be there; nothing is made.

        Raises:
            RunError: there is no run in the folder, or one of another format version.
        """
        if self.folder.is_file():
            raise RunError("RUN is a folder, and this is a file", where=str(self.folder),
                           try_="name the run folder: `out` of the settings, such as `runs/first`")  # fmt: skip
        if (self.folder / "study.json").is_file():
            raise RunError("This is the folder of a study, and no run", where=str(self.folder),
                           try_="open its study.html; study.json names its runs")  # fmt: skip
        if not self.manifest():
            raise RunError("There is no run in this folder", where=str(self.folder), try_="`spavl demo` makes one")
        return self.checked()

    @property
    def last_pairs(self) -> Path:
        """The table of pairs that are exported: the balanced or labelled ones where this run has those stages."""
        stages = {stage["name"] for stage in self.manifest().get("stages", [])}
        return self.balanced if "balance" in stages else self.labelled if "labels" in stages else self.pairs

    @property
    def judgment_tables(self) -> tuple[Path, ...]:
        """The tables of verdicts that are there: one of each judge where there are several."""
        found = self.manifest().get("judges", {}).values()
        named = [self.folder / judge["table"] for judge in found] or [self.judgments]
        return tuple(path for path in dict.fromkeys(named) if path.exists())

    @property
    def can_be_written(self) -> bool:
        """Whether files can be made in the folder."""
        return os.access(self.folder, os.W_OK)

    def lock(self) -> Lock | None:
        """The lock of the folder, which one command at a time may write into; None where nobody can.

        Readers (report, show, try) need none: every file of a run is replaced at once, never half.

        Raises:
            RunError: another process works on it, or the disk knows no locks.
        """
        if not self.can_be_written:
            return None
        return Lock(
            self.folder / "run", where=str(self.folder), what="The run folder is being worked on by",
            try_="wait until that command has ended, or name another folder with `--out` (of a study: `trainings=DIR`)",
        )  # fmt: skip

    def manifest(self) -> dict[str, Any]:
        """What `run.json` holds; empty for a new folder.

        Raises:
            RunError: the file is damaged.
        """
        if not self._manifest.exists():
            return {}
        try:
            read = json.loads(self._manifest.read_text("utf-8"))
        except (OSError, RecursionError, ValueError) as error:
            raise RunError(f"run.json cannot be read: {error}", where=str(self._manifest), try_="delete it") from error
        if not isinstance(read, dict):
            raise RunError("run.json is not the manifest of a run", where=str(self._manifest), try_="delete it")
        return read

    def note(self, **facts: Any) -> None:
        """Add facts to `run.json`; mappings are merged, so each stage adds its own counts and seconds.

        Args:
            facts: key to value, plain data; where they stand there already, the file is left as it is.

        Raises:
            RunError: `run.json` is damaged or cannot be written.
        """
        known = self.manifest()
        merged = {
            name: {**known[name], **value} if isinstance(known.get(name), dict) and isinstance(value, dict) else value
            for name, value in facts.items()
        }
        self._put(known, merged)

    def replace(self, **facts: Any) -> None:
        """Put facts into `run.json` in place of what stood under their keys.

        Args:
            facts: key to value, plain data; where they stand there already, the file is left as it is.

        Raises:
            RunError: `run.json` is damaged or cannot be written.
        """
        self._put(self.manifest(), facts)

    def _put(self, known: dict[str, Any], facts: dict[str, Any]) -> None:
        begun = known or {"format": FORMAT, "started": _now(), "machine": machine(), "versions": versions()}
        facts = json.loads(json.dumps(facts))  # as the file gives it back, so that equal facts are equal
        if not known or any(name not in known or known[name] != value for name, value in facts.items()):
            write_json(self._manifest, {**begun, **facts, "changed": _now()})

    def settings_before(self) -> dict[str, Any]:
        """The settings of the last run into this folder; empty for a new folder.

        Raises:
            RunError: `settings.yaml` cannot be read.
        """
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
        """Write `settings.yaml`, unless these settings stand there already.

        Args:
            settings: all settings as run, defaults filled in, as plain data.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        if not self._settings.exists() or self._settings.read_bytes() != text.encode():
            write_text(self._settings, text)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a stage and note its counts in `run.json`: `with run.stage("ask") as counts: counts["made"] = …`.

        Args:
            name: of the stage. A stage that fails is not noted.
        """
        counts: dict[str, Any] = {}
        began = time.perf_counter()
        yield counts
        self.note(seconds={name: round(time.perf_counter() - began, 3)}, counts={name: counts})


def changes(before: Any, now: Any, path: str = "") -> list[str]:
    """The differences between two trees of settings, one `key.path: old → new` line each.

    Args:
        before: the old tree, plain data.
        now: the new tree.
        path: dotted path of both trees within the whole; empty at the top.
    """
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
    """System, processor, cores and Python version of this machine; nothing that names a person or a host."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages of `SHOWN_VERSIONS` that are installed, by name."""
    found = {}
    for name in SHOWN_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, in MiB."""
    if sys.platform == "win32":
        return round(psutil.Process().memory_info().peak_wset / 2**20, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def run_at(folder: Path) -> Run | None:
    """The run of a folder; None where it is of none.

    Args:
        folder: any path.
    """
    return Run(folder) if (folder / "run.json").is_file() else None
