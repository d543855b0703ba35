"""How the two sides are run against each other: each with the forward pass that suits it best, in turns."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from bench.trl_comparison.protocol import Lap, Terms
from bench.trl_comparison.workload import Shape, pairs
from spavl.align.data.pairs import Pair

Side = Callable[[Shape, Sequence[Pair], Terms], Lap]
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One runner of a contest."""

    side: Side
    terms: Terms
    questions: int = 3
    """Questions a picture."""


@dataclass(frozen=True, slots=True)
class Tried:
    """Pairs of a forward pass, and seconds a pair with so many. What did not fit into memory is missing."""

    seconds: Mapping[int, float]

    @property
    def best(self) -> int:
        """The fastest."""
        return min(self.seconds, key=lambda size: self.seconds[size])

    def __str__(self) -> str:
        times = ", ".join(f"{size}: {seconds:.3g}" for size, seconds in self.seconds.items())
        return f"{self.best} pairs a forward pass, the best of those tried ({times})"


def try_sizes(side: Side, shape: Shape, terms: Terms, sizes: Sequence[int], times: int = 1) -> Tried:
    """Find the best size of a forward pass; each is tried so many times, in turns, and its fastest lap counts.

    What does not fit into memory is left out.
    """
    found: dict[int, float] = {}
    fits = list(sizes)
    for _ in range(times):
        for size in tuple(fits):
            entry = Entry(side, terms.of(step=size, batch=size, timed=math.ceil(terms.step / size)))
            try:
                found[size] = min(found.get(size, math.inf), run(entry, shape).seconds)
            except torch.OutOfMemoryError:
                fits = [smaller for smaller in fits if smaller < size]
                break
    return Tried(found)


def turns(shape: Shape, entries: Mapping[str, Entry], rounds: int = ROUNDS) -> dict[str, list[Lap]]:
    """Everybody once, then everybody again, so that a slow minute of the machine slows all of them."""
    laps: dict[str, list[Lap]] = {name: [] for name in entries}
    for _ in range(rounds):
        for name, entry in entries.items():
            laps[name].append(run(entry, shape))
    return laps


def run(entry: Entry, shape: Shape) -> Lap:
    """One lap over fresh data, which is the same for all who run under equal terms."""
    terms = entry.terms
    lap = entry.side(shape, pairs(shape, terms.pairs, questions=entry.questions), terms)
    side = f"{entry.side.__module__.rpartition('.')[2]}.{entry.side.__name__}"
    name = f"{side:12} {terms.batch:3} pairs a pass, {entry.questions} a picture"
    print(f"{name}, {terms.reference}: {lap.seconds:.3f} s a pair", file=sys.stderr, flush=True)
    return lap


def middle(laps: Sequence[Lap]) -> Lap:
    """The one with the median time."""
    return sorted(laps, key=lambda lap: lap.seconds)[len(laps) // 2]


def steps_of(least: int, batch: int, questions: int = 3) -> int:
    """Pairs of an optimiser step: at least so many, and whole forward passes and whole pictures of them."""
    unit = math.lcm(batch, questions)
    return unit * math.ceil(least / unit)
