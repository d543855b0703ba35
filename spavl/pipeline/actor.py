"""The process that does units of work for `ray_runner`: a worker with a segment of the call store of its own.

Ray runs `SliceActor` in a process of its own; nothing here imports Ray.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar, final

from spavl.config import EndpointSpec, ModelSpec, Settings
from spavl.errors import RunError, SpavlError
from spavl.models.calls.engine import Engine
from spavl.models.calls.store import CallStore
from spavl.pipeline.counter import SharedLimits, Tally
from spavl.pipeline.pool import ModelPool
from spavl.pipeline.stages import pipeline_of
from spavl.pipeline.worker import Job, SliceMade, Worker
from spavl.progress import NoProgress
from spavl.run import Stage

T = TypeVar("T")
Failure = SpavlError | CancelledError | MemoryError
"""What a unit of work may end with and is told without a stack trace."""
EXCHANGE_SECONDS = 0.2
"""Time between two exchanges with the counter."""
MOST_THREADS = 256
"""Most units of work under way in one actor."""
LOCK_SECONDS = 15.0
"""Longest wait for the segment of an actor that has died: its lock goes with its process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRecipe:
    """All that an actor needs to be a worker of a run: plain data."""

    name: str
    """Name of the actor."""
    settings: Settings
    """Of the run; the concurrency of every endpoint is the actor's share."""
    allow_code: bool
    """Run classes and stages from outside spavl."""
    working_folder: Path
    """The folder that relative paths of the settings begin at."""
    folder: Path
    """The run folder."""
    store: Path
    """The main call store, which the actor reads."""
    segment: Path
    """The actor's own segment of the store."""
    same_files: Mapping[Path, int]
    """Numbers (inodes) of run folder and store, by which the actor knows that it sees the same ones."""
    import_paths: tuple[str, ...]
    """Where the command imports modules from, such as a user's own classes."""
    seconds: float | None
    """Seconds until the command's ceiling of time; None: there is none."""
    keys: Mapping[str, str]
    """API keys and secret headers by the names of their environment variables. Sent to the process that needs them, and
    kept nowhere."""


@dataclass(frozen=True, slots=True)
class JobRecipe:
    """A `Job` without functions, which cannot be sent: the stage by its name."""

    stage: str
    """Name of the stage."""
    rest: Mapping[str, Any]
    """The job's other fields."""

    @classmethod
    def of(cls, job: Job) -> JobRecipe:
        """The recipe of a job.

        Args:
            job: what the actor is to work on.
        """
        rest = {one.name: attrgetter(one.name)(job) for one in fields(job)}
        stage: Stage = rest.pop("stage")
        return cls(stage.name, rest)


