"""Who does the units of work: this process, with threads for what waits on a network."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from typing import Protocol

from spavl.config import ModelSpec
from spavl.models.base import AsyncModel
from spavl.pipeline.pool import ModelPool
from spavl.pipeline.worker import Job, SliceMade, Worker

WriteTable = Callable[[Job, Iterator[SliceMade]], None]
"""Writes a job's table from its slices, in order."""
MOST_WAITING = 8
"""Most slices that are done or under way, for each that may be under way: one slow slice holds the others up only
when so many wait for it to be written first."""


class Runner(Protocol):
    """Makes the tables of a stage."""

    def run(self, jobs: Sequence[Job], write: WriteTable, on_progress: Callable[[int], None]) -> None:
        """Make the tables; their rows do not depend on who makes them.

        Args:
            jobs: tables that do not depend on each other.
            write: called once a table with its slices, in order, as they are made.
            on_progress: called with the number of further replies that there are, from any thread.
        """
        ...


class LocalRunner:
    """Works in this process: models behind a network side by side, the others one after the other.

    Args:
        worker: does the units of work.
        pool: the models.
        stop: ends all calls in flight, when the work must end early.
    """

    def __init__(self, worker: Worker, pool: ModelPool, stop: Callable[[], None]) -> None:
        self._worker = worker
        self._pool = pool
        self._stop = stop

    def run(self, jobs: Sequence[Job], write: WriteTable, on_progress: Callable[[int], None]) -> None:
        """Make the tables.

        Args:
            jobs: tables that do not depend on each other.
            write: called once a table with its slices, in order, as they are made.
            on_progress: called with the number of further replies that there are, from any thread.
        """
        side_by_side = [job for job in jobs if self._window(job) > 1]
        ended = threading.Event()
        failures: list[BaseException] = []

        def make(job: Job) -> None:
            try:
                write(job, self._stream(job, ended, on_progress))
            except BaseException as error:
                failures.append(error)  # the first is the cause of the others
                ended.set()
                raise

        with ThreadPoolExecutor(max(1, len(side_by_side))) as pool:
            written = [pool.submit(make, job) for job in side_by_side]
            try:
                for job in jobs:
                    if job not in side_by_side:
                        write(job, self._one_by_one(job, ended, on_progress))
                wait(written, return_when=FIRST_EXCEPTION)
            except CancelledError:
                if not failures:
                    raise
            except BaseException:
                ended.set()
                self._stop()
                raise
            if failures:
                self._stop()
                raise failures[0]

    def _one_by_one(self, job: Job, ended: threading.Event, on_progress: Callable[[int], None]) -> Iterator[SliceMade]:
        for number in range(job.slices):
            if ended.is_set():
                raise CancelledError("another table could not be made")
            yield self._worker.make_slice(job, number, on_progress)

    def _stream(self, job: Job, ended: threading.Event, on_progress: Callable[[int], None]) -> Iterator[SliceMade]:
        """All slices of the job in order, several under way at once, so that its model is never without calls."""
        window = self._window(job)
        waiting: deque[Future[SliceMade]] = deque()
        unsent = deque(range(job.slices))
        with ThreadPoolExecutor(window) as pool:
            try:
                while unsent or waiting:
                    if ended.is_set():
                        raise CancelledError("another table could not be made")
                    room = min(window - sum(not future.done() for future in waiting), len(unsent))
                    for _ in range(min(room, window * MOST_WAITING - len(waiting))):
                        waiting.append(pool.submit(self._worker.make_slice, job, unsent.popleft(), on_progress))
                    if waiting[0].done():
                        yield waiting.popleft().result()
                    else:
                        wait([future for future in waiting if not future.done()], return_when=FIRST_COMPLETED)
            finally:
                pool.shutdown(cancel_futures=True)

    def _window(self, job: Job) -> int:
        """Slices under way at once: 1 for models that answer a batch at a time."""
        if job.use is None:
            return 1
        spec: ModelSpec = self._pool.spec(job.use.label, job.use.setting)
        if spec.kind != "endpoint":
            return 1
        model = self._pool.model(spec)
        assert isinstance(model, AsyncModel), "an endpoint is asked over a network"
        rows = max(1, job.rows // max(1, job.slices))
        return 2 + math.ceil(2 * model.concurrency / rows)
