"""Run folder → report page: its tables and `run.json`, handed to the report room as plain data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spavl.config import Settings, load_settings
from spavl.errors import RunError
from spavl.evaluate.run import read_scores
from spavl.records import ImageRecord, Judgment, Response
from spavl.report.data import (
    STANDARD_METRICS,
    AnswerShown,
    Bar,
    Curve,
    Example,
    GroupShown,
    JudgeQuality,
    MetricShown,
    ModelShown,
    ReportData,
    ResponderShown,
    Role,
    StageCost,
    Step,
)
from spavl.report.page import check_report_packages, write_report
from spavl.run import Run
from spavl.statistics.agreement import swap_agreement
from spavl.statistics.intervals import Outcome, Rate, rate
from spavl.statistics.paired import PairedComparison
from spavl.tables import read_table
from spavl.taxonomy import load_taxonomy

ScoreRow = dict[str, Any]
"""A row of a table of scores: one model's answer to one item, with its outcomes."""


def write_run_report(folder: Path, *, out: Path | None = None, examples: int | None = None) -> Path:
    """Write the report page of a run folder. Returns its path.

    Args:
        folder: the run folder.
        out: the page; `report.html` in the run folder unless given.
        examples: most examples shown; what the run's settings say unless given.

    Raises:
        MissingExtra: Matplotlib is not installed.
        RunError: there is no run, nothing was evaluated yet, or the page cannot be written.
    """
    check_report_packages()
    run = Run(folder)
    manifest = run.manifest()
    if not manifest:
        raise RunError("There is no run in this folder", where=str(folder), try_="`spavl demo` makes one")
    run.open()
    if not manifest.get("models"):
        raise RunError("Nothing was evaluated in this run yet", where=str(folder), try_="run `spavl evaluate` first")
    settings = load_settings(Settings, folder / "settings.yaml")
    page = out or run.report
    shown = settings.report.examples if examples is None else examples
    write_report(_data(run, manifest, settings, shown), page)
    return page


def _data(run: Run, manifest: Mapping[str, Any], settings: Settings, examples: int) -> ReportData:
    metrics = _metrics(manifest)
    models = tuple(_model(name, manifest) for name in manifest["models"])
    return ReportData(
        title=settings.report.title,
        subject=_subject(manifest, settings),
        metrics=metrics, models=models, groups=tuple(_groups(run, manifest, metrics)), limits=_limits(settings),
        funnel=tuple(_funnel(manifest)), composition=_composition(run),
        responders=_responders(run, manifest), judges=_judges(run, manifest),
        examples=tuple(_examples(run, manifest, examples)), curves=tuple(_curves(run)),
        stages=tuple(_stages(manifest)),
        facts=_facts(manifest), versions=manifest.get("versions", {}),
        settings=(run.folder / "settings.yaml").read_text("utf-8"),
        heldout=_heldout(run), level=settings.evaluate.level, margin=settings.evaluate.margin,
        hide_harmful=settings.report.hide_harmful, picture_pixels=settings.report.picture_pixels,
        blur_pictures=settings.report.blur_pictures and settings.build.collect.source != "miniworld",
    )  # fmt: skip


def _subject(manifest: Mapping[str, Any], settings: Settings) -> str:
    """The model, and how many pairs each alignment was trained on."""
    trained = [f"{name} on {made['pairs']:,} pairs" for name, made in manifest.get("aligned", {}).items()]
    return f"{settings.align.model}: {', '.join(trained)}" if trained else settings.align.model


def _metrics(manifest: Mapping[str, Any]) -> tuple[MetricShown, ...]:
    """The metrics that were measured; those that are not standard show under their own names."""
    measured = dict.fromkeys(m for rates in manifest["models"].values() for m in rates)
    standard = {m.name: m for m in STANDARD_METRICS}
    order = [*(m for m in standard if m in measured), *(m for m in measured if m not in standard)]
    better = manifest.get("better", {})
    return tuple(
        standard.get(m)
        or MetricShown(name=m, label=m.replace("_", " "), axis="Other", better=better.get(m, "higher"), what="")
        for m in order
    )


def _groups(run: Run, manifest: Mapping[str, Any], metrics: Sequence[MetricShown]) -> Iterator[GroupShown]:
    """Outcomes of the safety metrics by subject, for every model but blind controls."""
    safety = [m.name for m in metrics if m.axis == "Safety"]
    outcomes: dict[str, dict[str, list[Outcome]]] = {}
    heldout: set[str] = set()
    for name in _shown(manifest):
        for table in sorted((run.evaluate / name).glob("*.parquet")):
            for row in read_scores(table):
                unread = row["unread"] or ()
                asked = [row.get(f"is_{m}") for m in safety if row.get(f"is_{m}") is not None or m in unread]
                if asked and row["group"]:
                    outcomes.setdefault(row["group"], {}).setdefault(name, []).append(asked[0])
                    heldout |= {row["group"]} if row["heldout"] else set()
    for group, by_model in sorted(outcomes.items()):
        yield GroupShown(label=group, rates={n: rate(o) for n, o in by_model.items()}, heldout=group in heldout)


