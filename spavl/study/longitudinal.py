"""Longitudinal suites: models asked again as benchmarks grow, and their rates by the date of the items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from spavl.atomic import write_json, write_text
from spavl.config.study import LongitudinalStudy
from spavl.errors import DataError
from spavl.pipeline.evaluate import evaluate, open_benchmarks
from spavl.pipeline.measured_metrics import measured_metrics
from spavl.pipeline.session import Session
from spavl.plural import plural
from spavl.progress import NoProgress, Progress
from spavl.report.page import check_report_packages
from spavl.run import Run
from spavl.study.cohorts import by_cohort
from spavl.study.folder import file_from, refuse_folder
from spavl.study.page import FACTS, SETTINGS, write_page
from spavl.study.results import Result, write_results
from spavl.study.source import folder_of, settings_of

RUN = "run"
"""Run folder of the models' answers, in the study's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongitudinalMade:
    """What a longitudinal study made."""

    folder: Path
    """The study's folder."""
    results: list[Result]
    """All rows of the table of results."""
    asked: int
    """Calls that were made now."""
    stored: int
    """Calls that were answered from the store."""
    lost: int
    """Calls that brought no answer."""
    page: Path
    """The study's page."""

    def as_plain_data(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "name": self.folder.resolve().name, "kind": "longitudinal", "asked": self.asked, "stored": self.stored,
            "lost": self.lost, "page": str(self.page), "results": [asdict(one) for one in self.results],
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LongitudinalPlan:
    """What a longitudinal study would ask."""

    name: str
    """Name of the study."""
    models: tuple[str, ...]
    """The models."""
    items: int
    """Items of all benchmarks."""
    dated: int
    """Of these, items that say when they joined."""
    periods: int
    """Dates on which items joined."""

    def lines(self) -> list[str]:
        """The numbers as sentences."""
        return [
            f"{plural(self.items, 'item')}, {self.dated:,} of them with a date, of {plural(self.periods, 'date')}.",
            f"Asked: {plural(len(self.models), 'model')}, all of them; what is stored is not asked again.",
        ]

    def as_plain_data(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return asdict(self)


def plan_longitudinal(study: LongitudinalStudy, file: Path, *, allow_code: bool = False) -> LongitudinalPlan:
    """What a longitudinal study would ask. Nothing is asked.

    Args:
        study: its settings.
        file: its file, from whose folder settings are named.
        allow_code: run Python classes of the user's own.

    Raises:
        SettingsError: the study's folder holds what is not the study's.
        DataError: no item says when it joined its benchmark.
        SpavlError: the benchmarks cannot be opened.
    """
    refuse_folder(study, file)
    folder = folder_of(study, file)
    settings = settings_of(study, file).model_copy(update={"out": str(folder / RUN)})
    with Session(settings, NoProgress(), allow_code=allow_code, look_only=True) as session:
        items = [item for benchmark in open_benchmarks(session) for item in benchmark.items]
    dates = [item.added for item in items if item.added]
    if not dates:
        raise _undated(study)
    return LongitudinalPlan(name=folder.resolve().name, models=study.models, items=len(items), dated=len(dates),
                            periods=len(set(dates)))  # fmt: skip


def run_longitudinal(
    study: LongitudinalStudy, file: Path, progress: Progress | None = None, *, allow_code: bool = False
) -> LongitudinalMade:
    """Ask the models what they were not asked yet, and write their rates by the date of the items.

    Args:
        study: its settings.
        file: its file, from whose folder settings are named.
        progress: shows bars.
        allow_code: run Python classes of the user's own.

    Raises:
        MissingExtra: the packages of the extra `report` are not installed; nothing was asked.
        SettingsError: the study's folder holds what is not the study's; nothing was asked.
        DataError: no item says when it joined its benchmark; nothing was asked.
        SpavlError: the models cannot be asked.
    """
    check_report_packages()
    refuse_folder(study, file)
    folder = folder_of(study, file)
    settings = settings_of(study, file).model_copy(update={"out": str(folder / RUN)})
    with Session(settings, progress or NoProgress(), allow_code=allow_code) as session:
        if not any(item.added for benchmark in open_benchmarks(session) for item in benchmark.items):
            raise _undated(study)
        scores = evaluate(session, models=study.models)
        asked, stored = session.store.calls, session.store.hits
    results = list(rates_by_date(Run(folder / RUN), study, folder.resolve().name))
    given = study.model_dump(mode="json", exclude_unset=True)
    write_text(folder / SETTINGS, yaml.safe_dump(given, sort_keys=False, allow_unicode=True))
    write_results(folder, results)
    facts = {"name": folder.resolve().name, "kind": study.kind, "title": study.title, "trainings": [],
             "file": file_from(folder, file)}  # fmt: skip
    write_json(folder / FACTS, {**facts, "asked": asked, "stored": stored, "lost": scores.failed})
    page = write_page(folder, level=settings.evaluate.level)
    return LongitudinalMade(folder=folder, results=results, asked=asked, stored=stored, lost=scores.failed, page=page)


def _undated(study: LongitudinalStudy) -> DataError:
    return DataError("No item of these benchmarks says when it joined",
                     where=f"`evaluate.benchmarks` of {study.settings or study.run}",
                     try_="a benchmark of kind `file` whose rows have `added`, a date such as 2026-11-27")  # fmt: skip


def rates_by_date(run: Run, study: LongitudinalStudy, name: str) -> Iterator[Result]:
    """Rates of every model and metric by period, oldest first; metrics of which no item has a date are left out.

    Args:
        run: the run folder of the answers.
        study: its settings.
        name: of the study.

    Raises:
        RunError: a table of scores is missing or damaged.
    """
    manifest = run.manifest()
    models = list(manifest["models"])
    for metric in measured_metrics(manifest):
        for model in models:
            table = run.evaluate / model / f"{metric.benchmark}.parquet"
            for cohort, part in by_cohort(table, metric, study.by).items():
                rate, said = part.rate(), manifest["metrics"][metric.key]
                yield Result(
                    study=name, kind=study.kind, arm=model, label=model, value=None, base=models[0], seed=None,
                    pairs=0, metric=metric.key, label_of_metric=said["label"], benchmark=metric.benchmark,
                    axis=said["axis"], better=metric.better, subset=cohort, rate=rate.value, low=rate.low,
                    high=rate.high, n=rate.n, unreadable=rate.unreadable, training="", model=model, run=RUN,
                    seconds=None, reused=False,
                )  # fmt: skip
