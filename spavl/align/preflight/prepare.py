"""Prepare a training: open the model, validate the pairs, schedule the steps, fill the reference cache.

Used by every method that is trained on pairs (DPO, reward model).
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import PartialState

from spavl.align.data import validate
from spavl.align.data.batches import PairDataset, ReferenceLogprobs
from spavl.align.data.pairs import Pair
from spavl.align.data.schedule import PairGroup, ScheduledStep, group_equal, schedule_steps
from spavl.align.data.validate import Finding
from spavl.align.policy.policy import Policy, load_policy
from spavl.align.preflight.checks import PreflightChecks, PreflightReport
from spavl.align.preflight.estimate import Estimate, free_memory, memory_of, tokens_of
from spavl.align.preflight.reference_cache import ReferenceCache, Scorer, reference_logprobs
from spavl.config.align import AlignSettings
from spavl.config.models import LocalSpec
from spavl.errors import DataError, SettingsError
from spavl.models.backends.device import choose_device, choose_dtype
from spavl.models.identity import Checkpoint, find_checkpoint, local_identity
from spavl.models.trees.score import answer_logprobs
from spavl.progress import NoProgress, OnProgress, Progress

TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
"""Nats a token by which a cached reference may differ from the model, by dtype; see `reference_logprobs`."""


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """The device of this process, its number format, and its place among all processes."""

    device: torch.device
    """Where model and batches are."""
    dtype: Literal["float32", "bfloat16"]
    """Of the frozen weights and the arithmetic."""
    rank: int = 0
    """Number of this process, from 0."""
    ranks: int = 1
    """Processes that train together."""

    def precision(self) -> AbstractContextManager[Any]:
        """Context of arithmetic in `dtype` (autocast for bfloat16); trained weights stay in float32."""
        if self.dtype == "float32":
            return nullcontext()
        context: AbstractContextManager[Any] = torch.autocast(self.device.type, dtype=torch.bfloat16)
        return context


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
    reference_logprobs: ReferenceLogprobs | None
    """Reference log-probabilities, where they are not computed live."""
    report: PreflightReport
    """What the preflight found."""
    context: DeviceContext
    """Where this process trains."""
    source: Checkpoint
    """The checkpoint before training."""
    identity: str
    """Hash of the model before training."""


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
    spec = LocalSpec(
        name="policy",
        path=settings.model,
        revision=settings.revision,
        dtype=context.dtype,
        quantisation=settings.freeze.quantisation,
        device=str(context.device),
    )
    source = find_checkpoint(spec)
    identity = local_identity(spec, source)
    cached = reference and _uses_cache(settings, len(pairs))
    policy = load_policy(
        settings, source, dtype=context.dtype, device=str(context.device), remember=reference and not cached
    )
    with progress.bar("pairs") as on_progress:
        dataset, trees, findings = _usable_pairs(pairs, settings, policy, on_progress)
    checks = PreflightChecks(
        policy, dataset, settings, context.device, context.precision, context.dtype == "float32", findings
    )
    dataset.packing = checks.run(trees)
    schedule = schedule_steps(
        trees, dataset.size, settings.batching, settings.optimiser, seed=settings.seed or 0, ranks=context.ranks
    )
    seconds = checks.time_step(schedule[0].micro_batches[context.rank][0])
    estimate = estimate_training(
        policy, dataset, schedule, settings, context, seconds=seconds, live=reference and not cached
    )
    report = _report(policy, dataset, checks, estimate)
    progress.log(report.render())
    logprobs = (
        _cached_reference(settings, identity, policy, dataset, trees, context=context, progress=progress)
        if cached
        else None
    )
    return PreparedTraining(policy, dataset.pairs, dataset, schedule, logprobs, report, context, source, identity)


def find_device_context(settings: AlignSettings) -> DeviceContext:
    """The device and number format of this process, and its rank.

    Args:
        settings: device and dtype under `machine`.

    Raises:
        SettingsError: several GPUs are visible and no launcher was used.
    """
    name = choose_device(settings.machine.device)
    state = PartialState(cpu=name == "cpu")
    if name == "cuda":
        refuse_without_launcher(torch.cuda.device_count(), state.num_processes, sys.argv[1:])
    dtype = choose_dtype(settings.machine.dtype, name)
    supported: Literal["float32", "bfloat16"] = "bfloat16" if dtype == "bfloat16" else "float32"
    return DeviceContext(torch.device(state.device), supported, state.process_index, state.num_processes)


def refuse_without_launcher(visible: int, processes: int, argv: Sequence[str]) -> None:
    """Refuse one process that sees several GPUs: transformers would train on them with the slow torch DataParallel.

    Args:
        visible: GPUs that this process sees.
        processes: processes that train together.
        argv: arguments of the command, to be repeated under a launcher.

    Raises:
        SettingsError: one process sees several GPUs.
    """
    if visible > 1 and processes == 1:
        command = shlex.join(["accelerate", "launch", "--num_processes", str(visible), "-m", "spavl", *argv])
        raise SettingsError(
            f"{visible} GPUs are visible to one process.",
            where="align.machine.device",
            try_=f"`{command}` for all of them, or CUDA_VISIBLE_DEVICES=0 for one",
        )


def _uses_cache(settings: AlignSettings, pairs: int) -> bool:
    """Whether the reference is cached: `auto` means where pairs are seen more than once."""
    if settings.reference.mode != "auto":
        return settings.reference.mode == "cached"
    optimiser = settings.optimiser
    uses = optimiser.max_steps * settings.batching.pairs / pairs if optimiser.max_steps else optimiser.epochs
    return uses > 1


def _usable_pairs(
    pairs: Sequence[Pair], settings: AlignSettings, policy: Policy, on_progress: OnProgress
) -> tuple[PairDataset, list[PairGroup], list[Finding]]:
    """The pairs that can be trained on, measured, with their trees; and what became of the others."""
    issues = validate.find_issues(pairs, policy.family.control_words)
    findings = validate.report_issues(pairs, issues, settings.data.invalid)
    validate.refuse_rows(findings, skip_with="align.data.invalid=skip")
    valid = [pair for number, pair in enumerate(pairs) if number not in issues]
    dataset, trees = _measured_dataset(valid, settings, policy, on_progress=on_progress)
    limit = settings.data.max_tokens or policy.model.config.get_text_config().max_position_embeddings
    long = [number for number in range(len(valid)) if dataset.longest_tokens(number) > limit]
    if not long:
        return dataset, trees, findings
    dataset, trees, of_length = _without_long_pairs(dataset, long, limit, settings, policy)
    return dataset, trees, findings + of_length


def _without_long_pairs(
    dataset: PairDataset, long: Sequence[int], limit: int, settings: AlignSettings, policy: Policy
) -> tuple[PairDataset, list[PairGroup], list[Finding]]:
    """The dataset without the pairs that are too long, or with their answers cut, and findings on them."""
    pairs, findings = dataset.pairs, list[Finding]()
    cut = limit if settings.data.too_long == "cut" else None
    lost = [number for number in long if cut is None or dataset.prompt_tokens(number) >= cut]
    if cut:
        short, _ = _measured_dataset([pair for n, pair in enumerate(pairs) if n not in lost], settings, policy, cut)
        lost += [pairs.index(pair) for n, pair in enumerate(short.pairs) if short.equal_answers(n)]
        ids = tuple(pairs[number].pair_id for number in long if number not in lost)
        findings += [Finding("warn", f"answers cut to {cut} tokens with all before them", ids)] if ids else []
    level: Literal["refuse", "skip"] = "refuse" if settings.data.too_long == "refuse" else "skip"
    findings += validate.report_issues(pairs, dict.fromkeys(lost, "too long"), level)
    validate.refuse_rows(findings, skip_with="align.data.too_long=skip")
    kept = [pair for number, pair in enumerate(pairs) if number not in set(lost)]
    return *_measured_dataset(kept, settings, policy, cut), findings


def _measured_dataset(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    policy: Policy,
    limit: int | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> tuple[PairDataset, list[PairGroup]]:
    """A dataset and its trees, each packed once so that its tokens are known."""
    if not pairs:
        raise DataError("No pair is left to train on.", try_="mend the pairs, or raise align.data.max_tokens")
    dataset = PairDataset(
        pairs,
        policy.family,
        packing="separate" if settings.batching.packing == "separate" else "tree",
        blind=settings.blind,
        corruption=settings.loss.corruption if settings.loss.image_conditional else None,
        limit=limit,
        memory=settings.machine.picture_memory << 20,
    )
    trees = group_by(pairs, settings.batching.grouping)
    dataset.measure(trees, on_progress)
    return dataset, trees


def group_by(pairs: Sequence[Pair], grouping: Literal["picture", "question", "pair"]) -> list[PairGroup]:
    """Numbers of the pairs that share a tree, in order of their first.

    Args:
        pairs: the pairs to group.
        grouping: what pairs of one tree have in common; `pair` gives each pair a tree of its own.
    """
    if grouping == "picture":
        return group_equal([pair.image_key for pair in pairs])
    if grouping == "question":
        return group_equal([(pair.image_key, pair.question) for pair in pairs])
    return group_equal(range(len(pairs)))


def _report(policy: Policy, dataset: PairDataset, checks: PreflightChecks, estimate: Estimate) -> PreflightReport:
    findings = list(checks.findings)
    if estimate.free is not None and estimate.memory > estimate.free:
        findings.append(
            Finding(
                "warn",
                f"about {estimate.memory / 2**30:.1f} GiB are needed and {estimate.free / 2**30:.1f} GiB are free",
                try_="a smaller align.batching.token_budget, or align.machine.gradient_checkpointing=true",
            )
        )
    return PreflightReport(
        pairs=len(dataset.pairs),
        pictures=len({pair.image_key for pair in dataset.pairs}),
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
        seconds: measured time of one token, forward and backward.
        live: whether a reference is computed in every step, which adds a forward pass.
    """
    tokens = tokens_of(schedule, dataset.size)
    return Estimate(
        steps=len(schedule),
        tokens=tokens,
        separate_tokens=tokens_of(schedule, dataset.size_apart),
        memory=memory_of(policy, settings, live=live),
        free=free_memory(context.device),
        hours=seconds * tokens / context.ranks / 3600 * (4 / 3 if live else 1),
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
        batch, keys = dataset.batch(trees)
        with torch.no_grad(), context.precision():
            scores = answer_logprobs(policy.model, batch.to(context.device), policy.family)
        answers = scores.logprobs.float().cpu().split(scores.lengths.tolist())
        return {key: answer.numpy() for key, answer in zip(keys, answers, strict=True)}

    return score


def _cached_reference(
    settings: AlignSettings,
    identity: str,
    policy: Policy,
    dataset: PairDataset,
    trees: Sequence[PairGroup],
    *,
    context: DeviceContext,
    progress: Progress,
) -> ReferenceLogprobs:
    """Log-probabilities of the reference: each rank computes its share of what the cache lacks, all read the whole."""
    cut = f"-cut{dataset.limit}" if dataset.limit else ""
    cache = ReferenceCache(Path(settings.reference.cache), identity + cut)
    with progress.bar("reference") as on_progress:
        cached = reference_logprobs(
            cache,
            dataset,
            trees[context.rank :: context.ranks],
            reference_scorer(policy, dataset, context),
            token_budget=settings.batching.token_budget,
            tolerance=TOLERANCE[context.dtype],
            on_progress=on_progress,
        )
    if context.ranks > 1:
        PartialState().wait_for_everyone()
        cached = cache.read()
    return cached
