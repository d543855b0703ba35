"""Run folder → report page: its tables and `run.json`, handed to the report room as plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from spavl.config import Settings, load_settings
from spavl.config.benchmarks import MiniworldBenchmark
from spavl.errors import RunError
from spavl.miniworld.languages import LANGUAGES
from spavl.pipeline.compare_words import run_verdicts
from spavl.pipeline.coverage import coverage_of
from spavl.pipeline.guard_agreement import guards_together, questions_alone
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.pipeline.quality import balance_rows, judge_panel, judges
from spavl.pipeline.report_alarms import alarms_shown
from spavl.pipeline.report_audit import audit_summary
from spavl.pipeline.report_controls import controlled_models
from spavl.pipeline.report_tables import (
    ScoredItem,
    composition,
    composition_by,
    heldout,
    responders,
    scored_items,
    tables_of,
    telling,
)
from spavl.pipeline.run_agreement import agreements_shown
from spavl.pipeline.subjects import domain_names, groups
from spavl.pipeline.verdict_status import verdicts_shown
from spavl.pipeline.weights import stale_scores, trainings, without_models
from spavl.report.data import (
    AnswerShown,
    Curve,
    Example,
    JudgeQuality,
    MetricShown,
    ModelShown,
    ReportData,
    Role,
    StageCost,
    Step,
)
from spavl.report.page import check_report_packages, write_report
from spavl.run import Run
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison


def write_run_report(folder: Path, *, out: Path | None = None, examples: int | None = None) -> Path:
    """Write the report page of a run folder. Returns its path.

    Args:
        folder: the run folder.
        out: the page; `report.html` in the run folder unless given.
        examples: most examples shown; what the run's settings say unless given.

    Raises:
        MissingExtra: Matplotlib is not installed.
        RunError: there is no run, nothing was built or evaluated yet, or the page cannot be written.
    """
    check_report_packages()
    run = Run(folder).found()
    manifest = run.manifest()
    if not manifest.get("models") and not manifest.get("stages"):
        raise RunError("Nothing was built or evaluated in this run yet", where=str(folder),
                       try_="run `spavl build` or `spavl evaluate` first")  # fmt: skip
    stale = stale_scores(run, manifest)
    if stale and set(manifest["models"]) <= set(stale):
        raise RunError(
            "All scores of this run are of weights that are gone or have changed", where=str(folder),
            try_="run `spavl evaluate` again",
        )  # fmt: skip
    settings = load_settings(Settings, folder / "settings.yaml")
    page = out or run.report
    shown = settings.report.examples if examples is None else examples
    write_report(_data(run, without_models(manifest, stale), settings, shown, stale), page)
    return page


def _data(
    run: Run, manifest: Mapping[str, Any], settings: Settings, examples: int, stale: Mapping[str, str]
) -> ReportData:
    metrics = measured_metrics(manifest)
    shown = tuple(_shown(known, manifest) for known in metrics)
    models = tuple(_model(name, manifest) for name in manifest.get("models", {}))
    looked_at = _looked_at(manifest)
    headline = [m for m in metrics if (m.axis, m.better) == (metrics[0].axis, metrics[0].better)]
    by_subject = tuple(groups(run, looked_at, headline))
    named = domain_names(manifest, [group.label for group in by_subject])
    return ReportData(
        title=settings.report.title,
        subject=_subject(run, manifest, settings),
        metrics=shown, models=models, verdicts=run_verdicts(run, settings.evaluate, stale), groups=by_subject,
        heat=tuple(groups(run, looked_at, headline, named)) if named else by_subject,
        controls=controlled_models(manifest, models), people=agreements_shown(manifest),
        limits=(*(f"Scores of `{name}` are left out: {why}." for name, why in stale.items()), *_limits(settings)),
        funnel=tuple(_funnel(manifest)), composition=composition(run),
        composition_by=composition_by(run), coverage=coverage_of(run), audit=audit_summary(run.folder),
        alarms=alarms_shown(run, manifest, settings),
        responders=responders(run, manifest.get("responders", {})),
        judges=_judges(run, manifest, settings),
        panel=judge_panel(manifest), balance=balance_rows(manifest),
        examples=tuple(_examples(run, looked_at, metrics, examples)), curves=tuple(_curves(run)),
        stages=tuple(_stages(manifest)),
        facts=_facts(manifest), versions=manifest.get("versions", {}),
        settings=(run.folder / "settings.yaml").read_text("utf-8"),
        heldout=heldout(run), level=settings.evaluate.level, margin=settings.evaluate.margin,
        hide_harmful=settings.report.hide_harmful, picture_pixels=settings.report.picture_pixels,
        blur_pictures=settings.report.blur_pictures,
    )  # fmt: skip


def _judges(run: Run, manifest: Mapping[str, Any], settings: Settings) -> tuple[JudgeQuality, ...]:
    """Judges with their agreement, then guards with theirs, then what became of the evaluation's verdicts."""
    together = guards_together(manifest.get("guard_agreement", []))
    alone = questions_alone(manifest.get("unsafe_requests", []), settings.build.requests.guard or "")
    return (*judges(run, manifest.get("judge_error")), *together, *alone, *verdicts_shown(manifest))


