"""The bridge to lmms-eval against the real package, on a local task in POPE's form; nothing is downloaded.

FOLDER/bin/python -m bench.evaluating.bridging.lmms_bridge [--json FILE]

Runs in the environment that `lmms_environment.sh FOLDER` of this folder makes, with this repository on PYTHONPATH; half
a minute. `python -m bench.evaluating.bridges` starts it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")

import torch
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.loggers import EvaluationTracker
from lmms_eval.tasks import TaskManager
from transformers import AutoModelForImageTextToText

from bench.evaluating.bridging.lmms_runner import Timed, WithoutEmpty
from bench.evaluating.bridging.lmms_task import NAME, write_task
from bench.measures import Measure, run
from bench.trl_comparison.workload import SMALL, make_processor, random_model
from spavl.bridges.lmms.log import read_sample_log
from spavl.bridges.lmms.routes import compare_routes
from spavl.bridges.lmms.run import TaskScores, evaluate_tasks
from spavl.config import Settings, load_settings
from spavl.pipeline.session import Session
from spavl.progress import NoProgress

SHAPE = replace(SMALL, name="tiny", image_size=56, hidden_size=64, intermediate_size=128, layers=2, vocabulary=500)
PICTURES, QUESTIONS, TOKENS = 10, 6, 8
ITEMS = PICTURES * QUESTIONS
METRIC = "pope_accuracy"


def measures() -> list[Measure]:
    """What lmms-eval reports against our tables, what is paid twice, and two routes to the same words."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = _checkpoint(folder / "checkpoint")
        tasks = write_task(
            folder / "tasks", pictures=PICTURES, questions=QUESTIONS, words=words, tokens=TOKENS, size=56
        )
        first, calls = _through_bridge(folder, tasks)
        again, calls_again = _through_bridge(folder, tasks)
        _their_runner(folder, tasks)
        (log,) = (folder / "logs").rglob(f"*_samples_{NAME}.jsonl")
        table = folder / "run" / "evaluate" / "weights" / f"{NAME}.parquet"
        routes = compare_routes(read_sample_log(log), table, METRIC, METRIC)
    differ = [abs(first.reported[m][NAME][METRIC] - rates[METRIC].value) for m, rates in first.scores.rates.items()]
    paired = first.scores.paired["odd"][METRIC]
    shown = ", ".join(f"{m} {rates[METRIC].value:.3f}" for m, rates in first.scores.rates.items())
    return [
        Measure("lmms-eval bridge: its accuracy less ours, at most", max(differ), 0, "", "lower",
                f"{ITEMS} items, three models: {shown}; paired: {paired.fixed} fixed, {paired.broken} broken"),
        Measure("lmms-eval bridge: calls to three models", calls, (3 * ITEMS, 3 * ITEMS), "", "between", "one an item"),
        Measure("lmms-eval bridge: calls when run again", calls_again, 0, "", "lower",
                f"same numbers: {first.reported == again.reported}; only reported: {first.only_reported}"),
        Measure("lmms-eval bridge: words of its own runner", sum(one.same_words for one in routes.items) / ITEMS, 0.995,
                "", "higher", routes.sentence),
    ]  # fmt: skip


def _checkpoint(path: Path) -> list[str]:
    random_model(SHAPE, "cpu", torch.float32).save_pretrained(path)
    processor = make_processor(SHAPE)
    processor.save_pretrained(path)
    return [word for word in processor.tokenizer.get_vocab() if word not in processor.tokenizer.all_special_tokens]


def _through_bridge(folder: Path, tasks: Path) -> tuple[TaskScores, int]:
    options = {"notes": str(folder / "notes"), "seconds": 0}
    noting = {
        "kind": "python",
        "target": "bench.evaluating.bridging.noting_model:NotingModel",
        "batch_size": 8,
        "options": options,
    }
    given = {
        "out": str(folder / "run"), "store": str(folder / "calls.sqlite"),
        "models": [noting | {"name": "even", "version": "1"}, noting | {"name": "odd", "version": "2"},
                   {"kind": "local", "name": "weights", "path": str(folder / "checkpoint"), "device": "cpu"}],
    }  # fmt: skip
    settings = load_settings(Settings, None, [], defaults=given)
    with Session(settings, NoProgress(), allow_code=True) as session:
        found = evaluate_tasks(session, [NAME], models=["even", "odd", "weights"], include=tasks)
        return found, session.store.calls


def _their_runner(folder: Path, tasks: Path) -> None:
    """lmms-eval with its own runner and its own log of samples."""
    model = Timed(pretrained=str(folder / "checkpoint"), device="cpu", device_map="cpu", batch_size=6)
    model._model = AutoModelForImageTextToText.from_pretrained(folder / "checkpoint", dtype=torch.float32).eval()
    model.processor = WithoutEmpty(model.processor)
    tracker = EvaluationTracker(output_path=str(folder / "logs"))
    found = simple_evaluate(
        model=model, tasks=[NAME], task_manager=TaskManager("ERROR", include_path=str(tasks)), log_samples=True,
        bootstrap_iters=0, verbosity="ERROR", evaluation_tracker=None,
    )  # fmt: skip
    tracker.general_config_tracker.log_experiment_args("huggingface", "", None, None, False)
    tracker.save_results_aggregated(results=found, samples=found["samples"], datetime_str="20260101_000000")
    tracker.save_results_samples(task_name=NAME, samples=found["samples"][NAME])


if __name__ == "__main__":
    run(measures)
