"""Prepare a training: open the model, validate the pairs, schedule the steps, fill the reference cache.

Used by every method that is trained on pairs (DPO, reward model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from jaxtyping import Float

from spavl.align.data.batches import PairDataset
from spavl.align.data.feature_cache import FeatureCache
from spavl.align.data.lengths import prompt_tokens
from spavl.align.data.schedule import PairGroup, ScheduledStep, schedule_steps
from spavl.align.data.validate import Finding
from spavl.align.policy.policy import Policy, load_policy
from spavl.align.preflight.checks import PreflightChecks, PreflightReport
from spavl.align.preflight.device import DeviceContext, find_device_context
from spavl.align.preflight.estimate import Estimate, free_memory, largest_pass, tokens_of
from spavl.align.preflight.features import features_as_asked, plan_features, seen_again, share_features
from spavl.align.preflight.launcher import find_sharding
from spavl.align.preflight.memory import ForwardCost, HowTrained, training_memory
from spavl.align.preflight.probes import probe_key
from spavl.align.preflight.reference_cache import ReferenceCache, Scorer, fill_reference_cache, reference_sums
from spavl.align.preflight.usable_pairs import usable_pairs
from spavl.config.align import AlignSettings
from spavl.config.models import LocalSpec
from spavl.errors import SettingsError
from spavl.models.identity import Checkpoint, find_checkpoint, local_identity
from spavl.models.trees.batch import TreeBatch
from spavl.models.trees.score import answer_logprobs
from spavl.preferences.pairs import Pair
from spavl.progress import NoProgress, Progress

TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
"""Nats a token by which a cached reference may differ from the model, by dtype; see `reference_logprobs`."""


@dataclass(frozen=True)
class PreparedTraining:
    """Everything that a trainer needs for its first step."""

    policy: Policy
    """The model to be trained."""
    pairs: Sequence[Pair]
    """Those that are trained on."""
    dataset: PairDataset
    """The same pairs, ready to be collated."""
    schedule: Sequence[ScheduledStep]
    """All steps of the training."""
    reference: Float[np.ndarray, "P K"] | None
    """Log-probabilities of every pair's K answers under the reference, summed; None where they are computed live."""
    report: PreflightReport
    """What the preflight found."""
    context: DeviceContext
    """Where this process trains."""
    source: Checkpoint
    """The checkpoint before training."""
    identity: str
    """Hash of the model before training."""
    forward: ForwardCost
    """What a forward pass keeps, measured."""
    features: FeatureCache | None = None
    """What the frozen vision tower gives for every picture; None: it runs in every pass."""


def prepare(pairs: Sequence[Pair], settings: AlignSettings, progress: Progress, *, reference: bool) -> PreparedTraining:
    """Open the model, run the preflight on pairs and model, schedule the steps, and fill the reference cache.

    Args:
        pairs: all pairs as read.
        settings: of the alignment.
        progress: gets bars and the report; only of rank 0.
        reference: whether the method needs log-probabilities of the model before training.

    Raises:
        DataError: pairs cannot be trained on as they are, or none is left.
        ModelError: the model cannot be opened, or cannot be trained rightly on these pairs.
        SettingsError: several GPUs are visible and no launcher was used.
    """
    context = find_device_context(settings)
    progress = progress if context.rank == 0 else NoProgress()
    spec = _spec(settings, context)
    source = find_checkpoint(spec)
    identity = local_identity(spec, source)
    cached = reference and _uses_cache(settings, len(pairs))
    policy = load_policy(
        settings, source, dtype=context.dtype, device=str(context.device), remember=reference and not cached
    )
    with progress.bar("pairs") as on_progress:
        dataset, trees, findings = usable_pairs(pairs, settings, policy, identity, on_progress)
    checks = PreflightChecks(
        policy, dataset, settings, context.device, context.precision, context.dtype == "float32", findings,
        key=probe_key(identity, settings, str(context.device)),
    )  # fmt: skip
    dataset.packing = checks.run(trees)
    schedule = schedule_steps(
        trees, dataset.pass_size, settings.batching, settings.optimiser, seed=settings.seed or 0, ranks=context.ranks
    )
    forward, estimate = _measured_estimate(checks, schedule, context, live=reference and not cached)
    features, of_features = plan_features(settings, policy, dataset, context)
    checks.findings += of_features
    report = _report(checks, estimate)
    progress.log(report.render())
    if features:
        share_features(features, policy, dataset, context, progress)
        policy = replace(policy, features=features_as_asked(features, policy, context))
    sums = None
    if cached:
        sums = cached_reference(settings, identity, policy, dataset, trees, context=context, progress=progress)
    return PreparedTraining(
        policy, dataset.pairs, dataset, schedule, sums, report, context, source, identity, forward, features
    )


