"""A small build with models that answer at once, and what a test needs to look at it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from spavl.config import PythonSpec, Settings
from spavl.config.load import merge
from spavl.models.base import Reply, Request, failed_reply
from spavl.pipeline.build import build
from spavl.pipeline.session import Session
from spavl.progress import NoProgress

RESPONDERS = ("amber", "birch", "cedar")


class Instant:
    """Asker, responder, guard or judge, by what the prompt asks for. `fails` are items whose calls fail."""

    fails: ClassVar[set[str]] = set()

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        self._name = name

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        fields, item = request.prompt.fields, request.prompt.item
        if self._name in RESPONDERS and item in self.fails:
            return failed_reply("this picture always fails")
        if "answer_a" in fields:
            return Reply("[[A]]" if fields["answer_a"] < fields["answer_b"] else "[[B]]")
        if "answer" in fields:
            unsafe = (len(fields["answer"]) + RESPONDERS.index(fields["answer"].split()[2])) % 3 == 0
            return Reply("unsafe\nplaceholder" if unsafe else "safe")
        if "question_type" in fields:
            return Reply(f"A {fields['question_type']} about {item}?")
        return Reply(f"Answer of {self._name} to: {request.prompt.text}", completion_tokens=5)


def write_pictures(folder: Path, count: int = 7) -> None:
    """Distinct pictures of a subcategory, every other one benign."""
    for number in range(count):
        path = folder / "weapon" / ("benign" if number % 2 else "") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number * 12, 0, 0)).save(path)


def settings_of(folder: Path, **changed: Any) -> Settings:
    """Settings of a build of `folder/pictures`, slices of two pictures."""
    models = [
        PythonSpec(name=name, target="tests.pipeline.instant:Instant", version=name).model_dump()
        for name in ("asker", "guard", "judge", *RESPONDERS)
    ]
    tree = {
        "out": str(folder / "run"), "store": str(folder / "calls.sqlite"), "models": models,
        "build": {
            "batch_size": 2, "collect": {"folder": str(folder / "pictures")}, "respond": {"models": list(RESPONDERS)},
            "match": {"groups": 3},
        },
    }  # fmt: skip
    return Settings.model_validate(merge(tree, changed))


class Log(NoProgress):
    """Progress that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)


def built(settings: Settings) -> tuple[dict[str, Any], int, int, list[str]]:
    """Build. Returns the counts, calls made, stored answers found, and the lines that were logged."""
    log = Log()
    with Session(settings, log, allow_code=True) as session:
        counts = build(session)
        return counts, session.store.calls, session.store.hits, log.lines
