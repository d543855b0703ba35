"""Who does the units of work: this process, with threads for what waits on a network, or actors of a Ray cluster."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial

from spavl.models.calls.oversight import Usage
from spavl.pipeline.pool import ModelPool
from spavl.pipeline.session import Session
from spavl.pipeline.worker import Job, SliceMade, Worker

WriteTable = Callable[[Job, Iterator[SliceMade]], None]
"""Writes a job's table from its slices, in order."""
MOST_WAITING = 8
"""Most slices that are done or under way, for each that may be under way: one slow slice holds the others up only
when so many wait for it to be written first."""


class Runner(ABC):
    """Makes the tables of a stage. Whoever makes a slice, it is written in its place, so no table depends on it.

    Models behind a network are asked side by side, the others one after the other.
    """

    def run(self, jobs: Sequence[Job], write: WriteTable, on_progress: Callable[[int], None]) -> None:
        """Make the tables.

        Args:
            jobs: tables that do not depend on each other.
            write: called once a table with its slices, in order, as they are made.
            on_progress: called with the number of further replies that there are, from any thread.
        """
        side_by_side = [job for job in jobs if self.waits_on_network(job)]
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
                        write(job, self._stream(job, ended, on_progress))
                wait(written, return_when=FIRST_EXCEPTION)
            except CancelledError:
                if not failures:
                    raise
            except BaseException:
                ended.set()
                self.stop()
                raise
            if failures:
                self.stop()
                raise failures[0]

    @abstractmethod
    def make_slice(self, job: Job, number: int, on_reply: Callable[[int], None]) -> SliceMade:
        """Do one unit of work; see `Worker.make_slice`. Called by several threads at once.

        Args:
            job: the table that it belongs to.
            number: of the slice.
            on_reply: called with the number of further replies that there are.
        """

    @abstractmethod
    def window(self, job: Job) -> int:
        """Slices of a table that are under way at once.

        Args:
            job: the table.
        """

    @abstractmethod
    def waits_on_network(self, job: Job) -> bool:
        """Whether a table's model is behind a network, and may be asked while others are.

        Args:
            job: the table.
        """

    @abstractmethod
    def stop(self) -> None:
        """End all calls in flight, when the work must end early."""

    @abstractmethod
    def usage(self) -> Mapping[str, Usage]:
        """What the calls of this command have used so far, by name of the model. Called by any thread."""

    def _stream(self, job: Job, ended: threading.Event, on_progress: Callable[[int], None]) -> Iterator[SliceMade]:
        """All slices of the job in order; CancelledError once another table could not be made."""
        window = self.window(job)
        make = partial(self.make_slice, job, on_reply=on_progress)
        for made in self._several(make, job.slices, window) if window > 1 else map(make, range(job.slices)):
            yield made
            if ended.is_set():
                raise CancelledError("another table could not be made")

    def _several(self, make: Callable[[int], SliceMade], slices: int, window: int) -> Iterator[SliceMade]:
        """Slices in order, several under way at once, so that their model is never without calls."""
        waiting: deque[Future[SliceMade]] = deque()
        unsent = deque(range(slices))
        with ThreadPoolExecutor(window) as pool:
            try:
                while unsent or waiting:
                    room = min(window - sum(not future.done() for future in waiting), len(unsent))
                    for _ in range(min(room, window * MOST_WAITING - len(waiting))):
                        waiting.append(pool.submit(make, unsent.popleft()))
                    if waiting[0].done():
                        yield waiting.popleft().result()
                    else:
                        wait([future for future in waiting if not future.done()], return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:
                self.stop()  # before the pool waits for what is under way
                raise
            finally:
                pool.shutdown(cancel_futures=True)


class LocalRunner(Runner):
    """Works in this process.

    Args:
        session: the settings, models and engine.
    """

    def __init__(self, session: Session) -> None:
        self._worker = Worker(session.settings, session.run.folder, session.pool, session.engine.complete)
        self._pool = session.pool
        self._engine = session.engine
        self._oversight = session.oversight

    def make_slice(self, job: Job, number: int, on_reply: Callable[[int], None]) -> SliceMade:
        """Do one unit of work.

        Args:
            job: the table that it belongs to.
            number: of the slice.
            on_reply: called with the number of further replies that there are.
        """
        return self._worker.make_slice(job, number, on_reply)

    def window(self, job: Job) -> int:
        """Slices of a table that are under way at once: 1 for models that answer a batch at a time.

        Args:
            job: the table.
        """
        concurrency = concurrency_of(job, self._pool)
        return slices_for(job, concurrency) if concurrency else 1

    def waits_on_network(self, job: Job) -> bool:
        """Whether a table's model is behind a network, and may be asked while others are.

        Args:
            job: the table.
        """
        return bool(concurrency_of(job, self._pool))

    def stop(self) -> None:
        """End all calls in flight."""
        self._engine.close()

    def usage(self) -> Mapping[str, Usage]:
        """What the calls of this command have used so far, by name of the model."""
        return self._oversight.usage()


def concurrency_of(job: Job, pool: ModelPool) -> int:
    """Calls that a table's models may have in flight; 0 where one of them is not behind a network.

    Args:
        job: the table.
        pool: the models.
    """
    specs = [pool.spec(use.label, use.setting) for use in job.uses]
    concurrency = [spec.concurrency if spec.kind == "endpoint" else 0 for spec in specs]
    return sum(concurrency) if all(concurrency) else 0


def slices_for(job: Job, concurrency: int) -> int:
    """Slices that must be under way at once for a model to have so many calls in flight all the time.

    Args:
        job: the table.
        concurrency: calls in flight.
    """
    rows = max(1, job.rows // max(1, job.slices))
    return 2 + math.ceil(2 * concurrency / rows)


@contextmanager
def open_runner(session: Session) -> Iterator[Runner]:
    """The runner that the settings ask for, until the block ends.

    Args:
        session: the settings, models and engine.

    Raises:
        MissingExtra: Ray is asked for and is not installed.
        RunError: the Ray cluster does not answer.
    """
    if session.settings.runner == "local" or session.store.replay:  # without calls there is nothing to hand out
        yield LocalRunner(session)
        return
    from spavl.pipeline.ray_runner import RayRunner

    with RayRunner(session) as runner:
        yield runner