def _of_reference(settings: AlignSettings) -> list[Finding]:
    """What is good to know of a loss that compares with nothing before training."""
    if settings.method != "dpo" or settings.loss.has_reference:
        return []
    mode = settings.reference.mode
    unread = "" if mode == "auto" else f", and align.reference.mode={mode} is not read"
    return [Finding("note", f"`{settings.loss.kind}` has no reference: none is computed, kept or cached{unread}")]


def _spec(settings: AlignSettings, context: DeviceContext) -> LocalSpec:
    """The settings' model as an entry of `models`."""
    return LocalSpec(
        name="policy",
        path=settings.model,
        revision=settings.revision,
        dtype=context.dtype,
        quantisation=settings.freeze.quantisation,
        device=str(context.device),
        max_pixels=settings.data.max_pixels,
    )


def refuse_long_prompts(prepared: PreparedTraining, settings: AlignSettings) -> None:
    """Refuse prompts whose longest answers under PPO would not fit into what the model attends to.

    Args:
        prepared: the model and its measured pairs.
        settings: the training's settings.

    Raises:
        SettingsError: a prompt and `ppo.max_tokens` together are too long.
    """
    limit = prepared.policy.model.config.get_text_config().max_position_embeddings
    longest = int(prompt_tokens(prepared.dataset.lengths).max())
    if longest + settings.ppo.max_tokens > limit:
        raise SettingsError(
            f"A prompt has {longest} tokens, and the model attends to {limit}.",
            where="align.ppo.max_tokens",
            try_=f"{limit - longest} or less" if limit > longest else "leave out the longest questions",
        )


def _small_pass(dataset: PairDataset, trees: Sequence[PairGroup]) -> list[PairGroup]:
    """One tree that shows a picture, if any does: enough to time a pass, and to see what it keeps."""
    shown = [tree for tree in trees if dataset.lengths["pictures"][tree[0]]]
    return [(shown or trees)[0]]


def _uses_cache(settings: AlignSettings, pairs: int) -> bool:
    """Whether the reference is cached: `auto` means where pairs are seen more than once."""
    if settings.reference.mode != "auto":
        return settings.reference.mode == "cached"
    return seen_again(settings, pairs)


def _measured_estimate(
    checks: PreflightChecks, schedule: Sequence[ScheduledStep], context: DeviceContext, *, live: bool
) -> tuple[ForwardCost, Estimate]:
    """What a forward pass keeps, measured on a small one, and from it what the training will take."""
    first = schedule[0].micro_batches[context.rank][0]
    forward, seconds = checks.measure_pass(_small_pass(checks.dataset, first))
    return forward, estimate_training(
        checks.policy, checks.dataset, schedule, checks.settings, context, forward=forward, seconds=seconds, live=live
    )


def _report(checks: PreflightChecks, estimate: Estimate) -> PreflightReport:
    policy, dataset = checks.policy, checks.dataset
    findings = [*checks.findings, *_of_reference(checks.settings)]
    needed = estimate.memory.total / 2**30
    if estimate.free is not None and needed > estimate.free / 2**30:
        findings.append(
            Finding(
                "warn",
                f"about {needed:.1f} GiB are needed and {estimate.free / 2**30:.1f} GiB are free",
                try_="a smaller align.batching.token_budget, or align.machine.gradient_checkpointing=true",
            )
        )
    return PreflightReport(
        pairs=len(dataset.pairs),
        pictures=len({picture.key for pair in dataset.pairs for picture in pair.all_pictures}),
        trained={part: weights.trained for part, weights in policy.counts.items()},
        packing=dataset.packing,
        findings=tuple(findings),
        estimate=estimate,
    )


