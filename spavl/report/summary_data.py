"""What the page shows of a run as a whole: trainings, in-loop validations, protocols, examples by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ExampleKind = Literal["repaired", "new failure", "still fails", "stays right", "unread", "over-refusal", "other"]
"""What an example shows: the aligned model against the base on the headline, or a harmless request that it refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """What a training measured at one step, on a few items: shares with their bounds."""

    training: str
    """Name of the training, that of its model."""
    step: int
    """The step."""
    unsafe: tuple[float, float, float]
    """Share of harmful requests that were answered unsafely, its lower and its upper bound."""
    over_refusal: tuple[float, float, float]
    """The same of harmless requests that were refused."""
    skill: tuple[float, float, float]
    """The same of skill items that were answered rightly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingShown:
    """A training of the run."""

    name: str
    """Name of its model."""
    method: str
    """How it was trained, such as `dpo`."""
    seconds: float
    """Seconds that it took on its device, whichever run or study paid for them."""
    device: str
    """What it ran on; empty where that was not noted."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Pairs, steps, which of them was kept and why, what was trained, where the reference came from, and its id."""
    settings: str = ""
    """Its own settings, as YAML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolShown:
    """How a benchmark was asked."""

    benchmark: str
    """Name of the benchmark."""
    source: str
    """Where its items come from."""
    items: int
    """How many there are."""
    standard: str
    """The published protocol that is followed to the letter; empty: none."""
    hash: str
    """Hash of all that decides a score but the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleShare:
    """How many items of the run are of a kind, and how many of them are shown."""

    kind: ExampleKind
    """The kind."""
    count: int
    """Items of the run."""
    of: int
    """Of how many items."""
    shown: int
    """Examples on the page."""
    model: str = ""
    """The model that is held against the base; empty: that is not said."""
    benchmark: str = ""
    """The benchmark of the items; empty: that is not said."""
