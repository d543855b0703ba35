"""Transfer: what it costs a group of subcategories to be left out of training, and what it would cost another one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spavl.pipeline.score_outcomes import MetricOutcomes
from spavl.report.numbers import points
from spavl.report.study_data import LeftOutShown, TransferShown
from spavl.run import Run
from spavl.statistics.intervals import Outcome, Rate
from spavl.statistics.over_seeds import pooled
from spavl.statistics.transfer import LeaveOneOut, Runs, leave_one_out
from spavl.study.measures import ArmOutcomes, Measured
from spavl.tables.query import query


@dataclass(frozen=True, slots=True)
class _Group:
    """Outcomes of the items of one group that was left out."""

    base: list[Mapping[str, Outcome]]
    trained: list[Mapping[str, Outcome]]
    left_out: list[Mapping[str, Outcome]]


def transfer(
    study: Path, arms: Measured, left_out: Mapping[str, Sequence[str]], every: str, *, level: float
) -> TransferShown | None:
    """One metric over groups that were left out in turn; None where fewer than two of them have verdicts.

    Args:
        study: the study's folder.
        arms: outcomes of the metric by arm.
        left_out: subcategories that an arm was not trained on, by its name.
        every: name of the arm that was trained on all.
        level: confidence level.

    Raises:
        RunError: a table of scores is missing or damaged.
    """
    if every not in arms or arms[every].is_weighted:
        return None
    first, clusters = arms[every].first, arms[every].clusters
    groups = _groups(arms, left_out, arms[every], _subcategories(study, arms[every]))
    found = leave_one_out({name: (one.trained, one.left_out) for name, one in groups.items()}, clusters, level=level)
    if found is None:
        return None
    return TransferShown(
        label=first.label_of_metric, benchmark=first.benchmark, better=first.better, sentences=_sentences(found, level),
        groups=tuple(_shown(name, one, found, clusters, level) for name, one in groups.items()),
    )  # fmt: skip


def _subcategories(study: Path, arm: ArmOutcomes) -> dict[str, str]:
    """Subcategory of every item."""
    table = Run(study / arm.first.run).evaluate / arm.first.model / f"{arm.first.benchmark}.parquet"
    return dict(query('SELECT item_id, "group" FROM scores', scores=table))


def _groups(
    arms: Measured, left_out: Mapping[str, Sequence[str]], every: ArmOutcomes, subcategory: Mapping[str, str]
) -> dict[str, _Group]:
    """The groups of which there are items and trainings, by name for readers."""
    base = next((arm.outcomes[0] for arm in arms.values() if arm.first.is_base), None)
    found = {}
    for name, leaves in left_out.items():
        items = {item for item in every.by_item[0] if subcategory.get(item) in leaves}
        arm = arms.get(name)
        of_seed = {one.seed: one for one in arm.results} if arm else {}
        both = [place for place, one in enumerate(every.results) if one.seed in of_seed]
        if not items or not both or arm is None:
            continue
        without = [place for place, one in enumerate(arm.results) if one.seed in {r.seed for r in every.results}]
        found[arm.first.label] = _Group(
            [_of(base, items)] if base else [], [_of(every.outcomes[place], items) for place in both],
            [_of(arm.outcomes[place], items) for place in without],
        )  # fmt: skip
    return found


def _of(outcomes: MetricOutcomes, items: set[str]) -> Mapping[str, Outcome]:
    return {item: outcome for item, outcome in outcomes.outcomes.items() if item in items}


def _shown(
    name: str, group: _Group, found: LeaveOneOut, clusters: Mapping[str, Hashable], level: float
) -> LeftOutShown:
    def rate(runs: Runs) -> Rate:
        one = pooled(runs, clusters, level=level)
        return Rate(one.value, one.low, one.high, sum(map(len, runs)), one.unreadable)

    own = found.domains.get(name)
    return LeftOutShown(
        label=name, base=rate(group.base) if group.base else None, trained=rate(group.trained),
        left_out=rate(group.left_out), difference=own.difference if own else None, low=own.low if own else -1.0,
        high=own.high if own else 1.0,
    )  # fmt: skip


def _sentences(found: LeaveOneOut, level: float) -> tuple[str, ...]:
    """What it says over all groups."""
    mean = f"{points(found.mean)} points ({points(found.low)} to {points(found.high)})"
    shown = "" if found.p <= 1 - level else ": no difference is shown"
    first = f"Left out of training and not trained on, a group differs by {mean} on the mean{shown}."
    if found.new_low <= -1 and found.new_high >= 1:
        return (first, "What another group would do cannot be told from so few.")
    new = f"{points(found.new_low)} to {points(found.new_high)} points"
    return (first, f"Another group like these, not measured here, is to be expected to differ by {new}.")
