"""What would run, and what it takes, before any call is made: calls, tokens, money, time and disk."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from spavl.config import EndpointSpec, ModelSpec, PythonSpec, Settings
from spavl.config.benchmarks import BenchmarkSpec
from spavl.config.prices import currency_of, unpriced
from spavl.dataset.collect import Candidate, Rejected, checks_of, filters_stamp, unusable
from spavl.errors import DataError, ModelError, SpavlError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.scorer import asking_parts
from spavl.models.identity import identity_of
from spavl.own_code import import_own
from spavl.pipeline.asking import empty_slots
from spavl.pipeline.benchmark_plan import BenchmarkPlan, plans_of
from spavl.pipeline.build import refuse_small_roster
from spavl.pipeline.build_plan import Opened, plan_build, stage_uses
from spavl.pipeline.collect import candidates
from spavl.pipeline.controls import planned_controls
from spavl.pipeline.estimate import BASES, CallEstimate, Estimator, StageEstimate
from spavl.pipeline.evaluate import benchmarks_of, known_models, names_no_model
from spavl.pipeline.measured import Measures, measures_of
from spavl.pipeline.qualify import unfit_guards
from spavl.pipeline.session import Session, never_reached
from spavl.pipeline.stages import pipeline_of
from spavl.run import ModelUse, Stage

MOST_LOOKED_AT = 1_000
"""Most pictures that a check opens."""
MOST_WEIGHED = 100
"""Most pictures whose bytes a check counts."""
MOST_BYTES = 2**27
"""Most bytes that it reads of one of them."""
REACH_SECONDS = 3.0
"""Longest wait for a server to accept a connection, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What a settings file would do, and what that takes."""

    pictures: int = 0
    """Pictures that the dataset is built from; 0 where none is built."""
    scaled: bool = False
    """Whether that is a number that was asked for, in place of the pictures that there are."""
    benign: int = 0
    """Of these, harmless counterparts; 0 where the pictures were not counted."""
    subcategories: int = 0
    """Subcategories of the taxonomy that they are of."""
    stages: tuple[str, ...] = ()
    """The stages in their order, those of the user's own among them; none where the file is for an evaluation alone."""
    estimates: list[CallEstimate]
    """Calls by stage and model, those of the evaluation last."""
    work: list[StageEstimate] = field(default_factory=list)
    """Records, time and disk of every stage, the evaluation last."""
    stored: int
    """Calls that the store holds, of all runs."""
    runner: str = ""
    """Who does the work of the dataset's stages."""
    looked_at: int = 0
    """Pictures that were opened: all, or the first of many."""
    unusable: list[Rejected] = field(default_factory=list)
    """Of these, those that cannot be used, which a build passes over."""
    unnamed: tuple[str, ...] = ()
    """Listed models, where `--model` must say which of them are evaluated."""
    items: int = 0
    """Items of the benchmarks."""
    benchmarks: list[BenchmarkPlan] = field(default_factory=list)
    """What is to be known of every benchmark."""
    currency: str = ""
    """Name of the currency of all costs; empty where nobody says."""
    warnings: list[str] = field(default_factory=list)
    """What keeps nothing from running, and is to be known before: a model without a price, a ceiling below the cost."""
    problems: list[SpavlError] = field(default_factory=list)
    """What keeps it from running, such as a server that cannot be reached."""

    @property
    def calls(self) -> int:
        """Most calls of all stages together."""
        return sum(one.calls for one in self.estimates)

    @property
    def measured(self) -> bool:
        """Whether calls of all models were measured before; else tokens and seconds are guessed."""
        return all(one.basis != "guess" for one in self.estimates)

    @property
    def expected(self) -> int:
        """Calls of all stages together that are to be expected."""
        return sum(one.expected for one in self.estimates)

    @property
    def cost(self) -> float:
        """What the expected calls cost, of all models whose price is known."""
        return sum(one.cost or 0.0 for one in self.estimates)

    @property
    def unknown_cost(self) -> list[str]:
        """Names of the models whose price is not known, each once."""
        return list(dict.fromkeys(one.model for one in self.estimates if one.cost is None))

    @property
    def seconds(self) -> float:
        """How long all of it takes."""
        return sum(one.seconds for one in self.work)

    @property
    def bytes(self) -> int:
        """Disk that all of it takes, the call store among it."""
        return sum(one.bytes for one in self.work) + self.store_bytes

    @property
    def store_bytes(self) -> int:
        """Disk that the expected calls take in the call store."""
        return sum(one.bytes for one in self.estimates)

    def as_plain_data(self) -> dict[str, Any]:
        """The plan as JSON has it, with its totals."""
        known = asdict(replace(self, problems=[]))
        totals = {
            "measured": self.measured,
            "calls": self.calls, "expected": self.expected, "cost": self.cost, "unknown_cost": self.unknown_cost,
            "prompt_tokens": sum(one.prompt_tokens for one in self.estimates),
            "completion_tokens": sum(one.completion_tokens for one in self.estimates),
            "seconds": self.seconds, "bytes": self.bytes, "store_bytes": self.store_bytes,
        }  # fmt: skip
        problems = [{"what": one.what, "where": one.where, "try": one.try_} for one in self.problems]
        return {**known, "total": totals, "problems": problems}


