"""The largest benchmark, VQAv2 with 214,354 questions: time and memory of loading it, in a process of its own.

python -m bench.evaluating.loading_vqav2 --json FILE
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from bench.measures import Measure, run
from tests.evaluate.skill_files import put

SEED = 20_266
"""Of the answers."""
QUESTIONS, PICTURES = 214_354, 40_504
"""As in the split val."""
WORDS = ("cup", "mug", "bowl", "plate", "fork", "2", "two", "yes", "no", "white", "red", "left", "kitchen table")
"""What people answer."""
LOADED = """
import json, resource, sys, time
from pathlib import Path
from spavl.config.benchmarks import VqaV2Benchmark
from tests.evaluate.skill_files import opened_skill

folder = Path(sys.argv[1])
began = time.perf_counter()
made = opened_skill(VqaV2Benchmark(path=str(folder), images=str(folder / "val2014")), folder)
took = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"items": len(made.items), "seconds": took, "mebibytes": peak}))
"""


def measures() -> list[Measure]:
    """Peak memory and time of loading generated files of the size of the real ones."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        done = subprocess.run(
            [sys.executable, "-c", LOADED, folder], capture_output=True, text=True, check=True, env=dict(os.environ)
        )
    found = json.loads(done.stdout)
    how = f"{found['items']:,} generated questions on {PICTURES:,} small pictures, which are opened and hashed"
    return [
        Measure("loading VQAv2: largest memory of the process", found["mebibytes"], 1024, "MiB", "lower", how),
        Measure("loading VQAv2", found["seconds"], None, "s", "lower", how),
    ]


def _write(folder: Path) -> None:
    random = Random(SEED)
    first = put(folder, "first.png") / "first.png"
    (folder / "val2014").mkdir()
    for number in range(PICTURES):
        os.link(first, folder / "val2014" / f"COCO_val2014_{number:012d}.jpg")
    _list(folder / "v2_OpenEnded_mscoco_val2014_questions.json", "questions", _questions())
    _list(folder / "v2_mscoco_val2014_annotations.json", "annotations", _annotations(random))


def _list(path: Path, name: str, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {"version": "2.0"}, "' + name + '": [')
        for place, row in enumerate(rows):
            file.write((", " if place else "") + json.dumps(row))
        file.write('], "data_type": "mscoco"}')


def _questions() -> Iterator[dict[str, Any]]:
    for n in range(QUESTIONS):
        asked = f"What is thing {n} beside the kitchen table?"
        yield {"image_id": n % PICTURES, "question": asked, "question_id": n}


def _annotations(random: Random) -> Iterator[dict[str, Any]]:
    for n in range(QUESTIONS):
        answers = [
            {"answer": random.choice(WORDS), "answer_confidence": "yes", "answer_id": number} for number in range(1, 11)
        ]
        yield {
            "question_type": "what is the", "multiple_choice_answer": answers[0]["answer"], "answers": answers,
            "image_id": n % PICTURES, "answer_type": "other", "question_id": n,
        }  # fmt: skip


if __name__ == "__main__":
    run(measures)
