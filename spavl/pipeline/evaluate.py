"""Checkpoint → scores: every model answers the same items, and base and aligned are compared item by item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from spavl.config import LocalSpec, ModelSpec
from spavl.config.benchmarks import BenchmarkSpec, MiniworldBenchmark
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark, counted
from spavl.evaluate.blind_control import blanked
from spavl.evaluate.item import Item
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.run import Scored, answer_through, compare, score, summarise
from spavl.evaluate.score_table import write_scores
from spavl.evaluate.scorer import Scorer
from spavl.evaluate.spread import spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.pipeline.build import keep_sections
from spavl.pipeline.judging import guard_scorer, refusal_guard
from spavl.pipeline.live import calls_of_model
from spavl.pipeline.lost_calls import LostCalls
from spavl.pipeline.session import Session, never_reached
from spavl.pipeline.weights import weights_of
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison


@dataclass(slots=True)
class Scores:
    """Rates of every model, and the comparison of every later model with the first.

    A metric is called by its name, after its benchmark's where several benchmarks have it.
    """

    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What every metric is: name, benchmark, axis, better, label, what, scorer, protocol."""
    rates: dict[str, dict[str, Rate]] = field(default_factory=dict)
    """Rate by metric, by name of the model."""
    paired: dict[str, dict[str, PairedComparison]] = field(default_factory=dict)
    """Paired comparison with the first model by metric, by name of the model; the first is not among them."""
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Source, protocol, sampling and number of items of every benchmark that was asked."""
    names: list[dict[str, str]] = field(default_factory=list)
    """Name here of every metric by its name in its benchmark, by index of the benchmark."""
    first: dict[int, list[Scored]] = field(default_factory=dict)
    """The first model's scored answers without their words, by index of the benchmark."""
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What names the weights that every score is of, by name of the model."""
    lost: LostCalls = field(default_factory=LostCalls)
    """Calls without an answer, of all models and guards."""

    @property
    def failed(self) -> int:
        """Calls that failed; they have no outcome, and are made again next time."""
        return self.lost.failed


def evaluate(session: Session, *, models: Sequence[str] = ()) -> Scores:
    """Evaluate models on the settings' benchmarks, all on the same items.

    A checkpoint of this run is always compared with the model that it was made from.

    Args:
        session: the settings and the run folder, which gets the scores.
        models: checkpoint folders, Hub ids or names of listed models, the first of which the others are compared with;
            where none is given, the model that was aligned and every checkpoint of the run.

    Raises:
        SettingsError: no benchmark is named, one needs a guard and none is named, or two models have one name.
        MissingExtra: a model with weights on this machine has to answer and torch is not installed.
    """
    specs = models_of(session, models)
    if unpriced := never_reached(session.settings):
        session.progress.log(unpriced)
    scores = run_benchmarks(session, specs, open_benchmarks(session))
    keep_sections(session, "evaluate", "report")
    return scores


def models_of(session: Session, models: Sequence[str] = ()) -> list[ModelSpec]:
    """The models that are evaluated, each once; a checkpoint of this run comes with the model it was made from.

    Args:
        session: the settings and the run folder.
        models: as for `evaluate`.

    Raises:
        SettingsError: two models have one name.
    """
    specs = [_spec(session, name) for name in models] or known_models(session)
    base = base_spec(session)
    aligned_here = any(spec.name in session.run.manifest().get("aligned", {}) for spec in specs)
    if aligned_here and base.name not in [spec.name for spec in specs]:
        specs = [base, *specs]
    return _distinct(specs)


def _distinct(specs: Sequence[ModelSpec]) -> list[ModelSpec]:
    """The models, each once; different ones of one name would write over each other's scores."""
    found: dict[str, ModelSpec] = {}
    for spec in specs:
        if found.setdefault(spec.name, spec) != spec:
            raise SettingsError(
                f"Two models would both be called `{spec.name}` in the scores", where="--model",
                try_="list one of them under `models` with a name of its own, and name it",
            )  # fmt: skip
    return list(found.values())


