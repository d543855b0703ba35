"""The server in a process of its own, which can be ended and started again on the same port."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.plan import Plan, write_plans
from tests.faults.server import Asked


class ServerProcess:
    """A fault server in a process. A context manager.

    Args:
        folder: for the plans and the log.
        plans: what happens to the calls of each model; `*` is for all that are not named.
    """

    def __init__(self, folder: Path, plans: Mapping[str, Plan]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._plans = folder / "plans.json"
        self._log = folder / "asked.jsonl"
        self._process: subprocess.Popen[str] | None = None
        write_plans(self._plans, plans)
        self._log.touch()

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it, on the port that it had before."""
        command = [sys.executable, "-m", "tests.faults", str(self._plans), str(self._log), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        """Kill it: its port is closed and its connections are broken."""
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def replan(self, plans: Mapping[str, Plan]) -> None:
        """Other plans from now on: the server is started again.

        Args:
            plans: as for the class.
        """
        self.stop()
        write_plans(self._plans, plans)
        self.start()

    def asked(self) -> list[Asked]:
        """Every attempt that came, oldest first."""
        return [Asked(*json.loads(line)) for line in self._log.read_text().splitlines()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
