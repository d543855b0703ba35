"""Alternating runs of both sides, each with its fastest size of a forward pass."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.workload import ModelShape, random_pairs
from spavl.preferences.pairs import Pair

TrainFunction = Callable[[ModelShape, Sequence[Pair], RunSpec], Timing]
"""`run` of a side: trains a model of a shape on pairs and times it."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side under one configuration."""

    trainer: TrainFunction
    """The side that runs."""
    spec: RunSpec
    """How it runs."""
    questions: int = 3
    """Questions a picture."""


@dataclass(frozen=True, slots=True)
class SizeTrial:
    """Result of the search for the best size of a forward pass; as text, it says what was tried."""

    seconds: Mapping[int, float]
    """Seconds a pair by pairs of a forward pass, nan if given. Sizes that did not fit into memory are missing."""

    @property
    def best(self) -> int:
        """The fastest size."""
        return min(self.seconds, key=lambda size: self.seconds[size])

    def __str__(self) -> str:
        if math.isnan(self.seconds[self.best]):
            return f"{self.best} pairs a forward pass"
        times = ", ".join(f"{size}: {seconds:.3g}" for size, seconds in self.seconds.items())
        return f"{self.best} pairs a forward pass, the best of those tried ({times})"


def try_sizes(
    trainer: TrainFunction, shape: ModelShape, spec: RunSpec, sizes: Sequence[int], repeats: int = 1
) -> SizeTrial:
    """Search for the fastest size of a forward pass: sizes take turns, and the fastest run of each counts.

    A single size is taken as it is.

    Args:
        trainer: the side.
        shape: of the model.
        spec: of the runs; a run has about `pairs_per_step` timed pairs.
        sizes: pairs of a forward pass, ascending; what does not fit into memory is left out.
        repeats: how often every size is tried.

    Raises:
        torch.OutOfMemoryError: not even the smallest size fits into memory.
    """
    if len(sizes) == 1:
        return SizeTrial({sizes[0]: math.nan})
    found: dict[int, float] = {}
    fitting = list(sizes)
    for _ in range(repeats):
        for size in tuple(fitting):
            steps = math.ceil(spec.pairs_per_step / size)
            side = Side(trainer, spec.replace(pairs_per_step=size, forward_pairs=size, timed_steps=steps))
            try:
                found[size] = min(found.get(size, math.inf), run(side, shape).seconds)
            except torch.OutOfMemoryError:
                if size == fitting[0]:
                    raise
                fitting = [smaller for smaller in fitting if smaller < size]
                break
    return SizeTrial(found)


def alternate(shape: ModelShape, sides: Mapping[str, Side], rounds: int) -> Iterator[dict[str, list[Timing]]]:
    """Run all sides once, then all again, so that a slow minute of the machine slows all of them.

    Yields the timings so far by side after every round.

    Args:
        shape: of the model.
        sides: by name.
        rounds: runs of every side.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            timings[name].append(run(side, shape))
        yield timings


def run(side: Side, shape: ModelShape) -> Timing:
    """One run on a fresh model and pairs, which are the same for all sides with as many pairs and questions.

    Args:
        side: what to run.
        shape: of the model.
    """
    spec = side.spec
    timing = side.trainer(shape, random_pairs(shape, spec.pairs, questions=side.questions), spec)
    trainer = f"{side.trainer.__module__.rpartition('.')[2]}.{side.trainer.__name__}"
    name = f"{trainer:23} {spec.forward_pairs:3} pairs a pass, {side.questions} a picture"
    print(f"{name}, {spec.reference}: {timing.seconds:.3f} s a pair", file=sys.stderr, flush=True)
    return timing


def median_timing(timings: Sequence[Timing]) -> Timing:
    """The run with the median time.

    Args:
        timings: of several runs of one side.
    """
    return sorted(timings, key=lambda timing: timing.seconds)[len(timings) // 2]


def pairs_of_step(at_least: int, forward_pairs: int, questions: int = 3) -> int:
    """Pairs of an optimiser step that consists of whole forward passes and whole pictures.

    Args:
        at_least: fewest pairs of a step.
        forward_pairs: pairs of a forward pass.
        questions: pairs of a picture.
    """
    unit = math.lcm(forward_pairs, questions)
    return unit * math.ceil(at_least / unit)
