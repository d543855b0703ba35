"""A model of ours as one of lmms-eval's: its questions go through our engine and call store, so each is paid once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lmms_eval import evaluator
from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms
from lmms_eval.tasks import TaskManager

from spavl.bridges.chat import PictureFolder, prompt_of
from spavl.bridges.lmms.messages import chat_turns, cut_at, sampling_for
from spavl.bridges.lmms.task_benchmark import Asked
from spavl.errors import DataError, SettingsError
from spavl.evaluate.order import put_back, sharing_order
from spavl.models.base import Model, Prompt, Reply, Sampling
from spavl.models.calls.engine import Engine


class EvaluatedModel(lmms):  # type: ignore[misc]
    """A model of ours behind the interface of lmms-eval.

    Args:
        engine: makes the calls.
        model: the model.
        pictures: where pictures of the tasks are kept.
        seed: of tasks that sample.
    """

    is_simple = False

    def __init__(self, engine: Engine, model: Model, pictures: Path, seed: int = 0) -> None:
        super().__init__()
        self._engine = engine
        self._model = model
        self._pictures = PictureFolder(pictures)
        self._seed = seed
        self.asked: dict[str, dict[str, Asked]] = {}
        """What was asked by id of the document, by name of the task."""
        self.interleaved = 0
        """Questions with a picture after words, which was shown before them."""
        self.lost = 0
        """Calls without an answer; lmms-eval was given an empty one, and counts it as it likes."""

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """One answer a request, in order.

        Args:
            requests: questions of any tasks.

        Raises:
            DataError: a question shows what is neither words nor a picture, or is to be answered more than once.
        """
        answers: list[Any] = [None] * len(requests)
        alike: dict[tuple[str, Sampling], list[int]] = {}
        prompts = []
        for place, request in enumerate(requests):
            _, to_messages, wanted, doc_id, task, split = request.args
            prompts.append(self._prompt(to_messages(self.task_dict[task][split][doc_id]), str(doc_id), task))
            alike.setdefault((task, sampling_for(wanted, self._seed)), []).append(place)
        for (task, sampling), places in alike.items():
            replies = self._replies([prompts[place] for place in places], sampling)
            for place, reply in zip(places, replies, strict=True):
                self._note(task, Asked(prompts[place], sampling, reply.text))
                until = requests[place].args[2].get("until")
                counts = TokenCounts(input_tokens=reply.prompt_tokens, output_tokens=reply.completion_tokens)
                answers[place] = GenerationResult(text=cut_at(reply.text, until), token_counts=counts)
        return answers

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Nothing: our models give words and not their probabilities.

        Args:
            requests: of a task that ranks options.

        Raises:
            SettingsError: always.
        """
        raise SettingsError("The task ranks options by their probability, and models here give words",
                            where="--task", try_="take the task's form that generates an answer")  # fmt: skip

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Nothing: a task of several rounds asks on by what was answered.

        Args:
            requests: of such a task.

        Raises:
            SettingsError: always.
        """
        raise SettingsError("The task asks in several rounds, which the bridge does not do", where="--task")

    def _prompt(self, messages: Sequence[Mapping[str, Any]], item: str, task: str) -> Prompt:
        turns = chat_turns(messages, f"task {task}, document {item}")
        self.interleaved += any(turn.interleaved for turn in turns)
        return prompt_of(turns, self._pictures.keep, item=item)

    def _replies(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        order = sharing_order(prompts)
        asked = self._engine.complete(self._model, [prompts[place] for place in order], sampling=sampling)
        replies = put_back(asked, order)
        self.lost += sum(not reply.text and reply.status != "ok" for reply in replies)
        return replies

    def _note(self, task: str, asked: Asked) -> None:
        known = self.asked.setdefault(task, {})
        if asked.prompt.item in known:
            raise DataError("The task wants several answers to a question, which the bridge does not give", where=task)
        known[asked.prompt.item] = asked


def run_tasks(
    model: EvaluatedModel, tasks: Sequence[str], *, include: Path | None = None, limit: int | None = None
) -> dict[str, Any]:
    """What lmms-eval makes of a model's answers: `results`, `samples`, `higher_is_better` and more.

    Args:
        model: the model.
        tasks: names of tasks.
        include: folder of further tasks.
        limit: most documents of a task.

    Raises:
        SettingsError: there is no such task.
    """
    known = TaskManager("ERROR", include_path=None if include is None else str(include))
    unknown = [task for task in tasks if task not in known.all_tasks]
    if unknown:
        raise SettingsError(f"lmms-eval has no task `{unknown[0]}`", where="--task",
                            try_="`python -m lmms_eval --tasks list` names them")  # fmt: skip
    if find_spec("filelock._api") is None:
        # It patches a module of filelock 3, which filelock 4 lacks; this is the mark by which it knows that it did.
        evaluator._enable_reentrant_filelocks._patched = True
    found: dict[str, Any] = evaluator.simple_evaluate(
        model=model, tasks=list(tasks), limit=limit, task_manager=known, log_samples=True, bootstrap_iters=0,
        verbosity="ERROR",
    )  # fmt: skip
    return found
