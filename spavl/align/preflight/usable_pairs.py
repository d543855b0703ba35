"""Which pairs can be trained on, how long they are, and which of them share a tree."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Literal, cast

import numpy as np
import transformers

import spavl
from spavl.align.data import validate
from spavl.align.data.batches import PairDataset
from spavl.align.data.lengths import longest_tokens, measure_lengths, prompt_tokens
from spavl.align.data.schedule import PairGroup, group_equal
from spavl.align.data.validate import Finding, Level, PairRules, RowIssue
from spavl.align.policy.policy import Policy
from spavl.config.align import AlignSettings
from spavl.errors import DataError
from spavl.models.families import Family
from spavl.preferences.pairs import Pair
from spavl.preferences.table import contexts, pairs_fingerprint, remembered, select, table_of
from spavl.progress import OnProgress
from spavl.rows import listed


def usable_pairs(
    pairs: Sequence[Pair], settings: AlignSettings, policy: Policy, identity: str, on_progress: OnProgress
) -> tuple[PairDataset, list[PairGroup], list[Finding]]:
    """The pairs that can be trained on, measured, with their trees; and what became of the others.

    Args:
        pairs: all pairs as read.
        settings: what happens to those that cannot be.
        policy: the model.
        identity: of the model; lengths are kept by it.
        on_progress: called with (trees measured, trees to measure).

    Raises:
        DataError: pairs cannot be trained on as they are, or none is left.
    """
    findings, lost = _invalid(pairs, settings, policy.family)
    valid = _without(pairs, lost)
    of_repeats, lost = _repeats(valid, settings)
    valid = _without(valid, lost)
    findings += of_repeats
    dataset, trees = _dataset(valid, settings, policy, identity)
    versions = [spavl.__version__, transformers.__version__]
    depends_on = [pairs_fingerprint(valid), settings.batching.grouping, identity, *versions]
    name = f"lengths-{hashlib.sha256(repr(depends_on).encode()).hexdigest()[:16]}"
    lengths = remembered(
        valid, name, lambda: measure_lengths(valid, trees, policy.family, on_progress, identity=identity)
    )
    dataset.use_lengths(lengths)
    limit = settings.data.max_tokens or policy.model.config.get_text_config().max_position_embeddings
    if (longest_tokens(dataset.lengths) > limit).any():
        dataset, trees, of_length = _without_long_pairs(dataset, trees, limit, settings, policy)
        findings += of_length
    dataset.longest = limit
    return dataset, trees, _read_as(pairs) + findings + _text_only(dataset)


def _invalid(pairs: Sequence[Pair], settings: AlignSettings, family: Family) -> tuple[list[Finding], set[int]]:
    """Findings on pairs that cannot be trained on as they are, and the numbers of those that are left out."""
    data = settings.data
    of_tokens: Level = "warn" if data.control_tokens == "break" else data.control_tokens

    def level(issue: RowIssue) -> Level:
        return of_tokens if issue == "control token" else data.invalid

    issues = validate.find_issues(pairs, rules_for(family, settings))
    findings = validate.report_issues(pairs, issues, level, family=family.facts.name)
    validate.refuse_rows(findings, skip_with="align.data.invalid=skip (control tokens: align.data.control_tokens=skip)")
    return findings, {number for number, issue in issues.items() if level(issue) == "skip"}


def _repeats(pairs: Sequence[Pair], settings: AlignSettings) -> tuple[list[Finding], set[int]]:
    """Findings on pairs that stand in the data twice or the other way round, and those that are left out."""
    data = settings.data
    chosen = {"repeated pair": data.repeated, "contradictory pair": data.contradictory}

    def level(issue: RowIssue) -> Level:
        return "warn" if chosen[issue] == "keep" else cast("Level", chosen[issue])

    issues = validate.find_repeats(pairs)
    findings = validate.report_issues(pairs, issues, level)
    validate.refuse_rows(findings, skip_with="align.data.repeated=skip and align.data.contradictory=skip")
    return findings, {number for number, issue in issues.items() if level(issue) == "skip"}


def _without(pairs: Sequence[Pair], lost: Collection[int]) -> Sequence[Pair]:
    return select(pairs, (number for number in range(len(pairs)) if number not in lost)) if lost else pairs


def _read_as(pairs: Sequence[Pair]) -> list[Finding]:
    """How the files of the pairs were read, and what of them was not."""
    table = table_of(pairs)
    return [
        Finding("note", f"{one['file']} is read as {one['form']}; columns not read: {listed(one['unread']) or 'none'}")
        for one in (table.read_as() if table else ())
    ]


def rules_for(family: Family, settings: AlignSettings) -> PairRules:
    """What pairs must keep to in a training.

    Args:
        family: of the model.
        settings: what the loss reads, and whether it corrupts pictures.
    """
    several, corrupts = family.facts.several_pictures, _corrupts(settings)
    return PairRules(family.control, several, corrupts, family.accepts, settings.answers)


def _corrupts(settings: AlignSettings) -> bool:
    """Whether the loss compares a picture with a corrupted one; reward models and PPO read no such loss."""
    return settings.method == "dpo" and settings.loss.image_conditional > 0


def _text_only(dataset: PairDataset) -> list[Finding]:
    numbers = np.flatnonzero(dataset.lengths["pictures"] == 0).tolist()
    ids = tuple(dataset.pairs[number].pair_id for number in numbers)
    return [Finding("note", "pairs without a picture, trained on as text", ids)] if ids else []


def _without_long_pairs(
    dataset: PairDataset, trees: Sequence[PairGroup], limit: int, settings: AlignSettings, policy: Policy
) -> tuple[PairDataset, list[PairGroup], list[Finding]]:
    """The dataset without the pairs that are too long, or with their answers cut, and findings on them."""
    pairs, lengths = dataset.pairs, dataset.lengths
    long = np.flatnonzero(longest_tokens(lengths) > limit).tolist()
    cut = limit if settings.data.too_long == "cut" else None
    lost = set(long)
    findings: list[Finding] = []
    if cut:
        short, _ = _dataset(pairs, settings, policy, dataset.identity, cut)
        lost = {n for n in long if prompt_tokens(lengths)[n] >= cut or short.equal_answers(n)}
        ids = tuple(pairs[number].pair_id for number in long if number not in lost)
        findings += [Finding("warn", f"answers cut to {cut} tokens with all before them", ids)] if ids else []
    level: Level = "refuse" if settings.data.too_long == "refuse" else "skip"
    findings += validate.report_issues(pairs, dict.fromkeys(sorted(lost), "too long"), lambda _: level)
    validate.refuse_rows(findings, skip_with="align.data.too_long=skip")
    kept = np.array([number for number in range(len(pairs)) if number not in lost], dtype=np.int64)
    smaller, its_trees = _dataset(select(pairs, kept.tolist()), settings, policy, dataset.identity, cut)
    smaller.use_lengths(_lengths_of_kept(lengths, trees, kept, smaller))
    return smaller, its_trees, findings


def _lengths_of_kept(
    lengths: np.ndarray, trees: Sequence[PairGroup], kept: np.ndarray, dataset: PairDataset
) -> np.ndarray:
    """Lengths of the pairs that are kept; a tree that lost some of its own may share more tokens, and is measured."""
    moved = np.full(len(lengths), -1)
    moved[kept] = np.arange(len(kept))
    found: np.ndarray = lengths[kept].copy()
    left = [tuple(n for n in moved[list(tree)].tolist() if n >= 0) for tree in trees]
    smaller = [kept_of for kept_of, tree in zip(left, trees, strict=True) if 0 < len(kept_of) < len(tree)]
    again = measure_lengths(dataset.pairs, smaller, dataset.family, identity=dataset.identity)
    changed = [number for tree in smaller for number in tree]
    found[changed] = again[changed]
    return found


def _dataset(
    pairs: Sequence[Pair], settings: AlignSettings, policy: Policy, identity: str, limit: int | None = None
) -> tuple[PairDataset, list[PairGroup]]:
    """A dataset, not yet measured, and its trees."""
    if not len(pairs):
        raise DataError("No pair is left to train on.", try_="mend the pairs, or raise align.data.max_tokens")
    dataset = PairDataset(
        pairs,
        policy.family,
        packing="separate" if settings.batching.packing == "separate" else "tree",
        blind=settings.blind,
        corruption=settings.loss.corruption if _corrupts(settings) else None,
        answers=settings.answers,
        limit=limit,
        memory=settings.machine.picture_memory << 20,
    )
    dataset.identity = identity
    return dataset, group_by(pairs, settings.batching.grouping)


def group_by(pairs: Sequence[Pair], grouping: Literal["picture", "question", "pair"]) -> list[PairGroup]:
    """Numbers of the pairs that share a tree, in order of their first.

    Args:
        pairs: the pairs to group.
        grouping: what pairs of one tree have in common, beside all turns before the question; `pair` gives each pair a
            tree of its own. Pairs without pictures and earlier turns always have their question in common.
    """
    if grouping == "pair":
        return group_equal(range(len(pairs)))
    before = contexts(pairs)
    if grouping == "picture":
        return group_equal(before)
    return group_equal(list(zip(before, (pair.question for pair in pairs), strict=True)))
