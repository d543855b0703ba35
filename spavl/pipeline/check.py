"""What would run, and how many model calls it makes at most, before any is made."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from spavl.config import EndpointSpec, ModelSpec, PythonSpec, Settings
from spavl.dataset.collect import Rejected, checks_of, filters_stamp, unusable
from spavl.errors import DataError, ModelError, SpavlError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.guard_scorer import GuardScorer
from spavl.models.identity import identity_of
from spavl.own_code import import_own
from spavl.pipeline.asking import empty_slots
from spavl.pipeline.build import refuse_small_roster
from spavl.pipeline.collect import candidates
from spavl.pipeline.evaluate import benchmarks_of, known_models
from spavl.pipeline.qualify import unfit_guards
from spavl.pipeline.session import Session, never_reached
from spavl.pipeline.stages import pipeline_of
from spavl.run import ModelUse, Stage

MOST_LOOKED_AT = 1_000
"""Most pictures that a check opens."""
REACH_SECONDS = 3.0
"""Longest wait for a server to accept a connection, in seconds."""


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """The calls of one stage to one model."""

    stage: str
    """Name of the stage, such as `respond`."""
    model: str
    """Name of the model."""
    kind: str
    """`local`, `endpoint` or `python`; `?` where `models` lists no such model or it cannot be opened."""
    calls: int
    """Most calls: those that the store holds are not made again, and after failed ones fewer follow."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a settings file would do."""

    pictures: int
    """Pictures that the dataset is built from; 0 where none is built."""
    benign: int
    """Of these, harmless counterparts."""
    subcategories: int
    """Subcategories of the taxonomy that they are of."""
    stages: tuple[str, ...]
    """The stages in their order, those of the user's own among them; none where the file is for an evaluation alone."""
    estimates: list[CallEstimate]
    """Calls by stage and model, those of the evaluation last."""
    stored: int
    """Calls that the store holds, of all runs."""
    runner: str = ""
    """Who does the work of the dataset's stages."""
    looked_at: int = 0
    """Pictures that were opened: all, or the first of many."""
    unusable: list[Rejected] = field(default_factory=list)
    """Of these, those that cannot be used, which a build passes over."""
    items: int = 0
    """Items of the benchmarks."""
    unpriced: str = ""
    """That the ceiling of cost can never be reached, where no model has a price."""
    empty_slots: str = ""
    """Which responders do not run, for they wait for a file of the user's own; empty where all run."""
    problems: list[SpavlError] = field(default_factory=list)
    """What keeps it from running, such as a server that cannot be reached."""

    @property
    def calls(self) -> int:
        """Most calls of all stages together."""
        return sum(b.calls for b in self.estimates)


def check(session: Session) -> RunPlan:
    """Plan a run: count pictures, items and calls, and test whether every model could be opened, without asking any.

    Args:
        session: the settings, models and call store.

    Raises:
        DataError: the pictures cannot be found.
        SettingsError: a stage or guard of the user's own is named and may not be run.
    """
    problems: list[SpavlError] = []
    evaluated, items = _evaluation(session, problems)
    if not _builds(session.settings):
        return RunPlan(pictures=0, benign=0, subcategories=0, stages=(), estimates=evaluated,
                       stored=len(session.store), items=items,
                       unpriced=never_reached(session.settings), problems=problems)  # fmt: skip
    stages = pipeline_of(session.settings, allow_code=session.allow_code)
    found = Counter((c.topic.class3, c.benign) for c in candidates(session))
    looked_at, unusable_ones = _look_at_pictures(session)
    estimates = _estimates(session, found.total(), problems)
    return RunPlan(
        pictures=found.total(), stages=tuple(stage.name for stage in stages),
        benign=sum(n for (_, benign), n in found.items() if benign),
        subcategories=len({name for name, _ in found}),
        estimates=[*estimates, *evaluated], stored=len(session.store), runner=_runner(session.settings),
        looked_at=looked_at, unusable=unusable_ones, items=items, unpriced=never_reached(session.settings),
        empty_slots=empty_slots(session.settings),
        problems=[*problems, *_dataset_problems(session, stages, looked_at, unusable_ones)],
    )  # fmt: skip


def _builds(settings: Settings) -> bool:
    """Whether the settings are for a dataset, and not for an evaluation alone: benchmarks, and no pictures."""
    collect = settings.build.collect
    return collect.source != "folder" or collect.folder is not None or not settings.evaluate.benchmarks


def _look_at_pictures(session: Session) -> tuple[int, list[Rejected]]:
    """How many pictures were opened, and those that cannot be used."""
    if session.settings.build.collect.source != "folder":
        return 0, []
    some = list(islice(candidates(session), MOST_LOOKED_AT))
    return len(some), unusable(some, checks_of(session.settings.build.collect))


def _dataset_problems(
    session: Session, stages: Sequence[Stage], looked_at: int, unusable_ones: list[Rejected]
) -> list[SpavlError]:
    problems: list[SpavlError] = []
    tests: list[Callable[[], Any]]
    if looked_at and len(unusable_ones) == looked_at:
        problems.append(DataError(f"None of the pictures can be used: {unusable_ones[0].reason}",
                                  where=unusable_ones[0].file))  # fmt: skip
    tests = [
        partial(refuse_small_roster, session.settings, stages),
        partial(filters_stamp, session.settings.build.collect.filters),
        *_files_that_decide(session, stages),
    ]
    for test in tests:
        try:
            test()
        except SpavlError as error:
            problems.append(error)
    return problems + unfit_guards(session) + _cluster_problems(session.settings)


