"""The rows of a study's table of results, from the run folders of its trainings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spavl.errors import RunError
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.pipeline.score_outcomes import outcomes_of
from spavl.run import Run
from spavl.statistics.intervals import Rate
from spavl.study.plan import PlannedTraining, StudyPlan
from spavl.study.results import Result
from spavl.study.training import Made
from spavl.tables.query import literal, query

AGAIN = "delete that file, then the same command again: it is evaluated again, and stored answers are not asked again"
"""What to do where the scores of a training are damaged."""
BASE_MODEL = "base"
"""Name of the model before training in the run folder of every training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """Where the scores of one row's model are, and what stands in its rows beside them."""

    id: str
    run: Run
    name: str
    facts: Mapping[str, Any]


def gather(plan: StudyPlan, made: Mapping[str, Made]) -> tuple[list[Result], dict[str, str]]:
    """All results of a study: of the models before training, then arm by arm and seed by seed.

    Returns them, and by id why the scores of a training cannot be read, which has no results then.

    Args:
        plan: of the study.
        made: what became of its trainings, by id; those that were not made have no results.
    """
    found: list[Result] = []
    unreadable: dict[str, str] = {}
    subsets: dict[tuple[str, str], str] = {}
    for model in (*_bases(plan, made), *_trained(plan, made)):
        try:
            found += list(_results(plan, model, subsets))
        except RunError as error:
            unreadable[model.id] = RunError(error.what, where=error.where, try_=AGAIN).render()
    return found, unreadable


def seconds_of(training: PlannedTraining) -> float | None:
    """Seconds that a training took whenever it was made; None where it is not finished.

    Args:
        training: of a plan.
    """
    try:
        found = json.loads((training.made / "training.json").read_text("utf-8"))["seconds"]
    except (OSError, ValueError, KeyError):
        return None
    return float(found)


def _bases(plan: StudyPlan, made: Mapping[str, Made]) -> Iterator[_Model]:
    for base in {base.arm: base for base in plan.bases.values()}.values():
        if made[base.arm].status != "failed":
            facts = {"arm": base.arm, "label": base.label, "value": None, "base": base.arm, "seed": None, "pairs": 0,
                     "training": "", "seconds": None, "reused": made[base.arm].status == "reused"}  # fmt: skip
            yield _Model(id=base.arm, run=Run(Path(base.settings.out)), name=BASE_MODEL, facts=facts)


def _trained(plan: StudyPlan, made: Mapping[str, Made]) -> Iterator[_Model]:
    listed: set[str] = set()
    for arm, seed, training in plan.rows:
        one = plan.trainings[training]
        if made[training].status == "failed":
            continue
        facts = {
            "arm": arm.name, "label": arm.label, "value": arm.value, "base": plan.bases[arm.name].arm, "seed": seed,
            "pairs": len(one.numbers), "training": training, "seconds": seconds_of(one),
            "reused": training in listed or made[training].status == "reused",
        }  # fmt: skip
        listed.add(training)
        yield _Model(id=training, run=Run(one.folder), name=one.name, facts=facts)


def _results(plan: StudyPlan, model: _Model, subsets: dict[tuple[str, str], str]) -> Iterator[Result]:
    manifest = model.run.manifest()
    rates = manifest.get("models", {}).get(model.name, {})
    folder = _from_study(plan, model.run)
    for metric in measured_metrics(manifest):
        if metric.key not in rates:
            continue
        outcomes_of(model.run.evaluate / model.name / f"{metric.benchmark}.parquet", metric)  # the page reads them
        said, rate = manifest["metrics"][metric.key], Rate(**rates[metric.key])
        key = (metric.key, said["protocol"])
        if key not in subsets:
            subsets[key] = _subset(model.run, model.name, metric)
        yield Result(
            study=plan.name, kind=plan.study.kind, metric=metric.key, label_of_metric=said["label"],
            benchmark=metric.benchmark, axis=said["axis"], better=metric.better, subset=subsets[key],
            rate=rate.value, low=rate.low, high=rate.high, n=rate.n, unreadable=rate.unreadable,
            model=model.name, run=folder, **model.facts,
        )  # fmt: skip


def _from_study(plan: StudyPlan, run: Run) -> str:
    """Where a run lies, from the study's folder."""
    try:
        return Path(os.path.relpath(run.folder.resolve(), plan.folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return run.folder.resolve().as_posix()


def _subset(run: Run, model: str, metric: MeasuredMetric) -> str:
    """Whether the items of a metric are of subcategories seen in training, of held-out ones, or of both; `all` too
    where its benchmark has no held-out items."""
    counted = f"{metric.column} IS NOT NULL OR list_contains(unread, {literal(metric.name)})"
    table = run.evaluate / model / f"{metric.benchmark}.parquet"
    columns = (f"count_if({counted})", f"count_if(heldout AND ({counted}))", "count_if(heldout)")
    counts = query(f"SELECT {', '.join(columns)} FROM scores", scores=table)[0]
    items, held_out, of_benchmark = (int(count) for count in counts)
    if items and held_out == items:
        return "held-out"
    return "seen" if of_benchmark and not held_out else "all"