def check(session: Session, *, pictures: int | None = None) -> RunPlan:
    """Plan a run: what it takes, and whether every model could be opened; none is asked.

    Args:
        session: the settings, models and call store.
        pictures: plan for so many, in place of those that there are, which are not counted then.

    Raises:
        DataError: the pictures cannot be found.
        SettingsError: a stage or guard of the user's own is named and may not be run.
    """
    problems: list[SpavlError] = []
    opened = _benchmarks(session, problems)
    benchmarks = [benchmark for _, benchmark in opened]
    models = known_models(session) if benchmarks else []
    builds = _builds(session.settings) or pictures is not None
    stages = pipeline_of(session.settings, allow_code=session.allow_code) if builds else ()
    measures = measures_of(session, stages, [*session.settings.models, *models])
    asked = [*benchmarks, *_controls(session, benchmarks, problems)]
    evaluated = _evaluation(session, asked, models, Estimator(session.settings, measures), problems)
    plan = RunPlan(
        estimates=evaluated, work=_evaluating(evaluated), stored=len(session.store),
        items=sum(len(benchmark.items) for benchmark in benchmarks),
        unnamed=tuple(spec.name for spec in session.settings.models) if names_no_model(session) else (),
        benchmarks=plans_of(opened, session.settings.evaluate.level), currency=currency_of(session.settings),
        problems=problems,
    )  # fmt: skip
    if builds:
        plan = _with_dataset(session, plan, stages, measures, pictures)
    return replace(plan, warnings=[*plan.warnings, *_warnings(session.settings, plan)])


def _with_dataset(
    session: Session, plan: RunPlan, stages: Sequence[Stage], measures: Measures, pictures: int | None
) -> RunPlan:
    """The plan of an evaluation, with the dataset before it."""
    problems = list(plan.problems)
    found = Counter[tuple[str, bool]]()
    if pictures is None:
        found.update((c.topic.class3, c.benign) for c in candidates(session))
    looked_at, picture_bytes, unusable_ones = _look_at_pictures(session, needed=pictures is None)
    wanted = found.total() if pictures is None else pictures
    estimator = Estimator(session.settings, measures, wanted, picture_bytes)
    build = plan_build(
        session.settings, stages, wanted, 1 - len(unusable_ones) / max(1, looked_at), measures=measures,
        estimator=estimator, opened=_opened(session, problems), problems=problems,
    )  # fmt: skip
    return replace(
        plan, pictures=wanted, scaled=pictures is not None, stages=tuple(stage.name for stage in stages),
        benign=sum(n for (_, benign), n in found.items() if benign), subcategories=len({name for name, _ in found}),
        estimates=[*build.calls, *plan.estimates], work=[*build.stages, *plan.work],
        runner=_runner(session.settings), looked_at=looked_at, unusable=unusable_ones,
        problems=[*problems, *_dataset_problems(session, stages, looked_at, unusable_ones)],
    )  # fmt: skip


def _evaluating(calls: Sequence[CallEstimate]) -> list[StageEstimate]:
    """Time of the evaluation: one model and one guard after the other."""
    if not calls:
        return []
    basis = min((one.basis for one in calls), key=BASES.index)
    return [StageEstimate("evaluate", sum(one.calls for one in calls), sum(one.seconds for one in calls), 0, basis)]


def _warnings(settings: Settings, plan: RunPlan) -> list[str]:
    """What is to be known of prices and ceilings before anything is paid."""
    asked = {one.model for one in plan.estimates}
    without = [f"`{name}`" for name in unpriced(settings) if name in asked]
    found = [f"{settings.prices} has no price for {', '.join(without)}"] if settings.prices and without else []
    found += [waiting] if plan.stages and (waiting := empty_slots(settings)) else []
    found += [never] if (never := never_reached(settings)) else []
    ceilings = settings.ceilings
    costs = {"cost": (ceilings.cost, plan.cost)}
    for name, most in ceilings.models.items():
        costs[f"models.{name}"] = (most, sum(one.cost or 0.0 for one in plan.estimates if one.model == name))
    costs["minutes"] = (ceilings.minutes, plan.seconds / 60)
    return found + [
        f"`ceilings.{name}` is {most:,g}, and {expected:,.{2 if expected < 1000 else 0}f} is to be expected: what is "
        "beyond it will not be asked"
        for name, (most, expected) in costs.items() if most is not None and expected > most
    ]  # fmt: skip