def estimate_training(
    policy: Policy,
    dataset: PairDataset,
    schedule: Sequence[ScheduledStep],
    settings: AlignSettings,
    context: DeviceContext,
    *,
    forward: ForwardCost,
    seconds: float,
    live: bool,
) -> Estimate:
    """Steps, tokens, memory and hours that the training will take.

    Args:
        policy: the model with its trained weights marked.
        dataset: the pairs, measured.
        schedule: all steps.
        settings: token budget and gradient checkpointing.
        context: device and number of processes.
        forward: what a forward pass keeps, measured.
        seconds: measured time of one token, forward and backward.
        live: whether a reference is computed in every step, which adds a forward pass (a third of a step).
    """
    tokens, free = tokens_of(schedule, dataset.size), free_memory(context.device)
    mismatched = tokens_of(schedule, dataset.size_mismatched)
    forwards = 3 * tokens + mismatched + (tokens + mismatched if live else 0)
    largest, accumulates = largest_pass(schedule, dataset.pass_size, context.rank)
    return Estimate(
        steps=len(schedule),
        tokens=tokens,
        separate_tokens=tokens_of(schedule, dataset.size_apart),
        memory=training_memory(
            [policy.model],
            forward.scaled(largest),
            HowTrained(
                settings.optimiser.name,
                settings.machine.gradient_checkpointing,
                accumulates,
                autocast=context.dtype == "bfloat16",
                sharding=find_sharding(context.ranks),
                kept=sum(old.nbytes for old in (policy.before or {}).values()) if live else 0,
                device=context.device.type,
            ),
        ),
        free=None if free is None else free + sum(weight.nbytes for weight in policy.model.parameters()),
        hours=seconds * forwards / 3 / context.ranks / 3600,
    )


def reference_scorer(policy: Policy, dataset: PairDataset, context: DeviceContext) -> Scorer:
    """A function that gives log-probabilities per token of all answers of some trees, by key.

    The policy is used as it is now, so its scores are those of the reference only while it is untrained.

    Args:
        policy: the model.
        dataset: the pairs, ready to be collated.
        context: device and arithmetic.
    """

    def score(trees: Sequence[PairGroup]) -> dict[str, np.ndarray]:
        batches = [dataset.batch(trees)]
        if dataset.answers == "unpaired":
            batches.append(dataset.mismatched_batch(trees))
        return {key: answer for batch, keys in batches for key, answer in zip(keys, score_batch(batch), strict=True)}

    def score_batch(batch: TreeBatch) -> list[np.ndarray]:
        with torch.no_grad(), context.precision():
            scores = answer_logprobs(policy.model, batch.to(context.device), policy.family)
        return [answer.numpy() for answer in scores.logprobs.float().cpu().split(scores.lengths.tolist())]

    return score


def cached_reference(
    settings: AlignSettings,
    identity: str,
    policy: Policy,
    dataset: PairDataset,
    trees: Sequence[PairGroup],
    *,
    context: DeviceContext,
    progress: Progress,
) -> Float[np.ndarray, "P K"]:
    """Log-probabilities of the reference: each rank computes its share of what the cache lacks, all read the whole.

    Args:
        settings: where the cache is, and the token budget.
        identity: of the model before training.
        policy: the model, untrained.
        dataset: the pairs, measured.
        trees: all trees of the dataset.
        context: this process among all.
        progress: gets a bar.
    """
    cut = f"-cut{dataset.limit}" if dataset.limit else ""
    cache = ReferenceCache(Path(settings.reference.cache), identity + cut)
    with progress.bar("reference") as on_progress:
        fill_reference_cache(
            cache,
            dataset,
            trees[context.rank :: context.ranks],
            reference_scorer(policy, dataset, context),
            token_budget=settings.batching.token_budget,
            tolerance=TOLERANCE[context.dtype],
            on_progress=on_progress,
        )
    PartialState().wait_for_everyone()
    return reference_sums(cache, dataset)
