"""Small runs with scores: models whose answers are given, on items of safety, over-refusal and skill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from spavl.config import LocalSpec
from spavl.evaluate import Answer, Benchmark, Item, Rule, Scored, compare, score, summarise, write_scores
from spavl.evaluate.benchmark import Metric
from spavl.evaluate.metrics import over_refusal_rate, unsafe_rate
from spavl.models.base import Sampling
from spavl.run import Run

REFUSAL = "I'm sorry, but I can't help with that request."
SAID = {"bad": True, "good": False, REFUSAL: False}
UNSAFE = unsafe_rate(Rule("test:unsafe/1", lambda item, text: SAID.get(text)))
REFUSED = over_refusal_rate(Rule("test:refused/1", lambda item, text: text == REFUSAL))
RIGHT = Metric(
    name="right_rate", axis="skill", better="higher", label="Right answers", what="that are right",
    scorer=Rule("test:right/1", lambda item, text: text == "right"),
)  # fmt: skip
GRADED = Metric(
    name="grade", axis="skill", better="higher", label="Grade", what="by their grade", graded=True,
    scorer=Rule("test:grade/1", lambda item, text: float(text)),
)  # fmt: skip


def benchmark(name: str, metric: Metric, n: int, **known: Any) -> Benchmark:
    """A benchmark of one metric, its items of two subjects in turn."""
    items = tuple(
        Item(item_id=f"{name}-{place}", subset="s", question=f"request {place} about a teapot", shown="none",
             group=f"subject {place % 2}", **known)
        for place in range(n)
    )  # fmt: skip
    return Benchmark(name=name, items=items, metrics=(metric,), sampling=Sampling())


SAFETY = benchmark("harm", UNSAFE, 100, harmful=True)
OVER_REFUSAL = benchmark("asked", REFUSED, 60, benign=True)
OVER_REFUSAL_TOO = benchmark("asked-too", REFUSED, 40, benign=True)
SKILL = benchmark("skill", RIGHT, 80)
GRADES = benchmark("grades", GRADED, 30)
Texts = Mapping[str, Sequence[str]]
"""A model's answers by name of the benchmark."""


def write_run(folder: Path, models: Mapping[str, Texts], benchmarks: Sequence[Benchmark], **noted: Any) -> Run:
    """A run folder as `spavl evaluate` leaves it, of given answers; the first model is the base."""
    run = Run(folder).open()
    (folder / "settings.yaml").write_text(yaml.safe_dump({}))
    names = [m.name for b in benchmarks for m in b.metrics]
    key = {(b.name, m.name): m.name if names.count(m.name) == 1 else f"{b.name}/{m.name}"
           for b in benchmarks for m in b.metrics}  # fmt: skip
    rates: dict[str, dict[str, Any]] = {}
    paired: dict[str, dict[str, Any]] = {}
    first: dict[str, list[Scored]] = {}
    for model, texts in models.items():
        for made in benchmarks:
            scored = scored_answers(made, model, texts[made.name])
            write_scores(run.evaluate, scored, run=folder, graded=[m.name for m in made.metrics if m.graded])
            before = first.setdefault(made.name, scored)
            found = {key[made.name, m]: asdict(rate) for m, rate in summarise(scored).items()}
            rates.setdefault(model, {}).update(found)
            changes = {key[made.name, m]: asdict(p) for m, p in compare(made, before, scored).items()}
            paired.setdefault(model, {}).update(changes)
    run.replace(
        models=rates, paired={name: changes for name, changes in paired.items() if name != next(iter(models))},
        metrics={key[b.name, m.name]: _described(b, m) for b in benchmarks for m in b.metrics},
        benchmarks={b.name: {"source": "", "standard": b.standard, "items": len(b.items), "protocol": b.protocol()}
                    for b in benchmarks},
        **noted,
    )  # fmt: skip
    return run


def scored_answers(made: Benchmark, model: str, texts: Sequence[str]) -> list[Scored]:
    """Given answers of a model to a benchmark, scored."""
    answers = [
        Answer(item=item, benchmark=made.name, model=model, text=text, status="ok", call="", tokens=1)
        for item, text in zip(made.items, texts, strict=True)
    ]
    return score(made, answers)


def _described(made: Benchmark, metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name, "benchmark": made.name, "axis": metric.axis, "better": metric.better,
        "label": metric.label, "what": metric.what, "scorer": metric.scorer.id, "protocol": made.protocol(),
        "graded": metric.graded,
    }  # fmt: skip


def texts(bad: int, refused: int, right: int, *, refused_skill: int = 0) -> dict[str, list[str]]:
    """Answers with so many unsafe, refused harmless, right, and refused skill items, in the order of the items."""
    wrong = 80 - right - refused_skill
    return {
        "harm": ["bad"] * bad + ["good"] * (100 - bad),
        "asked": [REFUSAL] * refused + ["yes"] * (60 - refused),
        "asked-too": [REFUSAL] * min(refused, 40) + ["yes"] * (40 - min(refused, 40)),
        "skill": ["right"] * right + ["wrong"] * wrong + [REFUSAL] * refused_skill,
    }


def gone(name: str) -> dict[str, Any]:
    """What a run notes of a model whose weights were in it and are gone."""
    spec = LocalSpec.model_validate({"name": name, "kind": "local", "path": "gone"}).model_dump(mode="json")
    return {name: {"identity": name, "spec": spec, "in_run": "gone", "folder": True, "stamp": []}}


ALL = (SAFETY, OVER_REFUSAL, OVER_REFUSAL_TOO, SKILL)
STANDARD = replace(SAFETY, standard="harm-official")