def _builds(settings: Settings) -> bool:
    """Whether the settings are for a dataset, and not for an evaluation alone: benchmarks, and no pictures."""
    collect = settings.build.collect
    return collect.source != "folder" or collect.folder is not None or not settings.evaluate.benchmarks


def _look_at_pictures(session: Session, *, needed: bool) -> tuple[int, float | None, list[Rejected]]:
    """How many pictures were opened, bytes of one of them, and those that cannot be used."""
    if session.settings.build.collect.source != "folder":
        return 0, None, []
    try:
        some = list(islice(candidates(session), MOST_LOOKED_AT))
    except DataError:
        if needed:
            raise
        return 0, None, []  # a plan for pictures that are not there yet
    return len(some), _mean_bytes(some), unusable(some, checks_of(session.settings.build.collect))


def _mean_bytes(some: Sequence[Candidate]) -> float | None:
    sizes = []
    for one in some[:MOST_WEIGHED]:
        with suppress(DataError):  # it is counted as unusable
            sizes.append(len(one.read(MOST_BYTES)))
    return sum(sizes) / len(sizes) if sizes else None


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
    uses = {stage.name: stage_uses(stage, session.settings, unnamed) for stage in stages}
    named = [stage for stage in stages if uses[stage.name]]
    of_uses: list[Callable[[], Any]] = [use.decides for stage in named for use in uses[stage.name]]
    return [*(partial(stage.decides, session.settings) for stage in named), *of_uses]


def _benchmarks(session: Session, problems: list[SpavlError]) -> list[tuple[BenchmarkSpec, Benchmark]]:
    """The benchmarks of the settings that have items, with their entries."""
    benchmarks: list[tuple[BenchmarkSpec, Benchmark]] = []
    for spec in session.settings.evaluate.benchmarks:
        try:
            benchmarks += [(spec, benchmark) for benchmark in benchmarks_of(session, spec)]
        except SpavlError as error:
            problems.append(error)
    return [(spec, benchmark) for spec, benchmark in benchmarks if benchmark.items]


def _controls(session: Session, benchmarks: Sequence[Benchmark], problems: list[SpavlError]) -> list[Benchmark]:
    """The items that the controls will ask."""
    try:
        return planned_controls(session, benchmarks)
    except SpavlError as error:
        problems.append(error)
    return []


def _evaluation(
    session: Session, benchmarks: Sequence[Benchmark], models: Sequence[ModelSpec], estimator: Estimator,
    problems: list[SpavlError],
) -> list[CallEstimate]:  # fmt: skip
    """Calls of the evaluation by model, answers first and then grades."""
    items = sum(len(benchmark.asked) * benchmark.samples for benchmark in benchmarks)
    sampling = session.settings.evaluate.sampling

    def estimate(spec: ModelSpec, calls: int) -> CallEstimate:
        use = ModelUse(label=spec.name, setting="evaluate", sampling=sampling)
        return estimator.calls("evaluate", use, spec, most=calls, expected=calls)

    calls = [estimate(spec, items) for spec in models]
    for label, graded in sum((_grades(benchmark) for benchmark in benchmarks), Counter[str]()).items():
        problems += _access_problems(session, label, "evaluate.guard")
        calls.append(estimate(session.spec(label, "evaluate.guard"), graded * len(models)))
    return calls


def _grades(benchmark: Benchmark) -> Counter[str]:
    """Calls of each guard's and judge's model: an answer is sent once, in however many metrics it counts."""
    graded: dict[tuple[str, str, int], set[str]] = {}
    for metric in benchmark.metrics:
        for item in filter(metric.counts, benchmark.asked):
            for scorer in asking_parts(metric.scorer, item):
                key = (scorer.asked, scorer.model, scorer.calls * benchmark.samples)
                graded.setdefault(key, set()).add(item.item_id)
    found = Counter[str]()
    for (_, model, calls), ids in graded.items():
        found[model] += calls * len(ids)
    return found


def _access_problems(session: Session, label: str, setting: str) -> list[SpavlError]:
    try:
        _check_access(session.spec(label, setting), allow_code=session.allow_code)
    except SpavlError as error:
        return [error]
    return []


def _opened(session: Session, problems: list[SpavlError]) -> Opened:
    """Finds the settings entry of a model, and tests once whether it could be opened."""
    seen: dict[str, ModelSpec | None] = {}

    def opened(use: ModelUse) -> ModelSpec | None:
        if use.label not in seen:
            seen[use.label] = None
            try:
                seen[use.label] = spec = session.spec(use.label, use.setting)
                _check_access(spec, allow_code=session.allow_code)
            except SpavlError as error:
                problems.append(error)
        return seen[use.label]

    return opened


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
        raise ModelError(f"The server of `{spec.name}` cannot be reached: {error.strerror or error}", where=spec.url,
                         try_="start the server, or check `url`") from error  # fmt: skip