def run_benchmarks(
    session: Session, specs: Sequence[ModelSpec], benchmarks: Sequence[Benchmark], *, against: Scores | None = None
) -> Scores:
    """Evaluate every model on every benchmark; tables of scored answers are written as they are made.

    Args:
        session: the settings, the call store and the run folder.
        specs: the models; all are compared with the first.
        benchmarks: what they are asked.
        against: earlier scores on the same benchmarks, blanked or not; they are kept, their metrics keep their names,
            and the models are compared with their first.
    """
    if against is None:
        session.lost = LostCalls()
    scores = against or Scores(metrics=_described(benchmarks), names=_names(benchmarks))
    scores.benchmarks |= {b.name: _asked(b) for b in benchmarks}
    for spec in specs:
        rates: dict[str, Rate] = {}
        paired: dict[str, PairedComparison] = {}
        with session.stage(f"evaluate {spec.name}") as counts:
            for index, benchmark in enumerate(benchmarks):
                scored = _run_benchmark(session, spec, benchmark)
                before = scores.first.setdefault(index, [_without_words(s) for s in scored])
                name = scores.names[index]
                rates |= {name[m]: r for m, r in summarise(scored, level=session.settings.evaluate.level).items()}
                compared = compare(benchmark, before, scored, level=session.settings.evaluate.level)
                paired |= {name[m]: p for m, p in compared.items() if p.n}
                counts[benchmark.name] = len(scored)
        if scores.rates:
            scores.paired[spec.name] = paired
        scores.rates[spec.name] = rates
        scores.weights[spec.name] = weights_of(session.run, spec, session.model(spec))
    scores.lost = session.lost
    _note(session, scores)
    return scores


def _without_words(scored: Scored) -> Scored:
    """A scored answer as comparisons need it: what was said stands in its table."""
    return replace(scored, answer=replace(scored.answer, text="", thought="", detail=""))


def _names(benchmarks: Sequence[Benchmark]) -> list[dict[str, str]]:
    """Every benchmark's metrics by name, with the benchmark's name before it where several benchmarks have it."""
    sharing = Counter(metric.name for benchmark in benchmarks for metric in benchmark.metrics)
    return [{m.name: m.name if sharing[m.name] == 1 else f"{b.name}/{m.name}" for m in b.metrics} for b in benchmarks]


def _described(benchmarks: Sequence[Benchmark]) -> dict[str, dict[str, Any]]:
    """What every metric is, as plain data; labels that several metrics share get their benchmark's name."""
    found = {}
    labels = Counter(metric.label for benchmark in benchmarks for metric in benchmark.metrics)
    for benchmark, names in zip(benchmarks, _names(benchmarks), strict=True):
        protocol = benchmark.protocol()
        for m in benchmark.metrics:
            label = m.label if labels[m.label] == 1 else f"{m.label} ({benchmark.name})"
            found[names[m.name]] = {
                "name": m.name, "benchmark": benchmark.name, "axis": m.axis, "better": m.better, "label": label,
                "what": m.what, "scorer": m.scorer.id, "protocol": protocol, "graded": m.graded,
            }  # fmt: skip
    return found


def _asked(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "source": benchmark.source, "protocol": benchmark.protocol(), "standard": benchmark.standard,
        "items": len(benchmark.items), "samples": benchmark.samples,
        "prompt": benchmark.prompt, "sampling": asdict(benchmark.sampling),
    }  # fmt: skip


def blank_benchmarks(session: Session) -> list[Benchmark]:
    """The benchmarks of the settings with every picture blanked, on which the blind control is evaluated.

    Args:
        session: the settings, and the run folder that blank pictures are written to.
    """
    return [blanked(benchmark, session.world / "blank") for benchmark in open_benchmarks(session)]


def open_benchmarks(session: Session, seed: int | None = None) -> list[Benchmark]:
    """The benchmarks of the settings, with at most `limit` items a subset.

    Args:
        session: the settings and the run folder.
        seed: of the miniature world's pictures and questions, in place of the run's.

    Raises:
        SettingsError: no benchmark is named, two have one name, or one needs a guard and none is named.
    """
    specs = session.settings.evaluate.benchmarks
    if not specs:
        raise SettingsError(
            "No benchmark is named", where="evaluate.benchmarks",
            try_='add one, such as `evaluate.benchmarks=[{kind: file, name: mine, path: items.jsonl}]`; '
            "`spavl settings evaluate` explains them",
        )  # fmt: skip
    benchmarks = [benchmark for spec in specs for benchmark in benchmarks_of(session, spec, seed)]
    for name, times in Counter(benchmark.name for benchmark in benchmarks).items():
        if times > 1:
            raise SettingsError(
                f"Two benchmarks are called `{name}`, and the scores of one would stand for both",
                where="evaluate.benchmarks",
                try_="rename the entry; a function of your own calls its benchmark `tools.name`",
            )  # fmt: skip
    return benchmarks


