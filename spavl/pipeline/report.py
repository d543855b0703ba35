"""Run folder → report page: its tables and `run.json`, handed to the report room as plain data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from spavl.atomic import write_text
from spavl.config import Settings, load_settings
from spavl.config.benchmarks import MiniworldBenchmark
from spavl.errors import RunError
from spavl.miniworld.languages import LANGUAGES
from spavl.pipeline.compare import Comparison
from spavl.pipeline.compare_words import run_comparison, verdict_sentence
from spavl.pipeline.compared_models import ScoredModel
from spavl.pipeline.coverage import coverage_of
from spavl.pipeline.curves import curves_of
from spavl.pipeline.guard_agreement import guards_together, questions_alone
from spavl.pipeline.measured_metrics import MeasuredMetric, measured_metrics
from spavl.pipeline.quality import balance_rows, judge_panel, judges
from spavl.pipeline.report_alarms import alarms_shown
from spavl.pipeline.report_audit import audit_summary
from spavl.pipeline.report_controls import controlled_models
from spavl.pipeline.report_examples import examples_of
from spavl.pipeline.report_tables import composition, composition_by, heldout, responders
from spavl.pipeline.report_training import trainings_shown, validations
from spavl.pipeline.run_agreement import agreements_shown
from spavl.pipeline.subjects import domain_names, groups
from spavl.pipeline.verdict_status import verdicts_shown
from spavl.pipeline.weights import stale_scores, trainings, without_models
from spavl.report.card import with_evaluation
from spavl.report.cost_data import StageCost
from spavl.report.data import GroupShown, JudgeQuality, MetricShown, ModelShown, ReportData, Role, Step
from spavl.report.page import check_report_packages, write_report
from spavl.report.summary_data import ProtocolShown
from spavl.run import Run
from spavl.statistics.intervals import Rate
from spavl.statistics.paired import PairedComparison


def write_run_report(
    folder: Path, *, out: Path | None = None, examples: int | None = None, figures: Path | None = None
) -> Path:
    """Write the report page of a run folder, with its twins in Markdown and JSON beside it. Returns its path.

    The cards of models that were trained in the run get a section with the same numbers.

    Args:
        folder: the run folder.
        out: the page; `report.html` in the run folder unless given.
        examples: most examples shown; what the run's settings say unless given.
        figures: where every figure is written as SVG and PDF for a paper; None: nowhere.

    Raises:
        MissingExtra: Matplotlib is not installed.
        RunError: there is no run, nothing was built or evaluated yet, or a file cannot be written or is not a report.
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
    data = report_data(run, without_models(manifest, stale), settings, shown, stale)
    write_report(data, page)
    if out is None:
        _write_cards(run, data)
    if figures is not None:
        # imported late, as the page does: matplotlib takes most of a second to import
        from spavl.report.paper import write_figures

        write_figures(data, figures, width_mm=settings.report.figure_width, font=settings.report.figure_font)
    return page


def without_scores(folder: Path) -> str:
    """Which scores of a run are not there, so that its report cannot compare their models; empty where none.

    Args:
        folder: the run folder.

    Raises:
        RunError: there is no run, or a table is damaged.
    """
    run = Run(folder).found()
    manifest = run.manifest()
    kept = without_models(manifest, stale_scores(run, manifest))
    return scores_gone(list(kept.get("models", {})), missing_tables(run, kept))


def _write_cards(run: Run, data: ReportData) -> None:
    """Put the evaluation of every aligned model that was trained here into its card, where that can be written.

    A control that was trained without pictures gets none: nothing is claimed of it.
    """
    weights = run.manifest().get("weights", {})
    for model in (one for one in data.models if one.role == "aligned"):
        made = run.align / model.name
        trained = [made / kind for kind in ("checkpoint", "adapter")]
        if model.name in weights and not _is_one_of(trained, weights[model.name], run):
            continue  # another model of that name was measured
        for card in (folder / "README.md" for folder in trained):
            if card.is_file() and os.access(card, os.W_OK):
                _fill_card(card, model, data)


