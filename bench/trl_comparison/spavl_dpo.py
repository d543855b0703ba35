"""spavl's side: the parts that `spavl align` puts together, on a model made in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bench.trl_comparison.run_spec import SEED, WORKERS, RunSpec, StepTimer, Timing, free_memory, synchronize
from bench.trl_comparison.workload import ModelShape, model, processor
from spavl.align.data.batches import PairDataset, StepDataset
from spavl.align.data.pairs import Pair
from spavl.align.data.schedule import schedule_steps
from spavl.align.dpo.objective import PreferenceObjective
from spavl.align.policy.policy import Policy, make_policy
from spavl.align.preflight.prepare import DeviceContext, group_by, reference_scorer
from spavl.align.preflight.reference_cache import ReferenceCache, reference_logprobs
from spavl.align.training.trainer import PairTrainer, checkpoint_activations, training_arguments
from spavl.config.align import AlignSettings, BatchingSettings

ANY_NUMBER = 10**9
"""A token budget that never cuts: the run says how many pairs go through at once."""
CACHE_BUDGET = BatchingSettings().token_budget
"""Tokens of a forward pass when the cache is filled: as spavl has it."""


def run(shape: ModelShape, pairs: Sequence[Pair], spec: RunSpec) -> Timing:
    """Train on these pairs, in their order. No prepared picture is kept: real data have too many for that."""
    free_memory(spec)
    policy, chosen = policy_of(shape, spec), settings(shape, spec)
    if spec.checkpointing:
        checkpoint_activations(policy.model)
    context = DeviceContext(torch.device(spec.device), spec.arithmetic)
    began = time.perf_counter()
    dataset = PairDataset(pairs, policy.family, packing="tree", memory=0)
    trees = group_by(pairs, spec.grouping)
    dataset.measure(trees)
    plan = schedule_steps(trees, dataset.size, chosen.batching, chosen.optimiser, seed=SEED)
    planned = time.perf_counter()
    with TemporaryDirectory() as folder:
        kept = None
        if spec.reference == "cached":
            store, score = ReferenceCache(Path(folder), "race"), reference_scorer(policy, dataset, context)
            kept = reference_logprobs(store, dataset, trees, score, token_budget=CACHE_BUDGET, tolerance=0.0)
        synchronize(spec)
        built = time.perf_counter()
        progress = StepTimer(spec)
        trainer = PairTrainer(
            policy,
            PreferenceObjective(policy, chosen.loss, context.precision),
            StepDataset(dataset, plan, 0, kept),
            arguments=training_arguments(chosen, Path(folder), steps=len(plan), cpu=spec.device == "cpu"),
            callbacks=[progress],
        )
        trainer.train()
    before, cache = (planned - began) / len(pairs), (built - planned) / len(pairs)
    return progress.timing(trainer.state.log_history, before=before, cache=cache)


def policy_of(shape: ModelShape, spec: RunSpec) -> Policy:
    """The model with an adapter on every linear layer of its language model, and on nothing else."""
    made = model(shape, spec.device, spec.dtype)
    return make_policy(made, processor(shape), settings(shape, spec).freeze, seed=SEED)


def settings(shape: ModelShape, spec: RunSpec) -> AlignSettings:
    """The run in spavl's words. What is not named is as spavl has it."""
    return AlignSettings.model_validate(
        {
            "seed": SEED,
            "loss": {"beta": spec.beta},
            "freeze": {"projector": "frozen", "language": "lora", "rank": shape.rank, "alpha": 2 * shape.rank},
            "optimiser": {
                "learning_rate": spec.rate,
                "max_steps": spec.steps,
                "schedule": "constant",
                "warmup": 0,
                "max_grad_norm": 1.0,
            },
            "batching": {
                "pairs": spec.step,
                "forward_pairs": spec.batch,
                "token_budget": ANY_NUMBER,
                "grouping": spec.grouping,
                "shuffle": False,
            },
            "machine": {"workers": WORKERS if spec.device == "cuda" else 0},
            "saving": {"every": None, "log_every": 1},
        }
    )
