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
from spavl.evaluate.controls import blanked
from spavl.evaluate.judged import judged_scorer
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import score_exact, score_refusal, score_yes_or_no
from spavl.evaluate.run import Answer, Scored, Scorer, answer, compare, score, summarise, write_scores
from spavl.judging.grade import grade_template
from spavl.pipeline.build import say_what_changed
from spavl.pipeline.workshop import Workshop
from spavl.statistics.intervals import Outcome, Rate
from spavl.statistics.paired import Paired

MakeScorer = Callable[[Sequence[Answer]], Scorer]


@dataclass(frozen=True, slots=True)
class Exam:
    """A benchmark and how its answers are scored."""

    benchmark: Benchmark
    scorer: MakeScorer


@dataclass(slots=True)
class Scores:
    """Rates of every model, and every later model compared with the first."""

    rates: dict[str, dict[str, Rate]] = field(default_factory=dict)
    paired: dict[str, dict[str, Paired]] = field(default_factory=dict)
    better: dict[str, str] = field(default_factory=dict)
    first: dict[int, list[Scored]] = field(default_factory=dict)
    """The first model's answers, by the place of the exam."""


def evaluate(shop: Workshop, *, models: Sequence[str] = ()) -> Scores:
    """Ask every model everything. `models`: checkpoint folders, Hub ids or names of the roster; the first is the base.

    Without any, the model that was aligned and every checkpoint in the run folder. A checkpoint of this run is always
    compared with the model that it was made from.
    """
    say_what_changed(shop)
    specs = [_spec(shop, name) for name in models] or known_models(shop)
    base = base_spec(shop)
    aligned_here = any(spec.name in shop.run.manifest().get("aligned", {}) for spec in specs)
    if aligned_here and base.name not in [spec.name for spec in specs]:
        specs = [base, *specs]
    return examine(shop, specs, exams(shop))


def examine(
    shop: Workshop, specs: Sequence[ModelSpec], wanted: Sequence[Exam], *, against: Scores | None = None
) -> Scores:
    """Every model through every exam; tables of answers and outcomes are written as they are made.

    All are compared with the first, or with the first of `against`, whose scores are kept beside the new ones.
    """
    better = {_name(wanted, e, m.name): m.better for e in wanted for m in e.benchmark.metrics}
    scores = against or Scores(better=dict(better))
    for spec in specs:
        rates: dict[str, Rate] = {}
        paired: dict[str, Paired] = {}
        with shop.stage(f"evaluate {spec.name}") as counts:
            for place, exam in enumerate(wanted):
                scored = _take(shop, spec, exam)
                before = scores.first.setdefault(place, scored)
                name = partial(_name, wanted, exam)
                rates |= {name(m): r for m, r in summarise(scored, level=shop.settings.evaluate.level).items()}
                compared = compare(exam.benchmark, before, scored, level=shop.settings.evaluate.level)
                paired |= {name(m): p for m, p in compared.items() if p.n}
                counts[exam.benchmark.name] = len(scored)
        if scores.rates:
            scores.paired[spec.name] = paired
        scores.rates[spec.name] = rates
    _note(shop, scores)
    return scores


def _name(wanted: Sequence[Exam], exam: Exam, metric: str) -> str:
    """The metric's name; where several benchmarks have it, with its benchmark's before it."""
    sharing = sum(any(m.name == metric for m in e.benchmark.metrics) for e in wanted)
    return metric if sharing == 1 else f"{exam.benchmark.name}/{metric}"


def blank_exams(shop: Workshop) -> list[Exam]:
    """The benchmarks of the settings with every picture blanked: the same items, nothing to see."""
    return [Exam(blanked(e.benchmark, shop.run.folder / "world" / "blank"), e.scorer) for e in exams(shop)]


def exams(shop: Workshop, seed: int | None = None) -> list[Exam]:
    """The benchmarks of the settings; `seed` draws other pictures of the miniature world than the run's.

    Raises:
        SettingsError: there is none.
    """
    specs = shop.settings.evaluate.benchmarks
    if not specs:
        raise SettingsError(
            "No benchmark is named", where="evaluate.benchmarks",
            try_='add one, such as `evaluate.benchmarks=[{kind: file, name: mine, path: items.jsonl}]`; '
            "`spavl settings evaluate` explains them",
        )  # fmt: skip
    drawn = shop.settings.seed if seed is None else seed
    return [limited(exam, shop.settings.limit) for spec in specs for exam in _open(shop, spec, drawn)]


def limited(exam: Exam, limit: int | None) -> Exam:
    """At most `limit` items of every arm."""
    if limit is None:
        return exam
    kept: list[Item] = []
    for arm in dict.fromkeys(item.arm for item in exam.benchmark.items):
        kept += [item for item in exam.benchmark.items if item.arm == arm][:limit]
    return replace(exam, benchmark=replace(exam.benchmark, items=tuple(kept)))


