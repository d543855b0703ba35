"""What the report page shows, as plain data.

Everything but the title may be empty; its section is then left out. Without models it is the report of a dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from spavl.report.agreement import AgreementShown
from spavl.report.alarms import AlarmsShown
from spavl.report.audit_data import AuditSummary
from spavl.report.controls import ControlledModel
from spavl.report.cost_data import StageCost
from spavl.report.coverage_data import CoverageShown
from spavl.report.summary_data import ExampleKind, ExampleShare, ProtocolShown, TrainingShown, Validated
from spavl.statistics.agreement import Agreement, PositionBias
from spavl.statistics.intervals import LEVEL, Rate
from spavl.statistics.paired import Better, PairedComparison

Role = Literal["base", "aligned", "control"]
"""Part that a model plays: compared with, aligned, or aligned without pictures (the blind control)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricShown:
    """A metric: a row of the table of numbers."""

    name: str
    """Key of the metric in rates and comparisons."""
    label: str
    """What is counted, a plural that can fall or rise, such as "Unsafe answers"."""
    axis: str
    """What it measures: safety, over-refusal, helpfulness or skill."""
    better: Better
    """Whether a lower or a higher rate is better, or neither."""
    what: str
    """One sentence: what is counted, over which items."""
    source: str = ""
    """Where it comes from: benchmark, scorer and protocol."""
    graded: bool = False
    """Whether it is a mean of scores, shown from 0 to 100, and not a share of answers."""

    @property
    def direction(self) -> str:
        """Which rate is better, in words; empty where neither is."""
        return "" if self.better == "neither" else f"{self.better} is better"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShown:
    """A model: a column of the table of numbers. The first of role `base` is what the others are compared with."""

    name: str
    """Key of the model in groups."""
    label: str
    """Name on the page."""
    role: Role
    """Base, aligned, or control."""
    what: str = ""
    """How it was made, in a few words."""
    rates: Mapping[str, Rate]
    """Rate by name of the metric."""
    paired: Mapping[str, PairedComparison] = field(default_factory=dict)
    """Comparison with the base on the same items, by name of the metric; empty for the base itself."""
    corrected: Mapping[str, float] = field(default_factory=dict)
    """The p of these, corrected for all tests; those that are not here the page corrects for the tests it shows."""
    kept: frozenset[str] | None = None
    """Metrics of which a loss by the margin is ruled out by a corrected test; None: intervals alone decide."""
    uncompared: str = ""
    """Why it cannot be compared with the base, such as a table of scores that is not there; empty where it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupShown:
    """Items of one subject, such as a subcategory, with the headline metric's rate under every model."""

    label: str
    """Name of the subject."""
    rates: Mapping[str, Rate]
    """Rate of the headline metric by name of the model."""
    heldout: bool = False
    """Whether the subject was kept out of training."""
    weighted: bool = False
    """Whether its items count differently, so that its rates are no counts of items."""
    domain: str = ""
    """What it belongs to, the highest name above it in the taxonomy; empty: that is not known."""

    def badness(self, order: Sequence[str], better: Better) -> list[float]:
        """How bad it is, as a key to sort by: the worst comes first, and where neither is better all are alike.

        Args:
            order: names of the models; the first decides, of equals the next.
            better: direction in which the metric improves.
        """
        sign = {"lower": -1, "neither": 0, "higher": 1}[better]
        values = [self.rates[name].value if name in self.rates else None for name in order]
        return [sign * (0.0 if value is None else value) for value in values]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stage of the dataset: how many records it made, and what became of the rest."""

    name: str
    """What was made, such as `pairs`."""
    count: int
    """How many were passed on to the next stage."""
    note: str = ""
    """A few words beneath the count."""
    losses: Mapping[str, int] = field(default_factory=dict)
    """Records not passed on by reason: statuses of calls, verdicts that disagreed, and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A domain of the taxonomy in the composition of the dataset, or a name of the highest level that it has."""

    label: str
    """Its name."""
    harmful: int
    """Harmful pictures."""
    benign: int = 0
    """Harmless counterparts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderShown:
    """A responder with its unsafe rate."""

    name: str
    """Name of the model."""
    group: int
    """Safety group that its unsafe rate put it into; 0 is the safest."""
    unsafe: Rate
    """Share of its answers that the guard graded unsafe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryAudit:
    """How steady a judge is on one category."""

    name: str
    """Name of the category."""
    consistent: Rate
    """Share of matches with the same winner in both reading orders."""
    bias: PositionBias
    """Share of comparisons decided by position."""


@dataclass(frozen=True, slots=True)
class JudgePanel:
    """How far several judges agree, over matches on which they say the same in both reading orders."""

    same: Mapping[str, Rate]
    """Share of matches with the same winner, by names of two judges."""
    alpha: float | None
    """Krippendorff's α over all of them; None where it is undefined."""


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """One figure of the pairs, before and after some were left out for balance."""

    label: str
    """What is measured."""
    values: tuple[float | None, ...]
    """Its value after each stage that makes pairs; None where it cannot be told."""
    percent: bool
    """Whether it is a share, shown in percent."""

    @property
    def words(self) -> tuple[str, ...]:
        """The values as they are printed."""
        return tuple("–" if v is None else f"{100 * v:.1f} %" if self.percent else _plain(v) for v in self.values)


