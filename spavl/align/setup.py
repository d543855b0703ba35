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

from spavl.align import rows
from spavl.align.cache import ReferenceCache, Scorer, recorded
from spavl.align.doctor import Checkup, Doctor
from spavl.align.estimate import Estimate, free_memory, memory_of, tokens_of
from spavl.align.feed import Feed, Recorded
from spavl.align.pairs import Pair
from spavl.align.plan import Step, TreeOf, groups, steps
from spavl.align.policy import Policy, load_policy
from spavl.align.rows import Finding
from spavl.config.align import AlignSettings
from spavl.config.models import LocalSpec
from spavl.errors import DataError, SettingsError
from spavl.models.device import choose_device, choose_dtype
from spavl.models.identity import Checkpoint, find_checkpoint, local_identity
from spavl.models.layout_score import answer_logprobs
from spavl.watch import Progress, Silent, Watch

TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}
"""Nats a token by which a kept reference may differ from the model, see `cache.recorded`."""


@dataclass(frozen=True, slots=True)
class Place:
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
class Prepared:
    """Ready for the first step."""

    policy: Policy
    pairs: Sequence[Pair]
    """Those that are trained on."""
    feed: Feed
    plan: Sequence[Step]
    recorded: Recorded | None
    """Reference log-probabilities, where they are not computed live."""
    checkup: Checkup
    place: Place
    source: Checkpoint
    identity: str
    """Of the model before training."""


def prepare(pairs: Sequence[Pair], settings: AlignSettings, watch: Watch, *, reference: bool) -> Prepared:
    """All of it. `reference`: the method needs log-probabilities of the model before training.

    Raises DataError for pairs that cannot be trained on, ModelError for a model, SettingsError for a machine.
    """
    place = find_place(settings)
    watch = watch if place.rank == 0 else Silent()
    spec = LocalSpec(
        name="policy",
        path=settings.model,
        revision=settings.revision,
        dtype=place.dtype,
        quantisation=settings.freeze.quantisation,
        device=str(place.device),
    )
    source = find_checkpoint(spec)
    identity = local_identity(spec, source)
    cached = reference and _uses_cache(settings, len(pairs))
    policy = load_policy(
        settings, source, dtype=place.dtype, device=str(place.device), remember=reference and not cached
    )
    with watch.bar("pairs") as told:
        feed, trees, findings = _feed(pairs, settings, policy, told)
    doctor = Doctor(policy, feed, settings, place.device, place.precision, place.dtype == "float32", findings)
    feed.layout = doctor.examine(trees)
    plan = steps(trees, feed.size, settings.batching, settings.optimiser, seed=settings.seed or 0, ranks=place.ranks)
    seconds = doctor.step(plan[0].passes[place.rank][0])
    estimate = expected(policy, feed, plan, settings, place, seconds=seconds, live=reference and not cached)
    checkup = _checkup(policy, feed, doctor, estimate)
    watch.say(checkup.render())
    kept = _recorded(settings, identity, policy, feed, trees, place=place, watch=watch) if cached else None
    return Prepared(policy, feed.pairs, feed, plan, kept, checkup, place, source, identity)


def find_place(settings: AlignSettings) -> Place:
    """The device and number format of this process. Raises SettingsError where several GPUs have no launcher."""
    name = choose_device(settings.machine.device)
    state = PartialState(cpu=name == "cpu")
    if name == "cuda":
        refuse_without_launcher(torch.cuda.device_count(), state.num_processes, sys.argv[1:])
    dtype = choose_dtype(settings.machine.dtype, name)
    precise: Literal["float32", "bfloat16"] = "bfloat16" if dtype == "bfloat16" else "float32"
    return Place(torch.device(state.device), precise, state.process_index, state.num_processes)


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


def _feed(
    pairs: Sequence[Pair], settings: AlignSettings, policy: Policy, told: Progress
) -> tuple[Feed, list[TreeOf], list[Finding]]:
    """The pairs that can be trained on, measured; and what became of the others."""
    found = rows.faults(pairs, policy.family.control_words)
    findings = rows.report(pairs, found, settings.rows.broken)
    rows.refuse(findings, skip_with="align.rows.broken=skip")
    good = [pair for number, pair in enumerate(pairs) if number not in found]
    limit = settings.rows.max_tokens or policy.model.config.get_text_config().max_position_embeddings
    feed, trees = _measured(good, settings, policy, told=told)
    long = [number for number in range(len(good)) if feed.longest(number) > limit]
    if long:
        cut = limit if settings.rows.too_long == "cut" else None
        lost = [number for number in long if cut is None or feed.prompt(number) >= cut]
        if cut:
            short, _ = _measured([pair for n, pair in enumerate(good) if n not in lost], settings, policy, cut)
            lost += [good.index(pair) for n, pair in enumerate(short.pairs) if short.alike(n)]
            ids = tuple(good[number].pair_id for number in long if number not in lost)
            findings += [Finding("warn", f"answers cut to {cut} tokens with all before them", ids)] if ids else []
        level: Literal["refuse", "skip"] = "refuse" if settings.rows.too_long == "refuse" else "skip"
        findings += rows.report(good, dict.fromkeys(lost, "too long"), level)
        rows.refuse(findings, skip_with="align.rows.too_long=skip")
        good = [pair for number, pair in enumerate(good) if number not in set(lost)]
        feed, trees = _measured(good, settings, policy, cut)
    return feed, trees, findings


