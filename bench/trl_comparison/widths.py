"""What varying widths of batches cost on a GPU, whose attention is planned anew for every shape; and what might pay.

Every way trains twice on pairs that nothing before it had: the first run meets new shapes, the second knows them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn.functional import rms_norm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from bench.measures import Measure
from bench.trl_comparison import spavl_dpo
from bench.trl_comparison.comparison import pairs_of_step
from bench.trl_comparison.gpu import best_size
from bench.trl_comparison.setups import Deadline, Setup
from bench.trl_comparison.workload import random_pairs
from spavl.models.trees import batch
from spavl.models.trees.batch import TreeBatch

SEED = 1
"""Of the pairs; other rows have those of zero."""
PADDED, EXACT, WHOLE = "padded widths, as spavl", "exact widths", "padded widths, attention under the whole mask"
FUSED = "padded widths, torch's fused RMSNorm"
ENOUGH = 10
"""Seconds that a run takes at least: no further one is begun with less left."""
RUNS = ("in new shapes", "in shapes seen before")


def measures(setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
    """Seconds a pair of every way of cutting batches, for new shapes and for known ones.

    Args:
        setup: model and sizes.
        deadline: no further run is begun that would outlast it.
    """
    cached = setup.spec.replace(reference="cached")
    size = best_size(spavl_dpo.run, setup.shape, cached, setup.spavl_sizes).best
    spec = cached.replace(pairs_per_step=pairs_of_step(setup.spec.pairs_per_step, size), forward_pairs=size)
    pairs = random_pairs(setup.shape, spec.pairs, seed=SEED)
    how = f"reference cached, {size} pairs a forward pass, {setup.words}"
    rows = []
    planned = iter(planned_measures())
    for context in ways().values():
        for _ in RUNS:
            if rows and deadline.left() < ENOUGH:
                return
            with context:
                timing = spavl_dpo.run(setup.shape, pairs, spec)
            built = f"; building the cache {timing.cache_seconds:.3g} s a pair"
            rows.append(next(planned).replace(value=timing.seconds, how=how + built))
            yield list(rows)


def planned_measures() -> list[Measure]:
    """The rows without values."""
    return [
        Measure(f"seconds a pair of spavl on a GPU, {way}, {which}", None, None, "s a pair", "lower", "")
        for way in ways()
        for which in RUNS
    ]


def ways() -> dict[str, AbstractContextManager[object]]:
    """Contexts in which batches are cut that way."""
    return {
        PADDED: nullcontext(),
        EXACT: patch.multiple(batch, GPU_WIDTH=1, GPU_PREFIX=1),
        WHOLE: patch.object(TreeBatch, "attention_blocks", lambda *_, **__: None),
        FUSED: patch.object(LlamaRMSNorm, "forward", _fused_norm),
    }


def _fused_norm(norm: Any, hidden: Tensor) -> Tensor:
    """What `LlamaRMSNorm` computes in eight kernels, in one."""
    with torch.autocast(hidden.device.type, enabled=False):
        return rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)
