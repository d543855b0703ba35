"""The dataset pipeline at size, with an instant `python` model: memory, time a call, and a second run.

    python -m bench.build_scale --json bench/results/build-scale.json

Every size is a process of its own, which builds N pictures × 3 questions × 12 responders.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measures import Measure, run
from spavl.config import PythonSpec, Settings
from spavl.config.asking import RespondSettings
from spavl.config.build import BuildSettings, CollectSettings
from spavl.pipeline.build import build
from spavl.pipeline.runner import LocalRunner
from spavl.pipeline.session import Session
from spavl.pipeline.stages import pipeline_of
from spavl.pipeline.walk import walk
from spavl.progress import NoProgress
from spavl.run import peak_memory_mb
from spavl.taxonomy import load_taxonomy

SIZES = (300, 1000, 3000)
RESPONDERS = 12
RESPOND = 3
"""The stages up to the answers: collect, ask, respond."""
MILLION = 27_778
"""Pictures whose 3 questions by 12 responders are a million answers."""


def settings_of(folder: Path) -> Settings:
    """Settings of a build of the pictures in `folder/pictures`, with instant models.

    Args:
        folder: where run and call store are too.
    """
    names = [f"responder{n:02}" for n in range(RESPONDERS)]
    shares = {name: 8 * n for n, name in enumerate(names)}
    models = tuple(
        PythonSpec(name=name, target="bench.instant_model:InstantModel", version=name, options={"unsafe": shares[name]}
                   if name in shares else {})
        for name in ("asker", "guard", "judge", *names)
    )  # fmt: skip
    collect = CollectSettings(folder=str(folder / "pictures"))
    return Settings(
        out=str(folder / "run"), store=str(folder / "calls.sqlite"), models=models,
        build=BuildSettings(collect=collect, respond=RespondSettings(models=tuple(names))),
    )  # fmt: skip


def write_pictures(folder: Path, count: int) -> None:
    """Write small distinct pictures, spread over the subcategories.

    Args:
        folder: receives a folder for every subcategory.
        count: number of pictures.
    """
    from PIL import Image

    names = sorted({topic.class3 for topic in load_taxonomy().topics})
    for number in range(count):
        path = folder / names[number % len(names)] / f"{number:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number & 255, number >> 8 & 255, number >> 16)).save(path)


def build_once(folder: Path, stages: int | None = None) -> dict[str, Any]:
    """Build, and what it took.

    Args:
        folder: of pictures, run and call store.
        stages: only the first so many stages; None for all.
    """
    began, cpu = time.perf_counter(), time.process_time()
    with Session(settings_of(folder), NoProgress(), allow_code=True) as session:
        if stages is None:
            build(session)
        else:
            walk(session, pipeline_of(session.settings, allow_code=True)[:stages], LocalRunner(session))
        calls, hits = session.store.calls, session.store.hits
        seconds = session.run.manifest()["seconds"]
    return {
        "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "peak_mb": peak_memory_mb(),
        "calls": calls, "hits": hits, "stages": seconds,
    }  # fmt: skip


def in_process(folder: Path, stages: int | None = None) -> dict[str, Any]:
    """What `build_once` measures in a process of its own, whose peak memory is its own.

    Args:
        folder: of pictures, run and call store.
        stages: only the first so many stages; None for all.
    """
    command = [sys.executable, "-m", "bench.build_scale", "--once", str(folder), *([str(stages)] if stages else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def pictures(count: int) -> Iterator[Path]:
    """A folder with so many pictures in it.

    Args:
        count: number of pictures.
    """
    with tempfile.TemporaryDirectory() as name:
        write_pictures(Path(name) / "pictures", count)
        yield Path(name)


def million() -> list[Measure]:
    """A million stored answers, with the tables of the responders deleted, and with them present."""
    with pictures(MILLION) as folder:
        made = in_process(folder, RESPOND)
        shutil.rmtree(folder / "run" / "parts")
        found = in_process(folder, RESPOND)
        kept = in_process(folder, RESPOND)
    how = f"{made['calls']:,} calls are stored; {found['hits']:,} were found, {found['calls']} made"
    return [
        Measure("1 M stored answers, their tables deleted: seconds", round(found["stages"]["respond"], 1), 60.0, "s",
                "lower", f"the stage that computes and finds every key and writes its tables; {how}"),
        Measure("1 M stored answers, their tables deleted: peak memory", round(found["peak_mb"]), 1500.0, "MB", "lower",
                how),
        Measure("1 M stored answers, their tables present: seconds", round(kept["seconds"], 2), 5.0, "s", "lower",
                "all stages up to the answers, pictures checked for changes too"),
    ]  # fmt: skip


def measures() -> Sequence[Measure]:
    """All measures of the build at size."""
    return [*sizes(), *million()]


def sizes() -> list[Measure]:
    """Memory and time at three sizes, and a second run at the largest."""
    peaks: dict[int, float] = {}
    a_call: dict[int, float] = {}
    grade: dict[int, float] = {}
    out: list[Measure] = []
    for size in SIZES:
        with pictures(size) as folder:
            first = in_process(folder)
            peaks[size], a_call[size] = first["peak_mb"], first["cpu"] / first["calls"]
            grade[size] = first["stages"]["grade"]
            if size == SIZES[-1]:
                again = in_process(folder)
    out += [
        Measure(f"build, {size:,} pictures × 3 × {RESPONDERS}: peak memory", round(peaks[size], 1), None, "MB", "lower",
                "a process of its own; instant python model")
        for size in SIZES
    ]  # fmt: skip
    out += [
        Measure(f"build, {size:,} pictures × 3 × {RESPONDERS}: processor milliseconds a call",
                round(1000 * a_call[size], 4), None, "ms", "lower",
                f"all stages, every call made; `grade` took {grade[size]:.1f} s")
        for size in SIZES
    ]  # fmt: skip
    return [
        *out,
        Measure("build: peak memory at 3,000 pictures over peak at 300", round(peaks[3000] / peaks[300], 3), 1.25, "×",
                "lower", "108,000 answers against 10,800"),
        Measure("build: processor time a call at 3,000 pictures over those at 300",
                round(a_call[3000] / a_call[300], 3), 1.1, "×", "lower", "not growing; a tenth is allowed for noise"),
        Measure("build again, all unchanged, 3,000 pictures: seconds", round(again["seconds"], 2), 5.0, "s", "lower",
                "the whole command but the start of Python"),
        Measure("build again, all unchanged, 3,000 pictures: look-ups of single calls", again["hits"] + again["calls"],
                0, "", "lower", "stored answers returned and calls made"),
    ]  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        print(json.dumps(build_once(Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3:] else None)))
    else:
        run(measures)
