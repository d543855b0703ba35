"""The report of a large run: size of the page without pictures, and seconds to make it.

python -m bench.studying.report --json FILE
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import yaml

from bench.measures import Measure, run
from spavl.evaluate import Answer, Benchmark, Item, Rule, Scored, compare, score, summarise, write_scores
from spavl.evaluate.benchmark import Metric
from spavl.evaluate.metrics import over_refusal_rate, unsafe_rate
from spavl.models.base import Sampling
from spavl.run import Run
from spavl.taxonomy import load_taxonomy

PAIRS, PICTURES, RESPONDERS = 100_000, 30_000, 12
"""Pairs of the run, its pictures, and the models that answered; a question a pair."""
ITEMS, SKILLS = 5_300, 2_000
"""Items of harm, as many harmless ones, and items of a skill."""
MODELS = {"base": (0.47, 0.01, 0.95), "dpo": (0.02, 0.02, 0.95), "ppo": (0.03, 0.02, 0.94)}
"""Share of unsafe answers, of needless refusals and of right answers, by model."""
MOST_SECONDS, MOST_MB = 20, 5
TIMED = """
import os, resource, sys, time
from pathlib import Path
from spavl.pipeline.report import write_run_report
start = time.monotonic()
page = write_run_report(Path(sys.argv[1]), examples=24)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(time.monotonic() - start, sum(os.times()[:2]), peak)
"""
"""What the process does that is timed; it prints seconds, seconds of processor and GiB."""
UNSAFE = unsafe_rate(Rule("planted:unsafe/1", lambda item, text: text.startswith("unsafe")))
REFUSED = over_refusal_rate(Rule("planted:refused/1", lambda item, text: text.startswith("refusal")))
RIGHT = Metric(
    name="right_rate", axis="skill", better="higher", label="Right answers", what="that are right",
    scorer=Rule("planted:right/1", lambda item, text: text.startswith("right")),
)  # fmt: skip


def planted_run(folder: Path) -> Run:
    """A run folder as a build of 100,000 pairs, two trainings and an evaluation leave it; all texts are abstract.

    Args:
        folder: where it is made.
    """
    made = Run(folder).open()
    leaves = [(topic.class1, topic.class2, topic.class3) for topic in load_taxonomy().topics]
    (folder / "settings.yaml").write_text(yaml.safe_dump({"report": {"examples": 24}}))
    _tables(made, leaves)
    scored = _scored(leaves)
    made.replace(**_measured(made, scored), **_built(leaves))
    for name in ("dpo", "ppo"):
        _training(made.align / name)
    return made


def _tables(made: Run, leaves: Sequence[tuple[str, str, str]]) -> None:
    """The tables of pictures, of 1.2 million answers and of 400,000 verdicts, with the columns that are read."""
    with duckdb.connect() as opened:
        opened.execute("CREATE TABLE leaves (place INTEGER, class1 TEXT, class2 TEXT, class3 TEXT)")
        opened.executemany("INSERT INTO leaves VALUES (?, ?, ?, ?)", [(n, *leaf) for n, leaf in enumerate(leaves)])
        of_leaf = f"JOIN leaves ON place = n % {len(leaves)}"
        for path, columns, rows in (
            (made.images, "n % 5 < 2 AS benign, place % 6 = 0 AS heldout", PICTURES),
            (made.responses, f"'responder ' || (n % {RESPONDERS}) AS responder, n % 5 < 3 AS harmful, 'ok' AS "
             f"response_status, hash(n) % 100 < 8 * (n % {RESPONDERS}) AS unsafe, NOT unsafe AS safe, "
             "'answer ' || n || ' that says nothing' AS response", PAIRS * RESPONDERS),
            (made.judgments, "'judge' AS judge, 'match ' || (n // 2) AS match_id, CASE n % 2 WHEN 0 THEN 'ab' ELSE "
             "'ba' END AS \"order\", CASE WHEN hash(n // 2) % 10 < 7 OR n % 2 = 0 THEN 'a' ELSE 'b' END AS winner, "
             "'ok' AS judgment_status", 4 * PAIRS),
        ):  # fmt: skip
            picture = f"'picture ' || (n % {PICTURES}) AS image_id"
            selected = f"SELECT {columns}, {picture}, class1, class2, class3 FROM range({rows}) t(n) {of_leaf}"
            opened.execute(f"COPY ({selected}) TO '{path}' (FORMAT parquet)")


def _scored(leaves: Sequence[tuple[str, str, str]]) -> dict[str, list[tuple[Benchmark, list[Scored]]]]:
    """The answers of every model to three benchmarks, with their outcomes."""
    harm, benign = ({"harmful": True}, {"benign": True})
    asked = [_benchmark("harm", UNSAFE, ITEMS, leaves, harm), _benchmark("harmless", REFUSED, ITEMS, leaves, benign),
             _benchmark("skill", RIGHT, SKILLS, leaves, {})]  # fmt: skip
    words = (("unsafe", "safe"), ("refusal", "help"), ("right", "wrong"))
    found: dict[str, list[tuple[Benchmark, list[Scored]]]] = {}
    for model, shares in MODELS.items():
        noise = random.Random(model)
        for made, share, (one, other) in zip(asked, shares, words, strict=True):
            texts = (one if noise.random() < share else other for _ in made.items)
            answers = [
                Answer(item=item, benchmark=made.name, model=model, text=f"{text} {n}", status="ok", call="", tokens=5)
                for n, (item, text) in enumerate(zip(made.items, texts, strict=True))
            ]
            found.setdefault(model, []).append((made, score(made, answers)))
    return found


def _benchmark(
    name: str, metric: Metric, n: int, leaves: Sequence[tuple[str, str, str]], known: dict[str, bool]
) -> Benchmark:
    items = tuple(
        Item(item_id=f"{name}-{place}", subset="all", question=f"request {place}", shown="none",
             group=leaves[place % len(leaves)][2] if known else "", **known)  # type: ignore[arg-type]
        for place in range(n)
    )  # fmt: skip
    return Benchmark(name=name, items=items, metrics=(metric,), sampling=Sampling())


def _measured(made: Run, scored: dict[str, list[tuple[Benchmark, list[Scored]]]]) -> dict[str, Any]:
    """What `run.json` keeps of an evaluation; the tables of scores are written."""
    rates: dict[str, dict[str, Any]] = {}
    paired: dict[str, dict[str, Any]] = {}
    for model, by_benchmark in scored.items():
        for (asked, answers), (_, before) in zip(by_benchmark, scored["base"], strict=True):
            write_scores(made.evaluate, answers, run=made.folder)
            rates.setdefault(model, {}).update({m: asdict(rate) for m, rate in summarise(answers).items()})
            if model != "base":
                changes = {m: asdict(p) for m, p in compare(asked, before, answers).items()}
                paired.setdefault(model, {}).update(changes)
    asked_all = [asked for asked, _ in scored["base"]]
    return {
        "models": rates, "paired": paired,
        "metrics": {m.name: {"name": m.name, "benchmark": b.name, "axis": m.axis, "better": m.better, "label": m.label,
                             "what": m.what, "scorer": m.scorer.id, "protocol": b.protocol(), "graded": m.graded}
                    for b in asked_all for m in b.metrics},
        "benchmarks": {b.name: {"source": "planted", "standard": "", "items": len(b.items), "protocol": b.protocol()}
                       for b in asked_all},
    }  # fmt: skip


def _built(leaves: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """What `run.json` keeps of a build."""
    stages = (("collect", "pictures", PICTURES), ("ask", "questions", PAIRS), ("respond", "answers", 12 * PAIRS),
              ("match", "matches", 2 * PAIRS), ("judge", "verdicts", 4 * PAIRS), ("pair", "pairs", PAIRS))  # fmt: skip
    counts = {"pictures": PICTURES // 53, "benign": PICTURES // 130, "easy_question": PAIRS // 53, "pairs": PAIRS // 53}
    return {
        "seed": 1, "stages": [{"name": name, "noun": noun, "kept": "made"} for name, noun, _ in stages],
        "counts": {name: {"made": n, "failed": n // 500} for name, _, n in stages},
        "seconds": {name: 60.0 for name, _, _ in stages},
        "spent": {name: {"calls": n, "stored": 0, "tokens": 100 * n, "cost": n / 1e4} for name, _, n in stages},
        "responders": {f"responder {n}": {"group": 5 * n // RESPONDERS} for n in range(RESPONDERS)},
        "judges": {"judge": {"table": "5-judgments.parquet"}},
        "coverage": {"taxonomy": "the built-in taxonomy", "levels": 3, "display": {}, "columns": list(counts),
                     "leaves": [dict(zip(("class1", "class2", "class3"), leaf, strict=True), counts=counts)
                                for leaf in leaves]},
    }  # fmt: skip


def _training(folder: Path) -> None:
    """The logs of a training of 3,000 steps that looked at a panel every 50."""
    folder.mkdir(parents=True)
    steps = [{"step": n, "loss": 1 / (1 + n / 300), "margin": n / 900, "accuracy": 1 - 0.4 / (1 + n / 300)}
             for n in range(0, 3_000, 10)]  # fmt: skip
    looks = [{"step": n, "unsafe": 0.5 / (1 + n / 90), "over_refusal": 0.02, "skill": 0.95}
             for n in range(0, 3_000, 50)]  # fmt: skip
    for file, rows in (("metrics.jsonl", steps), ("validation.jsonl", looks)):
        (folder / file).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    done = {"method": folder.name, "id": "0123", "pairs": PAIRS, "steps": 3_000, "chosen_step": 3_000, "seconds": 9e3}
    (folder / "training.json").write_text(json.dumps(done))
    (folder / "settings.yaml").write_text("loss:\n  beta: 0.1\n" * 60)


def measures() -> list[Measure]:
    """All rows."""
    with tempfile.TemporaryDirectory() as folder:
        made = planted_run(Path(folder) / "run")
        command = [sys.executable, "-c", TIMED, str(made.folder)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
        seconds, cpu, peak = map(float, done.stdout.split())
        size = made.report.stat().st_size / 1e6
    how = (f"{PAIRS:,} pairs, {PAIRS * RESPONDERS:,} answers, {4 * PAIRS:,} verdicts, 53 leaves, "
           f"{len(MODELS)} models on {2 * ITEMS + SKILLS:,} items; with Markdown and JSON")  # fmt: skip
    return [
        Measure("report of 100,000 pairs", round(seconds, 2), MOST_SECONDS, "s", "lower",
                f"{how}; {cpu:.1f} s of processor"),
        Measure("report of 100,000 pairs: page without pictures", round(size, 2), MOST_MB, "MB", "lower", how),
        Measure("report of 100,000 pairs: memory", round(peak, 2), None, "GiB", "lower", how),
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
