"""The engine: calls over HTTP against a bare loop, and what a call costs when none is waited for.

python -m bench.engine [--json FILE]

Over HTTP: 150 KB pictures with three questions each, a durable store, a server in its own process; against aiohttp in a
bare loop that sends ready-made bodies and forgets the answers. Runs alternate; each row is the median of their ratios.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import aiohttp
from PIL import Image

from bench.measures import Measure, run
from bench.server import serving
from spavl.config.models import EndpointSpec
from spavl.models.backends.endpoint import EndpointModel
from spavl.models.backends.endpoint_body import body_of
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import Engine, Pending
from spavl.models.calls.store import CallStore
from spavl.records import ImageRef

RUNS = 5
QUESTIONS = 3
SIDE = 224
"""Of a picture of random pixels, in pixels: 150 KB as PNG."""
BATCH = 256
"""Prompts in one batch of a stage."""
STAGE_BATCH = 1000
STAGES = (10_000, 100_000, 1_000_000)
SAMPLING = Sampling()


class Spent(NamedTuple):
    """What a run took."""

    rate: float
    """Answers a second."""
    processor: float
    """Milliseconds of this process's processor time for each answer."""


class Server(NamedTuple):
    """How a server answers, and what it is asked."""

    delay: float
    """Seconds before each answer."""
    concurrency: int
    """Calls in flight."""
    pictures: int
    """Pictures, each asked `QUESTIONS` times."""
    least: float | None
    """Least rate against the bare loop; None: shown only. A loop that does nothing else is bound by its processor."""


class Cost(NamedTuple):
    """Microseconds of processor time for a call of a stage."""

    engine: float
    """In the thread that asks: prompts, keys, look-ups, the ledger, queueing."""
    all: float
    """In all threads: SQLite's writing too, which grows with the depth of its trees."""
    found: float
    """In all threads, when asked again and every reply is found."""


