"""Local answers against lmms-eval's Hugging Face runner: one checkpoint, one task in POPE's form, words and speed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq
import torch

from bench.evaluating.bridging.lmms_task import AFTER, NAME, write_task
from bench.measures import Measure
from bench.trl_comparison.workload import SMALL, make_processor, random_model
from spavl.config.models import LocalSpec
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.metrics import pope_accuracy
from spavl.evaluate.pictures import store_picture
from spavl.evaluate.run import answer, score
from spavl.models.backends.local import LocalModel
from spavl.models.base import Sampling
from spavl.models.calls.store import CallStore

PYTHON = os.environ.get("SPAVL_BENCH_LMMS", "")
"""Python of the environment that holds lmms-eval."""
PICTURES, QUESTIONS, TOKENS = 20, 6, 16
BATCH_SIZES = (1, 4, 12, 24)
"""Batches of lmms-eval that are tried on a fifth of the items."""
REPEATS = 3
FLOOR, EQUAL = 3.0, 0.995
_RUNNER = Path(__file__).with_name("lmms_runner.py")


@dataclass(frozen=True, slots=True)
class Answered:
    """One run of a side."""

    seconds: float
    """How long the answers took."""
    texts: list[str]
    """The words, in the order of the items."""


def runner_race(folder: Path) -> list[Measure]:
    """Ratio of items a second, and the share of answers with the same words.

    Args:
        folder: for checkpoint, task, pictures and call stores.
    """
    if not PYTHON:
        return _unmeasured()
    random_model(SMALL, "cpu", torch.float32).save_pretrained(folder / "checkpoint")
    processor = make_processor(SMALL)
    processor.save_pretrained(folder / "checkpoint")
    words = [word for word in processor.tokenizer.get_vocab() if word not in processor.tokenizer.all_special_tokens]
    tasks = write_task(folder / "tasks", pictures=PICTURES, questions=QUESTIONS, words=words, tokens=TOKENS)
    benchmark, model = _benchmark(tasks / "test.parquet", folder / "pictures"), _model(folder / "checkpoint")
    with Runner(folder / "checkpoint", tasks, folder / "lmms.log") as runner:
        _ours(benchmark, model, folder / "warm-up.sqlite")
        runs = [
            (runner.run(), _ours(benchmark, model, folder / f"{number}.sqlite")) for number in range(REPEATS)
        ]  # fmt: skip
    return _measures(runs, runner.best)


def _unmeasured() -> list[Measure]:
    how = (
        "needs lmms-eval in an environment of its own: `sh bench/evaluating/bridging/lmms_environment.sh FOLDER`, then "
        "SPAVL_BENCH_LMMS=FOLDER/bin/python"
    )
    return [
        Measure("local answers/s over lmms-eval's Hugging Face runner", None, FLOOR, "×", "higher", how),
        Measure("local answers with the words of lmms-eval's runner", None, EQUAL, "", "higher", how),
    ]


def _measures(runs: Sequence[tuple[Answered, Answered]], batch_size: int) -> list[Measure]:
    theirs, ours = (statistics.median(one[side].seconds for one in runs) for side in (0, 1))
    pairs = [pair for one, other in runs for pair in zip(one.texts, other.texts, strict=True)]
    equal = sum(a.strip() == b.strip() for a, b in pairs) / len(pairs)
    items = PICTURES * QUESTIONS
    how = (
        f"{items / ours:.1f} against {items / theirs:.1f} items/s; lmms-eval 0.7.3, `huggingface`, only "
        f"`generate_until`, in batches of {batch_size}, the fastest of {', '.join(map(str, BATCH_SIZES))}; ours: "
        f"`answer`, call store on disk and scoring; {QUESTIONS} questions in POPE's form to each of {PICTURES} "
        f"pictures, ≤ {TOKENS} new tokens, greedy, float32, LLaVA: {SMALL.image_tokens} image tokens, "
        f"language model 256 × 6; {torch.get_num_threads()} threads each; medians of {len(runs)} alternating runs"
    )
    return [
        Measure("local answers/s over lmms-eval's Hugging Face runner", theirs / ours, FLOOR, "×", "higher", how),
        Measure("local answers with the words of lmms-eval's runner", equal, EQUAL, "", "higher",
                f"{len(pairs)} answers of the runs above"),
    ]  # fmt: skip


def _benchmark(table: Path, pictures: Path) -> Benchmark:
    items = tuple(
        Item(
            item_id=row["question_id"], subset="yes-no", question=row["question"], expected=row["answer"],
            images=(store_picture(row["image"]["bytes"], pictures, ".png"),), cluster=row["image"]["path"],
        )
        for row in pq.read_table(table).to_pylist()
    )  # fmt: skip
    return Benchmark(
        name=NAME, items=items, metrics=(pope_accuracy(),), sampling=Sampling(max_tokens=TOKENS),
        prompt="{question}" + AFTER,
    )  # fmt: skip


def _model(checkpoint: Path) -> LocalModel:
    return LocalModel(LocalSpec(name="local", path=str(checkpoint), device="cpu", dtype="float32", batch_size=64))


def _ours(benchmark: Benchmark, model: LocalModel, store: Path) -> Answered:
    start = time.perf_counter()
    with CallStore(store) as calls:
        answers = answer(benchmark, model, store=calls)
    score(benchmark, answers)
    return Answered(time.perf_counter() - start, [one.text for one in answers])


class Runner:
    """lmms-eval in its own environment, which waits for the word to run; a context manager.

    Args:
        checkpoint: the model.
        tasks: folder of the task.
        log: file for what it prints besides results.

    Raises:
        RuntimeError: it ends without a result.
    """

    def __init__(self, checkpoint: Path, tasks: Path, log: Path) -> None:
        given = {
            "checkpoint": str(checkpoint), "tasks": str(tasks), "task": NAME, "batch_sizes": BATCH_SIZES,
            "trial": PICTURES * QUESTIONS // 5, "threads": torch.get_num_threads(),
        }  # fmt: skip
        self._log = log
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [PYTHON, str(_RUNNER), json.dumps(given)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, cwd=log.parent, env=environment,
            )  # fmt: skip
        self.best: int = self._result()["best"]

    def run(self) -> Answered:
        """Answer all items once.

        Raises:
            RuntimeError: it ends without a result.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        found = self._result()
        return Answered(found["seconds"], found["texts"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *stopped: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _result(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("RESULT "):
                return json.loads(line.removeprefix("RESULT "))
        said = self._log.read_text("utf-8", errors="replace")[-1500:]
        raise RuntimeError(f"lmms-eval ended without a result: {said}")
