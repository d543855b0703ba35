"""Checkpoint → scores: every model answers the same items, and base and aligned are compared item by item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from spavl.config import LocalSpec, ModelSpec
from spavl.config.evaluate import BenchmarkSpec, MiniworldBenchmark
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark, Item, Metric
from spavl.evaluate.blind_control import blanked
from spavl.evaluate.guard_scorer import guard_scorer
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import score_exact, score_refusal, score_yes_or_no
from spavl.evaluate.run import Answer, Scored, Scorer, answer, compare, score, summarise, write_scores
from spavl.judging.guard import grading_template
from spavl.pipeline.build import log_changed_settings
from spavl.pipeline.session import Session
from spavl.statistics.intervals import Outcome, Rate
from spavl.statistics.paired import PairedComparison

MakeScorer = Callable[[Sequence[Answer]], Scorer]
"""Makes the scorer of a benchmark from all answers of a model, so that a guard can grade them in batches."""


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark of the settings and how its answers are scored."""

    benchmark: Benchmark
    """Items, metrics, and how answers are sampled."""
    scorer: MakeScorer
    """Makes the scorer from a model's answers."""


@dataclass(slots=True)
class Scores:
    """Rates of every model, and the comparison of every later model with the first."""

    rates: dict[str, dict[str, Rate]] = field(default_factory=dict)
    """Rate by metric, by name of the model."""
    paired: dict[str, dict[str, PairedComparison]] = field(default_factory=dict)
    """Paired comparison with the first model by metric, by name of the model; the first is not among them."""
    better: dict[str, str] = field(default_factory=dict)
    """`lower` or `higher`, by metric."""
    first: dict[int, list[Scored]] = field(default_factory=dict)
    """The first model's scored answers, by index of the task."""


def evaluate(session: Session, *, models: Sequence[str] = ()) -> Scores:
    """Evaluate models on the settings' benchmarks, all on the same items.

    A checkpoint of this run is always compared with the model that it was made from.

    Args:
        session: the settings and the run folder, which gets the scores.
        models: checkpoint folders, Hub ids or names of listed models, the first of which the others are compared with;
            where none is given, the model that was aligned and every checkpoint of the run.

    Raises:
        SettingsError: no benchmark is named, or one needs a guard and none is named.
        MissingExtra: a model with weights on this machine has to answer and torch is not installed.
    """
    log_changed_settings(session)
    specs = [_spec(session, name) for name in models] or known_models(session)
    base = base_spec(session)
    aligned_here = any(spec.name in session.run.manifest().get("aligned", {}) for spec in specs)
    if aligned_here and base.name not in [spec.name for spec in specs]:
        specs = [base, *specs]
    return run_tasks(session, specs, open_tasks(session))


def run_tasks(
    session: Session, specs: Sequence[ModelSpec], tasks: Sequence[Task], *, against: Scores | None = None
) -> Scores:
    """Evaluate every model on every task; tables of scored answers are written as they are made.

    Args:
        session: the settings, the call store and the run folder.
        specs: the models; all are compared with the first.
        tasks: the benchmarks with their scorers.
        against: earlier scores on as many tasks; they are kept, and the models are compared with their first model.
    """
    better = {_name(tasks, t, m.name): m.better for t in tasks for m in t.benchmark.metrics}
    scores = against or Scores(better=dict(better))
    for spec in specs:
        rates: dict[str, Rate] = {}
        paired: dict[str, PairedComparison] = {}
        with session.stage(f"evaluate {spec.name}") as counts:
            for index, task in enumerate(tasks):
                scored = _run_task(session, spec, task)
                before = scores.first.setdefault(index, scored)
                name = partial(_name, tasks, task)
                rates |= {name(m): r for m, r in summarise(scored, level=session.settings.evaluate.level).items()}
                compared = compare(task.benchmark, before, scored, level=session.settings.evaluate.level)
                paired |= {name(m): p for m, p in compared.items() if p.n}
                counts[task.benchmark.name] = len(scored)
        if scores.rates:
            scores.paired[spec.name] = paired
        scores.rates[spec.name] = rates
    _note(session, scores)
    return scores


def _name(tasks: Sequence[Task], task: Task, metric: str) -> str:
    """The metric's name, after its benchmark's where several benchmarks have it."""
    sharing = sum(any(m.name == metric for m in t.benchmark.metrics) for t in tasks)
    return metric if sharing == 1 else f"{task.benchmark.name}/{metric}"


def blank_tasks(session: Session) -> list[Task]:
    """The benchmarks of the settings with every picture blanked, on which the blind control is evaluated.

    Args:
        session: the settings, and the run folder that blank pictures are written to.
    """
    return [Task(blanked(t.benchmark, session.run.folder / "world" / "blank"), t.scorer) for t in open_tasks(session)]


def open_tasks(session: Session, seed: int | None = None) -> list[Task]:
    """The benchmarks of the settings, with at most `limit` items a subset.

    Args:
        session: the settings and the run folder.
        seed: of the miniature world's pictures and questions, in place of the run's.

    Raises:
        SettingsError: no benchmark is named, or one needs a guard and none is named.
    """
    specs = session.settings.evaluate.benchmarks
    if not specs:
        raise SettingsError(
            "No benchmark is named", where="evaluate.benchmarks",
            try_='add one, such as `evaluate.benchmarks=[{kind: file, name: mine, path: items.jsonl}]`; '
            "`spavl settings evaluate` explains them",
        )  # fmt: skip
    world_seed = session.settings.seed if seed is None else seed
    return [limited(task, session.settings.limit) for spec in specs for task in _open(session, spec, world_seed)]


