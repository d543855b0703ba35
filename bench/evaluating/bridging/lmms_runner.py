"""lmms-eval's own Hugging Face runner on a local task, in lmms-eval's environment: `python lmms_runner.py '{…}'`.

Needs lmms-eval and nothing of spavl. Takes a JSON object: `checkpoint`, `tasks` (folder), `task`, `batch_sizes` to be
tried on `trial` items, and `threads`. It reads lines: after `run`, it answers all items with the fastest batch and
prints a JSON line with the seconds of `generate_until` and the words; it ends with the input. The model is kept in
float32, so that its words can be compared; the runner itself loads bfloat16.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.util import find_spec
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from lmms_eval import evaluator
from lmms_eval.models.chat.huggingface import Huggingface
from lmms_eval.tasks import TaskManager
from transformers import AutoModelForImageTextToText

if (
    find_spec("filelock._api") is None
):  # it patches filelock 3 here, and cannot be run with filelock 4, which needs no patch
    evaluator._enable_reentrant_filelocks._patched = True


class Timed(Huggingface):  # type: ignore[misc]
    """The runner, with a clock around what it does to answer."""

    seconds = 0.0

    def generate_until(self, requests: Any) -> Any:
        """As the runner answers.

        Args:
            requests: of a task.
        """
        start = time.perf_counter()
        answers = super().generate_until(requests)
        self.seconds = time.perf_counter() - start
        return answers

    def clean(self) -> None:
        """Keep the model for the next run."""


class WithoutEmpty:
    """The processor, called without the empty lists of videos and audios that transformers 5 refuses.

    Args:
        processor: the model's.
    """

    def __init__(self, processor: Any) -> None:
        self.apply_chat_template = processor.apply_chat_template
        self.batch_decode = processor.batch_decode
        self._processor = processor

    def __call__(self, **given: Any) -> Any:
        """What the processor makes of what is given and not empty.

        Args:
            given: as the runner calls its processor.
        """
        return self._processor(**{name: value for name, value in given.items() if value not in ([], None)})


def main(given: dict[str, Any]) -> None:
    """Try batch sizes, say which is the fastest, and answer all items as often as a line asks for it.

    Args:
        given: the JSON object.
    """
    torch.set_num_threads(given["threads"])
    model = Timed(pretrained=given["checkpoint"], device="cpu", device_map="cpu", batch_size=1)
    model._model = AutoModelForImageTextToText.from_pretrained(given["checkpoint"], dtype=torch.float32).eval()
    model.processor = WithoutEmpty(model.processor)
    tasks = TaskManager("ERROR", include_path=given["tasks"])

    def answer(size: int, limit: int | None) -> tuple[float, list[str]]:
        model.batch_size_per_gpu = size
        found = evaluator.simple_evaluate(
            model=model, tasks=[given["task"]], batch_size=size, limit=limit, task_manager=tasks, log_samples=True,
            bootstrap_iters=0, verbosity="ERROR",
        )  # fmt: skip
        samples = sorted(found["samples"][given["task"]], key=lambda sample: sample["doc_id"])
        return model.seconds, [sample["filtered_resps"][0] for sample in samples]

    answer(given["batch_sizes"][0], given["trial"])
    seconds = {size: answer(size, given["trial"])[0] for size in given["batch_sizes"]}
    best = min(seconds, key=lambda size: seconds[size])
    say({"best": best, "trials": seconds})
    for line in sys.stdin:
        if line.strip() == "run":
            took, texts = answer(best, None)
            say({"seconds": took, "texts": texts})


def say(tree: dict[str, Any]) -> None:
    """Print a JSON line that is told from all that others print.

    Args:
        tree: what it holds.
    """
    print("RESULT " + json.dumps(tree), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
