"""Checkpoint → scores: every model answers the same items, and base and aligned are compared item by item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from spavl.config import LocalSpec, ModelSpec, Settings
from spavl.config.benchmarks import BenchmarkSpec, MiniworldBenchmark
from spavl.errors import SettingsError
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.blind_control import blanked
from spavl.evaluate.item import Item
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.loaders.catalogue import refuse_licence
from spavl.evaluate.metrics import with_outcomes
from spavl.evaluate.run import Scored, answer_through, compare, score, summarise
from spavl.evaluate.samples import with_samples
from spavl.evaluate.score_table import write_scores
from spavl.evaluate.scorer import Answer, ComparingScorer, Scorer, parts_of, with_changed_parts
from spavl.evaluate.spread import spread, whole_units
from spavl.pipeline.alarms import note_alarms
from spavl.pipeline.benchmark_tools import forget_replies, tools_of
from spavl.pipeline.build import keep_sections
from spavl.pipeline.controls import Controls
from spavl.pipeline.corrected import Correction, correction_of
from spavl.pipeline.live import calls_of_model
from spavl.pipeline.lost_calls import LostCalls
from spavl.pipeline.protocols import fixed_by_protocol, follow
from spavl.pipeline.scores import Scores, asked
from spavl.pipeline.session import Session, never_reached
from spavl.pipeline.weights import weights_of
from spavl.plural import plural
from spavl.progress import OnProgress
from spavl.rows import listed
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison


def evaluate(session: Session, *, models: Sequence[str] = ()) -> Scores:
    """Evaluate models on the settings' benchmarks, all on the same items.

    A checkpoint of this run is always compared with the model that it was made from.

    Args:
        session: the settings and the run folder, which gets the scores.
        models: checkpoint folders, Hub ids or names of listed models, the first of which the others are compared with;
            where none is given, the model that was aligned and every checkpoint of the run.

    Raises:
        SettingsError: no benchmark is named, one needs a guard and none is named, models are listed and it is not said
            which are meant, or two models have one name.
        MissingExtra: a model with weights on this machine has to answer and torch is not installed.
    """
    if not models and names_no_model(session):
        raise SettingsError(
            "It is not said which models are evaluated", where="--model",
            try_=f"name one or several, the base first: {listed([m.name for m in session.settings.models], '`')}; "
                 "or set `align.model`, the model that is aligned",
        )  # fmt: skip
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
        _forget_grades(session)
    scores = against or Scores.of(benchmarks)
    scores.benchmarks |= {b.name: asked(b) for b in benchmarks}
    correction = correction_of(session, [s.name for s in specs], benchmarks) if against is None else Correction()
    controls = Controls(session, benchmarks)
    for spec in specs:
        with session.stage(f"evaluate {spec.name}") as counts:
            own = _evaluate_model(session, spec, benchmarks, scores, correction)
            counts.update((b.name, len(scored)) for b, scored in zip(benchmarks, own, strict=True))
        scores.weights[spec.name] = weights_of(session.run, spec, session.model(spec))
        if controls.wanted(spec):
            found = controls.run(spec, own, partial(_ask, session, spec))
            scores.controls[spec.name] = [scores.renamed(result, benchmarks) for result in found]
    scores.lost = session.lost
    scores.too_unread = scores.verdicts.faults(session.settings.evaluate.most_unread)
    scores.note(session)
    scores.alarms = note_alarms(session.run, session.settings)
    return scores


def _forget_grades(session: Session) -> None:
    """Take the grades of `spavl grade` out of `run.json`: they are of answers that are about to be replaced."""
    if session.run.manifest().get("regraded"):
        session.run.replace(regraded={})


def _evaluate_model(
    session: Session, spec: ModelSpec, benchmarks: Sequence[Benchmark], scores: Scores, correction: Correction
) -> list[list[Scored]]:
    """Add a model's rates and comparisons to the scores; returns its scored answers without their words."""
    level = session.settings.evaluate.level
    rates: dict[str, Rate] = {}
    paired: dict[str, PairedComparison] = {}
    own: list[list[Scored]] = []
    for index, benchmark in enumerate(benchmarks):
        scored = _run_benchmark(session, spec, benchmark, scores.compared.get(index, {}))
        if index not in scores.first and any(_compares(metric) for metric in benchmark.metrics):
            scores.compared[index] = {s.answer.item.item_id: s.answer.text for s in scored}
        mended = correction.of(spec.name, benchmark, scored, level=level)
        scored = [_without_words(s) for s in scored]
        before, name = scores.first.setdefault(index, scored), scores.names[index]
        own.append(scored)
        rates |= {name[m]: r for m, r in summarise(scored, level=level).items()}
        compared = compare(benchmark, before, scored, level=level)
        paired |= {name[m]: p for m, p in compared.items() if p.n}
        scores.verdicts.add(spec.name, benchmark, scored, name)
        scores.corrected.setdefault(spec.name, {}).update({name[m]: one for m, one in mended.items()})
    if scores.rates:
        scores.paired[spec.name] = paired
    scores.rates[spec.name] = rates
    return own


