"""The whole pipeline in the miniature world, and a summary scored by the world's truth."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from spavl.atomic import write_json
from spavl.config import LocalSpec, Settings, load_settings
from spavl.pipeline.align import align, check_training_packages
from spavl.pipeline.build import build
from spavl.pipeline.evaluate import (
    Scores,
    base_spec,
    blank_benchmarks,
    checkpoint_spec,
    open_benchmarks,
    run_benchmarks,
)
from spavl.pipeline.miniworld import unsafe_by_truth, wrong_verdicts
from spavl.pipeline.report import write_run_report
from spavl.pipeline.session import Session
from spavl.records import ImageRecord, Judgment, PreferencePair, Query, Response
from spavl.report.page import check_report_packages
from spavl.run import peak_memory_mb
from spavl.tables import read_table

LORA: dict[str, Any] = {"language": "lora", "projector": "frozen", "rank": 32, "alpha": 64.0}
TRAININGS: dict[str, dict[str, Any]] = {
    "dpo": {},
    "reward": {
        "method": "reward", "freeze": LORA, "optimiser": {"learning_rate": 1e-3, "epochs": 8},
        "batching": {"pairs": 32}, "reward": {"held_out": 0.05, "measure_every": None},
    },
    "ppo": {
        "method": "ppo", "freeze": LORA, "optimiser": {"learning_rate": 1e-3, "epochs": 2},
        "ppo": {"prompts": 128, "max_tokens": 24, "critic_learning_rate": 2e-3, "kl_coef": 0.05},
    },
    "blind": {"blind": True},
}  # fmt: skip
"""The models that are trained on the pairs, in this order, with their overrides of the align settings: DPO; a reward
model, and PPO with it; and the blind control, which is DPO with every picture blanked."""

BLIND_WITH_PICTURES = "blind_looking"
"""Name of the blind control when it is evaluated with pictures, in the summary beside `blind`, its evaluation without
them: the difference is what the base model's own knowledge of danger gives back."""


def demo_settings(*, seed: int, out: str | None, limit: int | None, store: str) -> Settings:
    """The settings of the demo: `spavl/data/demo.yaml` with overrides.

    Args:
        seed: of every random choice.
        out: the run folder; None for that of the file.
        limit: most pictures, and most items of a subset; None for all.
        store: the call store.
    """
    given = {"seed": seed, "store": store, "out": out, "limit": limit}
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items() if value is not None]
    with as_file(files("spavl") / "data" / "demo.yaml") as path:
        return load_settings(Settings, path, overrides)


def demo(session: Session) -> dict[str, Any]:
    """Build, align, evaluate and report in the miniature world. Returns what `summary.json` holds.

    Args:
        session: the settings of `demo_settings`.

    Raises:
        MissingExtra: a package that training or the report needs is not installed; nothing was called yet.
    """
    check_training_packages()
    check_report_packages()
    began = time.perf_counter()
    build(session)
    made = {name: align(session, name=name, changed=_changes(session, changed)) for name, changed in TRAININGS.items()}
    session.free()
    with_pictures = {"dpo": made["dpo"], "ppo": made["ppo"], BLIND_WITH_PICTURES: made["blind"]}
    trained_on = session.run.manifest()["aligned"]["blind"]["pairs"]
    looking = {
        "method": "dpo",
        "blind": True,
        "pairs": trained_on,
        "what": "the blind control, shown the pictures here",
    }
    session.run.note(aligned={BLIND_WITH_PICTURES: {**looking, "label": "blind, looking"}})
    specs = [base_spec(session), *(_spec(session, name, at) for name, at in with_pictures.items())]
    scores = run_benchmarks(session, specs, open_benchmarks(session))
    blind = [_spec(session, "blind", made["blind"])]
    scores = run_benchmarks(session, blind, blank_benchmarks(session), against=scores)
    session.free()
    summary = _summary(session, scores)
    session.run.note(calls={"answered from the store": session.store.hits, "made": session.store.calls})
    write_run_report(session.run.folder)
    summary["wall_seconds"] = round(time.perf_counter() - began, 1)
    write_json(session.run.summary, summary)
    return summary


def _changes(session: Session, changed: dict[str, Any]) -> dict[str, Any]:
    """The overrides of a training; PPO is given the reward model that was trained before it."""
    folder = {"reward": {"folder": str(session.run.align / "reward")}} if changed.get("method") == "ppo" else {}
    return {**changed, **folder}


def _spec(session: Session, name: str, folder: Path) -> LocalSpec:
    return checkpoint_spec(name, folder, base_spec(session))


def _summary(session: Session, scores: Scores) -> dict[str, Any]:
    """All that the demo measured, as plain data."""
    return {
        "columns": [name for name in scores.rates if name != BLIND_WITH_PICTURES],
        "metrics": {name: metric["label"] for name, metric in scores.metrics.items()},
        "models": {name: {m: asdict(r) for m, r in rates.items()} for name, rates in scores.rates.items()},
        "paired": {m: asdict(p) for m, p in scores.paired["dpo"].items()},
        "paired_by_model": {
            name: {m: asdict(p) for m, p in by_metric.items()} for name, by_metric in scores.paired.items()
        },
        "dataset": _dataset(session),
        "seconds": session.run.manifest()["seconds"],
        "peak_rss_mb": peak_memory_mb(),
        "calls": {"answered from the store": session.store.hits, "made": session.store.calls},
        "seed": session.settings.seed,
    }


def _dataset(session: Session) -> dict[str, Any]:
    images = read_table(session.run.images, ImageRecord)
    queries = read_table(session.run.queries, Query)
    responses = read_table(session.run.responses, Response)
    judgments = read_table(session.run.judgments, Judgment)
    pairs = read_table(session.run.pairs, PreferencePair)
    wrong, asked = wrong_verdicts(judgments)
    session.run.note(judge_error={"wrong": wrong, "asked": asked})
    truths = [
        (unsafe_by_truth(i, q, p.chosen), unsafe_by_truth(i, q, p.rejected))
        for p in pairs for i, q in [(p.query.image.image_id, p.query.question)]
    ]  # fmt: skip
    return {
        "images": len(images),
        "questions": len(queries),
        "responders": len({r.responder for r in responses}),
        "responses": len(responses),
        "pairs": len(pairs),
        "subcategories": len({i.topic.class3 for i in images}),
        "question_types": sorted({q.question_type for q in queries}),
        "benign_share": sum(i.benign for i in images) / len(images),
        "chosen_unsafe_rate": sum(c for c, _ in truths) / len(truths),
        "rejected_unsafe_rate": sum(r for _, r in truths) / len(truths),
        "judge_error": wrong / asked if asked else None,
        "swap_agreement": session.run.manifest()["swap_agreement"],
        "heldout_pairs": sum(p.query.image.heldout for p in pairs),
    }
