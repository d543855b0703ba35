"""What the page of a study shows: plain data, of which pages, Markdown and JSON are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spavl.statistics.intervals import Rate
from spavl.statistics.paired import Better

Verdict = Literal["confirmed", "refuted", "not shown"]
"""What a study says of a claim."""
Tone = Literal["better", "worse", "same"]
"""Whether a difference is shown, and which way it points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimShown:
    """A claim, and what the study says of it."""

    claim: str
    """The claim, a sentence."""
    verdict: Verdict
    """Whether it holds here."""
    sentence: str
    """What was found, with its interval."""
    difference: float | None = None
    """The difference that decides it, from -1 to 1; None where nothing could be compared."""
    low: float = -1.0
    """Its lower bound."""
    high: float = 1.0
    """Its upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeShown:
    """A difference of an arm from the one that it is compared with, over the same items and seeds."""

    difference: float
    """Of the rates, from -1 to 1."""
    low: float
    """Lower bound of its interval."""
    high: float
    """Upper bound."""
    p: float
    """Corrected for all comparisons of the study."""
    tone: Tone
    """Whether the difference is shown, and which way it points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmShown:
    """An arm in one measure."""

    label: str
    """Name of the arm."""
    rate: Rate
    """Over all seeds and items, with an interval that carries both."""
    seeds: tuple[float | None, ...] = ()
    """The rate of every seed."""
    value: float | None = None
    """Its place on the axis of the study."""
    change: ChangeShown | None = None
    """From the arm that it is compared with; None of that arm itself."""
    is_base: bool = False
    """Whether it is a model before training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawShown:
    """A fitted curve."""

    curve: tuple[tuple[float, float, float, float], ...]
    """(place on the axis, value, lower bound, upper bound), in order."""
    knee: tuple[float, float, float] | None
    """(place, lower bound, upper bound); None where it cannot be told."""
    sentences: tuple[str, ...]
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureShown:
    """One metric over all arms."""

    label: str
    """What is counted."""
    benchmark: str
    """Its benchmark."""
    axis: str
    """What it measures."""
    better: Better
    """Direction of an improvement."""
    subset: str
    """Of which items: `all`, or those of seen or held-out subcategories."""
    items: int
    """Items of every training."""
    arms: tuple[ArmShown, ...]
    """In the order of the study, models before training first."""
    against: str = ""
    """The arm that the others are compared with; empty: none is."""
    graded: bool = False
    """Whether it is a mean of scores, and no share."""
    law: LawShown | None = None
    """The fitted curve, where arms have places on an axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutShown:
    """A group of subcategories that was left out of training."""

    label: str
    """Name of the group."""
    base: Rate | None
    """Rate of the model before training on its items; None where it is not known."""
    trained: Rate
    """Rate after training on all groups."""
    left_out: Rate
    """Rate after training without it."""
    difference: float | None
    """Left out minus trained, from -1 to 1; None where no verdicts could be compared."""
    low: float
    """Lower bound."""
    high: float
    """Upper bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferShown:
    """One metric over groups that were left out of training in turn."""

    label: str
    """What is counted."""
    benchmark: str
    """Its benchmark."""
    better: Better
    """Direction of an improvement."""
    groups: tuple[LeftOutShown, ...]
    """The groups."""
    sentences: tuple[str, ...]
    """What it says over all groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftOfModel:
    """One model over the dates of the items."""

    label: str
    """Name of the model."""
    rates: tuple[Rate | None, ...]
    """Its rate in every period; None where it was asked nothing of it."""
    sentence: str
    """Whether newer items fare otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftShown:
    """One metric by the date on which items joined their benchmark."""

    label: str
    """What is counted."""
    benchmark: str
    """Its benchmark."""
    axis: str
    """What it measures."""
    better: Better
    """Direction of an improvement."""
    periods: tuple[str, ...]
    """Periods, oldest first."""
    items: tuple[int, ...]
    """Items of every period."""
    models: tuple[DriftOfModel, ...]
    """The models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingShown:
    """A training of the study."""

    label: str
    """Name of its arm."""
    seed: int
    """Its seed."""
    pairs: int
    """Pairs that it was trained on."""
    seconds: float | None
    """How long it took; None where that is not known."""
    reused: bool
    """Whether it had been made before."""
    id: str
    """First letters of its record's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyShown:
    """A page."""

    title: str
    """Heading."""
    kind: str
    """Kind of the study."""
    question: str
    """What it asks, a sentence."""
    lead: str
    """What it found, in a sentence."""
    axis_label: str = ""
    """What the places of arms are, such as `pairs`; empty where they have none."""
    claims: tuple[ClaimShown, ...] = ()
    """Claims that it is about."""
    measures: tuple[MeasureShown, ...] = ()
    """All that was measured, the axis of safety first."""
    transfers: tuple[TransferShown, ...] = ()
    """Metrics over groups that were left out, where the study is about that."""
    drifts: tuple[DriftShown, ...] = ()
    """Metrics by the date of the items, where the study is about that."""
    trainings: tuple[TrainingShown, ...] = ()
    """All trainings."""
    failures: tuple[tuple[str, str], ...] = ()
    """(arm and seed, why) of trainings that failed."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else is to be known, by name."""
    settings: str = ""
    """Settings of the study, as YAML."""
    level: float = 0.95
    """Confidence level of every interval."""
