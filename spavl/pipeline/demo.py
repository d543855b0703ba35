"""The whole pipeline in the miniature world, in its closed language or in English, scored by the world's truth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from spavl.atomic import write_json
from spavl.config import LocalSpec, Settings, load_settings
from spavl.miniworld.languages import LANGUAGES, Language
from spavl.miniworld.oracle import truth
from spavl.miniworld.real.packages import check_packages
from spavl.pipeline.align import align, check_training_packages
from spavl.pipeline.build import build
from spavl.pipeline.controls import plain_controls
from spavl.pipeline.evaluate import (
    base_spec,
    blank_benchmarks,
    checkpoint_spec,
    open_benchmarks,
    run_benchmarks,
)
from spavl.pipeline.miniworld import unsafe_by_truth, wrong_verdicts
from spavl.pipeline.report import write_run_report
from spavl.pipeline.scores import Scores
from spavl.pipeline.session import Session
from spavl.records import ImageRecord, Judgment, PreferencePair, Query, Response
from spavl.report.page import check_report_packages
from spavl.run import peak_memory_mb
from spavl.statistics.intervals import Outcome, rate
from spavl.tables import read_table

LORA: dict[str, Any] = {"language": "lora", "projector": "frozen", "rank": 32, "alpha": 64.0}
TRAININGS: dict[str, dict[str, Any]] = {
    "dpo": {},
    "reward": {
        "method": "reward", "freeze": LORA, "optimiser": {"learning_rate": 1e-3, "epochs": 8},
        "batching": {"pairs": 32}, "validation": {"held_out": 0.05, "measure_every": None},
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


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo: its settings, and what is trained in it."""

    language: Language
    """What its questions and answers are written in."""
    settings: str
    """Its settings file in `spavl/data`."""
    trainings: Mapping[str, Mapping[str, Any]]
    """The models that are trained on its pairs, in this order, with their overrides of the align settings."""
    assemble: Callable[[Path], Path] | None = None
    """Writes the checkpoint that is aligned into a folder, where it is not there; None: it ships with the package."""


def _assemble(folder: Path) -> Path:
    check_packages()
    from spavl.miniworld.real.assemble import assemble

    return assemble(folder)


DEMOS: Final[Mapping[str, Demo]] = MappingProxyType(
    {
        "closed": Demo(LANGUAGES["closed"], "demo.yaml", TRAININGS),
        "real": Demo(LANGUAGES["real"], "demo-real.yaml", {"dpo": {}}, _assemble),
    }
)
"""The demos by their language."""


def demo_settings(which: Demo, *, seed: int, out: str | None, limit: int | None, store: str) -> Settings:
    """The settings of a demo: its file with overrides.

    Args:
        which: the demo.
        seed: of every random choice.
        out: the run folder; None for that of the file.
        limit: most pictures, and most items of a subset; None for all.
        store: the call store.
    """
    given = {"seed": seed, "store": store, "out": out, "limit": limit}
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items() if value is not None]
    with as_file(files("spavl") / "data" / which.settings) as path:
        return load_settings(Settings, path, overrides)


def make_ready(which: Demo, settings: Settings) -> None:
    """Make sure of all that a demo needs before it begins: packages, and the checkpoint where it does not ship.

    Args:
        which: the demo.
        settings: its settings, which name the folder of the checkpoint.

    Raises:
        MissingExtra: a package is not installed; nothing was made yet.
    """
    check_training_packages()
    check_report_packages()
    if which.assemble is not None:
        which.assemble(Path(settings.align.model))


def demo(session: Session, which: Demo) -> dict[str, Any]:
    """Build, align, evaluate and report in the miniature world. Returns what `summary.json` holds.

    Args:
        session: the settings of `demo_settings`, which were made ready.
        which: the demo.
    """
    began = time.perf_counter()
    build(session)
    made = {name: _train(session, name, changed) for name, changed in which.trainings.items()}
    session.free()
    scores = _examine(session, which, made)
    session.free()
    summary = _summary(session, which, scores)
    session.run.note(calls={"answered from the store": session.store.hits, "made": session.store.calls})
    write_run_report(session.run.folder)
    summary["wall_seconds"] = round(time.perf_counter() - began, 1)
    write_json(session.run.summary, summary)
    return summary


def _train(session: Session, name: str, changed: Mapping[str, Any]) -> Path:
    """Train a model; one that was trained with other settings is replaced, for it can be made again."""
    return align(session, name=name, changed=_changes(session, changed), replace=True)


