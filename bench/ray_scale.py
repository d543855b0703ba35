"""The dataset's stages on Ray actors: rates with 1, 2 and 4 of them, against this process, and after a kill.

    python -m bench.ray_scale --json bench/results/ray-scale.json

One responder behind a server in a process of its own that answers after 100 ms; every actor has 4 calls in flight.
Rates are of the stored answers, from the first to the last, so without the start of actors; a cluster on this machine.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from bench.build_scale import settings_of as instant_settings
from bench.build_scale import write_pictures
from bench.measures import Measure, run
from bench.server import answered, serving
from spavl.config import EndpointSpec, PythonSpec, Settings
from spavl.pipeline.build import build
from spavl.pipeline.runner import open_runner
from spavl.pipeline.session import Session
from spavl.pipeline.stages import pipeline_of
from spavl.pipeline.walk import walk
from spavl.progress import NoProgress

PICTURES = 320
QUESTIONS = 3
CALLS = PICTURES * QUESTIONS
BATCH = 4
"""Pictures in a slice."""
DELAY = 0.1
IN_FLIGHT = 4
"""Calls that an actor has in flight."""
ACTORS = (1, 2, 4)
LOCAL = 0
"""Stands for no actors: this process."""
RUNS = 3
RESPOND = 3
"""The stages up to the answers: collect, ask, respond."""
WHOLE = 120
"""Pictures of a whole build, of which all tables are compared."""


class Made(NamedTuple):
    """What a run took."""

    rate: float
    """Answers a second, from the first to the last."""
    seconds: float
    """The whole stage, with the merging of segments."""
    died: int
    """Actors that were replaced."""


def measures() -> Sequence[Measure]:
    """Every row."""
    with tempfile.TemporaryDirectory() as name, cluster(), serving(DELAY) as url:
        folder = Path(name)
        write_pictures(folder / "pictures", PICTURES)
        rounds = [{a: respond(folder, f"{a}-{n}", url, a) for a in (LOCAL, *ACTORS)} for n in range(RUNS)]
        rows = [*_rates(rounds), *_killed(folder, url)]
        return [*rows, *_equal(folder)]


@contextmanager
def cluster() -> Iterator[None]:
    """A Ray cluster on this machine, which all runs use."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    yield
    ray.shutdown()


def respond(folder: Path, name: str, url: str, actors: int) -> Made:
    """Build up to the answers, with a run folder and a call store of its own.

    Args:
        folder: has the pictures.
        name: of the run.
        url: base address of the server.
        actors: how many; 0 for this process, with as many calls in flight as two actors.
    """
    instant = PythonSpec(name="asker", target="bench.instant_model:InstantModel", version="asker")
    endpoint = EndpointSpec(name="one", url=url, model="m", identity="bench/one", concurrency=2 * IN_FLIGHT)
    settings = Settings.model_validate({
        "out": str(folder / name), "store": str(folder / f"{name}.sqlite"),
        "models": [instant.model_dump(), endpoint.model_dump()],
        "build": {"batch_size": BATCH, "collect": {"folder": str(folder / "pictures")}, "respond": {"models": ["one"]}},
        **({"runner": "ray", "ray": {"actors": actors, "concurrency": IN_FLIGHT}} if actors else {}),
    })  # fmt: skip
    with Session(settings, NoProgress(), allow_code=True) as session, open_runner(session) as runner:
        walk(session, pipeline_of(settings, allow_code=True)[:RESPOND], runner)
        manifest = session.run.manifest()
    with sqlite3.connect(settings.store) as store:
        query = "SELECT count(*), min(time), max(time) FROM calls WHERE request LIKE '%bench/one%'"
        calls, first, last = store.execute(query).fetchone()
    assert calls == CALLS
    return Made(calls / (last - first), manifest["seconds"]["respond"], manifest.get("ray", {}).get("died", 0))


