"""A study's folder with planted scores: what `spavl study` would leave, without a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spavl.evaluate.item import Item
from spavl.evaluate.run import Scored
from spavl.evaluate.score_table import write_scores
from spavl.evaluate.scorer import Answer
from spavl.run import Run
from spavl.study.results import BASE, Result, write_results

METRICS = {
    "unsafe_rate": ("safety", "lower", "Unsafe answers"),
    "over_refusal_rate": ("over-refusal", "lower", "Refusals of harmless requests"),
    "skill_accuracy": ("skill", "higher", "Right answers"),
}
GROUPS = ("knives", "fire", "coins", "seals")


def scores(folder: Path, model: str, rates: Mapping[str, float], items: int, seed: int, *, more: Mapping = {}) -> None:
    """Scores of a model in a run folder: an item is True where its own number, the same for all models, is below the
    rate. `more` adds to the rate of a group."""
    own = np.random.default_rng(7).random(items)
    noise = np.random.default_rng([seed, len(model)]).normal(0, 0.05, items)
    scored = []
    for n in range(items):
        group = GROUPS[n % len(GROUPS)]
        item = Item(item_id=str(n), subset="harm", question=f"request {n}", shown="none", harmful=True, group=group)
        given = Answer(item=item, benchmark="planted", model=model, text="answer", status="ok", call="", tokens=1)
        outcomes = {name: bool(own[n] + noise[n] < rate + more.get(group, 0.0)) for name, rate in rates.items()}
        scored.append(Scored(answer=given, outcomes=outcomes))
    write_scores(folder / "evaluate", scored, run=folder)
    said = {
        name: {"name": name, "benchmark": "planted", "axis": axis, "better": better, "label": label, "what": "that are",
               "protocol": "p", "graded": False, "standard": ""}
        for name, (axis, better, label) in METRICS.items() if name in rates
    }  # fmt: skip
    Run(folder).replace(metrics=said)


def study(
    folder: Path, settings: str, arms: Mapping[str, Mapping[str, float]], *, values: Sequence[float | None] = (),
    base: Mapping[str, float] | None = None, seeds: Sequence[int] = (1, 2, 3), items: int = 240,
    more: Mapping[str, Mapping[str, float]] = {},
) -> Path:  # fmt: skip
    """A study's folder whose arms have the given rates by metric."""
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(settings, "utf-8")
    rows: list[Result] = []
    if base is not None:
        scores(folder / "runs" / "base", "model", base, items, 0)
        rows += _rows(folder, "base", BASE, None, None, base, items)
    for place, (arm, rates) in enumerate(arms.items()):
        for seed in seeds:
            name = f"{arm}-{seed}"
            scores(folder / "runs" / name, "model", rates, items, seed, more=more.get(arm, {}))
            rows += _rows(folder, name, arm, values[place] if values else None, seed, rates, items)
    write_results(folder, rows)
    return folder


def _rows(
    folder: Path, run: str, arm: str, value: float | None, seed: int | None, rates: Mapping[str, float], items: int
) -> list[Result]:
    found = []
    for metric, rate in rates.items():
        axis, better, label = METRICS[metric]
        found.append(Result(
            study=folder.name, kind="scale", arm=arm, label=f"Arm {arm}", value=value, base=BASE, seed=seed, pairs=100,
            metric=metric, label_of_metric=label, benchmark="planted", axis=axis, better=better, subset="all",
            rate=rate, low=max(0.0, rate - 0.05), high=min(1.0, rate + 0.05), n=items, unreadable=0,
            training="" if seed is None else f"{run:0>16}", model="model", run=f"runs/{run}", seconds=2.0,
            reused=False,
        ))  # fmt: skip
    return found