def benchmarks_of(session: Session, spec: BenchmarkSpec, seed: int | None = None) -> list[Benchmark]:
    """The benchmarks of one entry of the settings, with at most `limit` items a subset.

    Args:
        session: the settings and the run folder.
        spec: the entry.
        seed: of the miniature world's pictures and questions, in place of the run's.

    Raises:
        DataError: its files cannot be used.
        SettingsError: it needs a guard and none is named.
    """
    world_seed = session.settings.seed if seed is None else seed
    return [limited(benchmark, session.settings.limit) for benchmark in _open(session, spec, world_seed)]


def limited(benchmark: Benchmark, limit: int | None) -> Benchmark:
    """A benchmark with at most `limit` items of every subset, from all its groups alike.

    Args:
        benchmark: the whole benchmark.
        limit: most items; None for all.
    """
    if limit is None:
        return benchmark
    kept: list[Item] = []
    for subset in dict.fromkeys(item.subset for item in benchmark.items):
        kept += spread([item for item in benchmark.items if item.subset == subset], limit)
    return replace(benchmark, items=tuple(kept), metrics=counted(benchmark.metrics, kept))


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
    """The settings entry of the model that is aligned, named `base`, in the number format in which it is trained.

    Args:
        session: the settings.
    """
    settings = session.settings.align
    return LocalSpec(name="base", path=settings.model, revision=settings.revision, device=settings.machine.device,
                     dtype=settings.machine.dtype, batch_size=session.settings.evaluate.batch_size,
                     max_pixels=settings.data.max_pixels)  # fmt: skip


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


def _run_benchmark(session: Session, spec: ModelSpec, benchmark: Benchmark) -> list[Scored]:
    tell_calls = calls_of_model(session, spec.name, len(benchmark.items))
    with session.progress.bar(f"evaluate {spec.name}: {benchmark.name}", tell_calls) as on_progress:
        answers = answer_through(session.engine, benchmark, session.model(spec), on_progress=on_progress)
    for one in answers:
        session.lost.count(spec, benchmark.name, one.status, one.detail)
    scored = score(benchmark, answers)
    graded = [metric.name for metric in benchmark.metrics if metric.graded]
    write_scores(session.run.evaluate, scored, run=session.run.folder, graded=graded)
    return scored


def _open(session: Session, spec: BenchmarkSpec, seed: int) -> Sequence[Benchmark]:
    if isinstance(spec, MiniworldBenchmark):
        from spavl.miniworld.languages import LANGUAGES
        from spavl.pipeline.miniworld import miniworld_benchmarks

        return miniworld_benchmarks(seed, spec.per_subset, session.world, LANGUAGES[spec.language], spec.name)
    return [open_benchmark(spec, _tools(session, spec.name), allow_code=session.allow_code)]


def _tools(session: Session, name: str) -> BenchmarkTools:
    """What a benchmark of the settings is made with."""
    settings = session.settings.evaluate
    refusal = refusal_guard(session.settings)
    return BenchmarkTools(
        name=name, sampling=session.sampling(settings.sampling), pictures=session.world,
        seed=session.settings.seed, unsafe=partial(_unsafe, session, name), missing_pictures=settings.missing_pictures,
        refuses=guard_scorer(session, refusal, "evaluate.refusal_guard", tells="refusal") if refusal else REFUSES,
    )  # fmt: skip


def _unsafe(session: Session, benchmark: str) -> Scorer:
    guard = session.settings.evaluate.guard
    if guard is None:
        raise SettingsError(
            f"Benchmark `{benchmark}` needs a guard that grades answers", where="evaluate.guard",
            try_="name an entry of `guards`, such as `evaluate.guard=guard`",
        )  # fmt: skip
    return guard_scorer(session, guard, "evaluate.guard")


def _note(session: Session, scores: Scores) -> None:
    """Put scores into `run.json` in place of earlier ones, so that two evaluations are never mixed."""
    session.run.replace(
        models={name: {m: asdict(r) for m, r in rates.items()} for name, rates in scores.rates.items()},
        paired={name: {m: asdict(p) for m, p in by_metric.items()} for name, by_metric in scores.paired.items()},
        metrics=scores.metrics,
        benchmarks=scores.benchmarks,
        weights=scores.weights,
    )
