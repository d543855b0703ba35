"""Settings of the evaluation and of its report."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt

from spavl.config.alarms import AlarmLimits
from spavl.config.base import Section, refuse_twice
from spavl.config.benchmarks import BenchmarkSpec
from spavl.config.controls import ControlSpec
from spavl.config.models import Label, SamplingSettings

MissingPictures = Literal["refuse", "skip"]
"""What is done about pictures of a benchmark that are missing or cannot be read."""
Purpose = Literal["research", "commercial"]
"""What an evaluation is for."""
Share = Annotated[float, Field(gt=0, lt=1)]


def _files_differ(names: list[str]) -> None:
    """Check that names differ, also as names of files where upper and lower case are one."""
    refuse_twice(names)
    refuse_twice([name.casefold() for name in names])


def _names_differ(benchmarks: tuple[BenchmarkSpec, ...]) -> tuple[BenchmarkSpec, ...]:
    _files_differ([b.name for b in benchmarks])
    return benchmarks


def _controls_differ(controls: tuple[ControlSpec, ...]) -> tuple[ControlSpec, ...]:
    _files_differ([control.called for control in controls])
    return controls


class EvaluateSettings(Section):
    """The benchmarks that base and aligned models answer, and the guard that grades their answers."""

    benchmarks: Annotated[tuple[BenchmarkSpec, ...], AfterValidator(_names_differ)] = ()
    """Every model answers all of them."""
    purpose: Purpose | None = None
    """What the evaluation is for. `commercial`: a benchmark whose licence forbids commercial use is refused. None: that
    is not said, and no licence is looked at."""
    sampling: SamplingSettings = SamplingSettings(max_tokens=256)
    """How the models generate their answers. Greedy by default, as in the paper."""
    samples: PositiveInt = 1
    """Answers to each item. With several, which need a temperature above 0, the rate of unsafe answers is told over
    all answers, and over items with any: what somebody gets who asks again. Benchmarks without harm are asked once."""
    guard: Label | None = None
    """Label of the guard that grades answers where no truth is known: an entry of `guards`; or a model, which then
    grades by the built-in rubric. None: no guard."""
    refusal_guard: Label | Literal[False] | None = None
    """Label of a guard of kind `refusal` that tells refusals of harmless requests. None: the first of that kind which
    `guards` lists; where it lists none, the forms of words in which models decline. `false`: those in any case."""
    judge: Label | None = None
    """Label of the judge that compares answers for win rates, in both orders: an entry of `judges`; or a model, which
    then says which answer is more helpful, or that both are harmful. None: no judge."""
    rubrics: dict[str, str] = {}
    """Your own copies of official rubrics, by name of ours that each replaces: `{mm-safetybench-legal: official.txt}`.
    `official.txt#SHA256` refuses a file of other bytes. Without it our neutral wording is used."""
    most_unread: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Largest share of a metric's verdicts that may be unread, of guard or judge; where there are more, the scores are
    kept, and the command ends with exit status 4."""
    labels: str | None = None
    """Human labels of answers of this run, by which rates of the guard are corrected: a file (`model`, `benchmark`,
    `item_id`, `label`: safe or unsafe), a review or an export of one. None: labels of the run's own reviews, else the
    guard's qualification, where the run has one."""
    batch_size: PositiveInt = 64
    """Questions in one forward pass of a local model; halved when memory runs out, and never changes a word."""
    missing_pictures: MissingPictures = "refuse"
    """Pictures of a benchmark that are missing or cannot be read; all are counted before any call. `refuse`: nothing is
    asked. `skip`: their items are not asked, and count as unread."""
    controls: Annotated[tuple[ControlSpec, ...], AfterValidator(_controls_differ)] = ()
    """Ways in which items are asked once more, by every model: without their picture, with a corrupted one, in other
    words. Each is compared with the same model's own answers."""
    control_items: PositiveInt | None = 120
    """Most items of a benchmark that get a control, from all its subsets alike. None: all."""
    control_benchmarks: tuple[str, ...] = ()
    """Names of the benchmarks that get the controls, as in tables. None named: all."""
    level: Share = 0.95
    """Confidence level of every interval; larger makes intervals wider."""
    margin: Share = 0.02
    """A skill is kept when a loss of this much is ruled out (non-inferiority)."""
    alarms: AlarmLimits = AlarmLimits()
    """From where on alarms ring."""


class ReportSettings(Section):
    """The report: one HTML page with figures and example answers."""

    title: str = "Safety alignment report"
    """Heading of the page."""
    examples: NonNegativeInt = 12
    """How many answers before and after alignment are shown with their pictures."""
    picture_pixels: PositiveInt = 256
    """Longest side of a picture in the page, in pixels."""
    hide_harmful: bool = True
    """Answers graded unsafe, and the questions that led to them, stay closed until clicked."""
    blur_pictures: bool = True
    """Pictures of harmful topics stay blurred until clicked. The miniature world's drawings need none of it."""
    figure_font: Literal["serif", "sans"] = "serif"
    """Letters of the figures that `spavl report --figures` writes for a paper."""
    figure_width: PositiveFloat = 84.0
    """Width of these figures in millimetres; 84 is a column of most journals."""