@final
class SliceActor:
    """Does units of work in a process of its own; its methods are called through Ray."""

    async def start(self, recipe: ActorRecipe, counter: Any) -> Failure | None:
        """Become a worker of a run. Returns what keeps it from that.

        Args:
            recipe: the run.
            counter: handle of the run's `Counter`.
        """
        self._recipe = recipe
        ceilings = recipe.settings.ceilings
        self._tally = Tally(cost=ceilings.cost, seconds=recipe.seconds, models=ceilings.models,
                            shared=recipe.settings.ray.actors > 1)  # fmt: skip
        self._guard = threading.Lock()
        self._calls: tuple[CallStore, Engine] | None = None
        self._threads = ThreadPoolExecutor(MOST_THREADS)
        self._exchanging = asyncio.get_running_loop().create_task(self._exchange(counter))
        return await self._in_thread(self._prepare)

    async def make_slice(self, recipe: JobRecipe, number: int) -> SliceMade | Failure:
        """Do one unit of work. Returns the slice, or what kept it from being made.

        Args:
            recipe: the table that it belongs to.
            number: of the slice.
        """
        return await self._in_thread(self._make_slice, recipe, number)

    async def finish(self) -> int:
        """Close the segment, for the main store to take in; nothing may be under way. Returns stored answers found."""
        return await self._in_thread(self._close)

    async def stop(self) -> None:
        """End all calls in flight; the units of work end with a CancelledError. What came is stored."""
        if self._calls is not None:
            await self._in_thread(self._calls[1].close)

    async def leave(self) -> None:
        """Exchange nothing with the counter any more, before both end."""
        self._exchanging.cancel()

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _exchange(self, counter: Any) -> None:
        while True:
            await asyncio.sleep(EXCHANGE_SECONDS)
            self._tally.heed(await counter.exchange.remote(self._recipe.name, *self._tally.take()))

    def _prepare(self) -> Failure | None:
        recipe = self._recipe
        try:
            for path, number in recipe.same_files.items():
                check_seen(path, number)
            os.chdir(recipe.working_folder)
            os.environ.update(recipe.keys)
            sys.path.extend(path for path in recipe.import_paths if path not in sys.path)
            self._pool = ModelPool(recipe.settings.models, NoProgress(), allow_code=recipe.allow_code)
            self._worker = Worker(recipe.settings, recipe.folder, self._pool, self._complete)
            self._stages = {s.name: s for s in pipeline_of(recipe.settings, allow_code=recipe.allow_code)}
            self._opened()  # waits for the segment where an actor before this one has just died
        except (SpavlError, MemoryError) as error:
            return error
        return None

    def _make_slice(self, recipe: JobRecipe, number: int) -> SliceMade | Failure:
        try:
            job = Job(stage=self._stages[recipe.stage], **recipe.rest)
            return self._worker.make_slice(job, number, self._tally.add_replies)
        except (SpavlError, CancelledError, MemoryError) as error:
            return error

    def _complete(self, *arguments: Any, **options: Any) -> Any:
        return self._opened().complete(*arguments, **options)

    def _opened(self) -> Engine:
        with self._guard:
            if self._calls is None:
                store = self._open_segment()
                limits = partial(SharedLimits, tally=self._tally)
                engine = Engine(store, limits=limits, oversight=self._tally.oversight)
                self._calls = (store, engine)
            return self._calls[1]

    def _open_segment(self) -> CallStore:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return CallStore(self._recipe.segment, also_read=[self._recipe.store])
            except RunError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def _close(self) -> int:
        with self._guard:
            if self._calls is None:
                return 0
            (store, engine), self._calls = self._calls, None
            engine.close()
            store.close()
            return store.hits


def check_seen(path: Path, number: int) -> None:
    """Check that a file or folder is the one that the command sees under this path.

    Args:
        path: the file or folder.
        number: its inode, as the command sees it.

    Raises:
        RunError: it is not there, or is another.
    """
    found = None
    with suppress(OSError):
        found = path.stat().st_ino
    if found != number:
        raise RunError(
            "A Ray actor does not see this path as the command does: run folder and call store must lie on a disk that "
            "all machines of the cluster share", where=str(path),
            try_="name others with `out` and `store`, or `runner=local`",
        )  # fmt: skip


def shared_out(settings: Settings, place: int) -> Settings:
    """Settings for one actor, in which every endpoint has only the actor's share of the calls in flight.

    Args:
        settings: of the run.
        place: number of the actor, from 0.
    """

    def of(spec: ModelSpec) -> ModelSpec:
        if not isinstance(spec, EndpointSpec):
            return spec
        return spec.model_copy(update={"concurrency": max(1, share_of(settings, spec.concurrency, place))})

    return settings.model_copy(update={"models": tuple(map(of, settings.models))})


def share_of(settings: Settings, concurrency: int, place: int) -> int:
    """Calls that one actor may have in flight to an endpoint; 0: it is not asked at all, for others use them up.

    Args:
        settings: of the run.
        concurrency: of the endpoint.
        place: number of the actor, from 0.
    """
    if settings.ray.concurrency is not None:
        return settings.ray.concurrency
    return concurrency // settings.ray.actors + (place < concurrency % settings.ray.actors)