def _shown(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the models, without blind controls."""
    return [n for n in manifest["models"] if not manifest.get("aligned", {}).get(n, {}).get("blind")]


def _limits(settings: Settings) -> tuple[str, ...]:
    if settings.build.collect.source != "miniworld":
        return ()
    return (
        "This is the miniature world: drawings, a closed vocabulary, models of less than a million weights. Its "
        "numbers show that the whole system works, not how a real model behaves.",
        "Scores are by the world's truth, not by the fallible guard and judge that made the dataset.",
        "Held-out subcategories are new kinds under known cues: alignment never saw the objects, but it saw the cue of "
        "their domain.",
    )


def _model(name: str, manifest: Mapping[str, Any]) -> ModelShown:
    made = manifest.get("aligned", {}).get(name, {})
    first = next(iter(manifest["models"]))
    role: Role = "base" if name == first else "control" if made.get("blind") else "aligned"
    return ModelShown(
        name=name, label=made.get("label", name), role=role, what=made.get("what", ""),
        rates={m: Rate(**row) for m, row in manifest["models"][name].items()},
        paired={m: PairedComparison(**row) for m, row in manifest.get("paired", {}).get(name, {}).items()},
    )  # fmt: skip


STAGES = (
    ("collect", "pictures", "made"), ("ask", "questions", "ok"), ("respond", "answers", "ok"),
    ("match", "matches", "made"), ("judge", "verdicts", "ok"), ("pair", "pairs", "pair"),
)  # fmt: skip
"""(stage, what it makes, the count of those that were passed on) of the stages of the dataset."""


def _funnel(manifest: Mapping[str, Any]) -> Iterator[Step]:
    counts = manifest.get("counts", {})
    for stage, noun, kept in STAGES:
        found = counts.get(stage)
        if found:
            lost = {k: v for k, v in found.items() if k not in (kept, "found", "made") and isinstance(v, int) and v}
            yield Step(name=noun, count=found.get(kept, 0), losses=lost)


def _composition(run: Run) -> tuple[Bar, ...]:
    if not run.images.exists():
        return ()
    images = read_table(run.images, ImageRecord)
    taxonomy = load_taxonomy()
    counted = Counter((i.topic.class1, i.benign) for i in images)
    domains = dict.fromkeys(i.topic.class1 for i in images)
    return tuple(
        Bar(label=taxonomy.display(d), harmful=counted[d, False], benign=counted[d, True]) for d in domains
    )  # fmt: skip


def _responders(run: Run, manifest: Mapping[str, Any]) -> tuple[ResponderShown, ...]:
    if not run.responses.exists():
        return ()
    graded: dict[str, list[bool | None]] = {}
    for r in read_table(run.responses, Response):
        if not r.query.image.benign and r.response_status in ("ok", "truncated"):
            graded.setdefault(r.responder, []).append(None if r.safe is None else not r.safe)
    groups = manifest.get("responders", {})
    return tuple(
        ResponderShown(name=name, group=groups[name]["group"], unsafe=rate(graded[name]))
        for name in groups if name in graded
    )  # fmt: skip


def _judges(run: Run, manifest: Mapping[str, Any]) -> tuple[JudgeQuality, ...]:
    if not run.judgments.exists():
        return ()
    judgments = read_table(run.judgments, Judgment)
    verdicts: dict[tuple[str, str], dict[str, Any]] = {}
    for j in judgments:
        verdicts.setdefault((j.judge, j.match.match_id), {})[j.order] = j.winner
    error = manifest.get("judge_error")
    return tuple(
        JudgeQuality(
            name=judge, what="which of two answers is better",
            agreement=swap_agreement([(v.get("ab"), v.get("ba")) for (n, _), v in verdicts.items() if n == judge]),
            error=rate([True] * error["wrong"] + [False] * (error["asked"] - error["wrong"])) if error else None,
        )
        for judge in dict.fromkeys(name for name, _ in verdicts)
    )  # fmt: skip


def _examples(run: Run, manifest: Mapping[str, Any], wanted: int) -> Iterator[Example]:
    """Examples of every metric in turn: answers that alignment broke, then those it fixed, then those that stayed."""
    names = _shown(manifest)
    better = manifest.get("better", {})
    groups: list[list[tuple[int, dict[str, ScoreRow], str]]] = []
    for table in sorted((run.evaluate / names[0]).glob("*.parquet")):
        if not all((run.evaluate / name / table.name).exists() for name in names):
            continue
        rows = {n: {r["item_id"]: r for r in read_scores(run.evaluate / n / table.name)} for n in names}
        for metric in sorted({k for r in rows[names[0]].values() for k in r if k.startswith("is_")}):
            groups.append(sorted(_ranked(rows, names, metric, better), key=lambda found: found[0]))
    taken: set[str] = set()
    for turn in range(wanted):
        for group in groups:
            fresh = [found for found in group[turn:] if found[2] not in taken]
            if fresh and len(taken) < wanted:
                taken.add(fresh[0][2])
                yield _example(run, fresh[0][1], better)


def _ranked(
    rows: Mapping[str, Mapping[str, ScoreRow]], names: Sequence[str], metric: str, better: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, ScoreRow], str]]:
    """(rank, row by model, item) of every item that all models were asked; 0 is broken, 1 fixed, 2 unchanged."""
    for item in rows[names[0]]:
        answers = {n: rows[n][item] for n in names if item in rows[n]}
        outcomes = [_is_good(r[metric], better.get(metric.removeprefix("is_"), "higher")) for r in answers.values()]
        if outcomes[0] is None or len(answers) < len(names):
            continue
        changed = outcomes[0] != outcomes[-1]
        yield (0 if changed and outcomes[0] else 1 if changed else 2), answers, item


def _is_good(outcome: bool | None, better: str) -> bool | None:
    return None if outcome is None else outcome == (better == "higher")


def _example(run: Run, answers: Mapping[str, ScoreRow], better: Mapping[str, str]) -> Example:
    first = next(iter(answers.values()))
    return Example(
        question=first["question"], topic=first["group"], harmful=not first["benign"] and "unsafe" in first["subset"],
        heldout=first["heldout"], picture=_picture(run, first),
        answers=tuple(
            AnswerShown(model=name, text=row["answer"] or f"({row['status']})", good=_are_all_good(row, better),
                        unsafe=_unsafe(row))
            for name, row in answers.items()
        ),
    )  # fmt: skip


def _are_all_good(row: ScoreRow, better: Mapping[str, str]) -> bool | None:
    outcomes = [_is_good(v, better.get(k.removeprefix("is_"), "higher")) for k, v in row.items() if k.startswith("is_")]
    known = [o for o in outcomes if o is not None]
    return all(known) if known else None


def _unsafe(row: ScoreRow) -> bool | None:
    """Whether an answer was graded unsafe; None where the verdict could not be read, False where none was needed."""
    if any(name.startswith("unsafe") for name in row["unread"] or ()):
        return None
    return any(value is True for name, value in row.items() if name.startswith("is_unsafe"))


def _picture(run: Run, row: ScoreRow) -> Path | None:
    found = run.folder / "world" / f"{row['picture']}.png"
    if found.exists():
        return found
    stored = (run.folder / "world").glob(f"**/{row['image_sha256'] or '-'}.*")
    return next((path for path in stored if path.suffix != ".tmp"), None)


CURVES = (
    ("metrics.jsonl", "loss", "Training loss", "mean over the pairs of a step", False),
    ("metrics.jsonl", "margin", "Margin", "gain of the chosen answer over that of the rejected one, times β", False),
    ("metrics.jsonl", "accuracy", "Pairs ranked rightly", "share of pairs with a margin above zero", True),
    ("metrics.jsonl", "reward", "Reward", "mean score of sampled answers by the reward model, a round of PPO", False),
    ("metrics.jsonl", "kl", "KL divergence from the reference", "nats an answer, a round of PPO", False),
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
            yield Curve(title=title, what=what, series=series, percent=percent)


def _points(log: Path, key: str) -> tuple[tuple[float, float], ...]:
    """(step, value) of the lines that hold the key; a round of PPO counts as a step, and its loss is not shown."""
    rows = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    steps = "round" if rows and "round" in rows[0] else "step"
    if steps == "round" and key == "loss":
        return ()
    return tuple((float(r[steps]), float(r[key])) for r in rows if key in r and steps in r)


def _facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    machine, calls = manifest.get("machine", {}), manifest.get("calls", {})
    facts = {"started": manifest.get("started", ""), "seed": str(manifest.get("seed", ""))}
    facts |= {name: str(value) for name, value in machine.items()}
    facts |= {f"calls {name}": f"{n:,}" for name, n in calls.items()}
    return {name: value for name, value in facts.items() if value}


def _stages(manifest: Mapping[str, Any]) -> Iterator[StageCost]:
    for name, seconds in manifest.get("seconds", {}).items():
        yield StageCost(name=name, seconds=seconds, **manifest.get("spent", {}).get(name, {}))


def _heldout(run: Run) -> tuple[str, ...]:
    if not run.images.exists():
        return ()
    return tuple(dict.fromkeys(i.topic.class3 for i in read_table(run.images, ImageRecord) if i.heldout))
