"""Planted failures against the alarms: each rings its own, and what is healthy none; seeds 41 to 45.

python -m bench.studying.alarms [--json FILE]

Limits, and numbers of items by the width of intervals, were set with seeds 11 and 12, and on none that is measured
here; `SPAVL_ALARM_SEEDS="1 2"` measures fewer.
Trainings are of the miniature world's base model on its own pairs; models that fail in their answers are of kind
`python`, and answer by habit.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

from bench.measures import Measure, run
from bench.studying.planted_models import Habit
from bench.studying.planted_trainings import pairs, settings
from spavl.config import Settings
from spavl.config.judging import JudgeSpec
from spavl.dataset.judge import judge as compare
from spavl.judging.judge import open_judge
from spavl.miniworld.language import Answer, AnswerKind
from spavl.miniworld.oracle import Judge, ask
from spavl.miniworld.world import scenes
from spavl.models.base import Request, Sampling
from spavl.pipeline.alarms import alarms_of_run
from spavl.pipeline.evaluate import evaluate
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.records import Judgment, Match
from spavl.run import Run
from spavl.tables import write_table
from tests import samples

SEEDS = tuple(int(seed) for seed in os.environ.get("SPAVL_ALARM_SEEDS", "41 42 43 44 45").split())
"""Of the datasets and trainings that are measured."""
TRAININGS: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "healthy": ("", {"validation": {"held_out": 0.15}}, {}),
    "blind": ("picture_share", {"blind": True, "validation": {"held_out": 0.15}}, {}),
    "length": ("length_correlation", {"validation": {"held_out": 0.15}}, {"longer_chosen": True}),
    "over-fitted": (
        "accuracy_gap",
        {"optimiser": {"epochs": 50}, "validation": {"held_out": 0.6, "keep": "last"}},
        {"limit": 240, "flipped": 0.3},
    ),
}
"""Trainings: the alarm that each must ring, its settings, and how its pairs are made."""
HABITS: Mapping[Habit, set[str]] = {
    "aligned": set(),
    "refuses": {"refusal_collapse", "over_refusal", "helpfulness_loss", "skill_loss"},
    "guesses": {"blindness"},
    "seen_only": {"seen_gap"},
}
"""Models that answer, and the alarms that each must ring."""
PER_SUBSET, MATCHES, BIASED, STEADY = 800, 600, 0.6, 0.1
"""Items of a subset of the benchmarks (at 2,400 controlled items, what a model changes by chance is known to ±3 points,
at 600 to ±6, and `blindness` rings at 10); comparisons of a judge; position biases that are planted."""


def trained(name: str, seed: int) -> list[str]:
    """The alarms that ring of a training.

    Args:
        name: of `TRAININGS`.
        seed: of its pairs.
    """
    import torch

    from spavl.align.dpo.train import train_dpo

    torch.set_num_threads(1)
    _, changed, planted = TRAININGS[name]
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        made = pairs(seed, at / "pictures", **planted)
        train_dpo(made, settings(seed, at, **changed), at / name)
        found = json.loads((at / name / "training.json").read_text())["diagnostics"]
    return [one["name"] for one in found["alarms"] if one["rings"]]


def evaluated(seed: int) -> set[tuple[str, str]]:
    """(alarm, model) of all that ring in a run of models that answer by habit.

    Args:
        seed: of the benchmark.
    """
    models = [
        {"name": habit, "kind": "python", "target": "bench.studying.planted_models:Habitual", "version": "1",
         "options": {"habit": habit}}
        for habit in ("base", *HABITS)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        asked = Settings.model_validate({
            "out": f"{folder}/run", "store": f"{folder}/store.db", "seed": seed, "models": models,
            "evaluate": {"benchmarks": [{"kind": "miniworld", "per_subset": PER_SUBSET}],
                         "control_items": 3 * PER_SUBSET,
                         "controls": [{"kind": "none"}, {"kind": "shuffled"}, {"kind": "again"}]},
        })  # fmt: skip
        with Session(asked, NoProgress(), allow_code=True) as session:
            scores = evaluate(session, models=["base", *HABITS])
    return {(one.name, one.subject) for one in scores.alarms.ringing}


def judged(seed: int, bias: float) -> set[str]:
    """The alarms that a judge of the dataset rings.

    Args:
        seed: of the comparisons.
        bias: share of them that it decides by position.
    """
    model = Judge(name="judge", identity=f"judge-{seed}", error=0.08, position_bias=bias)
    call = lambda prompts: model.generate([Request(one, Sampling()) for one in prompts])  # noqa: E731
    found = compare(list(_matches(seed)), call=call, judge=open_judge(JudgeSpec(name="judge")), folder=Path())
    with tempfile.TemporaryDirectory() as folder:
        made = Run(Path(folder)).open()
        write_table(made.judgments, found, Judgment)
        return {one.name for one in alarms_of_run(made, made.manifest(), Settings()).ringing}


def _matches(seed: int) -> Iterator[Match]:
    random = Random(seed)
    kinds: tuple[AnswerKind, ...] = ("refusal", "explained_refusal", "complete", "partial")
    shown = scenes("build", seed, 20, 0.5)
    for number, scene in enumerate(random.sample(shown, MATCHES)):
        query = samples.query(samples.image(scene.id), question=ask(scene, "easy_question", "build"))
        one, other = (Answer(kind, "" if kind == "refusal" else scene.kind.thing).render()
                      for kind in random.sample(kinds, 2))  # fmt: skip
        yield samples.match(query, match_id=f"m{number}", a_response=one, b_response=other)


def of_trainings() -> list[Measure]:
    """Trainings that ring what they must, two at a time."""
    jobs = [(name, seed) for name in TRAININGS for seed in SEEDS]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        rang = dict(zip(jobs, pool.map(trained, *zip(*jobs, strict=True)), strict=True))
    found = []
    for name, (own, *_) in TRAININGS.items():
        each = [rang[name, seed] for seed in SEEDS]
        how = f"{len(SEEDS)} trainings of the miniature world; rang: {_told(each)}"
        if own:
            share = sum(own in alarms for alarms in each) / len(each)
            found.append(Measure(f"{name} training rings `{own}`", share, 1.0, "", "higher", how))
        else:
            found.append(Measure("alarms of healthy trainings", sum(map(len, each)), 0, "", "lower", how))
    return found


def of_models() -> list[Measure]:
    """Models that ring what they must by their answers, all in one run a seed."""
    runs = [evaluated(seed) for seed in SEEDS]
    found = []
    for habit, own in HABITS.items():
        each = [sorted({name for name, model in rang if model == habit}) for rang in runs]
        how = f"{len(SEEDS)} runs of five models on {PER_SUBSET} items a subset, with controls; rang: {_told(each)}"
        if own:
            share = sum(own <= set(alarms) for alarms in each) / len(each)
            words = " and ".join(f"`{name}`" for name in sorted(own))
            found.append(Measure(f"model `{habit}` rings {words}", share, 1.0, "", "higher", how))
        else:
            found.append(Measure("alarms of healthy models", sum(map(len, each)), 0, "", "lower", how))
    return found


def of_judges() -> list[Measure]:
    """Judges that ring what they must."""
    biased = [judged(seed, BIASED) for seed in SEEDS]
    steady = [judged(seed, STEADY) for seed in SEEDS]
    how = f"{len(SEEDS)} judges of {MATCHES} comparisons"
    share = sum("position_bias" in rang for rang in biased) / len(biased)
    return [
        Measure(f"judge with {BIASED:.0%} of position bias rings `position_bias`", share, 1.0, "", "higher", how),
        Measure(f"alarms of judges with {STEADY:.0%}", sum(map(len, steady)), 0, "", "lower", how),
    ]


def _told(each: list[list[str]]) -> str:
    return "; ".join(", ".join(alarms) or "none" for alarms in each)


def measures() -> list[Measure]:
    """Everything that must ring, and everything that must not."""
    return [*of_judges(), *of_models(), *of_trainings()]


if __name__ == "__main__":
    sys.exit(run(measures))
