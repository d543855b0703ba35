"""kill -9 at random times, again and again, of a build and of a training."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from bench.faulty_builds.builds import ROOT, Build, environment, prepare
from bench.measures import Measure
from tests.faults.plan import Plan
from tests.faults.process import ServerProcess

KILLS = 25
STEPS = 60
KNOBS = {"concurrency": 8}
PLANS = {"*": Plan(delay=0.01)}


def killed_builds(folder: Path, kills: int = KILLS) -> list[Measure]:
    """A build that is killed at random times and run again, against one that is left alone.

    Args:
        folder: for the builds.
        kills: how often it is killed.
    """
    with ServerProcess(folder / "server", PLANS) as server:
        whole = prepare(folder / "whole", server.url, **KNOBS)
        whole.finish()
        calls = len(server.asked())
        build = prepare(folder / "killed", server.url, **KNOBS)
        lost = sum(_kill(build, server, number) for number in range(kills))
        before, ended = build.stored(), build.finish()
        lost += len(before - build.stored())
        repeated = len(server.asked()) - 2 * calls
    same = whole.tables() == build.tables()
    how = f"{kills} kills, {repeated / kills:.1f} calls repeated a kill, {calls:,} calls; status {ended.status}"
    return [
        Measure("build killed with SIGKILL: stored calls that were lost", lost, 0, "", "lower", how),
        Measure("build killed with SIGKILL: calls repeated a kill", repeated / kills, 64 + 8, "", "lower", how),
        Measure("build killed with SIGKILL: tables of one left alone", float(same), 1, "", "higher", how),
    ]


def _kill(build: Build, server: ServerProcess, number: int) -> int:
    """Start it and kill it after some further calls, or in its first seconds; returns stored calls that vanished."""
    chance = random.Random(number)
    before, asked, process = build.stored(), len(server.asked()), build.start()
    calls = asked + chance.randint(1, 50)
    until = time.monotonic() + (chance.uniform(0.1, 3.0) if number % 5 == 0 else 120)
    while process.poll() is None and len(server.asked()) < calls and time.monotonic() < until:
        time.sleep(0.005)
    _sigkill(process)
    return len(before - build.stored())


def killed_trainings(folder: Path, kills: int = KILLS) -> list[Measure]:
    """A training that is killed at random times and run again, against one that is left alone.

    Args:
        folder: for the trainings.
        kills: how often it is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_pairs(folder / "train.parquet")
    _training(folder, "whole").wait()
    lost = sum(_kill_training(folder, number) for number in range(kills))
    status = _training(folder, "killed").wait()
    one, other = _weights(folder / "whole"), _weights(folder / "killed")
    steps, expected = _steps(folder / "killed"), _steps(folder / "whole")
    how = f"{kills} kills of {STEPS} steps; status {status}"
    return [
        Measure("training killed with SIGKILL: resume points that were lost", lost, 0, "", "lower", how),
        Measure("training killed with SIGKILL: steps that are not logged once, with their loss",
                sum(a != b for a, b in zip(steps, expected, strict=False)) + abs(len(steps) - len(expected)),
                0, "", "lower", how),
        Measure("training killed with SIGKILL: weights of one left alone", float(one == other != {}), 1, "", "higher",
                how),
    ]  # fmt: skip


def _kill_training(folder: Path, number: int) -> int:
    """Start it and kill it some steps further, or in its first seconds; returns by how many steps it was set back."""
    chance = random.Random(1000 + number)
    before, process = _saved(folder / "killed"), _training(folder, "killed")
    goal = min(STEPS - 1, before + chance.randint(1, 3))
    until = time.monotonic() + (chance.uniform(0.5, 6.0) if number % 5 == 0 else 120)
    while process.poll() is None and _saved(folder / "killed") < goal and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 0.05))
    _sigkill(process)
    return max(0, before - _saved(folder / "killed"))


def _training(folder: Path, out: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "spavl", "align", "align.method=dpo", "align.model=miniworld:base",
        "align.optimiser.learning_rate=1e-3", f"align.optimiser.max_steps={STEPS}", "align.batching.pairs=4",
        "align.saving.every=1", "align.saving.log_every=1", "--pairs", str(folder / "train.parquet"),
        "--out", str(folder / out),
    ]  # fmt: skip
    with (folder / f"{out}.txt").open("ab") as output:
        return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=output, stderr=output)


def _sigkill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def _saved(run: Path) -> int:
    """The step of the newest whole resume point; that of the end once the checkpoint is written."""
    if _weights(run):
        return STEPS
    points = run.rglob("checkpoint-*/trainer_state.json")
    return max((int(point.parent.name.removeprefix("checkpoint-")) for point in points), default=0)


def _weights(run: Path) -> dict[str, str]:
    """Hash of each file of weights of the finished checkpoint."""
    files = [file for file in run.rglob("*.safetensors") if "state" not in file.parts]
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in files}


def _steps(run: Path) -> list[tuple[int, float]]:
    """(step, loss) of each logged step."""
    lines = [json.loads(line) for file in run.rglob("metrics.jsonl") for line in file.read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def _write_pairs(path: Path) -> None:
    """Twelve pairs in the Hub schema, of pictures of one colour each."""
    rows = []
    for number in range(12):
        buffer = io.BytesIO()
        Image.new("RGB", (48, 48), (number * 20, 90, 120)).save(buffer, "PNG")
        rows.append({
            "image": {"bytes": buffer.getvalue(), "path": f"{number}.png"}, "question": "what object is shown ?",
            "chosen": "sorry , i cannot help with this .", "rejected": "yes .", "image_name": f"{number}.png",
        })  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)
