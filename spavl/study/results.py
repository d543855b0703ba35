"""The results of a study: one row for each training and metric, and one for each metric of the models before training.

Outcomes item by item are not copied: they stand in the tables of scores of `Result.run`, which `outcomes` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spavl.errors import RunError
from spavl.evaluate.benchmark import Axis
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.score_outcomes import MetricOutcomes, outcomes_of
from spavl.run import Run
from spavl.statistics.paired import Better
from spavl.tables import read_table, write_table

RESULTS = "results.parquet"
"""The table of results in a study's folder."""
BASE = "base"
"""Arm of the model before training, where all arms have one; where they do not, `base-ARM`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A rate that a study measured."""

    study: str
    """Name of the study."""
    kind: str
    """Kind of the study."""
    arm: str
    """Name of the arm."""
    label: str
    """Name of the arm for readers."""
    value: float | None
    """Place of the arm on the study's axis, such as its number of pairs; None where arms have no order, and of a model
    before training."""
    base: str
    """Arm of the model before training that the arm is to be compared with; of that model the arm itself."""
    seed: int | None
    """Seed of the training; None of a model before training."""
    pairs: int
    """Pairs that it was trained on; 0 of a model before training."""
    metric: str
    """Key of the metric."""
    label_of_metric: str
    """What the metric counts, for readers."""
    benchmark: str
    """Its benchmark."""
    axis: Axis
    """What it measures."""
    better: Better
    """Direction of an improvement."""
    subset: str
    """Of which items the metric is: `seen` subcategories, `held-out` ones, or `all`."""
    rate: float | None
    """The share; None where no verdict was readable."""
    low: float
    """Lower bound of its interval over the items."""
    high: float
    """Upper bound."""
    n: int
    """Items."""
    unreadable: int
    """Of these, items without a readable verdict."""
    training: str
    """Id of the training's record; empty of a model before training."""
    model: str
    """Name of the model in its run."""
    run: str
    """Its run folder, relative to the study's folder where it lies in or beside it."""
    seconds: float | None
    """Seconds that the training took; None where that is not known, and of a model before training."""
    reused: bool
    """Whether the training had been made before, by another arm, study or an earlier run of this one."""

    @property
    def is_base(self) -> bool:
        """Whether it is of a model before training."""
        return self.seed is None


def write_results(study: Path, results: Sequence[Result]) -> None:
    """Write the table of results of a study.

    Args:
        study: its folder.
        results: all rows.

    Raises:
        RunError: the table cannot be written.
    """
    write_table(study / RESULTS, results, Result)


def read_results(study: Path) -> list[Result]:
    """The results of a study.

    Args:
        study: its folder.

    Raises:
        RunError: there are none, or the table cannot be read.
    """
    if not (study / RESULTS).is_file():
        raise RunError("There are no results of a study in this folder", where=str(study),
                       try_="run `spavl study STUDY.yaml` first; its folder is such as `studies/scale`")  # fmt: skip
    return read_table(study / RESULTS, Result)


def metric_of(study: Path, result: Result) -> MeasuredMetric:
    """The metric of a result, as its run has it.

    Args:
        study: the study's folder.
        result: one of its results.

    Raises:
        RunError: the run has no such metric any more.
    """
    run = Run(study / result.run)
    said = run.manifest().get("metrics", {}).get(result.metric)
    if said is None:
        raise RunError(f"The run of this result has no metric `{result.metric}` any more", where=str(run.folder),
                       try_="run `spavl study` again: stored answers are not asked again")  # fmt: skip
    return MeasuredMetric(result.metric, said["name"], said["benchmark"], said["axis"], said["better"],
                          said.get("graded", False))  # fmt: skip


def outcomes(study: Path, result: Result) -> MetricOutcomes:
    """The outcomes behind a rate, item by item, with the items' clusters and weights.

    Args:
        study: the study's folder.
        result: one of its results.

    Raises:
        RunError: the table of scores is missing or damaged.
    """
    metric = metric_of(study, result)
    return outcomes_of(Run(study / result.run).evaluate / result.model / f"{metric.benchmark}.parquet", metric)