def _measured(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    policy: Policy,
    limit: int | None = None,
    *,
    told: Progress | None = None,
) -> tuple[Feed, list[TreeOf]]:
    """A feed whose trees are laid once, to know their sizes."""
    if not pairs:
        raise DataError("No pair is left to train on.", try_="mend the pairs, or raise align.rows.max_tokens")
    feed = Feed(
        pairs,
        policy.family,
        layout="separate" if settings.batching.layout == "separate" else "tree",
        blind=settings.blind,
        spoil=settings.loss.spoil if settings.loss.image_conditional else None,
        limit=limit,
        memory=settings.machine.picture_memory << 20,
    )
    trees = group_by(pairs, settings.batching.grouping)
    feed.measure(trees, told)
    return feed, trees


def group_by(pairs: Sequence[Pair], grouping: Literal["picture", "question", "pair"]) -> list[TreeOf]:
    """Numbers of pairs that share a tree."""
    if grouping == "picture":
        return groups([pair.image_key for pair in pairs])
    if grouping == "question":
        return groups([(pair.image_key, pair.question) for pair in pairs])
    return groups(range(len(pairs)))


def _checkup(policy: Policy, feed: Feed, doctor: Doctor, estimate: Estimate) -> Checkup:
    findings = list(doctor.findings)
    if estimate.free is not None and estimate.memory > estimate.free:
        findings.append(
            Finding(
                "warn",
                f"about {estimate.memory / 2**30:.1f} GiB are needed and {estimate.free / 2**30:.1f} GiB are free",
                try_="a smaller align.batching.token_budget, or align.machine.gradient_checkpointing=true",
            )
        )
    return Checkup(
        pairs=len(feed.pairs),
        pictures=len({pair.image_key for pair in feed.pairs}),
        trained={part: weights.trained for part, weights in policy.counts.items()},
        layout=feed.layout,
        findings=tuple(findings),
        estimate=estimate,
    )


def expected(
    policy: Policy,
    feed: Feed,
    plan: Sequence[Step],
    settings: AlignSettings,
    place: Place,
    *,
    seconds: float,
    live: bool,
) -> Estimate:
    """What the training will take, where a token of a step takes `seconds`; a live reference adds a forward pass."""
    tokens = tokens_of(plan, feed.size)
    return Estimate(
        steps=len(plan),
        tokens=tokens,
        separate_tokens=tokens_of(plan, feed.size_apart),
        memory=memory_of(policy, settings, live=live),
        free=free_memory(place.device),
        hours=seconds * tokens / place.ranks / 3600 * (4 / 3 if live else 1),
    )


def scorer(policy: Policy, feed: Feed, place: Place) -> Scorer:
    """Scores trees with the policy as it is now; a reference only while it is untrained."""

    def score(trees: Sequence[TreeOf]) -> dict[str, np.ndarray]:
        batch, keys = feed.batch(trees)
        with torch.no_grad(), place.precision():
            scores = answer_logprobs(policy.model, batch.to(place.device), policy.family)
        parts = scores.logprobs.float().cpu().split(scores.lengths.tolist())
        return {key: part.numpy() for key, part in zip(keys, parts, strict=True)}

    return score


def _recorded(
    settings: AlignSettings,
    identity: str,
    policy: Policy,
    feed: Feed,
    trees: Sequence[TreeOf],
    *,
    place: Place,
    watch: Watch,
) -> Recorded:
    """Each rank computes its share of what is missing; all read the whole."""
    cut = f"-cut{feed.limit}" if feed.limit else ""
    cache = ReferenceCache(Path(settings.reference.cache), identity + cut)
    with watch.bar("reference") as progress:
        kept = recorded(
            cache,
            feed,
            trees[place.rank :: place.ranks],
            scorer(policy, feed, place),
            budget=settings.batching.token_budget,
            tolerance=TOLERANCE[place.dtype],
            progress=progress,
        )
    if place.ranks > 1:
        PartialState().wait_for_everyone()
        kept = cache.read()
    return kept
