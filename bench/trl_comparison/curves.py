"""Losses of both sides step by step, on the same pairs in the same order, and how far a side is from itself.

In bfloat16 two runs of one side part as well: kernels add up in an order that differs from run to run, and AdamW makes
steps of full size out of gradients that are next to nothing. What is equal shows in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.measures import Measure
from bench.trl_comparison import spavl_dpo, trl_dpo
from bench.trl_comparison.comparison import Side, TrainFunction, run
from bench.trl_comparison.correctness import LAYERS
from bench.trl_comparison.gpu import full_name
from bench.trl_comparison.run_spec import RunSpec
from bench.trl_comparison.setups import Deadline, Setup

STEPS = 8
"""Steps whose losses are compared, one by one."""
RATE = 2e-4
"""Learning rate of those steps."""
PAIRS = 2
"""Pairs of a step."""


def measures(setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
    """How far losses are apart: of both sides in float32, of both in the GPU's arithmetic, and of TRL's own runs there.

    Args:
        setup: model and sizes.
        deadline: not looked at; it takes five short runs.
    """
    exact, apart, itself = planned_measures()
    shape = replace(setup.shape, layers=min(LAYERS, setup.shape.layers))
    yield [_compared(exact, replace(setup, shape=shape), spec_of(setup, arithmetic="float32"))[0]]
    row, curve = _compared(apart, setup, spec_of(setup))
    yield [row]
    yield [_gap(itself, (curve, _losses(trl_dpo.run, setup, spec_of(setup))), "two runs of TRL", setup)]


def planned_measures() -> list[Measure]:
    """The rows without values."""
    name = "largest difference of a step's loss"
    return [
        Measure(full_name(f"{name}, float32, {LAYERS} layers"), None, 1e-2, "", "lower", ""),
        Measure(full_name(name), None, None, "", "lower", ""),
        Measure(full_name(f"{name} between two runs of TRL"), None, None, "", "lower", ""),
    ]


def spec_of(setup: Setup, **more: str) -> RunSpec:
    """The runs: a few steps of few pairs, none of which share a picture's tokens.

    Args:
        setup: brings the device.
        more: other fields.
    """
    size = {"pairs_per_step": PAIRS, "forward_pairs": PAIRS, "timed_steps": STEPS - 1}
    return setup.spec.replace(**size, grouping="pair", learning_rate=RATE, **more)


def _compared(planned: Measure, setup: Setup, spec: RunSpec) -> tuple[Measure, Sequence[float]]:
    """The row, and TRL's losses."""
    curves = _losses(trl_dpo.run, setup, spec), _losses(spavl_dpo.run, setup, spec)
    return _gap(planned, curves, f"TRL, then spavl; {spec.precision}", setup), curves[0]


def _losses(trainer: TrainFunction, setup: Setup, spec: RunSpec) -> Sequence[float]:
    return run(Side(trainer, spec), setup.shape).losses


def _gap(planned: Measure, curves: tuple[Sequence[float], Sequence[float]], what: str, setup: Setup) -> Measure:
    gap = max(abs(one - other) for one, other in zip(*curves, strict=True))
    shown = "; ".join(", ".join(f"{loss:.4f}" for loss in losses) for losses in curves)
    how = f"{what}; {setup.words}, {setup.shape.layers} layers; {STEPS} steps of {PAIRS} pairs, grouping off"
    return planned.replace(value=gap, how=f"{how}, rate {RATE:g}: {shown}")