def _is_one_of(trained: Sequence[Path], noted: Mapping[str, Any], run: Run) -> bool:
    """Whether the weights that were measured are of these folders, which may lie on another disk behind a link."""
    inside, named = noted.get("in_run"), noted.get("spec", {}).get("path")
    if not inside and not named:
        return False  # asked through a server: nothing says whose weights it holds
    measured = run.folder / inside if inside else Path(named)
    return measured.resolve() in [folder.resolve() for folder in trained]


def _fill_card(card: Path, model: ModelShown, data: ReportData) -> None:
    """Put the evaluation into a card; one that is no UTF-8 text is left as it is."""
    with suppress(UnicodeDecodeError):
        write_text(card, with_evaluation(card.read_text("utf-8"), model, data))


def report_data(
    run: Run, manifest: Mapping[str, Any], settings: Settings, examples: int, stale: Mapping[str, str]
) -> ReportData:
    """All that the report of a run shows.

    Args:
        run: the run folder.
        manifest: its `run.json`, without models whose weights are gone or have changed.
        settings: of the run.
        examples: most examples.
        stale: why, by name of these models.
    """
    metrics, looked_at, whole = measured_metrics(manifest), _looked_at(manifest), run.manifest()
    compared = run_comparison(run, settings.evaluate, stale)
    first = next(iter(whole.get("models", {})), "")
    gone = missing_tables(run, manifest)
    models = tuple(_model(name, first, manifest, compared, gone) for name in manifest.get("models", {}))
    subjects, heat = _by_subject(run, manifest, looked_at, metrics)
    aligned = [model.name for model in models if model.role == "aligned"]
    examples_shown, shares = examples_of(run, looked_at, metrics, examples, (aligned or looked_at or [""])[0])
    return ReportData(
        title=settings.report.title,
        subject=_subject(run, manifest, settings),
        metrics=tuple(_shown(known, manifest) for known in metrics), models=models,
        verdicts=tuple(verdict_sentence(model, compared) for model in compared.models) if compared else (),
        groups=subjects, heat=heat,
        controls=controlled_models(manifest, models), people=agreements_shown(manifest),
        limits=(*(f"Scores of `{name}` are left out: {why}." for name, why in stale.items()), *_limits(settings)),
        funnel=tuple(funnel_of(manifest)), composition=composition(run),
        composition_by=composition_by(run), coverage=coverage_of(run), audit=audit_summary(run.folder),
        alarms=alarms_shown(run, whole, settings),
        responders=responders(run, manifest.get("responders", {})),
        judges=_judges(run, manifest, settings),
        panel=judge_panel(manifest), balance=balance_rows(manifest),
        examples=examples_shown, example_shares=shares, curves=tuple(curves_of(run)),
        validations=tuple(validations(run)), trainings=tuple(trainings_shown(run)),
        protocols=tuple(_protocols(manifest)), stages=tuple(_stages(manifest)),
        facts=_facts(manifest), versions=manifest.get("versions", {}),
        settings=(run.folder / "settings.yaml").read_text("utf-8"),
        heldout=heldout(run), level=settings.evaluate.level, margin=settings.evaluate.margin,
        tests=compared.tests if compared else 0,
        hide_harmful=settings.report.hide_harmful, picture_pixels=settings.report.picture_pixels,
        blur_pictures=settings.report.blur_pictures,
    )  # fmt: skip


def _by_subject(
    run: Run, manifest: Mapping[str, Any], models: Sequence[str], metrics: Sequence[MeasuredMetric]
) -> tuple[tuple[GroupShown, ...], tuple[GroupShown, ...]]:
    """The headline metric by subject, and by the domains of the subjects where they have any."""
    headline = [m for m in metrics if (m.axis, m.better) == (metrics[0].axis, metrics[0].better)]
    found = tuple(groups(run, models, headline))
    named = domain_names(manifest, [group.label for group in found])
    readable = manifest.get("coverage", {}).get("display", {})
    subjects = tuple(
        replace(one, label=readable.get(one.label, one.label), domain=named.get(one.label, "")) for one in found
    )
    return subjects, tuple(groups(run, models, headline, named)) if named else subjects


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


