"""How the two sides are run against each other: each with the forward pass that suits it best, in turns."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.workload import ModelShape, pairs
from spavl.align.data.pairs import Pair

Trainer = Callable[[ModelShape, Sequence[Pair], RunSpec], Timing]
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Contestant:
    """One side with its settings."""

    side: Trainer
    spec: RunSpec
    questions: int = 3
    """Questions a picture."""


@dataclass(frozen=True, slots=True)
class SizeTrial:
    """Pairs of a forward pass, and seconds a pair with so many. What did not fit into memory is missing."""

    seconds: Mapping[int, float]

    @property
    def best(self) -> int:
        """The fastest."""
        return min(self.seconds, key=lambda size: self.seconds[size])

    def __str__(self) -> str:
        times = ", ".join(f"{size}: {seconds:.3g}" for size, seconds in self.seconds.items())
        return f"{self.best} pairs a forward pass, the best of those tried ({times})"


def try_sizes(side: Trainer, shape: ModelShape, spec: RunSpec, sizes: Sequence[int], times: int = 1) -> SizeTrial:
    """Find the best size of a forward pass; each is tried so many times, in turns, and its fastest run counts.

    What does not fit into memory is left out.
    """
    found: dict[int, float] = {}
    fits = list(sizes)
    for _ in range(times):
        for size in tuple(fits):
            entry = Contestant(side, spec.of(step=size, batch=size, timed=math.ceil(spec.step / size)))
            try:
                found[size] = min(found.get(size, math.inf), run(entry, shape).seconds)
            except torch.OutOfMemoryError:
                fits = [smaller for smaller in fits if smaller < size]
                break
    return SizeTrial(found)


def alternate(shape: ModelShape, entries: Mapping[str, Contestant], rounds: int = ROUNDS) -> dict[str, list[Timing]]:
    """Everybody once, then everybody again, so that a slow minute of the machine slows all of them."""
    timings: dict[str, list[Timing]] = {name: [] for name in entries}
    for _ in range(rounds):
        for name, entry in entries.items():
            timings[name].append(run(entry, shape))
    return timings


def run(entry: Contestant, shape: ModelShape) -> Timing:
    """One timed run over fresh data, which is the same for all who run with equal settings."""
    spec = entry.spec
    timing = entry.side(shape, pairs(shape, spec.pairs, questions=entry.questions), spec)
    side = f"{entry.side.__module__.rpartition('.')[2]}.{entry.side.__name__}"
    name = f"{side:12} {spec.batch:3} pairs a pass, {entry.questions} a picture"
    print(f"{name}, {spec.reference}: {timing.seconds:.3f} s a pair", file=sys.stderr, flush=True)
    return timing


def middle(timings: Sequence[Timing]) -> Timing:
    """The one with the median time."""
    return sorted(timings, key=lambda timing: timing.seconds)[len(timings) // 2]


def steps_of(least: int, batch: int, questions: int = 3) -> int:
    """Pairs of an optimiser step: at least so many, and whole forward passes and whole pictures of them."""
    unit = math.lcm(batch, questions)
    return unit * math.ceil(least / unit)
