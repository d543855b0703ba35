"""Everything before the first step: open the model, examine the pairs, plan the steps, fill the reference cache.

Used by every method that learns from pairs (DPO, reward model).
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
"""Nats a token by which a kept reference may differ from the model, see `cache.recorded`."""


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """Where the work is done."""

    device: torch.device
    dtype: Literal["float32", "bfloat16"]
    rank: int = 0
    ranks: int = 1

    def precision(self) -> AbstractContextManager[Any]:
        """Arithmetic in the dtype asked for; what is trained stays in float32."""
        if self.dtype == "float32":
            return nullcontext()
        context: AbstractContextManager[Any] = torch.autocast(self.device.type, dtype=torch.bfloat16)
        return context


@dataclass(frozen=True)
class PreparedTraining:
    """Ready for the first step."""

    policy: Policy
    pairs: Sequence[Pair]
    """Those that are trained on."""
    dataset: PairDataset
    schedule: Sequence[ScheduledStep]
    reference_logprobs: ReferenceLogprobs | None
    """Reference log-probabilities, where they are not computed live."""
    report: PreflightReport
    context: DeviceContext
    source: Checkpoint
    identity: str
    """Of the model before training."""


def prepare(pairs: Sequence[Pair], settings: AlignSettings, progress: Progress, *, reference: bool) -> PreparedTraining:
    """All of it. `reference`: the method needs log-probabilities of the model before training.

    Raises DataError for pairs that cannot be trained on, ModelError for a model, SettingsError for a machine.
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
    dataset.packing = checks.examine(trees)
    schedule = schedule_steps(
        trees, dataset.size, settings.batching, settings.optimiser, seed=settings.seed or 0, ranks=context.ranks
    )
    seconds = checks.step(schedule[0].micro_batches[context.rank][0])
    estimate = estimate_training(
        policy, dataset, schedule, settings, context, seconds=seconds, live=reference and not cached
    )
    report = _report(policy, dataset, checks, estimate)
    progress.log(report.render())
    kept = (
        _reference_logprobs(settings, identity, policy, dataset, trees, context=context, progress=progress)
        if cached
        else None
    )
    return PreparedTraining(policy, dataset.pairs, dataset, schedule, kept, report, context, source, identity)


def find_device_context(settings: AlignSettings) -> DeviceContext:
    """The device and number format of this process. Raises SettingsError where several GPUs have no launcher."""
    name = choose_device(settings.machine.device)
    state = PartialState(cpu=name == "cpu")
    if name == "cuda":
        refuse_without_launcher(torch.cuda.device_count(), state.num_processes, sys.argv[1:])
    dtype = choose_dtype(settings.machine.dtype, name)
    precise: Literal["float32", "bfloat16"] = "bfloat16" if dtype == "bfloat16" else "float32"
    return DeviceContext(torch.device(state.device), precise, state.process_index, state.num_processes)


def refuse_without_launcher(visible: int, processes: int, words: Sequence[str]) -> None:
    """One process that sees several GPUs would train on all of them badly (torch DataParallel)."""
    if visible > 1 and processes == 1:
        command = shlex.join(["accelerate", "launch", "--num_processes", str(visible), "-m", "spavl", *words])
        raise SettingsError(
            f"{visible} GPUs are visible to one process.",
            where="align.machine.device",
            try_=f"`{command}` for all of them, or CUDA_VISIBLE_DEVICES=0 for one",
        )


def _uses_cache(settings: AlignSettings, pairs: int) -> bool:
    """`auto` means a cache where pairs are seen more than once."""
    if settings.reference.mode != "auto":
        return settings.reference.mode == "cached"
    optimiser = settings.optimiser
    uses = optimiser.max_steps * settings.batching.pairs / pairs if optimiser.max_steps else optimiser.epochs
    return uses > 1


def _usable_pairs(
    pairs: Sequence[Pair], settings: AlignSettings, policy: Policy, on_progress: OnProgress
) -> tuple[PairDataset, list[PairGroup], list[Finding]]:
    """The pairs that can be trained on, measured; and what became of the others."""
    found = validate.find_issues(pairs, policy.family.control_words)
    findings = validate.report_issues(pairs, found, settings.data.broken)
    validate.refuse_rows(findings, skip_with="align.data.broken=skip")
    good = [pair for number, pair in enumerate(pairs) if number not in found]
    limit = settings.data.max_tokens or policy.model.config.get_text_config().max_position_embeddings
    dataset, trees = _measured_dataset(good, settings, policy, on_progress=on_progress)
    long = [number for number in range(len(good)) if dataset.longest(number) > limit]
    if long:
        cut = limit if settings.data.too_long == "cut" else None
        lost = [number for number in long if cut is None or dataset.prompt(number) >= cut]
        if cut:
            short, _ = _measured_dataset([pair for n, pair in enumerate(good) if n not in lost], settings, policy, cut)
            lost += [good.index(pair) for n, pair in enumerate(short.pairs) if short.alike(n)]
            ids = tuple(good[number].pair_id for number in long if number not in lost)
            findings += [Finding("warn", f"answers cut to {cut} tokens with all before them", ids)] if ids else []
        level: Literal["refuse", "skip"] = "refuse" if settings.data.too_long == "refuse" else "skip"
        findings += validate.report_issues(good, dict.fromkeys(lost, "too long"), level)
        validate.refuse_rows(findings, skip_with="align.data.too_long=skip")
        good = [pair for number, pair in enumerate(good) if number not in set(lost)]
        dataset, trees = _measured_dataset(good, settings, policy, cut)
    return dataset, trees, findings


def _measured_dataset(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    policy: Policy,
    limit: int | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> tuple[PairDataset, list[PairGroup]]:
    """A feed whose trees are laid once, to know their sizes."""
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
    """Numbers of pairs that share a tree."""
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
    """What the training will take, where a token of a step takes `seconds`; a live reference adds a forward pass."""
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
    """Scores trees with the policy as it is now; a reference only while it is untrained."""

    def score(trees: Sequence[PairGroup]) -> dict[str, np.ndarray]:
        batch, keys = dataset.batch(trees)
        with torch.no_grad(), context.precision():
            scores = answer_logprobs(policy.model, batch.to(context.device), policy.family)
        parts = scores.logprobs.float().cpu().split(scores.lengths.tolist())
        return {key: part.numpy() for key, part in zip(keys, parts, strict=True)}

    return score


def _reference_logprobs(
    settings: AlignSettings,
    identity: str,
    policy: Policy,
    dataset: PairDataset,
    trees: Sequence[PairGroup],
    *,
    context: DeviceContext,
    progress: Progress,
) -> ReferenceLogprobs:
    """Each rank computes its share of what is missing; all read the whole."""
    cut = f"-cut{dataset.limit}" if dataset.limit else ""
    cache = ReferenceCache(Path(settings.reference.cache), identity + cut)
    with progress.bar("reference") as on_progress:
        kept = reference_logprobs(
            cache,
            dataset,
            trees[context.rank :: context.ranks],
            reference_scorer(policy, dataset, context),
            budget=settings.batching.token_budget,
            tolerance=TOLERANCE[context.dtype],
            on_progress=on_progress,
        )
    if context.ranks > 1:
        PartialState().wait_for_everyone()
        kept = cache.read()
    return kept