def _examine(session: Session, which: Demo, made: Mapping[str, Path]) -> Scores:
    """Scores of the base model and of all that answer; of a blind control with pictures, and without them."""
    blind = [name for name, changed in which.trainings.items() if changed.get("blind")]
    answering = {
        BLIND_WITH_PICTURES if name in blind else name: at
        for name, at in made.items() if which.trainings[name].get("method") != "reward"
    }  # fmt: skip
    for name in blind:
        _note_looking(session, name)
    specs = [base_spec(session), *(_spec(session, name, at) for name, at in answering.items())]
    scores = run_benchmarks(session, specs, open_benchmarks(session))
    if not blind:
        return scores
    without = [_spec(session, name, made[name]) for name in blind]
    return run_benchmarks(session, without, blank_benchmarks(session), against=scores)


def _note_looking(session: Session, blind: str) -> None:
    """Note what the blind control is that is evaluated with pictures."""
    session.run.note(
        aligned={
            BLIND_WITH_PICTURES: {
                "method": "dpo", "blind": True, "pairs": session.run.manifest()["aligned"][blind]["pairs"],
                "what": "the blind control, shown the pictures here", "label": "blind, looking",
            }
        }
    )  # fmt: skip


def _changes(session: Session, changed: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides of a training; PPO is given the reward model that was trained before it."""
    folder = {"reward": {"folder": str(session.run.align / "reward")}} if changed.get("method") == "ppo" else {}
    return {**changed, **folder}


def _spec(session: Session, name: str, folder: Path) -> LocalSpec:
    return checkpoint_spec(name, folder, base_spec(session))


def _summary(session: Session, which: Demo, scores: Scores) -> dict[str, Any]:
    """All that the demo measured, as plain data."""
    return {
        "columns": [name for name in scores.rates if name != BLIND_WITH_PICTURES],
        "metrics": {name: metric["label"] for name, metric in scores.metrics.items()},
        "models": {name: {m: asdict(r) for m, r in rates.items()} for name, rates in scores.rates.items()},
        "paired": {m: asdict(p) for m, p in scores.paired["dpo"].items()},
        "paired_by_model": {
            name: {m: asdict(p) for m, p in by_metric.items()} for name, by_metric in scores.paired.items()
        },
        "controls": plain_controls(scores.metrics, scores.controls),
        "dataset": dataset_facts(session, which.language),
        "seconds": session.run.manifest()["seconds"],
        "peak_rss_mb": peak_memory_mb(),
        "calls": {"answered from the store": session.store.hits, "made": session.store.calls},
        "seed": session.settings.seed,
        "language": which.language.name,
    }


def _unsafe_by_responder(responses: list[Response], language: Language) -> dict[str, dict[str, Any]]:
    """Every responder's unsafe rate on dangerous pictures, by the world's truth; an answer without a word is unread, as
    in evaluation."""
    found: dict[str, list[Outcome]] = {}
    for r in responses:
        known = truth(r.query.image.image_id, r.query.question, r.response, language)
        if known.dangerous:
            found.setdefault(r.responder, []).append(known.unsafe if r.response.strip() else None)
    return {name: asdict(rate(outcomes)) for name, outcomes in found.items()}


def dataset_facts(session: Session, language: Language) -> dict[str, Any]:
    """What was built, as plain data: counts, and how wrong guard and judge were by the world's truth.

    Args:
        session: of a run whose dataset is built.
        language: of its questions and answers.
    """
    images = read_table(session.run.images, ImageRecord)
    queries = read_table(session.run.queries, Query)
    responses = read_table(session.run.responses, Response)
    judgments = read_table(session.run.judgments, Judgment)
    pairs = read_table(session.run.last_pairs, PreferencePair)
    wrong, asked = wrong_verdicts(judgments, language)
    session.run.note(judge_error={"wrong": wrong, "asked": asked})
    truths = [
        tuple(unsafe_by_truth(i, q, answer, language) for answer in (p.chosen, p.rejected))
        for p in pairs for i, q in [(p.query.image.image_id, p.query.question)]
    ]  # fmt: skip
    return {
        "images": len(images),
        "questions": len(queries),
        "responders": len({r.responder for r in responses}),
        "responses": len(responses),
        "pairs": len(pairs),
        "responder_unsafe": _unsafe_by_responder(responses, language),
        "subcategories": len({i.topic.class3 for i in images}),
        "question_types": sorted({q.question_type for q in queries}),
        "benign_share": sum(i.benign for i in images) / len(images),
        "chosen_unsafe_rate": sum(c for c, _ in truths) / len(truths),
        "rejected_unsafe_rate": sum(r for _, r in truths) / len(truths),
        "judge_error": wrong / asked if asked else None,
        "swap_agreement": session.run.manifest()["swap_agreement"],
        "heldout_pairs": sum(p.query.image.heldout for p in pairs),
    }
