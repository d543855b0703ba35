"""A DPO run of spavl: the parts that `spavl align` puts together, on a model made in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bench.trl_comparison.run_spec import SEED, WORKERS, RunSpec, StepTimer, Timing, free_memory, synchronize
from bench.trl_comparison.workload import ModelShape, make_processor, random_model
from spavl.align.data.batches import PairDataset, StepDataset
from spavl.align.data.schedule import schedule_steps
from spavl.align.dpo.objective import PreferenceObjective
from spavl.align.policy.policy import Policy, make_policy
from spavl.align.preflight.device import DeviceContext
from spavl.align.preflight.prepare import reference_scorer
from spavl.align.preflight.reference_cache import ReferenceCache, fill_reference_cache, reference_sums
from spavl.align.preflight.usable_pairs import group_by
from spavl.align.training.trainer import PairTrainer, checkpoint_activations, training_arguments
from spavl.config.align import AlignSettings, BatchingSettings
from spavl.preferences.pairs import Pair

NO_TOKEN_BUDGET = 10**9
"""A token budget that never splits a batch: the configuration says how many pairs a forward pass has."""
CACHE_BUDGET = BatchingSettings().token_budget
"""Tokens of a forward pass while the reference cache is filled: spavl's default."""


def run(shape: ModelShape, pairs: Sequence[Pair], spec: RunSpec) -> Timing:
    """Train and time. Prepared pictures are not kept in memory: real data have too many for that.

    Args:
        shape: of the model.
        pairs: in training order.
        spec: of the run.
    """
    free_memory(spec)
    policy, settings = policy_of(shape, spec), align_settings(shape, spec)
    if spec.checkpointing:
        checkpoint_activations(policy.model)
    context = DeviceContext(torch.device(spec.device), spec.precision)
    started = time.perf_counter()
    dataset = PairDataset(pairs, policy.family, packing="tree", answers=settings.answers, memory=0)
    trees = group_by(pairs, spec.grouping)
    dataset.measure(trees)
    schedule = schedule_steps(trees, dataset.pass_size, settings.batching, settings.optimiser, seed=SEED)
    scheduled = time.perf_counter()
    with TemporaryDirectory() as folder:
        reference = None
        if spec.reference == "cached":
            cache, score = ReferenceCache(Path(folder), "benchmark"), reference_scorer(policy, dataset, context)
            fill_reference_cache(cache, dataset, trees, score, token_budget=CACHE_BUDGET, tolerance=0.0)
            reference = reference_sums(cache, dataset)
        synchronize(spec)
        cached = time.perf_counter()
        timer = StepTimer(spec)
        trainer = PairTrainer(
            policy,
            PreferenceObjective(policy, settings.loss, context.precision),
            StepDataset(dataset, schedule, 0, reference),
            arguments=training_arguments(settings, Path(folder), steps=len(schedule), cpu=spec.device == "cpu"),
            optimiser=settings.optimiser,
            callbacks=[timer],
        )
        trainer.train()
    prepare_seconds, cache_seconds = (scheduled - started) / len(pairs), (cached - scheduled) / len(pairs)
    return timer.timing(trainer.state.log_history, prepare_seconds=prepare_seconds, cache_seconds=cache_seconds)


def policy_of(shape: ModelShape, spec: RunSpec) -> Policy:
    """The model with an adapter on every linear layer of its language model, and on nothing else.

    Args:
        shape: of the model.
        spec: of the run.
    """
    model = random_model(shape, spec.device, spec.frozen_dtype)
    return make_policy(model, make_processor(shape), align_settings(shape, spec).freeze, seed=SEED)


def align_settings(shape: ModelShape, spec: RunSpec) -> AlignSettings:
    """The configuration as settings of spavl; whatever it does not name has spavl's default.

    Args:
        shape: brings the rank of the adapter.
        spec: of the run.
    """
    return AlignSettings.model_validate(
        {
            "seed": SEED,
            "loss": {"kind": spec.kind, "beta": spec.beta, "label_smoothing": spec.label_smoothing},
            "freeze": {
                "projector": "frozen", "language": "lora", "rank": shape.lora_rank, "alpha": 2 * shape.lora_rank,
            },
            "optimiser": {
                "learning_rate": spec.learning_rate, "max_steps": spec.steps, "schedule": "constant", "warmup": 0,
                "max_grad_norm": 1.0,
            },
            "batching": {
                "pairs": spec.pairs_per_step, "forward_pairs": spec.forward_pairs,
                "token_budget": NO_TOKEN_BUDGET, "grouping": spec.grouping, "shuffle": False,
            },
            "machine": {"workers": WORKERS if spec.device == "cuda" else 0},
            "saving": {"every": None, "log_every": 1},
        }
    )  # fmt: skip
