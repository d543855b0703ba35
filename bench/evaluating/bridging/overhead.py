"""What an evaluation takes beyond the model's own time: 10,000 yes/no questions to a model that answers at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.evaluating.bridging.yes_no_items import write_items
from bench.instant_model import InstantModel
from bench.measures import Measure
from spavl.api import open_run
from spavl.models.base import Prompt, Request, Sampling

ITEMS, PICTURES, BATCH = 10_000, 100, 64
FLOOR = 1.0
"""Most milliseconds of overhead an item."""


@dataclass(slots=True)
class Clock:
    """Seconds of a block."""

    seconds: float = 0.0
    """How long it took."""


@contextmanager
def clocked() -> Iterator[Clock]:
    """Time a block."""
    clock, start = Clock(), time.perf_counter()
    yield clock
    clock.seconds = time.perf_counter() - start


def overhead(folder: Path) -> list[Measure]:
    """Milliseconds an item, at first and where all answers are stored.

    Args:
        folder: for pictures, items, call store and scores.
    """
    items = write_items(folder, ITEMS, PICTURES)
    run = open_run(
        {
            "out": str(folder / "run"), "store": str(folder / "calls.sqlite"),
            "models": [{"kind": "python", "name": "instant", "version": "1", "batch_size": BATCH,
                        "target": "bench.instant_model:InstantModel"}],
            "evaluate": {"benchmarks": [{"kind": "file", "name": "yes-no", "path": str(items)}]},
        },
        allow_code=True,
    )  # fmt: skip
    with clocked() as raw:
        _raw_generation()
    with clocked() as first:
        run.evaluate(["instant"])
    with clocked() as again:
        run.evaluate(["instant"])
    how = (
        f"{ITEMS:,} yes/no questions about {PICTURES} pictures, a model that answers at once with 40 words: loading "
        f"the file, hashing pictures, call store on disk, scoring by rule, rates with intervals, tables; imports "
        f"included; the model's own {raw.seconds:.2f} s are taken off"
    )
    name = "evaluation: overhead over raw generation"
    return [
        Measure(name, 1000 * (first.seconds - raw.seconds) / ITEMS, FLOOR, "ms/item", "lower", how),
        Measure(f"{name}, all answers stored", 1000 * again.seconds / ITEMS, FLOOR, "ms/item", "lower", "run again"),
    ]


def _raw_generation() -> None:
    model = InstantModel(name="instant", identity="", batch_size=BATCH)
    prompts = [
        Prompt(f"Is there an object number {number} in the picture?", item=str(number)) for number in range(ITEMS)
    ]
    requests = [Request(prompt, Sampling()) for prompt in prompts]
    for start in range(0, ITEMS, BATCH):
        model.generate(requests[start : start + BATCH])