def measures() -> Sequence[Measure]:
    """Every row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            *_against_loop(folder, "answers after 20 ms, 16 in flight", Server(0.02, 16, 400, least=0.90)),
            *_against_loop(folder, "instant answers, 64 in flight", Server(0.0, 64, 700, least=None)),
            _three_responders(folder),
            *_without_server(folder),
        ]


def _against_loop(folder: Path, what: str, setup: Server) -> list[Measure]:
    prompts = _pictures(folder, setup.pictures)
    with serving(setup.delay) as url:
        pairs = [
            (_bare(url, setup.concurrency, prompts), _engine(folder, url, setup.concurrency, prompts))
            for _ in range(RUNS)
        ]
    ratios = sorted(ours.rate / bare.rate for bare, ours in pairs)
    bare, ours = (Spent(*map(median, zip(*side, strict=True))) for side in zip(*pairs, strict=True))
    how = (
        f"median of {RUNS} alternating runs, {ratios[0]:.2f} to {ratios[-1]:.2f}; {ours.rate:.0f} answers/s against "
        f"{bare.rate:.0f}; {len(prompts)} calls"
    )
    cost = f"user and system time of the client; bare loop {bare.processor:.2f} ms; {len(prompts)} calls"
    return [
        Measure(f"{what}: rate against a bare loop", median(ratios), setup.least, "", "higher", how),
        Measure(f"{what}: client's processor time a call", ours.processor, 0.45, "ms", "lower", cost),
    ]


def _three_responders(folder: Path) -> Measure:
    prompts = _pictures(folder, 1000)
    with serving(0.05) as url:
        pairs = [(_bare(url, 48, prompts, times=3), _side_by_side(folder, url, prompts)) for _ in range(3)]
    ratios = sorted(ours.rate / bare.rate for bare, ours in pairs)
    ours, bare = median(ours.rate for _, ours in pairs), median(bare.rate for bare, _ in pairs)
    how = (
        f"1,000 pictures, three threads of one engine, batches of {BATCH}; median of 3 alternating runs, "
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}; {ours:.0f} answers/s against {bare:.0f}"
    )
    name = "three responders, 16 in flight each, 50 ms an answer: rate against a bare loop with 48"
    return Measure(name, median(ratios), 0.90, "", "higher", how)


def _pictures(folder: Path, count: int) -> list[Prompt]:
    """Prompts about new pictures: `QUESTIONS` about each."""
    prompts = []
    for number in range(count):
        pixels = random.Random(number).randbytes(3 * SIDE**2)
        Image.frombytes("RGB", (SIDE, SIDE), pixels).save(folder / f"{number}.png", compress_level=0)
        image = ImageRef.of(folder / f"{number}.png")
        prompts += [Prompt(f"Question {place} about picture {number}?", (image,)) for place in range(QUESTIONS)]
    return prompts


def _engine(folder: Path, url: str, concurrency: int, prompts: list[Prompt]) -> Spent:
    model = _model(url, concurrency, "one")
    return _timed(folder, len(prompts), lambda engine: _ask(engine, model, prompts))


def _side_by_side(folder: Path, url: str, prompts: list[Prompt]) -> Spent:
    models = [_model(url, 16, name) for name in ("one", "two", "three")]

    def work(engine: Engine) -> None:
        with ThreadPoolExecutor(len(models)) as threads:
            list(threads.map(lambda model: _ask(engine, model, prompts), models))

    return _timed(folder, len(models) * len(prompts), work)


def _ask(engine: Engine, model: EndpointModel, prompts: list[Prompt]) -> None:
    """Ask in batches, as a stage does: the next one is submitted before the last is waited for."""
    pending: Pending | None = None
    for start in range(0, len(prompts), BATCH):
        following = engine.submit(model, prompts[start : start + BATCH], sampling=SAMPLING)
        if pending is not None:
            pending.result()
        pending = following
    assert pending is not None
    assert all(reply.status == "ok" for reply in pending.result())


def _timed(folder: Path, calls: int, work: Callable[[Engine], None]) -> Spent:
    path = folder / f"{time.monotonic_ns()}.sqlite"
    with CallStore(path) as store, Engine(store) as engine:
        started, processor = time.perf_counter(), time.process_time()
        work(engine)
        assert store.calls == calls
        return _spent(calls, started, processor)


def _bare(url: str, concurrency: int, prompts: list[Prompt], times: int = 1) -> Spent:
    """A bare loop: `concurrency` workers, each sending the next ready-made body."""
    spec = EndpointSpec(name="bare", url=url, model="m", identity="bench/bare")
    bodies = [body_of(spec, Request(prompt, SAMPLING)).decode().encode() for prompt in prompts[::QUESTIONS]]
    return asyncio.run(_send(f"{url}/chat/completions", concurrency, bodies * QUESTIONS * times))


async def _send(url: str, concurrency: int, bodies: list[bytes]) -> Spent:
    unsent = iter(bodies)

    async def work(session: aiohttp.ClientSession) -> None:
        for body in unsent:
            async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
                await response.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        started, processor = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
        return _spent(len(bodies), started, processor)


def _without_server(folder: Path) -> list[Measure]:
    """What a call costs where nothing is waited for: keys, look-ups, the ledger, writing."""
    costs = {calls: _stage(folder, calls) for calls in STAGES}
    rows = [
        Measure(
            f"{calls:,} calls in one stage, no server: processor time of the engine a call", cost.engine, None, "µs",
            "lower", f"an instant Python model, batches of {STAGE_BATCH:,}, durable store; {cost.all:.1f} µs with "
            f"SQLite's writing; {cost.found:.1f} µs when asked again",
        )
        for calls, cost in costs.items()
    ]  # fmt: skip
    least, most = costs[STAGES[0]], costs[STAGES[-1]]
    return [
        *rows,
        _growth("of the engine a call that is made", most.engine / least.engine, 1.25),
        _growth("a call that is made, SQLite's writing too", most.all / least.all, None),
        _growth("a call that is found", most.found / least.found, 1.5),
    ]


def _growth(what: str, ratio: float, most: float | None) -> Measure:
    name = f"processor time {what}: {STAGES[-1]:,} calls in one stage against {STAGES[0]:,}"
    how = "the same runs; SQLite's trees grow by a level or two; work for all calls at each would grow 100 times"
    return Measure(name, ratio, most, "times", "lower", how)


def _stage(folder: Path, calls: int) -> Cost:
    path = folder / f"stage-{calls}.sqlite"
    with CallStore(path) as store:
        made = _ask_instantly(store, calls)
        assert store.calls == calls
    with CallStore(path) as store:
        _, found = _ask_instantly(store, calls)
        assert store.hits == calls
    path.unlink()
    return Cost(*made, found)


def _ask_instantly(store: CallStore, calls: int) -> tuple[float, float]:
    """Microseconds a call in this thread and in all."""
    model, started, everywhere = Instant(), time.thread_time(), time.process_time()
    with Engine(store) as engine:
        for first in range(0, calls, STAGE_BATCH):
            images = [ImageRef(Path("picture.png"), f"{number:064x}") for number in range(STAGE_BATCH // QUESTIONS + 1)]
            prompts = [
                Prompt(f"Question {first + place} of a stage, of usual length?", (images[place // QUESTIONS],))
                for place in range(STAGE_BATCH)
            ]
            assert len(engine.complete(model, prompts, sampling=SAMPLING)) == STAGE_BATCH
    ended, ended_everywhere = time.thread_time(), time.process_time()
    return 1e6 * (ended - started) / calls, 1e6 * (ended_everywhere - everywhere) / calls


class Instant:
    """A model that answers at once."""

    name, identity, batch_size = "instant", "python:bench/instant@1", 256

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """The same answer to every request."""
        return [Reply("A plain answer of some twenty words.")] * len(requests)

    def close(self) -> None:
        """Nothing is held."""


def _spent(calls: int, started: float, processor: float) -> Spent:
    return Spent(calls / (time.perf_counter() - started), 1000 * (time.process_time() - processor) / calls)


def _model(url: str, concurrency: int, name: str) -> EndpointModel:
    return EndpointModel(EndpointSpec(name=name, url=url, model="m", identity=f"bench/{name}", concurrency=concurrency))


if __name__ == "__main__":
    run(measures)
