"""What a GPU computes: trees against separate sequences, and how fast it multiplies matrices and builds the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import torch

from bench.measures import Measure
from bench.trl_comparison import spavl_dpo
from bench.trl_comparison.run_spec import RunSpec, free_memory, synchronize
from bench.trl_comparison.setups import Deadline, Setup
from bench.trl_comparison.workload import random_model, random_pairs
from spavl.align.data.batches import PairDataset
from spavl.align.preflight.device import DeviceContext
from spavl.align.preflight.usable_pairs import group_by
from spavl.models.trees.parity import Parity, parity

LAYERS = 4
"""Layers of the language model where gradients are compared in float32, at full width: what fits beside them."""
PRODUCTS = 10
"""Timed matrix products."""
Precision = Literal["float32", "bfloat16"]


def machine(setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
    """What the GPU reaches in a matrix product, and how long the model takes to build.

    Args:
        setup: model and sizes.
        deadline: not looked at; it takes seconds.
    """
    spec = setup.spec
    one, other = (torch.randn(2 * [setup.matrix], device=spec.device, dtype=spec.frozen_dtype) for _ in range(2))
    torch.mm(one, other)
    seconds = _seconds(lambda: [torch.mm(one, other) for _ in range(PRODUCTS)], spec) / PRODUCTS
    free_memory(spec)
    building = _seconds(lambda: random_model(setup.shape, spec.device, spec.frozen_dtype), spec)
    rate, build = planned_machine()
    yield [
        rate.replace(value=2 * setup.matrix**3 / seconds / 1e12, how=f"{setup.matrix} × {setup.matrix}, random"),
        build.replace(value=building, how=f"{setup.words}, {spec.frozen_dtype}, once"),
    ]


def planned_machine() -> list[Measure]:
    """The rows of `machine` without values."""
    return [
        Measure("matrix product of this GPU", None, None, "TFLOP/s", "higher", ""),
        Measure("building the random model", None, None, "s", "lower", ""),
    ]


def trees(setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
    """Answers and gradients of a tree against those of separate sequences, in float32 and in bfloat16.

    Args:
        setup: model and sizes.
        deadline: not looked at; it takes seconds.
    """
    exact, rounded = (_parity(setup, precision) for precision in ("float32", "bfloat16"))
    values = (exact.logprobs, exact.gradients, rounded.logprobs, rounded.nats, rounded.gradients)
    layers = min(LAYERS, setup.shape.layers)
    how = f"{setup.words}, {layers} layers of it; one picture × 3 questions × 2 answers; gradients of the adapter"
    yield [row.replace(value=value, how=how) for row, value in zip(planned_trees(), values, strict=True)]


def planned_trees() -> list[Measure]:
    """The rows of `trees` without values."""
    name = "tree against separate sequences on a GPU"
    return [
        Measure(f"{name}, float32, largest relative difference of an answer", None, 1e-4, "", "lower", ""),
        Measure(f"{name}, float32, relative error of the gradients", None, 1e-3, "", "lower", ""),
        Measure(f"{name}, bfloat16, largest relative difference of an answer", None, 1e-2, "", "lower", ""),
        Measure(f"{name}, bfloat16, largest difference of an answer", None, None, "nats", "lower", ""),
        Measure(f"{name}, bfloat16, relative error of the gradients", None, None, "", "lower", ""),
    ]


def _parity(setup: Setup, precision: Precision) -> Parity:
    spec = setup.spec.replace(weight_dtype=getattr(torch, precision))
    free_memory(spec)
    shape = replace(setup.shape, layers=min(LAYERS, setup.shape.layers))
    policy = spavl_dpo.policy_of(shape, spec)
    _fill_adapter(policy.trained())
    pairs = random_pairs(shape, 3)
    dataset = PairDataset(pairs, policy.family, packing="tree", memory=0)
    (group,) = group_by(pairs, "picture")
    context = DeviceContext(torch.device(spec.device), precision)
    tree, separate = (dataset.batch([group], packing)[0].to(context.device) for packing in ("tree", "separate"))
    with context.precision():
        return parity(policy.model, policy.family, tree, separate, gradients=True)


@torch.no_grad()
def _fill_adapter(trained: dict[str, torch.Tensor]) -> None:
    """Weights that are zero before training would leave most of the adapter without a gradient."""
    torch.manual_seed(0)
    for weight in trained.values():
        weight.normal_(0, 0.02)


def _seconds(call: Callable[[], object], spec: RunSpec) -> float:
    synchronize(spec)
    began = time.perf_counter()
    call()
    synchronize(spec)
    return time.perf_counter() - began
