"""What the bridge to Inspect does without Inspect: a run as what its logs hold, and questions asked together."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.evaluating.bridging.yes_no_items import write_items
from spavl.api import open_run
from spavl.bridges.inspect.batching import Batching
from spavl.bridges.inspect.log import log_header, log_sources, samples_of
from spavl.bridges.inspect.repeated import RepeatedQuestions
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import Engine
from spavl.models.calls.store import CallStore

ITEMS = 12


class YesNoModel:
    """Says yes to all but one question, whose call fails."""

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        pass

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        return [
            Reply("", status="failed", detail="the server is down")
            if "number 5 " in r.prompt.text
            else Reply("Yes.", completion_tokens=2)
            for r in requests
        ]


def evaluated(folder: Path) -> Path:
    """A run whose model answered yes/no questions."""
    model = {"kind": "python", "name": "base", "version": "1", "target": f"{__name__}:YesNoModel"}
    items = write_items(folder / "items", ITEMS, 2)
    run = open_run(
        {"out": str(folder / "run"), "store": str(folder / "calls.sqlite"), "models": [model],
         "evaluate": {"benchmarks": [{"kind": "file", "name": "yes-no", "path": str(items)}]}},
        allow_code=True,
    )  # fmt: skip
    run.evaluate(["base"])
    return folder / "run"


def test_a_run_becomes_a_log_with_pictures_answers_scores_and_errors(tmp_path: Path) -> None:
    (source,) = log_sources(evaluated(tmp_path))
    samples = {sample["id"]: sample for sample in samples_of(source)}
    assert len(samples) == ITEMS
    right, wrong, lost = samples["q1"], samples["q2"], samples["q5"]
    picture, words = right["input"][-1]["content"]
    assert picture["image"].startswith("data:image/png;base64,")
    assert words["text"] == "Is there an object number 1 in the picture?"
    assert right["output"]["choices"][0]["message"]["content"] == "Yes."
    assert (right["scores"]["pope_accuracy"]["value"], wrong["scores"]["pope_accuracy"]["value"]) == (1.0, 0.0)
    assert right["metadata"]["cluster"] == samples["q0"]["metadata"]["cluster"] != samples["q6"]["metadata"]["cluster"]
    assert lost["error"]["message"] == "the server is down"
    assert lost["output"]["choices"] == []
    assert math.isnan(lost["scores"]["pope_accuracy"]["value"]), "a lost call is neither right nor wrong"


def test_the_logs_rates_are_those_of_the_run_with_their_bounds(tmp_path: Path) -> None:
    (source,) = log_sources(evaluated(tmp_path))
    header = log_header(source, ITEMS)
    (found,) = header["results"]["scores"]
    assert (found["scored_samples"], found["unscored_samples"]) == (ITEMS - 1, 1)
    assert found["metrics"]["mean"]["value"] == pytest.approx(5 / 11)
    assert found["metrics"]["low"]["value"] < 5 / 11 < found["metrics"]["high"]["value"]
    assert header["eval"]["model"] == "spavl/base"
    assert header["eval"]["metadata"]["protocol"] == source.asked["protocol"]


def test_pictures_may_be_left_out_of_the_log(tmp_path: Path) -> None:
    (source,) = log_sources(evaluated(tmp_path))
    picture = next(samples_of(source, pictures=False))["input"][-1]["content"][0]
    assert Path(picture["image"]).is_file()


def test_questions_of_many_threads_are_asked_together_and_each_gets_its_own_reply() -> None:
    asked: list[int] = []

    def ask_many(prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        asked.append(len(prompts))
        return [Reply(f"{prompt.text} at {sampling.max_tokens}") for prompt in prompts]

    batching = Batching(ask_many, most=16)
    together = threading.Barrier(16)

    def ask(number: int) -> str:
        together.wait()
        return batching.ask(Prompt(str(number)), Sampling(max_tokens=1 + number % 2)).text

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(ask, range(16))) == [f"{n} at {1 + n % 2}" for n in range(16)]
    assert sum(asked) == 16
    assert len(asked) <= 4, "two samplings, and at most one straggling batch of each"


def test_an_error_reaches_all_who_wait_and_the_next_question_is_answered() -> None:
    ready: list[Any] = []

    def ask_many(prompts: Sequence[Prompt], sampling: Sampling) -> list[Reply]:
        if not ready:
            raise RuntimeError("no memory left")
        return [Reply("well again") for _ in prompts]

    batching = Batching(ask_many, most=1)
    with pytest.raises(RuntimeError, match="no memory left"):
        batching.ask(Prompt("one"), Sampling())
    ready.append(True)
    assert batching.ask(Prompt("two"), Sampling()).text == "well again"


class Sampled:
    """Answers with the number of the sample."""

    name, identity, batch_size = "sampled", "test/sampled/1", 4

    def __init__(self) -> None:
        self.calls = 0

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        self.calls += len(requests)
        return [Reply(f"{request.prompt.text} {request.sample}") for request in requests]

    def close(self) -> None:
        """Nothing is held."""


def test_who_asks_the_same_again_gets_another_sample_and_a_new_process_pays_for_none(tmp_path: Path) -> None:
    model, warm = Sampled(), Sampling(temperature=1.0)
    a, b = Prompt("a"), Prompt("b")
    for _ in range(2):
        with CallStore(tmp_path / "calls.sqlite") as store, Engine(store) as engine:
            questions = RepeatedQuestions(engine, model)
            assert [r.text for r in questions.ask([a, b, a], warm)] == ["a 0", "b 0", "a 1"]
            assert [r.text for r in questions.ask([b, a], warm)] == ["b 1", "a 2"]
            assert [r.text for r in questions.ask([a, a], Sampling())] == ["a 0", "a 0"], "greedy answers are all one"
        assert model.calls == 6