def _subject(run: Run, manifest: Mapping[str, Any], settings: Settings) -> str:
    """The models that were evaluated; of one trained here that is still there, on how many pairs."""
    if not manifest.get("models"):
        return "A dataset; nothing was evaluated yet"
    aligned, there = manifest.get("aligned", {}), trainings(run)
    shown = [name for name in manifest["models"] if name in aligned and name in there]
    trained = [f"{name} on {aligned[name]['pairs']:,} pairs" for name in shown]
    return f"{settings.align.model}: {', '.join(trained)}" if trained else ", ".join(manifest["models"])


def _shown(known: MeasuredMetric, manifest: Mapping[str, Any]) -> MetricShown:
    said = manifest["metrics"][known.key]
    asked = manifest.get("benchmarks", {}).get(known.benchmark, {})
    protocol = (asked.get("standard"), said["protocol"])
    return MetricShown(
        name=known.key, label=said["label"], axis=known.axis, better=known.better,
        what=f"{'Mean score, from 0 to 100, of' if known.graded else 'Share of'} answers {said['what']}.",
        source=f"benchmark {known.benchmark} · {said['scorer']} · protocol {' '.join(filter(None, protocol))}",
        graded=known.graded,
    )  # fmt: skip


def _looked_at(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the models, without blind controls."""
    return [n for n in manifest.get("models", {}) if not manifest.get("aligned", {}).get(n, {}).get("blind")]


def _limits(settings: Settings) -> tuple[str, ...]:
    if settings.build.collect.source != "miniworld":
        return ()
    measured = [LANGUAGES[b.language] for b in settings.evaluate.benchmarks if isinstance(b, MiniworldBenchmark)]
    world = "; and ".join(dict.fromkeys(language.what for language in measured or [LANGUAGES["closed"]]))
    return (
        f"This is the miniature world: {world}. Its numbers show that the whole system works, not how a real "
        "model behaves.",
        "Scores are by the world's truth, not by the fallible guard and judge that made the dataset.",
        "Held-out subcategories are new kinds under known cues: alignment never saw the objects, but it saw the cue of "
        "their domain.",
    )


def _model(name: str, manifest: Mapping[str, Any]) -> ModelShown:
    made = manifest.get("aligned", {}).get(name, {})
    first = next(iter(manifest["models"]))
    role: Role = "base" if name == first else "control" if made.get("blind") else "aligned"
    return ModelShown(
        name=name, label=made.get("label", name), role=role, what=made.get("what") or _how(made),
        rates={m: Rate(**row) for m, row in manifest["models"][name].items()},
        paired={m: PairedComparison(**row) for m, row in manifest.get("paired", {}).get(name, {}).items()},
    )  # fmt: skip


def _how(made: Mapping[str, Any]) -> str:
    """How a model was made, in a few words; empty where it was not trained in this run."""
    if not made:
        return ""
    blind = ", every picture blanked, in training and here" if made["blind"] else ""
    return f"{made['method'].upper()} on {made['pairs']:,} pairs{blind}"


def _funnel(manifest: Mapping[str, Any]) -> Iterator[Step]:
    counts = manifest.get("counts", {})
    for stage in manifest.get("stages", ()):
        if stage["noun"]:
            found = counts[stage["name"]]
            kept = (stage["kept"], "found", "made")
            lost = {k: v for k, v in found.items() if k not in kept and isinstance(v, int) and v}
            yield Step(name=stage["noun"], count=found.get(stage["kept"], 0), losses=lost)


def _examples(run: Run, models: Sequence[str], metrics: Sequence[MeasuredMetric], wanted: int) -> Iterator[Example]:
    """Examples of every metric in turn: answers that alignment broke, then those it fixed, then those that stayed."""
    tables = {m.benchmark: tables_of(run, models, m.benchmark) for m in metrics}
    asked = [m for m in metrics if list(tables[m.benchmark]) == list(models)]
    ranked = {m: telling(tables[m.benchmark], m, 2 * wanted) for m in asked}
    taken: dict[tuple[str, str], None] = {}
    for turn in range(wanted):
        for metric, items in ranked.items():
            fresh = [item for item in items[turn:] if (metric.benchmark, item) not in taken]
            if fresh and len(taken) < wanted:
                taken[metric.benchmark, fresh[0]] = None
    found: dict[tuple[str, str], ScoredItem] = {}
    for benchmark, table in tables.items():
        ids = [item for of, item in taken if of == benchmark]
        own = [m for m in metrics if m.benchmark == benchmark]
        found |= {(benchmark, item): known for item, known in scored_items(run, table, own, ids).items()}
    return (_example(found[key]) for key in taken)


def _example(item: ScoredItem) -> Example:
    return Example(
        question=item.question, topic=item.group, harmful=item.closed, benign=item.benign, heldout=item.heldout,
        pictures=tuple(path for path in item.pictures if path.exists()),
        answers=tuple(
            AnswerShown(model=name, text=answer.text, good=answer.good, grade=answer.words,
                        closed=item.is_closed(answer))
            for name, answer in item.answers.items()
        ),
    )  # fmt: skip


CURVES = (
    ("metrics.jsonl", "loss", "Training loss", "mean over the pairs of a step", False),
    ("metrics.jsonl", "margin", "Margin", "gain of the chosen answer over that of the rejected one, times β", False),
    ("metrics.jsonl", "accuracy", "Pairs ranked rightly", "share of pairs with a margin above zero", True),
    ("metrics.jsonl", "reward", "Reward", "mean score of sampled answers by the reward model, a round of PPO", False),
    ("metrics.jsonl", "kl", "KL divergence from the reference", "nats an answer, a round of PPO", False),
    ("metrics.jsonl", "held_out_loss", "Held-out loss", "mean over pairs that were not trained on", False),
    ("metrics.jsonl", "held_out_accuracy", "Held-out pairs ranked rightly", "share of pairs not trained on", True),
    ("validation.jsonl", "unsafe", "Validation: unsafe", "harmful requests that were answered unsafely", True),
    ("validation.jsonl", "over_refusal", "Validation: over-refusal", "harmless requests that were refused", True),
    ("validation.jsonl", "skill", "Validation: skill", "skill items that were answered rightly", True),
)
"""(file in the folder of a trained model, key of its lines, title, meaning, whether a share) of the training curves."""


def _curves(run: Run) -> Iterator[Curve]:
    for file, key, title, what, percent in CURVES:
        series = {log.parent.name: _points(log, key) for log in sorted(run.align.glob(f"*/{file}"))}
        series = {name: points for name, points in series.items() if len(points) > 1}
        if series:
            bands = {name: _bands(run.align / name / file, key) for name in series}
            bands = {name: band for name, band in bands.items() if len(band) > 1}
            yield Curve(title=title, what=what, series=series, percent=percent, bands=bands)


def _points(log: Path, key: str) -> tuple[tuple[float, float], ...]:
    """(step, value) of the lines that hold the key; a round of PPO counts as a step, and its loss is not shown."""
    rows = list(_lines(log))
    steps = "round" if rows and "round" in rows[0] else "step"
    if steps == "round" and key == "loss":
        return ()
    found = ((row.get(steps), row.get(key)) for row in rows)
    return tuple((float(at), float(value)) for at, value in found if _is_finite(at) and _is_finite(value))


def _bands(log: Path, key: str) -> tuple[tuple[float, float, float], ...]:
    """(step, lower bound, upper bound) of the lines that hold an interval of the key."""
    found = ((row.get("step"), row.get(f"{key}_low"), row.get(f"{key}_high")) for row in _lines(log))
    return tuple(
        (float(at), float(low), float(high))
        for at, low, high in found
        if _is_finite(at) and _is_finite(low) and _is_finite(high)
    )


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; one that a killed training, or one that is under way, wrote in part is left out."""
    for line in log.read_text("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    machine, calls = manifest.get("machine", {}), manifest.get("calls", {})
    facts = {"started": manifest.get("started", ""), "seed": str(manifest.get("seed", ""))}
    facts |= {name: str(value) for name, value in machine.items()}
    facts |= {f"calls {name}": f"{n:,}" for name, n in calls.items()}
    facts |= {f"benchmark {name}": _asked(benchmark) for name, benchmark in manifest.get("benchmarks", {}).items()}
    return {name: value for name, value in facts.items() if value}


def _asked(benchmark: Mapping[str, Any]) -> str:
    source = f"{benchmark['source']}, " if benchmark["source"] else ""
    named = f"{benchmark['standard']} " if benchmark.get("standard") else ""
    return f"{source}{benchmark['items']:,} items, protocol {named}{benchmark['protocol']}"


def _stages(manifest: Mapping[str, Any]) -> Iterator[StageCost]:
    for name, seconds in manifest.get("seconds", {}).items():
        yield StageCost(name=name, seconds=seconds, **manifest.get("spent", {}).get(name, {}))
