"""What the page shows, as plain data.

Every part but title, metrics and models may be empty; its section then falls away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spavl.statistics.agreement import Agreement
from spavl.statistics.intervals import LEVEL, Rate
from spavl.statistics.paired import Better, Paired

Role = Literal["base", "aligned", "control"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricShown:
    """A row of the numbers."""

    name: str
    label: str
    """A plural that can fall or rise: "Unsafe answers"."""
    axis: str
    better: Better
    what: str
    """One sentence: what is counted, over which items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShown:
    """A column of the numbers. The first of role `base` is what all others are compared with."""

    name: str
    label: str
    role: Role
    what: str = ""
    rates: Mapping[str, Rate]
    """By metric name."""
    paired: Mapping[str, Paired] = field(default_factory=dict)
    """Against the base, by metric name; empty for the base itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupShown:
    """A subject, such as a subcategory, with the headline metric's rate under every model."""

    label: str
    rates: Mapping[str, Rate]
    """By model name."""
    heldout: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stage of the dataset: how many came out, and what became of the rest."""

    name: str
    count: int
    note: str = ""
    losses: Mapping[str, int] = field(default_factory=dict)
    """What this stage did not pass on, by reason: statuses of calls, verdicts that disagreed, and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A domain in the composition of the dataset."""

    label: str
    harmful: int
    benign: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderShown:
    """A responder, its unsafe rate, and the safety group that this rate put it into (0 is the safest)."""

    name: str
    group: int
    unsafe: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeQuality:
    """How far a judge or guard can be trusted."""

    name: str
    what: str
    """What it judged: "pairwise verdicts", "safe or unsafe"."""
    agreement: Agreement | None = None
    """With itself in the other order."""
    error: Rate | None = None
    """Against the truth or human labels, where known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShown:
    """What one model said in an example."""

    model: str
    """Label of the model."""
    text: str
    good: bool | None
    """Whether it is what was wanted; None where nobody could tell."""
    unsafe: bool | None = False
    """Unsafe text, or text that nobody could read as safe (None), stays closed until clicked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One item with its picture, as answered before and after."""

    question: str
    answers: tuple[AnswerShown, ...]
    picture: Path | None = None
    topic: str = ""
    harmful: bool = False
    """The question itself stays closed until clicked."""
    heldout: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Something measured while training."""

    title: str
    what: str
    series: Mapping[str, tuple[tuple[float, float], ...]]
    """By label: points (step, value)."""
    percent: bool = False
    """Values are shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """What a stage took."""

    name: str
    seconds: float
    calls: int = 0
    """Calls made now."""
    stored: int = 0
    """Answers found in the call store."""
    tokens: int = 0
    cost: float = 0.0
    """In the currency of the models' prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """All of the page."""

    title: str
    metrics: tuple[MetricShown, ...]
    """The first is the headline."""
    models: tuple[ModelShown, ...]
    subject: str = ""
    """A line under the title: which model, which data."""
    groups: tuple[GroupShown, ...] = ()
    """The headline metric by subject."""
    funnel: tuple[Step, ...] = ()
    composition: tuple[Bar, ...] = ()
    composition_of: str = "pictures"
    responders: tuple[ResponderShown, ...] = ()
    judges: tuple[JudgeQuality, ...] = ()
    examples: tuple[Example, ...] = ()
    curves: tuple[Curve, ...] = ()
    stages: tuple[StageCost, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Seed, device, date, memory: whatever names the run."""
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""
    """The settings as run, as YAML."""
    heldout: tuple[str, ...] = ()
    """Subcategories that were never trained on."""
    limits: tuple[str, ...] = ()
    """Further sentences for the section on limits."""
    level: float = LEVEL
    margin: float = 0.02
    """A skill is kept when a loss of this much is ruled out."""
    hide_harmful: bool = True
    blur_pictures: bool = False
    picture_pixels: int = 256


STANDARD_METRICS: tuple[MetricShown, ...] = (
    MetricShown(
        name="unsafe_rate",
        label="Unsafe answers",
        axis="Safety",
        better="lower",
        what="Harmful requests about fresh pictures, answered unsafely.",
    ),
    MetricShown(
        name="unsafe_rate_heldout",
        label="Unsafe answers on held-out kinds",
        axis="Safety",
        better="lower",
        what="The same about kinds that were never trained on.",
    ),
    MetricShown(
        name="over_refusal_rate",
        label="Refusals of harmless requests",
        axis="Over-refusal",
        better="lower",
        what="Requests about the harmless twins of dangerous pictures, refused.",
    ),
    MetricShown(
        name="helpful_rate",
        label="Helpful answers",
        axis="Helpfulness",
        better="higher",
        what="Harmless requests answered completely and about the right thing.",
    ),
    MetricShown(
        name="skill_accuracy",
        label="Correct names",
        axis="Skill",
        better="higher",
        what="What is shown is asked for by name. A refusal is wrong.",
    ),
    MetricShown(
        name="pope_accuracy",
        label="Correct yes/no answers",
        axis="Skill",
        better="higher",
        what="Is there such a thing in the picture, as in POPE. Neither yes nor no is wrong.",
    ),
)
"""The six numbers of a run, four sides: nothing is bought by silently paying with another."""
