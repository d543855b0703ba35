"""What a study compares: its arms, each a choice of pairs and overrides of the training's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spavl.config.study import DatasetChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPairs:
    """Which pairs an arm is trained on.

    A seed draws them, so that subcategories, types of questions and harmless pairs keep their shares; a smaller number
    is always inside a larger one.
    """

    size: int | None = None
    """How many; None: all that fit."""
    dataset: DatasetChoice | None = None
    """Which dataset; None: the study's."""
    responders: tuple[str, ...] = ()
    """Names of responders that both answers are of; empty: any."""
    question_type: str | None = None
    """Type of the question; None: any."""
    without: tuple[str, ...] = ()
    """Subcategories of which there are none; empty: any."""
    benign_share: float | None = None
    """Share of the pairs that are about harmless pictures; None: as in the dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One of the things that a study compares."""

    name: str
    """Names the arm in tables and files; unique in the study."""
    label: str
    """Its name for readers, such as `10,000 pairs`."""
    what: str
    """What it is, in a phrase."""
    value: float | None = None
    """Its place on the study's axis, such as its number of pairs; None where arms have no order."""
    pairs: ArmPairs = field(default_factory=ArmPairs)
    """What it is trained on."""
    align: Mapping[str, Any] = field(default_factory=dict)
    """Overrides of the align settings, nested."""
    reward: Mapping[str, Any] = field(default_factory=dict)
    """With `method: ppo`: overrides of the align settings for the reward model that is trained first, nested."""
