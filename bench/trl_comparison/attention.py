"""Attention of a layer over packed trees: spavl's pieces, the whole mask, and keys gathered for a varlen flash kernel.

Gathering: the shared prefix, every question and every answer become sequences of their own, each with the keys of all
tokens before it on its path. Then plain causal attention is exact and no mask is read, for five times the keys in
memory. Causal there means: the last query sees the last key.

Shapes: B rows, S tokens of a row, H attention heads, D features of a head, Q and K gathered queries and keys.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.varlen import varlen_attn

from bench.measures import Measure
from bench.trl_comparison import spavl_dpo
from bench.trl_comparison.run_spec import RunSpec, free_memory, synchronize
from bench.trl_comparison.setups import Deadline, Setup
from bench.trl_comparison.workload import ModelShape, random_pairs
from spavl.align.data.batches import PairDataset
from spavl.align.preflight.usable_pairs import group_by
from spavl.models.families.attention import tree_attention
from spavl.models.trees.batch import TreeBatch, collate
from spavl.models.trees.pack import PackedTree

TREES = 4
"""Trees of a batch, each of three questions."""
REPEATS = 9
"""Timed calls, of which the median counts; two untimed ones come before."""
PIECES, BY_QUESTION = "in pieces, as spavl on a GPU", "in pieces by question, as spavl on a CPU"
WITHOUT_CUDNN = "in pieces, cuDNN's kernel left out"
WHOLE, GATHERED = "the whole mask", "gathered keys, varlen flash kernel"
WAYS = (PIECES, BY_QUESTION, WITHOUT_CUDNN, WHOLE, GATHERED)
NEW_SHAPES = 5
"""Widths of a batch that no call has had before, for kernels that are planned anew for each."""
LAYER = SimpleNamespace(num_key_value_groups=1, is_causal=True, training=False, layer_idx=0)
"""What `tree_attention` reads of an attention layer."""
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Query, key and value [B, H, S, D] → [B, S, H, D]."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Where gathered queries and keys come from, as flat indices of tokens in B × S, and where each sequence starts."""

    queries: Int[Tensor, " Q"]
    """Tokens that ask: all but padding, once each."""
    keys: Int[Tensor, " K"]
    """Tokens that answer, once for every sequence that sees them."""
    query_starts: Int[Tensor, " N"]
    """Starts of the sequences among the queries, and their end; int32."""
    key_starts: Int[Tensor, " N"]
    """Starts of the sequences among the keys, and their end; int32."""
    longest: tuple[int, int]
    """Queries and keys of the longest sequences."""


def measures(setup: Setup, deadline: Deadline) -> Iterator[list[Measure]]:
    """The rows: seconds of every way forward and backward, their ratio, and the error of gathered keys.

    Args:
        setup: model and sizes.
        deadline: not looked at; it takes seconds.
    """
    free_memory(setup.spec)
    trees, batch = packed_batch(setup.shape, setup.spec)
    ways, inputs = _ways(trees, batch, setup.spec), _inputs(setup, batch)
    times = {name: _times(attend, inputs, setup.spec) for name, attend in ways.items()}
    real = torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.lengths[:, None]
    with torch.no_grad():
        exact = ways[WHOLE](*inputs)[real].float()
        errors = {name: _error(ways[name](*inputs)[real].float(), exact) for name in (PIECES, GATHERED)}
    how = f"one layer of {setup.words}, {TREES} trees of {batch.lengths.tolist()} tokens, {setup.spec.precision}"
    planned = planned_measures()
    values = [times[GATHERED][1] / times[PIECES][1], errors[PIECES], errors[GATHERED]]
    values += [1e3 * _new_shape_seconds(batch, inputs, setup.spec)]
    values += [1e3 * seconds for name in WAYS for seconds in times[name]]
    yield [row.replace(value=value, how=how) for row, value in zip(planned, values, strict=True)]


def planned_measures() -> list[Measure]:
    """The rows without values."""
    error = "relative error against the whole mask"
    return [
        Measure("tree attention, gathered keys over pieces, time of both passes", None, None, "×", "higher", ""),
        Measure(f"tree attention, {PIECES}, {error}", None, 1e-2, "", "lower", ""),
        Measure(f"tree attention, {GATHERED}, {error}", None, 1e-2, "", "lower", ""),
        Measure(f"tree attention, {PIECES}, both passes in a new width", None, None, "ms", "lower", ""),
        *(
            Measure(f"tree attention, {name}, {passes}", None, None, "ms", "lower", "")
            for name in WAYS
            for passes in ("forward", "forward and backward")
        ),
    ]


def packed_batch(shape: ModelShape, spec: RunSpec) -> tuple[list[PackedTree], TreeBatch]:
    """Packed trees of three questions, and their batch on the device.

    Args:
        shape: of the model; a single layer of it is made, for its family.
        spec: of the runs; brings the device.
    """
    family = spavl_dpo.policy_of(replace(shape, layers=1, vision_layers=1), spec).family
    pairs = random_pairs(shape, 3 * TREES)
    dataset = PairDataset(pairs, family, packing="tree", memory=0)
    trees = [dataset.tree(group) for group in group_by(pairs, "picture")]
    return trees, collate(trees, family).to(spec.device)