def _files_that_decide(session: Session, stages: Sequence[Stage]) -> list[Callable[[], Any]]:
    """What reads the templates and other files of every stage whose models are named."""
    unnamed: list[SpavlError] = []  # they are problems already
    uses = {stage.name: _uses(stage, session.settings, unnamed) for stage in stages}
    named = [stage for stage in stages if uses[stage.name]]
    of_uses: list[Callable[[], Any]] = [use.decides for stage in named for use in uses[stage.name]]
    return [*(partial(stage.decides, session.settings) for stage in named), *of_uses]


def _evaluation(session: Session, problems: list[SpavlError]) -> tuple[list[CallEstimate], int]:
    """Calls of the evaluation by model, answers first and then grades, and the number of items."""
    benchmarks: list[Benchmark] = []
    for spec in session.settings.evaluate.benchmarks:
        try:
            benchmarks += benchmarks_of(session, spec)
        except SpavlError as error:
            problems.append(error)
    items = sum(len(benchmark.items) for benchmark in benchmarks)
    models = [spec.name for spec in known_models(session)] if items else []
    grades = sum((_grades(benchmark) for benchmark in benchmarks), Counter[str]())
    for guard in grades:
        problems += _access_problems(session, guard, "evaluate.guard")
    answered = [CallEstimate("evaluate", model, "local", items) for model in models]
    kinds = {spec.name: spec.kind for spec in session.settings.models}
    graded = [CallEstimate("evaluate", guard, kinds[guard], n * len(models)) for guard, n in grades.items()]
    return answered + graded, items


def _grades(benchmark: Benchmark) -> Counter[str]:
    """Answers that each guard's model grades: an answer once, in however many metrics it counts."""
    graded: dict[tuple[str, str], set[str]] = {}
    for metric in benchmark.metrics:
        if isinstance(metric.scorer, GuardScorer):
            key = (metric.scorer.id, metric.scorer.guard.model)
            graded.setdefault(key, set()).update(item.item_id for item in benchmark.items if metric.counts(item))
    return sum((Counter({model: len(ids)}) for (_, model), ids in graded.items()), Counter[str]())


def _access_problems(session: Session, label: str, setting: str) -> list[SpavlError]:
    try:
        _check_access(session.spec(label, setting), allow_code=session.allow_code)
    except SpavlError as error:
        return [error]
    return []


def _estimates(session: Session, pictures: int, problems: list[SpavlError]) -> list[CallEstimate]:
    estimates: list[CallEstimate] = []
    seen: set[str] = set()
    for stage, use, calls in _calls(session, pictures, problems):
        label = use.label
        try:
            spec = session.spec(label, use.setting)
            if label not in seen:
                seen.add(label)
                _check_access(spec, allow_code=session.allow_code)
        except SpavlError as error:
            problems.append(error)
            estimates.append(CallEstimate(stage, label, "?", calls))
        else:
            estimates.append(CallEstimate(stage, label, spec.kind, calls))
    return estimates


def _calls(session: Session, pictures: int, problems: list[SpavlError]) -> Iterator[tuple[str, ModelUse, int]]:
    """(stage, model, most calls), by the most records that every stage can make of those of the stage before.

    A stage whose models cannot be named, as where its guard is not listed, is a problem more and no call.
    """
    settings = session.settings
    most: dict[type[Any] | None, float] = {None: pictures}
    for stage in pipeline_of(settings, allow_code=session.allow_code):
        uses = _uses(stage, settings, problems)
        for use in uses:
            yield stage.name, use, round(most[stage.reads] * use.calls)
        most[stage.writes] = most[stage.reads] * stage.makes(settings) * (len(uses) if stage.by_model else 1)


def _uses(stage: Stage, settings: Settings, problems: list[SpavlError]) -> Sequence[ModelUse]:
    try:
        return stage.models(settings)
    except SpavlError as error:
        problems.append(error)
        return ()


def _runner(settings: Settings) -> str:
    if settings.runner == "local":
        return "this process"
    where = settings.ray.address or "a cluster that is started here"
    return f"Ray, {settings.ray.actors} actors on {where}"


def _cluster_problems(settings: Settings) -> list[SpavlError]:
    if settings.runner == "local":
        return []
    from spavl.pipeline.ray_cluster import check_ray

    try:
        check_ray(settings)
    except SpavlError as error:
        return [error]
    return []


def _check_access(spec: ModelSpec, *, allow_code: bool) -> None:
    """Test whether a model could be opened: its files, its API key, its address; for a class, whether it is there."""
    identity_of(spec)
    if isinstance(spec, PythonSpec):
        import_own(spec.target, name=spec.name, allow_code=allow_code, error=ModelError)
    if not isinstance(spec, EndpointSpec):
        return
    for variable in spec.variables:
        if not os.environ.get(variable, "").strip():
            what = "The API key" if variable == spec.key_env else "A header"
            raise ModelError(
                f"{what} of `{spec.name}` is not set", where=f"environment variable {variable}",
                try_=f"export {variable}=…",
            )  # fmt: skip
    address = urlsplit(spec.url)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise ModelError(
            f"The server of `{spec.name}` cannot be reached: {error.strerror or error}", where=spec.url,
            try_="start the server, or check `url`",
        ) from error  # fmt: skip
