"""`spavl check` against the builds that it foretells, at 1, 4 and 16 times a trial; and what is spent beyond a ceiling.

    python -m bench.building.check --json FILE

A real HTTP server in a process of its own answers after a quarter of a second, so that its latency decides and not this
machine. A trial of 16 pictures is built and measured. Then every size is estimated from the trial, and built with other
pictures, another run folder and another call store. Some pictures are broken and some calls are filtered, so that what
is to be expected is less than what is possible.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

import spavl
from bench.measures import Measure, run
from spavl.errors import NothingMade
from spavl.pipeline.check import RunPlan
from tests.faults.plan import Plan
from tests.faults.process import ServerProcess

TRIAL = 16
FACTORS = (1, 4, 16)
DELAY = 0.25
CONCURRENCY = 8
RESPONDERS = ("amber", "birch", "cedar")
BROKEN = 16
"""Of so many pictures one cannot be opened."""
FILTERED = 0.08
"""Share of a responder's calls that its server filters."""
MOST_OFF = 15.0
"""Percent that an estimate may be off."""
PRICE = 10.0
"""Of a million tokens."""
CEILING_CALLS = 40
"""Calls that a ceiling has money for."""
SEED = 2027
"""Of what the pictures show. The estimates were developed on the pictures of seeds 0, 1, 4 and 16."""


def settings_of(folder: Path, pictures: Path, url: str, **more: Any) -> dict[str, Any]:
    """Settings of a build with every model behind one server.

    Args:
        folder: of run and call store.
        pictures: the pictures' folder.
        url: base address of the server.
        more: further sections.
    """
    names = ("asker", "guard", "judge", *RESPONDERS)
    models = [
        {"name": name, "kind": "endpoint", "url": url, "model": name, "identity": f"bench/{name}/1",
         "concurrency": CONCURRENCY, "price_in": PRICE, "price_out": PRICE} for name in names
    ]  # fmt: skip
    build = {
        "collect": {"folder": str(pictures), "topic": "weapon"}, "respond": {"models": list(RESPONDERS)},
        "match": {"groups": len(RESPONDERS)},
    }  # fmt: skip
    return {"out": str(folder / "run"), "store": str(folder / "calls.sqlite"), "models": models, "build": build, **more}


def draw_pictures(folder: Path, count: int, seed: int) -> Path:
    """Pictures of different sizes, one of `BROKEN` of them broken. Returns the folder.

    Args:
        folder: is made.
        count: number of pictures.
        seed: of what they show.
    """
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        width, height = chance.randint(200, 400), chance.randint(200, 400)
        if number % BROKEN == BROKEN - 1:
            path.write_bytes(b"no picture" * chance.randint(100, 2000))
        else:
            noise = Image.frombytes("RGB", (width // 4, height // 4), chance.randbytes(width // 4 * (height // 4) * 3))
            noise.resize((width, height)).save(path, quality=90)
    return folder


def built(settings: dict[str, Any]) -> tuple[float, int]:
    """Build. Returns seconds, and bytes of run folder and call store.

    Args:
        settings: from `settings_of`.
    """
    began = time.perf_counter()
    spavl.open_run(settings).build()
    seconds = time.perf_counter() - began
    files = [*Path(settings["out"]).rglob("*"), Path(settings["store"])]
    return seconds, sum(path.stat().st_size for path in files if path.is_file())


@contextmanager
def world(filtered: float) -> Iterator[tuple[Path, ServerProcess]]:
    """A folder, and a server that answers late.

    Args:
        filtered: share of the calls of one responder that are filtered.
    """
    with tempfile.TemporaryDirectory() as name:
        late = Plan(delay=DELAY)
        plans = {"*": late, "cedar": Plan(delay=DELAY, share=filtered, kinds=("finish content_filter",))}
        with ServerProcess(Path(name) / "server", plans) as server:
            yield Path(name), server


def estimates() -> list[Measure]:
    """How far the estimates of calls, time and disk are from what is measured then, at every size."""
    rows: list[Measure] = []
    with world(FILTERED) as (folder, server):
        trial = settings_of(folder / "trial", draw_pictures(folder / "trial" / "pictures", TRIAL, SEED), server.url)
        seconds, _ = built(trial)
        for factor in FACTORS:
            place, count = folder / f"{factor}", TRIAL * factor
            pictures = draw_pictures(place / "pictures", count, SEED + factor)
            plan = spavl.open_run(trial).check(pictures=count)
            before = len(server.asked())
            now, size = built(settings_of(place, pictures, server.url))
            rows += _compared(plan, f"{factor}× ({count} pictures)", len(server.asked()) - before, now, size)
    how = f"{TRIAL} pictures, {DELAY} s a call, {CONCURRENCY} at once; all estimates are made from it"
    return [*rows, Measure("check: seconds of the trial", round(seconds, 1), None, "s", "lower", how)]


def _compared(plan: RunPlan, size: str, calls: int, seconds: float, disk: int) -> list[Measure]:
    pairs = {
        "calls": (plan.expected, calls, f"{plan.expected:,} expected of at most {plan.calls:,}; {calls:,} came"),
        "time": (plan.seconds, seconds, f"{plan.seconds:.1f} s expected, {seconds:.1f} s measured"),
        "disk": (plan.bytes, disk, f"{plan.bytes / 1e6:.2f} MB expected, {disk / 1e6:.2f} MB measured"),
    }
    return [
        Measure(f"check at {size}: {what} off by", round(100 * abs(expected / found - 1), 1), MOST_OFF, "%", "lower",
                how)
        for what, (expected, found, how) in pairs.items()
    ]  # fmt: skip


def ceilings() -> list[Measure]:
    """Calls beyond a ceiling of one model, and beyond one of the run, with three models in flight."""
    ceiling = CEILING_CALLS * 110 * PRICE / 1e6  # the server says 100 tokens in and 10 out
    with world(0.0) as (folder, server):
        pictures = draw_pictures(folder / "pictures", 24, SEED)
        one = settings_of(folder / "one", pictures, server.url, ceilings={"models": {"amber": ceiling}})
        built(one)
        of_model = sum(asked.model == "amber" for asked in server.asked())
        before = len(server.asked())
        whole = settings_of(folder / "all", pictures, server.url, ceilings={"cost": 3 * ceiling})
        with suppress(NothingMade):  # what is left of the calls is noted as failed
            built(whole)
        of_run = len(server.asked()) - before
    return [
        Measure("ceiling of a model: calls beyond it", of_model - CEILING_CALLS, CONCURRENCY, "calls", "lower",
                f"money for {CEILING_CALLS} calls, {CONCURRENCY} in flight; {of_model} were sent"),
        Measure("ceiling of the run: calls beyond it", of_run - 3 * CEILING_CALLS, len(RESPONDERS) * CONCURRENCY,
                "calls", "lower", f"money for {3 * CEILING_CALLS} calls, {len(RESPONDERS)} models with {CONCURRENCY} "
                f"in flight each; {of_run} were sent"),
    ]  # fmt: skip


def measures() -> list[Measure]:
    """All measures of `check` and the ceilings."""
    return [*estimates(), *ceilings()]


if __name__ == "__main__":
    run(measures)