def known_models(shop: Workshop) -> list[ModelSpec]:
    """The model that was aligned, and every checkpoint of this run but blind controls, which are examined blank."""
    base = base_spec(shop)
    made = shop.run.manifest().get("aligned", {})
    found = shop.run.aligned().items()
    return [base, *(checkpoint_spec(name, at, base) for name, at in found if not made.get(name, {}).get("blind"))]


def base_spec(shop: Workshop) -> LocalSpec:
    """The model that is aligned, as a model to be asked."""
    settings = shop.settings.align
    return LocalSpec(name="base", path=settings.model, revision=settings.revision, device=settings.machine.device,
                     batch_size=shop.settings.evaluate.batch_size)  # fmt: skip


def checkpoint_spec(name: str, folder: Path, base: LocalSpec) -> LocalSpec:
    """A checkpoint, asked under the same circumstances as the base."""
    return base.model_copy(update={"name": name, "path": str(folder), "revision": None})


def _spec(shop: Workshop, name: str) -> ModelSpec:
    for spec in shop.settings.models:
        if spec.name == name:
            return spec
    base = base_spec(shop)
    if name == base.path:
        return base
    folder = Path(name)
    ours = [own for own, at in shop.run.aligned().items() if at.resolve() == folder.resolve()]
    label = ours[0] if ours else name.removesuffix("/checkpoint")
    return checkpoint_spec("".join(c if c.isalnum() or c in "._-" else "-" for c in label).strip("-."), folder, base)


def _take(shop: Workshop, spec: ModelSpec, exam: Exam) -> list[Scored]:
    with shop.watch.bar(f"evaluate {spec.name}: {exam.benchmark.name}") as progress:
        answers = answer(exam.benchmark, shop.model(spec), store=shop.store, progress=progress)
    scored = score(exam.benchmark, answers, scorer=exam.scorer(answers))
    write_scores(shop.run.evaluate, scored)
    return scored


def _open(shop: Workshop, spec: BenchmarkSpec, seed: int) -> list[Exam]:
    if isinstance(spec, MiniworldBenchmark):
        from spavl.pipeline.world import examination, score_by_truth

        folder = shop.run.folder / "world"
        return [Exam(b, lambda _: score_by_truth) for b in examination(seed, spec.per_arm, folder)]
    settings = shop.settings.evaluate
    benchmark = open_benchmark(spec, sampling=shop.sampling(settings.sampling), pictures=shop.run.folder / "world")
    judged = [m for m in benchmark.metrics if m.axis == "safety"]
    if judged and settings.judge is None:
        raise SettingsError(
            f"Benchmark `{benchmark.name}` needs a guard that grades answers", where="evaluate.judge",
            try_="name a model of the roster, such as `evaluate.judge=guard`",
        )  # fmt: skip
    return [Exam(benchmark, partial(_scorer, shop, benchmark))]


PARSED: dict[str, Scorer] = {
    "over_refusal_rate": score_refusal,
    "skill_accuracy": score_exact,
    "pope_accuracy": score_yes_or_no,
    "pope_neither_rate": score_yes_or_no,
    "pope_yes_rate": score_yes_or_no,
}
"""Metrics that are read from the answer's words; those of safety are graded by the guard."""


def _scorer(shop: Workshop, benchmark: Benchmark, answers: Sequence[Answer]) -> Scorer:
    """Each item's metrics, read from the words or graded by the guard, all grades asked at once."""
    by_metric = {**PARSED, **{m.name: _graded(shop, m, answers) for m in benchmark.metrics if m.axis == "safety"}}

    def scorer(item: Item, text: str) -> dict[str, Outcome]:
        said: dict[str, Outcome] = {}
        for metric in benchmark.metrics_of(item):
            said.update(by_metric[metric.name](item, text))
        return said

    return scorer


def _graded(shop: Workshop, metric: Metric, answers: Sequence[Answer]) -> Scorer:
    settings = shop.settings.evaluate
    guard = shop.model(shop.spec(settings.judge or "", "evaluate.judge"))
    with shop.watch.bar(f"grade: {metric.name}") as progress:
        return judged_scorer(
            [a for a in answers if a.item.arm in metric.arms], guard, template=grade_template(settings.judge_prompt),
            sampling=shop.sampling(settings.judge_sampling), store=shop.store, sees_image=settings.judge_sees_image,
            metric=metric.name, progress=progress,
        )  # fmt: skip


def _note(shop: Workshop, scores: Scores) -> None:
    """The scores of this examination take the place of earlier ones: numbers of two examinations are never mixed."""
    shop.run.replace(
        models={name: {m: asdict(r) for m, r in rates.items()} for name, rates in scores.rates.items()},
        paired={name: {m: asdict(p) for m, p in those.items()} for name, those in scores.paired.items()},
        better=scores.better,
    )
