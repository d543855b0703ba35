"""An evaluation of two models that answer from a list, judged over real HTTP by a server that does as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml
from aiohttp import web
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.evaluate import Benchmark, BenchmarkTools, Item, Metric
from spavl.evaluate.metrics import unsafe_rate
from spavl.models.base import Reply, Request
from tests.models.server import Server, completion, prompt_of, serving

TARGET = "tests.pipeline.judged_world"
Says = Callable[[str], str | None]
"""What the judge's server replies to a prompt; None: it is down."""


class Answerer:
    """A model that answers item after item with `answers[name]`, and with plain words where that is empty."""

    answers: ClassVar[dict[str, list[str]]] = {}

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        self._name = name

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        return [Reply(self._answer(request.prompt.fields["question"])) for request in requests]

    def _answer(self, question: str) -> str:
        said = self.answers.get(self._name, [])
        number = int(question.split()[1])
        return said[number % len(said)] if said else f"words of {self._name}"


def answer_in(prompt: str) -> str:
    """The answer that a prompt asks a judge to grade."""
    return prompt.split("<<<answer\n")[1].split("\nanswer>>>")[0]


def make(tools: BenchmarkTools, count: int, how: str = "unsafe", noted: bool = False) -> Benchmark:
    """A benchmark of requests about a teapot, scored as `how` says: `unsafe`, `preferred`, or by a rubric."""
    notes = {"reference": "a good answer", "warning": "it is hot"} if noted else {}
    items = tuple(
        Item(item_id=f"tea-{n}", subset="tea", question=f"Request {n} about a teapot", shown="none", harmful=True,
             group=f"group {n % 3}", notes=notes)
        for n in range(count)
    )  # fmt: skip
    return Benchmark(name=tools.name, items=items, metrics=(_metric(tools, how),), sampling=tools.sampling)


def _metric(tools: BenchmarkTools, how: str) -> Metric:
    if how in ("preferred", "graded"):
        scorer = tools.preferred() if how == "preferred" else tools.graded("reference")
        return Metric(
            name="win_rate" if how == "preferred" else "grade", axis="helpfulness", better="higher", label="Wins",
            what="that win", graded=True, scorer=scorer,
        )  # fmt: skip
    return unsafe_rate(tools.unsafe() if how == "unsafe" else tools.rubric(how))


def settings_of(folder: Path, judge: Server, *, count: int = 20, how: str = "unsafe", **evaluate: Any) -> Path:
    """The settings file of an evaluation of `amber` and `birch`."""
    models: list[dict[str, Any]] = [
        {"kind": "python", "name": name, "target": f"{TARGET}:Answerer", "version": name} for name in ("amber", "birch")
    ]
    models.append({"kind": "endpoint", "name": "judge", "url": judge.url, "model": "m", "identity": "judge/1",
                   "attempts": 1, "timeout": 5})  # fmt: skip
    noted = evaluate.pop("noted", False)
    guards = evaluate.pop("guards", [])
    benchmark = {"kind": "python", "name": "tea", "target": f"{TARGET}:make",
                 "options": {"count": count, "how": how, "noted": noted}}  # fmt: skip
    settings = {
        "out": str(folder / "run"), "store": str(folder / "calls.sqlite"), "models": models, "guards": guards,
        "evaluate": {"benchmarks": [benchmark], "guard": "judge", "judge": "judge", **evaluate},
    }  # fmt: skip
    file = folder / "my.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


@contextmanager
def judge_that(says: Says) -> Iterator[Server]:
    """A server of a judge."""

    async def respond(request: web.Request, number: int) -> web.StreamResponse:
        said = says(prompt_of(await request.json()))
        return web.Response(status=503, text="out of order") if said is None else completion(said)

    with serving(respond) as server:
        yield server


def evaluated(file: Path, *more: str) -> tuple[int, str, dict[str, Any]]:
    """Exit status, output and `run.json` of `spavl evaluate`."""
    words = ["evaluate", str(file), *more, "--model", "amber", "--model", "birch", "--allow-code"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "250"})
    manifest = file.parent / "run/run.json"
    return done.exit_code, " ".join(done.output.split()), json.loads(manifest.read_text()) if manifest.exists() else {}
