"""`spavl evaluate` killed half-way and run again: which calls are made twice, and whether the scores are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from bench.evaluating.bridging.yes_no_items import write_items
from bench.measures import Measure
from spavl.models.calls.store import CallStore

ROOT = Path(__file__).resolve().parents[3]
ITEMS, PICTURES, BATCH, SECONDS = 600, 20, 12, 0.05


def interruption(folder: Path) -> list[Measure]:
    """Calls made twice and equal scores, after SIGKILL and after Ctrl-C.

    Args:
        folder: for items, runs and call stores.
    """
    items = write_items(folder / "items", ITEMS, PICTURES)
    whole = Evaluation(folder / "whole", items)
    whole.finish()
    twice, in_flight, same, at = 0, 0, True, []
    for stop in (signal.SIGKILL, signal.SIGINT):
        one = Evaluation(folder / stop.name, items)
        one.stop_half_way(stop)
        before, stored = one.asked(), one.stored()
        one.finish()
        later = one.asked()[len(before) :]
        twice += len(stored & set(later))
        in_flight = max(in_flight, len(set(before) & set(later)))
        same = same and one.scores() == whole.scores()
        at.append(f"{stop.name} after {len(before)}")
    how = f"{ITEMS} items, {' and '.join(at)} calls; at most {in_flight} calls that were in flight were made again"
    return [
        Measure("evaluation interrupted and run again: stored calls made twice", twice, 0, "", "lower", how),
        Measure("evaluation interrupted and run again: calls in flight made again", in_flight, 2 * BATCH, "", "lower",
                f"one batch of {BATCH}, and answers that were on their way to the disk"),
        Measure("evaluation interrupted and run again: scores of one left alone", float(same), 1, "", "higher", how),
    ]  # fmt: skip


class Evaluation:
    """A command `spavl evaluate` with a folder of its own.

    Args:
        folder: its run folder, call store and settings.
        items: file of the benchmark.
    """

    def __init__(self, folder: Path, items: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        (folder / "notes").touch()
        options = {"notes": str(folder / "notes"), "seconds": SECONDS}
        settings = {
            "out": str(folder / "run"), "store": str(folder / "calls.sqlite"),
            "models": [{"kind": "python", "name": "noting", "version": "1", "batch_size": BATCH, "options": options,
                        "target": "bench.evaluating.bridging.noting_model:NotingModel"}],
            "evaluate": {"benchmarks": [{"kind": "file", "name": "yes-no", "path": str(items)}]},
        }  # fmt: skip
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings), "utf-8")

    def finish(self) -> None:
        """Run it to its end.

        Raises:
            RuntimeError: it fails.
        """
        if status := self._start().wait():
            raise RuntimeError(f"`spavl evaluate` ended with {status}: {self._printed()}")

    def stop_half_way(self, stop: signal.Signals) -> None:
        """Run it until half of the calls were made, and stop it.

        Args:
            stop: the signal.

        Raises:
            RuntimeError: it ends before.
        """
        process = self._start()
        while len(self.asked()) < ITEMS // 2:
            if process.poll() is not None:
                raise RuntimeError(f"`spavl evaluate` ended with {process.returncode}: {self._printed()}")
            time.sleep(0.005)
        process.send_signal(stop)
        process.wait()

    def asked(self) -> list[str]:
        """Keys of the calls that the model was sent, in order."""
        return (self._folder / "notes").read_text("utf-8").split()

    def stored(self) -> set[str]:
        """Keys of the calls that are stored."""
        with CallStore(self._folder / "calls.sqlite") as store:
            return store.known(self.asked())

    def scores(self) -> Any:
        """All rates."""
        return json.loads((self._folder / "run" / "run.json").read_text("utf-8"))["models"]

    def _start(self) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "spavl", "evaluate", str(self._folder / "settings.yaml"), "--allow-code"]
        with (self._folder / "printed").open("ab") as output:
            return subprocess.Popen(
                [*words, "--model", "noting"], cwd=ROOT, stdout=output, stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def _printed(self) -> str:
        return (self._folder / "printed").read_text("utf-8", errors="replace")[-1000:]
