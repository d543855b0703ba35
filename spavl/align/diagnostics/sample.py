"""The fixed pairs that a training measures itself on: with their own pictures, with grey ones, with those of others."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

from spavl.align.data.batches import PairDataset
from spavl.align.data.pixels import PixelCache
from spavl.align.data.views import load_in_view, swap_pictures
from spavl.align.preflight.prepare import PreparedTraining
from spavl.align.preflight.usable_pairs import group_by
from spavl.align.validation.held_out import HeldOutPairs, cut_passes
from spavl.config.align import AlignSettings
from spavl.preferences.pairs import Pair
from spavl.preferences.table import select

Shown = Literal["own", "blank", "swapped"]
"""What the pairs show: their own pictures, also where training blanks them; one grey; the pictures of other pairs."""

LEAST: Final = 20
"""Fewest pairs of which anything is told; fewer are not measured."""
PASSES: Final = 16
"""No more pairs are measured than one in so many that are trained on, each counted as often as it is seen."""


@final
@dataclass(frozen=True, eq=False)
class DiagnosticSample:
    """The pairs that are measured."""

    views: Mapping[Shown, HeldOutPairs]
    """They, by what they show; pairs without a picture are the same in all."""
    clusters: tuple[str, ...]
    """What pairs share that are not independent: their pictures, or their question."""
    with_picture: tuple[bool, ...]
    """Which of them have a picture."""
    as_trained: Shown
    """What training shows."""
    held_out: bool
    """Whether they are held out of training."""
    trained: HeldOutPairs | None
    """Pairs that are trained on, where the others are held out."""
    trained_clusters: tuple[str, ...] = ()
    """Clusters of these."""

    def __len__(self) -> int:
        return len(self.clusters)


def draw_sample(
    settings: AlignSettings, prepared: PreparedTraining, held_out: HeldOutPairs | None
) -> DiagnosticSample | None:
    """Pairs at random, and always the same ones; None where nothing is to be measured, or too few could be.

    Args:
        settings: how many; the seed decides which.
        prepared: the training.
        held_out: its held-out pairs, which are taken where there are enough.
    """
    passes = sum(step.pairs for step in prepared.schedule)
    wanted = min(settings.diagnostics.pairs or 0, passes // PASSES)
    if min(wanted, len(prepared.pairs)) < LEAST:
        return None
    if held_out is not None and len(held_out) < LEAST:
        held_out = None
    pairs = _some(prepared.pairs if held_out is None else held_out.dataset.pairs, wanted, settings)
    trained = None if held_out is None else _some(prepared.pairs, wanted, settings)
    swapped = swap_pictures(pairs, settings.seed or 0)
    pictures = PixelCache(prepared.dataset.family, settings.machine.picture_memory << 20, load_in_view)
    return DiagnosticSample(
        views={
            "own": _passes(pairs, settings, prepared, pictures),
            "blank": _passes(pairs, settings, prepared, pictures, blind=True),
            "swapped": _passes(swapped, settings, prepared, pictures),
        },
        clusters=_clusters(pairs),
        with_picture=tuple(bool(pair.all_pictures) for pair in pairs),
        as_trained="blank" if settings.blind else "own",
        held_out=held_out is not None,
        trained=None if trained is None else _passes(trained, settings, prepared, pictures),
        trained_clusters=() if trained is None else _clusters(trained),
    )


def _some(pairs: Sequence[Pair], wanted: int, settings: AlignSettings) -> list[Pair]:
    chosen = random.Random(f"{settings.seed or 0}/diagnostics").sample(range(len(pairs)), min(wanted, len(pairs)))
    return list(select(pairs, sorted(chosen)))


def _clusters(pairs: Sequence[Pair]) -> tuple[str, ...]:
    return tuple(min((picture.key for picture in pair.all_pictures), default=pair.context) for pair in pairs)


def _passes(
    pairs: Sequence[Pair],
    settings: AlignSettings,
    prepared: PreparedTraining,
    pictures: PixelCache,
    *,
    blind: bool = False,
) -> HeldOutPairs:
    """The pairs cut into forward passes, as the training cuts its own; all views of them share their pictures."""
    whole = prepared.dataset
    dataset = PairDataset(pairs, whole.family, packing=whole.packing, blind=blind, limit=whole.limit)
    dataset.identity, dataset.pixel_cache = whole.identity, pictures
    trees = group_by(pairs, settings.batching.grouping)
    dataset.measure(trees)
    context = prepared.context
    return HeldOutPairs(dataset, cut_passes(dataset, trees, settings), None, context.rank, context.ranks)