def _without_words(scored: Scored) -> Scored:
    """A scored answer as comparisons need it: what was said stands in its table."""
    return replace(scored, answer=replace(scored.answer, text="", thought="", detail=""))


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
        SettingsError: it needs a guard and none is named, or its licence forbids the purpose that the settings name.
    """
    refuse_licence(spec, session.settings.evaluate.purpose)
    world_seed = session.settings.seed if seed is None else seed
    samples = session.settings.evaluate.samples
    opened = [with_outcomes(with_samples(benchmark, samples)) for benchmark in _open(session, spec, world_seed)]
    return [limited(benchmark, session.settings.limit) for benchmark in opened]


def limited(benchmark: Benchmark, limit: int | None) -> Benchmark:
    """A benchmark with at most `limit` items of every subset, from all its groups alike, and no unit in part.

    A part of a benchmark follows no published protocol.

    Args:
        benchmark: the whole benchmark.
        limit: most items; None for all.

    Raises:
        SettingsError: no unit is within the limit.
    """
    if limit is None:
        return benchmark
    kept: list[Item] = []
    for subset in dict.fromkeys(item.subset for item in benchmark.items):
        kept += spread([item for item in benchmark.items if item.subset == subset], limit)
    kept = whole_units(kept, benchmark.items)
    if not kept:
        raise SettingsError(
            f"With at most {plural(limit, 'item')} of a subset, no items of benchmark `{benchmark.name}` that are "
            "scored together would all be asked", where="limit", try_="a larger limit",
        )  # fmt: skip
    whole = len(kept) == len(benchmark.items)
    standard, of_standard = (benchmark.standard, benchmark.standard_metrics) if whole else ("", ())
    return replace(
        benchmark, items=tuple(kept), metrics=counted(benchmark.metrics, kept), standard=standard,
        standard_metrics=of_standard,
    )  # fmt: skip


def names_no_model(session: Session) -> bool:
    """Whether settings list models and name none to align, nor was any aligned: then no default may be meant.

    Args:
        session: the settings and the run folder.
    """
    named = "model" in session.settings.align.model_fields_set or session.run.aligned()
    return bool(session.settings.models) and not named


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
    return base_of(session.settings)


def base_of(settings: Settings) -> LocalSpec:
    """The same entry, of settings without a session.

    Args:
        settings: of the run.
    """
    align = settings.align
    return LocalSpec(name="base", path=align.model, revision=align.revision, device=align.machine.device,
                     dtype=align.machine.dtype, batch_size=settings.evaluate.batch_size,
                     max_pixels=align.data.max_pixels)  # fmt: skip


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


def _compares(metric: Metric) -> bool:
    return any(isinstance(one, ComparingScorer) for one in parts_of(metric.scorer))


def _against(metric: Metric, others: Mapping[str, str]) -> Metric:
    """The metric with the first model's answers, if it compares with these."""

    def against(scorer: Scorer) -> Scorer:
        return scorer.against(others) if isinstance(scorer, ComparingScorer) else scorer

    return replace(metric, scorer=with_changed_parts(metric.scorer, against))


def _run_benchmark(session: Session, spec: ModelSpec, benchmark: Benchmark, first: Mapping[str, str]) -> list[Scored]:
    """A model's scored answers, which are compared with the first model's where a metric does that."""
    tell_calls = calls_of_model(session, spec.name, len(benchmark.items) * benchmark.samples)
    with session.progress.bar(f"evaluate {spec.name}: {benchmark.name}", tell_calls) as on_progress:
        answers = _ask(session, spec, benchmark, on_progress)
    forget_replies(benchmark)
    metrics = tuple(_against(metric, first) for metric in benchmark.metrics)
    scored = score(replace(benchmark, metrics=metrics), answers)
    graded = [metric.name for metric in benchmark.metrics if metric.graded]
    write_scores(session.run.evaluate, scored, run=session.run.folder, graded=graded)
    return scored


def _ask(session: Session, spec: ModelSpec, benchmark: Benchmark, on_progress: OnProgress) -> list[Answer]:
    """A model's answers to a benchmark; those that are lost are counted."""
    answers = answer_through(session.engine, benchmark, session.model(spec), on_progress=on_progress)
    for one in answers:
        session.lost.count(spec, benchmark.name, one.status, one.detail)
    return answers


def _open(session: Session, spec: BenchmarkSpec, seed: int) -> Sequence[Benchmark]:
    if isinstance(spec, MiniworldBenchmark):
        from spavl.miniworld.languages import LANGUAGES
        from spavl.pipeline.miniworld import miniworld_benchmarks

        language, limit = LANGUAGES[spec.language], session.settings.limit
        return miniworld_benchmarks(seed, spec.per_subset, session.world, language, name=spec.name, limit=limit)
    fixed = fixed_by_protocol(spec)
    tools = tools_of(session, spec.name, sampling=None if fixed is None else fixed.sampling)
    opened = open_benchmark(spec, tools, allow_code=session.allow_code)
    return [opened if fixed is None else follow(opened, spec, fixed, session.settings)]
