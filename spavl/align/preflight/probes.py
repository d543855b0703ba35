"""What the preflight has measured of models in this process, so that the next training on one need not run it again.

A study trains one model again and again, on other pairs or with other losses. That trees give the numbers of separate
sequences, that nothing is random, and what a pass costs are properties of the model, its device and what is trained of
it; how the texts are read is looked at on every training's own rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from spavl.align.data.validate import Finding
from spavl.align.preflight.memory import ForwardCost
from spavl.config.align import AlignSettings
from spavl.models.trees.batch import Packing


@final
@dataclass(frozen=True, slots=True)
class Shape:
    """How large trees are on which a model was run."""

    pairs: int
    """Most pairs of a tree."""
    tokens: int
    """Most tokens of a tree."""
    pictures: frozenset[int]
    """Numbers of pictures that they show."""

    def covers(self, other: Shape) -> bool:
        """Whether trees like these show all that trees like others would.

        Args:
            other: of the other trees.
        """
        return self.pairs >= other.pairs and self.tokens >= other.tokens and self.pictures >= other.pictures


@final
@dataclass(frozen=True, slots=True)
class CheckedModel:
    """What running a model on trees has shown."""

    shape: Shape
    """Of the trees."""
    packing: Packing
    """How sequences are packed."""
    findings: tuple[Finding, ...]
    """What was found."""


@final
@dataclass(frozen=True, slots=True)
class MeasuredPass:
    """What a forward and a backward pass cost, and what they have shown."""

    forward: ForwardCost
    """What the forward pass keeps."""
    seconds: float
    """For each token of both passes."""
    findings: tuple[Finding, ...]
    """What was found."""


@final
class Probes:
    """What was measured, by model and by all of the settings that it depends on."""

    def __init__(self) -> None:
        self._checked: dict[str, list[CheckedModel]] = {}
        self.passes: dict[str, MeasuredPass] = {}
        """Measured passes, by `probe_key`, packing, and whether they and any pairs show a picture."""

    def find(self, key: str, shape: Shape) -> CheckedModel | None:
        """What running the model on trees at least as large has shown; None where it has not been run on such.

        Args:
            key: from `probe_key`; empty: nothing is known.
            shape: of the trees on which it would be run.
        """
        return next((one for one in self._checked.get(key, ()) if one.shape.covers(shape)), None)

    def keep(self, key: str, checked: CheckedModel) -> None:
        """Keep what running a model has shown.

        Args:
            key: from `probe_key`; empty: it is not kept.
            checked: what it has shown.
        """
        if key:
            self._checked.setdefault(key, []).append(checked)

    def forget(self) -> None:
        """Keep nothing of what was measured so far."""
        self._checked.clear()
        self.passes.clear()


PROBED = Probes()
"""What was measured in this process."""


def probe_key(identity: str, settings: AlignSettings, device: str) -> str:
    """All that a model's numbers, and what a pass costs, depend on beside the pairs.

    Args:
        identity: of the model, its number format in it.
        settings: of the training.
        device: where it runs.
    """
    form = {
        "freeze": settings.freeze.model_dump(),
        "batching": {"packing": settings.batching.packing, "grouping": settings.batching.grouping},
        "corruption": settings.loss.corruption if settings.loss.image_conditional else None,
        "thought": settings.data.thought,
        "checkpointing": settings.machine.gradient_checkpointing,
    }
    return json.dumps([identity, device, settings.method, settings.blind, form], sort_keys=True)


def shape_of(trees: Iterable[tuple[int, int, int]]) -> Shape:
    """How large trees are.

    Args:
        trees: pairs, tokens and pictures of each; at least one.
    """
    pairs, tokens, pictures = zip(*trees, strict=True)
    return Shape(max(pairs), max(tokens), frozenset(pictures))
