"""`progress.json` of a run folder: how the command that works in it stands, for whoever watches it from elsewhere.

The file is there while a command works and is gone when it has ended; one that a killed command left names a process
that is no more. Nothing is read back by the command: it is for watching alone.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, final

import psutil
from pydantic import FiniteFloat, TypeAdapter

from spavl.atomic import write_json
from spavl.errors import RunError
from spavl.progress import OnProgress, Progress, Rates, TellCalls
from spavl.visible_text import visible

FILE: Final = "progress.json"
"""Name of the file in a run folder."""
EVERY: Final = 1.0
"""Least seconds between two writes. Work that is shorter is never written."""
STALE: Final = 120.0
"""Seconds without a write after which a command on another machine counts as gone."""
LONGEST: Final = 120
"""Most characters of the command."""
BEGUN: Final = 60.0
"""Seconds for which a process may seem to have begun after its command did: clocks are set meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsNow:
    """How the calls of one model stand."""

    name: str
    """Name of the model."""
    done: int
    """Replies that there are."""
    expected: int
    """Most replies that there will be."""
    in_flight: int
    """Calls in flight."""
    rate: FiniteFloat
    """Replies a second, of late."""
    tokens: int
    """Tokens of prompts and answers."""
    cost: FiniteFloat | None
    """What the calls cost, in the currency of the prices; None where the price is not known."""
    failed: int
    """Calls that brought no answer."""
    throttled: int
    """Calls that the server refused as too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkNow:
    """A piece of work that is under way."""

    doing: str
    """What is done, as its bar says."""
    done: int
    """Units done."""
    total: int
    """Units in all; 0: not known yet."""
    seconds: FiniteFloat
    """Seconds since it began."""
    left: FiniteFloat | None = None
    """Seconds to go, by the rates of its calls; None where nothing is known."""
    spent: FiniteFloat = 0.0
    """What the whole command has spent, in the currency of the prices."""
    most: FiniteFloat | None = None
    """Its ceiling of cost."""
    calls: tuple[CallsNow, ...] = ()
    """Of each model that it asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """The command that works in a run folder."""

    command: str
    """Its words."""
    process: int
    """Its number on its machine."""
    host: str
    """Name of the machine."""
    started: FiniteFloat
    """When it began, in seconds since 1970."""
    changed: FiniteFloat
    """When this was written, in seconds since 1970."""
    work: tuple[WorkNow, ...]
    """What is under way, the innermost last."""

    @property
    def is_alive(self) -> bool:
        """Whether the command still works, as far as can be told from here."""
        if self.host != socket.gethostname():
            return time.time() - self.changed < STALE
        try:  # numbers of processes are given again: one that began later is another
            return psutil.Process(self.process).create_time() < self.started + BEGUN
        except psutil.AccessDenied:
            return True
        except psutil.NoSuchProcess:
            return False


@cache
def _checked() -> TypeAdapter[UnderWay]:
    return TypeAdapter(UnderWay)


def under_way(folder: Path) -> UnderWay | None:
    """What works in a run folder; None where nothing does, or where what it wrote cannot be read.

    Args:
        folder: the run folder.
    """
    try:
        found = _checked().validate_json((folder / FILE).read_bytes())
        return found if found.is_alive else None
    except (OSError, ValueError, OverflowError):
        return None


@dataclass(slots=True)
class _Bar:
    """A bar that is open."""

    doing: str
    began: float
    rates: Rates | None
    done: int = 0
    total: int = 0

    def now(self) -> WorkNow:
        """How it stands."""
        seconds = round(time.monotonic() - self.began, 1)
        doing = visible(self.doing)
        if self.rates is None:
            return WorkNow(doing=doing, done=self.done, total=self.total, seconds=seconds)
        calls, speed, left = self.rates.look()
        each = tuple(
            CallsNow(name=one.name, done=one.done, expected=one.expected, in_flight=one.in_flight, tokens=one.tokens,
                     rate=round(speed[one.name], 2), cost=one.cost, failed=one.failed, throttled=one.throttled)
            for one in calls.models
        )  # fmt: skip
        return WorkNow(doing=doing, done=self.done, total=self.total, seconds=seconds, left=left,
                       spent=calls.spent, most=calls.most, calls=each)  # fmt: skip


@final
class NotedProgress:
    """Progress that is shown as before, and noted in a run folder at most once a second, by a thread of its own.

    Args:
        shown: where bars and log lines go.
        folder: the run folder, which can be written.
    """

    def __init__(self, shown: Progress, folder: Path) -> None:
        self._shown = shown
        self._path = folder / FILE
        self._path.unlink(missing_ok=True)  # of a command that was killed
        self._started = time.time()
        self._bars: list[_Bar] = []
        self._guard = threading.Lock()
        self._ended: threading.Event | None = None
        self._writer: threading.Thread | None = None

    @contextmanager
    def bar(self, doing: str, tell_calls: TellCalls | None = None) -> Iterator[OnProgress]:
        """A bar of the progress that is shown; what it says is noted too.

        Args:
            doing: what is done, the bar's label.
            tell_calls: tells how the calls of models stand, where the work makes any.
        """
        noted = _Bar(doing, time.monotonic(), None if tell_calls is None else Rates(tell_calls))
        with self._shown.bar(doing, tell_calls) as show:

            def update(done: int, total: int) -> None:
                noted.done, noted.total = done, total
                show(done, total)

            self._open(noted)
            try:
                yield update
            finally:
                self._close(noted)

    def log(self, line: str) -> None:
        """Print a line that stays.

        Args:
            line: the text, without markup.
        """
        self._shown.log(line)

    def close(self) -> None:
        """Remove the file: the command has ended."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _open(self, noted: _Bar) -> None:
        with self._guard:
            self._bars.append(noted)
            if self._ended is None:
                self._ended = threading.Event()
                self._writer = threading.Thread(target=self._write_on, args=(self._ended,), daemon=True)
                self._writer.start()

    def _close(self, noted: _Bar) -> None:
        with self._guard:
            self._bars.remove(noted)
            if self._bars or self._ended is None or self._writer is None:
                return
            self._ended.set()
            self._ended, writer = None, self._writer
        writer.join()

    def _write_on(self, ended: threading.Event) -> None:
        while not ended.wait(EVERY):
            with suppress(RunError, OSError):  # who watches sees less; the work goes on
                write_json(self._path, self._now())

    def _now(self) -> dict[str, Any]:
        command = visible(shlex.join([Path(sys.argv[0]).name or "python", *sys.argv[1:]]))
        words = command if len(command) <= LONGEST else f"{command[:LONGEST]}…"
        now = UnderWay(
            command=words, process=os.getpid(), host=socket.gethostname(), started=self._started, changed=time.time(),
            work=tuple(one.now() for one in list(self._bars)),
        )  # fmt: skip
        return asdict(now)