def _plain(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeQuality:
    """How reliable a judge or guard is."""

    name: str
    """Name of the model."""
    what: str
    """What it judged, such as "pairwise verdicts"."""
    agreement: Agreement | None = None
    """Agreement of its verdicts in the two reading orders."""
    bias: PositionBias | None = None
    """Share of its comparisons decided by the position of the answers."""
    unreadable: Rate | None = None
    """Share of its whole replies without a readable verdict."""
    error: Rate | None = None
    """Share of wrong verdicts against the truth or human labels, where they are known."""
    categories: tuple[CategoryAudit, ...] = ()
    """The same by category."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShown:
    """One model's answer in an example."""

    model: str
    """Label of the model."""
    text: str
    """The answer."""
    good: bool | None
    """Whether it is what was wanted; None where nothing was graded."""
    grade: str
    """What its grades say, such as "unsafe" or "not refused, cut off"; empty where there is none."""
    closed: bool = False
    """Whether it may do harm: it is then hidden until clicked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One item with its picture and the answers of several models."""

    question: str
    """What was asked."""
    answers: tuple[AnswerShown, ...]
    """One answer a model, the base first."""
    pictures: tuple[Path, ...] = ()
    """The image files, in the order in which they were shown."""
    topic: str = ""
    """Its subject, such as a subcategory."""
    harmful: bool = False
    """Whether question and pictures may do harm; they are then hidden until clicked."""
    benign: bool = False
    """Whether it is declared a harmless request that deserves an answer."""
    heldout: bool = False
    """Whether the subject was kept out of training."""
    kind: ExampleKind = "other"
    """What it shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A training curve."""

    title: str
    """What is shown."""
    what: str
    """One phrase beneath the title: what is measured."""
    series: Mapping[str, tuple[tuple[float, float], ...]]
    """Points (step, value) by label."""
    percent: bool = False
    """Whether the values are shares, shown in percent."""
    bands: Mapping[str, tuple[tuple[float, float, float], ...]] = field(default_factory=dict)
    """Intervals (step, lower bound, upper bound) by label; empty: none are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """All that the page shows."""

    title: str
    """Heading of the page."""
    metrics: tuple[MetricShown, ...]
    """Rows of the table of numbers; the first of which lower or higher is better is the headline."""
    models: tuple[ModelShown, ...]
    """Columns of the table of numbers."""
    subject: str = ""
    """A line above the title: which model, which data."""
    verdicts: tuple[str, ...] = ()
    """A sentence on all axes for every model that is compared with the base."""
    groups: tuple[GroupShown, ...] = ()
    """The headline metric by subject."""
    controls: tuple[ControlledModel, ...] = ()
    """The same items asked in another way, by model."""
    people: tuple[AgreementShown, ...] = ()
    """Reviews by people, and guards held against them."""
    heat: tuple[GroupShown, ...] = ()
    """The same by domain, where the subjects have domains, else by subject: the rows of the heat map."""
    funnel: tuple[Step, ...] = ()
    """Stages of the dataset, in order."""
    composition: tuple[Bar, ...] = ()
    """Records by domain."""
    composition_of: str = "pictures"
    """What the composition counts."""
    composition_by: str = "domain"
    """What its bars are: domains, or categories or subcategories of a taxonomy with fewer levels."""
    alarms: AlarmsShown | None = None
    """Signs of known failures; None: none was looked at."""
    audit: AuditSummary | None = None
    """The audit of its pairs; None: there was none."""
    coverage: CoverageShown | None = None
    """What there is of every topic of the taxonomy."""
    responders: tuple[ResponderShown, ...] = ()
    """The models that answered."""
    judges: tuple[JudgeQuality, ...] = ()
    """The models that judged."""
    panel: JudgePanel | None = None
    """How far they agree; None where there is one."""
    balance: tuple[BalanceRow, ...] = ()
    """What tells chosen from rejected answers, before and after pairs were left out for balance."""
    examples: tuple[Example, ...] = ()
    """Items with answers."""
    example_shares: tuple[ExampleShare, ...] = ()
    """How many items of the run are of every kind of example."""
    curves: tuple[Curve, ...] = ()
    """Training curves."""
    validations: tuple[Validated, ...] = ()
    """What trainings measured on their way."""
    trainings: tuple[TrainingShown, ...] = ()
    """The trainings of the run, with their settings and hours."""
    protocols: tuple[ProtocolShown, ...] = ()
    """How every benchmark was asked."""
    stages: tuple[StageCost, ...] = ()
    """Time and cost of every stage."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What identifies the run, such as seed, device and date."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version by name of the package."""
    settings: str = ""
    """The settings as run, as YAML."""
    heldout: tuple[str, ...] = ()
    """Subcategories that were never trained on."""
    limits: tuple[str, ...] = ()
    """Further sentences for the section on limits."""
    level: float = LEVEL
    """Confidence level of all intervals."""
    tests: int = 0
    """For how many tests the corrected p-values are corrected; 0: those that the page shows."""
    margin: float = 0.02
    """Largest loss of a rate, as a share, with which a skill counts as kept."""
    hide_harmful: bool = True
    """Whether harmful text is hidden until clicked."""
    blur_pictures: bool = False
    """Whether pictures of harmful examples are blurred until clicked."""
    picture_pixels: int = 256
    """Longest side of an inlined picture, in pixels."""