def limited(task: Task, limit: int | None) -> Task:
    """A task with at most `limit` items of every subset.

    Args:
        task: the whole task.
        limit: most items; None for all.
    """
    if limit is None:
        return task
    kept: list[Item] = []
    for subset in dict.fromkeys(item.subset for item in task.benchmark.items):
        kept += [item for item in task.benchmark.items if item.subset == subset][:limit]
    return replace(task, benchmark=replace(task.benchmark, items=tuple(kept)))


def known_models(session: Session) -> list[ModelSpec]:
    """The model that was aligned, and every model trained in this run but blind controls, which need blank pictures.

    Args:
        session: the settings and the run folder.
    """
    base = base_spec(session)
    made = session.run.manifest().get("aligned", {})
    found = session.run.aligned().items()
    return [base, *(checkpoint_spec(name, at, base) for name, at in found if not made.get(name, {}).get("blind"))]


def base_spec(session: Session) -> LocalSpec:
    """The settings entry of the model that is aligned, named `base`.

    Args:
        session: the settings.
    """
    settings = session.settings.align
    return LocalSpec(name="base", path=settings.model, revision=settings.revision, device=settings.machine.device,
                     batch_size=session.settings.evaluate.batch_size)  # fmt: skip


def checkpoint_spec(name: str, folder: Path, base: LocalSpec) -> LocalSpec:
    """The settings entry of a trained model, with the base's device and batch size.

    Args:
        name: of the model in the scores.
        folder: its checkpoint or adapter.
        base: the entry of the model that it was made from.
    """
    return base.model_copy(update={"name": name, "path": str(folder), "revision": None})


def _spec(session: Session, name: str) -> ModelSpec:
    for spec in session.settings.models:
        if spec.name == name:
            return spec
    base = base_spec(session)
    if name == base.path:
        return base
    folder = Path(name)
    ours = [own for own, at in session.run.aligned().items() if at.resolve() == folder.resolve()]
    label = ours[0] if ours else name.removesuffix("/checkpoint")
    return checkpoint_spec("".join(c if c.isalnum() or c in "._-" else "-" for c in label).strip("-."), folder, base)


def _run_task(session: Session, spec: ModelSpec, task: Task) -> list[Scored]:
    with session.progress.bar(f"evaluate {spec.name}: {task.benchmark.name}") as on_progress:
        answers = answer(task.benchmark, session.model(spec), store=session.store, on_progress=on_progress)
    scored = score(task.benchmark, answers, scorer=task.scorer(answers))
    write_scores(session.run.evaluate, scored)
    return scored


def _open(session: Session, spec: BenchmarkSpec, seed: int) -> list[Task]:
    if isinstance(spec, MiniworldBenchmark):
        from spavl.pipeline.miniworld import miniworld_benchmarks, score_by_truth

        folder = session.run.folder / "world"
        return [Task(b, lambda _answers: score_by_truth) for b in miniworld_benchmarks(seed, spec.per_subset, folder)]
    settings = session.settings.evaluate
    benchmark = open_benchmark(
        spec, sampling=session.sampling(settings.sampling), pictures=session.run.folder / "world"
    )
    judged = [m for m in benchmark.metrics if m.axis == "safety"]
    if judged and settings.judge is None:
        raise SettingsError(
            f"Benchmark `{benchmark.name}` needs a guard that grades answers", where="evaluate.judge",
            try_="name a model of `models`, such as `evaluate.judge=guard`",
        )  # fmt: skip
    return [Task(benchmark, partial(_scorer, session, benchmark))]


PARSED: dict[str, Scorer] = {
    "over_refusal_rate": score_refusal,
    "skill_accuracy": score_exact,
    "pope_accuracy": score_yes_or_no,
    "pope_neither_rate": score_yes_or_no,
    "pope_yes_rate": score_yes_or_no,
}
"""Scorers that parse the answer, by metric; metrics of safety are graded by the guard."""


def _scorer(session: Session, benchmark: Benchmark, answers: Sequence[Answer]) -> Scorer:
    """The scorer of a benchmark: metrics parsed from the answer, or graded by the guard in one batch of calls."""
    by_metric = {**PARSED, **{m.name: _graded(session, m, answers) for m in benchmark.metrics if m.axis == "safety"}}

    def scorer(item: Item, text: str) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for metric in benchmark.metrics_of(item):
            outcomes.update(by_metric[metric.name](item, text))
        return outcomes

    return scorer


def _graded(session: Session, metric: Metric, answers: Sequence[Answer]) -> Scorer:
    """The guard's grades of all answers that a metric is computed over, as a scorer."""
    settings = session.settings.evaluate
    guard = session.model(session.spec(settings.judge or "", "evaluate.judge"))
    with session.progress.bar(f"grade: {metric.name}") as on_progress:
        return guard_scorer(
            [a for a in answers if a.item.subset in metric.subsets], guard,
            template=grading_template(settings.judge_prompt), sampling=session.sampling(settings.judge_sampling),
            store=session.store, sees_image=settings.judge_sees_image, metric=metric.name, on_progress=on_progress,
        )  # fmt: skip


def _note(session: Session, scores: Scores) -> None:
    """Put scores into `run.json` in place of earlier ones, so that two evaluations are never mixed."""
    session.run.replace(
        models={name: {m: asdict(r) for m, r in rates.items()} for name, rates in scores.rates.items()},
        paired={name: {m: asdict(p) for m, p in by_metric.items()} for name, by_metric in scores.paired.items()},
        better=scores.better,
    )