def gather(trees: Sequence[PackedTree], width: int, device: str) -> Gathered:
    """Sequences whose plain causal attention is that of the trees.

    Args:
        trees: rows of the batch.
        width: tokens of a row, padding included.
        device: where the indices are used.
    """
    queries, keys = [], []
    for row, tree in enumerate(trees):
        prefix = np.arange(tree.answers[0].question[0])
        parts = {(0, len(prefix)): prefix}
        for answer in tree.answers:
            path = tree.path(answer)
            parts.setdefault(answer.question, path[path < answer.start])
            parts[answer.start, answer.stop] = path
        queries += [np.arange(start, stop) + row * width for start, stop in parts]
        keys += [path + row * width for path in parts.values()]

    def starts(sequences: list[np.ndarray]) -> Tensor:
        return torch.tensor(np.cumsum([0, *map(len, sequences)]), dtype=torch.int32, device=device)

    return Gathered(
        torch.from_numpy(np.concatenate(queries)).to(device),
        torch.from_numpy(np.concatenate(keys)).to(device),
        starts(queries),
        starts(keys),
        (max(map(len, queries)), max(map(len, keys))),
    )


def attend_gathered(where: Gathered, query: Tensor, key: Tensor, value: Tensor) -> Float[Tensor, "B S H D"]:
    """Attention with gathered keys; padding's output is zero.

    Args:
        where: the sequences.
        query: [B, H, S, D].
        key: [B, H, S, D].
        value: [B, H, S, D].
    """
    flat = [part.transpose(1, 2).flatten(0, 1) for part in (query, key, value)]
    parts = [flat[0].index_select(0, where.queries), *(part.index_select(0, where.keys) for part in flat[1:])]
    attend = _flash if query.is_cuda else _one_by_one
    output = torch.zeros_like(flat[0]).index_copy(0, where.queries, attend(where, *parts))
    return output.view(query.shape[0], query.shape[2], *query.shape[1::2])


def _flash(where: Gathered, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    starts = (where.query_starts, where.key_starts)
    output: Tensor = varlen_attn(query, key, value, *starts, *where.longest, window_size=(-1, 0))
    return output


def _one_by_one(where: Gathered, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same where there is no such kernel."""
    outputs = []
    sizes = [starts.diff().tolist() for starts in (where.query_starts, where.key_starts)]
    for one in zip(query.split(sizes[0]), key.split(sizes[1]), value.split(sizes[1]), strict=True):
        own, seen, values = (part.transpose(0, 1)[None] for part in one)
        ones = torch.ones(own.shape[2], seen.shape[2], dtype=torch.bool, device=query.device)
        mask = ones.tril(seen.shape[2] - own.shape[2])
        output = torch.nn.functional.scaled_dot_product_attention(own, seen, values, attn_mask=mask)
        outputs.append(output[0].transpose(0, 1))
    return torch.cat(outputs)


def _ways(trees: Sequence[PackedTree], batch: TreeBatch, spec: RunSpec) -> dict[str, Attention]:
    mask = batch.mask("tree", spec.frozen_dtype)

    def ours(**more: Any) -> Attention:
        return lambda query, key, value: tree_attention(LAYER, query, key, value, mask, scaling=None, **more)[0]

    where = gather(trees, batch.ids.shape[1], spec.device)
    pieces = ours(tree=batch.attention_blocks(causal_prefix=True, uniform=True))

    def without_cudnn(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            return pieces(query, key, value)

    return {
        PIECES: pieces,
        WITHOUT_CUDNN: without_cudnn,
        BY_QUESTION: ours(tree=batch.attention_blocks(causal_prefix=True, uniform=False)),
        WHOLE: ours(),
        GATHERED: lambda query, key, value: attend_gathered(where, query, key, value),
    }


def _inputs(setup: Setup, batch: TreeBatch) -> list[Tensor]:
    """Random query, key and value, laid out as a layer of the model lays them out."""
    torch.manual_seed(0)
    heads = setup.shape.heads
    size = (*batch.ids.shape, heads, setup.shape.hidden_size // heads)
    made = [torch.randn(size, device=setup.spec.device, dtype=setup.spec.frozen_dtype) for _ in range(3)]
    return [part.transpose(1, 2).requires_grad_() for part in made]


def _times(attend: Attention, inputs: Sequence[Tensor], spec: RunSpec) -> tuple[float, float]:
    """Median seconds of a forward pass, and of one with its backward pass."""
    gradient = torch.randn_like(attend(*inputs))

    def forward() -> None:
        with torch.no_grad():
            attend(*inputs)

    def both() -> None:
        torch.autograd.grad(attend(*inputs), inputs, gradient)

    return _median_seconds(forward, spec), _median_seconds(both, spec)


def _new_shape_seconds(batch: TreeBatch, inputs: Sequence[Tensor], spec: RunSpec) -> float:
    """Median seconds of both passes in widths that are new to every kernel."""
    mask, ((prefix, rest),) = (
        batch.mask("tree", spec.frozen_dtype),
        batch.attention_blocks(causal_prefix=True, uniform=True),
    )
    seconds = []
    for less in range(1, NEW_SHAPES + 1):
        parts = [part[:, :, :-less].detach().requires_grad_() for part in inputs]
        tree = [[prefix, rest._replace(length=rest.length - less)]]
        synchronize(spec)
        began = time.perf_counter()
        output, _ = tree_attention(LAYER, *parts, mask[:, :, :-less, :-less], scaling=None, tree=tree)
        torch.autograd.grad(output, parts, torch.ones_like(output))
        synchronize(spec)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _median_seconds(call: Callable[[], object], spec: RunSpec) -> float:
    seconds = []
    for _ in range(2 + REPEATS):
        synchronize(spec)
        began = time.perf_counter()
        call()
        synchronize(spec)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())
