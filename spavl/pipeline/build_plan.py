"""How many calls and records every stage of a build makes: at most, and as a smaller run in the folder lets expect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from spavl.config import ModelSpec, Settings
from spavl.errors import SpavlError
from spavl.pipeline.estimate import CallEstimate, Estimator, StageEstimate
from spavl.pipeline.measured import Measures, StageMeasure
from spavl.records import PreferencePair
from spavl.run import ModelUse, Stage

Opened = Callable[[ModelUse], ModelSpec | None]
"""The settings entry of a model that a stage asks; None where it is not listed."""


@dataclass(slots=True)
class BuildPlan:
    """What a build takes."""

    calls: list[CallEstimate] = field(default_factory=list)
    """Its calls by stage and model."""
    stages: list[StageEstimate] = field(default_factory=list)
    """Its stages, the writing of the dataset last."""


def plan_build(
    settings: Settings, stages: Sequence[Stage], pictures: int, kept: float, *, measures: Measures,
    estimator: Estimator, opened: Opened, problems: list[SpavlError],
) -> BuildPlan:  # fmt: skip
    """Plan the stages of a dataset.

    Args:
        settings: name the models.
        stages: of the dataset, in their order.
        pictures: that there are.
        kept: share of them that can be used, where no run has measured it.
        measures: of earlier runs.
        estimator: estimates calls and stages.
        opened: the models.
        problems: is added to: a stage whose models cannot be named, as where its guard is not listed.
    """
    plan = BuildPlan()
    most: dict[type[Any] | None, float] = {None: pictures}
    expected: dict[type[Any] | None, float] = {None: pictures}
    for stage in stages:
        measure = measures.stages.get(stage.name)
        uses = stage_uses(stage, settings, problems)
        read, read_most = expected[stage.reads], most[stage.reads]
        calls = [
            estimator.calls(
                stage.name, use, opened(use), most=round(read_most * use.calls),
                expected=round(min(read_most * use.calls, read * _calls_a_record(use, measure))),
            )
            for use in uses
        ]  # fmt: skip
        makes = stage.makes(settings)
        most[stage.writes] = read_most * makes * (len(uses) if stage.by_model else 1)
        ratio = _ratio(stage, uses, makes, measure) if stage.reads is not None or measure else kept
        expected[stage.writes] = min(most[stage.writes], read * ratio)
        plan.calls += calls
        plan.stages.append(estimator.stage(stage, read, expected[stage.writes], calls))
    plan.stages.append(estimator.export(expected.get(PreferencePair, 0.0)))
    return plan


def stage_uses(stage: Stage, settings: Settings, problems: list[SpavlError]) -> Sequence[ModelUse]:
    """The models that a stage asks; where they cannot be named, as where a guard is not listed, that is a problem more.

    Args:
        stage: the stage.
        settings: name its models.
        problems: is added to.
    """
    try:
        return stage.models(settings)
    except SpavlError as error:
        problems.append(error)
        return ()


def _calls_a_record(use: ModelUse, measure: StageMeasure | None) -> float:
    """Calls to be expected for a record that the stage reads."""
    if measure is None or not measure.read or use.key not in measure.asked:
        return use.calls
    return measure.asked[use.key].calls / measure.read


def _ratio(stage: Stage, uses: Sequence[ModelUse], makes: float, measure: StageMeasure | None) -> float:
    """Records to be expected of one that the stage reads."""
    if measure is None or not measure.read:
        return makes * (len(uses) if stage.by_model else 1)
    if measure.written_by:
        return sum(measure.written_by.get(use.key, makes * measure.read) for use in uses) / measure.read
    return measure.written / measure.read