def _rates(rounds: list[dict[int, Made]]) -> list[Measure]:
    rates = {who: median(made[who].rate for made in rounds) for who in rounds[0]}
    how = f"median of {RUNS} alternating runs; {CALLS} calls of {1000 * DELAY:.0f} ms, {IN_FLIGHT} in flight an actor"
    rows = [Measure("Ray, 1 actor: calls a second", round(rates[1], 1), None, "1/s", "higher", how)]
    for actors, floor in ((2, 1.9), (4, 3.6)):
        ratios = sorted(made[actors].rate / made[1].rate for made in rounds)
        said = f"{how}; {ratios[0]:.2f} to {ratios[-1]:.2f}; {rates[actors]:.1f} calls/s"
        name = f"Ray, {actors} actors: calls a second over those of 1"
        rows.append(Measure(name, round(median(ratios), 3), floor, "×", "higher", said))
    over = sorted(made[2].seconds / made[LOCAL].seconds - 1 for made in rounds)
    said = (
        f"the whole stage, with the merging of segments, after the start of actors; {2 * IN_FLIGHT} calls in flight in "
        f"both; {100 * over[0]:.1f} to {100 * over[-1]:.1f} %; {rates[2]:.1f} against {rates[LOCAL]:.1f} calls/s"
    )
    name = "Ray, 2 actors: overhead against this process"
    return [*rows, Measure(name, round(100 * median(over), 1), 15.0, "%", "lower", said)]


def _killed(folder: Path, url: str) -> list[Measure]:
    """One of two actors is killed when half of the answers have come."""
    before = answered(url)
    killer = threading.Thread(target=_kill_an_actor, args=(url, before + CALLS // 2))
    killer.start()
    made = respond(folder, "killed", url, 2)
    killer.join()
    sent = answered(url) - before
    with sqlite3.connect(folder / "killed.sqlite") as store:
        kept = store.execute("SELECT count(*) FROM calls WHERE request LIKE '%bench/one%'").fetchone()[0]
    table = "parts/respond/one.parquet"
    differ = (folder / "killed" / table).read_bytes() != (folder / f"{LOCAL}-0" / table).read_bytes()
    how = f"one of 2 actors gets SIGKILL at half of {CALLS} calls; {made.died} replaced; compared with local's table"
    return [
        Measure("Ray, an actor killed at half: calls without a stored answer", CALLS - kept, 0, "", "lower", how),
        Measure("Ray, an actor killed at half: calls sent twice", sent - CALLS, None, "", "lower",
                f"answers in flight, or not yet on disk, when it was killed; at most {IN_FLIGHT} are in flight"),
        Measure("Ray, an actor killed at half: tables that differ", int(differ), 0, "", "lower", how),
    ]  # fmt: skip


def _kill_an_actor(url: str, after: int) -> None:
    while answered(url) < after:
        time.sleep(0.02)
    actors = [one for one in psutil.Process().children(recursive=True) if "ray::SliceActor" in "".join(one.cmdline())]
    actors[0].send_signal(signal.SIGKILL)


def _equal(folder: Path) -> list[Measure]:
    """All tables of a whole build with instant models, byte by byte."""
    home = folder / "whole"
    write_pictures(home / "pictures", WHOLE)
    tables = {}
    for actors in (0, 2, 4):
        runner = {"runner": "ray", "ray": {"actors": actors}} if actors else {}
        more = {"out": str(home / f"run-{actors}"), "store": str(home / f"{actors}.sqlite"), **runner}
        settings = Settings.model_validate(instant_settings(home).model_dump() | more)
        with Session(settings, NoProgress(), allow_code=True) as session:
            build(session)
        run_folder = Path(settings.out)
        tables[actors] = {p.relative_to(run_folder): p.read_bytes() for p in run_folder.rglob("*.parquet")}
    return [
        Measure(f"Ray, {actors} actors: tables that differ from this process's",
                len(dict(tables[actors].items() ^ tables[0].items())), 0, "", "lower",
                f"all {len(tables[0])} tables of a whole build of {WHOLE} pictures × 3 × 12, byte by byte as written")
        for actors in (2, 4)
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