def missing_tables(run: Run, manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """The benchmarks whose table of scores is not there, by model; models with all their tables are left out.

    So are blind controls, whose answers are to blank pictures and in tables of their own.

    Args:
        run: the run folder.
        manifest: its `run.json`, without models whose weights are gone or have changed.
    """
    found = {name: ScoredModel(run, manifest, name, name).missing_tables() for name in _looked_at(manifest)}
    return {name: benchmarks for name, benchmarks in found.items() if benchmarks}


def _model(
    name: str, base: str, manifest: Mapping[str, Any], compared: Comparison | None, gone: Mapping[str, Sequence[str]]
) -> ModelShown:
    made = manifest.get("aligned", {}).get(name, {})
    other = next((model for model in compared.models if model.name == name), None) if compared else None
    changes = other.changes if other else {}
    role: Role = "base" if name == base else "control" if made.get("blind") else "aligned"
    lacks = "" if role == "base" else scores_gone((base, name), gone)
    paired = {} if lacks else manifest.get("paired", {}).get(name, {})
    return ModelShown(
        name=name, label=made.get("label", name), role=role, what=made.get("what") or _how(made),
        rates={m: Rate(**row) for m, row in manifest["models"][name].items()},
        paired={m: PairedComparison(**row) for m, row in paired.items()},
        corrected={m: change.p_corrected for m, change in changes.items() if change.p_corrected is not None},
        kept=frozenset(m for m, change in changes.items() if compared.is_kept(change)) if compared and other else None,
        uncompared=lacks,
    )  # fmt: skip


def scores_gone(names: Sequence[str], gone: Mapping[str, Sequence[str]]) -> str:
    """Which scores of some models are not there, such as `the scores of dpo on skill are not there`; empty where none.

    Args:
        names: of the models.
        gone: benchmarks whose table is not there, by model.
    """
    found = [f"the scores of {name} on {', '.join(gone[name])}" for name in dict.fromkeys(names) if name in gone]
    return f"{' and '.join(found)} are not there" if found else ""


def _how(made: Mapping[str, Any]) -> str:
    """How a model was made, in a few words; empty where it was not trained in this run."""
    if not made:
        return ""
    blind = ", every picture blanked, in training and here" if made["blind"] else ""
    return f"{made['method'].upper()} on {made['pairs']:,} pairs{blind}"


def funnel_of(manifest: Mapping[str, Any]) -> Iterator[Step]:
    """The stages of the dataset with what each passed on, and what became of the rest.

    Args:
        manifest: `run.json`.
    """
    counts = manifest.get("counts", {})
    for stage in manifest.get("stages", ()):
        if stage["noun"] and stage["name"] in counts:
            found = counts[stage["name"]]
            kept = (stage["kept"], "found", "made")
            lost = {k: v for k, v in found.items() if k not in kept and isinstance(v, int) and v}
            yield Step(name=stage["noun"], count=found.get(stage["kept"], 0), losses=lost)


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    machine, calls = manifest.get("machine", {}), manifest.get("calls", {})
    facts = {"started": manifest.get("started", ""), "seed": str(manifest.get("seed", ""))}
    facts |= {name: str(value) for name, value in machine.items()}
    facts |= {f"calls {name}": f"{n:,}" for name, n in calls.items()}
    return {name: value for name, value in facts.items() if value}


def _protocols(manifest: Mapping[str, Any]) -> Iterator[ProtocolShown]:
    for name, asked in manifest.get("benchmarks", {}).items():
        yield ProtocolShown(benchmark=name, source=asked["source"], items=asked["items"],
                            standard=asked.get("standard", ""), hash=asked["protocol"])  # fmt: skip


def _stages(manifest: Mapping[str, Any]) -> Iterator[StageCost]:
    for name, seconds in manifest.get("seconds", {}).items():
        asked = manifest.get("asked", {}).get(name, {}).values()
        spent = {"call_seconds": sum(one["seconds"] for one in asked), **manifest.get("spent", {}).get(name, {})}
        yield StageCost(name=name, seconds=seconds, **spent)
