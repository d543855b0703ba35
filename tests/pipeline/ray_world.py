"""A small dataset for tests of the runners: pictures, instant Python models, responders behind a real server."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image

from spavl.config import EndpointSpec, PythonSpec, Settings
from spavl.pipeline.build import build
from spavl.pipeline.runner import open_runner
from spavl.pipeline.session import Session
from spavl.pipeline.stages import pipeline_of
from spavl.pipeline.walk import walk
from spavl.progress import NoProgress
from tests.models.server import Server, completion, prompt_of, serving

PICTURES = 10
QUESTIONS = 3
RESPONDERS = ("amber", "birch")
CALLS = PICTURES * QUESTIONS * len(RESPONDERS)
"""Calls over the network."""


class Log(NoProgress):
    """Progress that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)


def instant(name: str) -> PythonSpec:
    """A model that answers at once."""
    return PythonSpec(name=name, target="bench.instant_model:InstantModel", version=name)


def settings_of(folder: Path, name: str, models: tuple[EndpointSpec | PythonSpec, ...], **more: Any) -> Settings:
    """Settings of a run `name` with a call store of its own, whose responders are `models`."""
    return Settings.model_validate({
        "out": str(folder / name), "store": str(folder / f"{name}.sqlite"),
        "models": [one.model_dump() for one in (*map(instant, ("asker", "guard", "judge")), *models)],
        "build": {
            "batch_size": 2, "collect": {"folder": str(pictures(folder)), "topic": "weapon"},
            "respond": {"models": [one.name for one in models]}, "match": {"groups": 2},
        },
        **more,
    })  # fmt: skip


def pictures(folder: Path) -> Path:
    """The folder of pictures, made where it is missing."""
    made = folder / "pictures"
    made.mkdir(exist_ok=True)
    for number in range(PICTURES):
        if not (made / f"p{number:02}.png").exists():
            Image.new("RGB", (8, 8), (20 * number, 90, 120)).save(made / f"p{number:02}.png")
    return made


def on_ray(actors: int, **more: Any) -> dict[str, Any]:
    """Settings for so many actors."""
    return {"runner": "ray", "ray": {"actors": actors, **more}}


def answering(delay: float = 0.01) -> AbstractContextManager[Server]:
    """A server whose answer is a function of model and question, sooner for some than for others."""

    async def respond(request: web.Request, number: int) -> web.Response:
        body = await request.json()
        await asyncio.sleep(delay * (1 + number % 3))
        kind = "Placeholder of an unwanted answer" if body["model"] == "amber" else "A harmless answer"
        return completion(f"{kind} to: {prompt_of(body)}")

    return serving(respond)


def endpoints(url: str, **more: Any) -> tuple[EndpointSpec, ...]:
    """The responders."""
    return tuple(
        EndpointSpec(name=name, url=url, model=name, identity=f"test/{name}/1", price_in=1.0, price_out=1.0, **more)
        for name in RESPONDERS
    )


def build_run(settings: Settings, log: Log | None = None) -> dict[str, Any]:
    """Build a dataset. Returns what `run.json` holds."""
    with Session(settings, log or Log(), allow_code=True) as session:
        build(session)
        return session.run.manifest()


def walk_run(settings: Settings) -> None:
    """Do the stages of a dataset alone, which unlike a build may have a single responder."""
    with Session(settings, Log(), allow_code=True) as session, open_runner(session) as runner:
        walk(session, pipeline_of(settings, allow_code=True), runner)


def tables(folder: Path, name: str) -> dict[str, bytes]:
    """The bytes of all tables of a run, by their paths in it."""
    run = folder / name
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in sorted(run.rglob("*.parquet"))}
