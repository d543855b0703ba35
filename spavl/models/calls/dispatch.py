"""Who makes the calls of a model: a queue on one event loop for models behind a network, a lock for all others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar, final

from spavl.errors import ModelError
from spavl.models.backends.local import whole_groups
from spavl.models.base import AsyncModel, BatchModel, Reply, Request, failed_reply
from spavl.models.calls.batch import Batch, Call
from spavl.models.calls.client import NEWS_PAUSE, Client
from spavl.models.calls.oversight import Notice, Oversight
from spavl.models.calls.rate_limit import Limits, open_session
from spavl.models.calls.store import CallStore
from spavl.records import TRIED_AGAIN

T = TypeVar("T")
MOST_FAILURES_AT_START = 20
"""A model with weights or code of its own, whose first replies all failed, is from then on called now and then only."""
REQUESTS_TO_PROBE = 4
"""Requests at each end of the queue among which one is chosen to find out whether a server is there."""


@final
class LoopThread:
    """An event loop in a thread of its own, so that calls work in a notebook, whose own loop is running."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()
        self.session = self.run(_opened_session())
        """`aiohttp.ClientSession` of all calls."""

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Have a function called in the loop, soon.

        Args:
            function: what to call.
            arguments: what to call it with.
        """
        self._loop.call_soon_threadsafe(function, *arguments)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns, run in the loop.

        Args:
            work: the coroutine.
        """
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Close the connections and end the thread; nothing may be in flight."""
        self.run(self.session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _opened_session() -> Any:
    return open_session()


@final
class Dispatcher:
    """Makes the calls of one model, from all batches in the order they came, as many at once as its limits allow.

    Workers take one call after the other; they end when none is waiting. Methods without an underscore are for any
    thread, the others for the loop's.

    Args:
        model: the model behind a network.
        thread: where calls are made.
        limits: how many calls may be in flight.
        store: where replies are stored; calls pause while too many wait to be written.
        oversight: the command's.
    """

    def __init__(
        self, model: AsyncModel, thread: LoopThread, limits: Limits, store: CallStore, oversight: Oversight
    ) -> None:
        self._thread = thread
        self._store = store
        self._concurrency = model.concurrency
        self._found = False
        self._client = Client(
            model, thread.session, limits, oversight, waiting=self._some_waiting,
            answered_before=lambda: self._found or store.has_answer_of(model.identity),
        )  # fmt: skip
        self._guard = threading.Lock()
        self._closed = False
        self._waiting: deque[tuple[Call, Batch]] = deque()
        self._workers: dict[asyncio.Task[None], Batch | None] = {}

    def start(self, calls: Sequence[Call], batch: Batch) -> None:
        """Queue calls; returns at once.

        Args:
            calls: what to ask.
            batch: what takes the replies; told how many calls begin.
        """
        with self._guard:
            if self._closed:
                batch.end(len(calls))
                raise CancelledError
            self._thread.call(self._add, calls, batch)

    def note_found(self) -> None:
        """Note that stored answers of the model were found: its server has been there."""
        self._found = True

    def cancel(self, batch: Batch) -> None:
        """Stop the calls of one batch and wait until they have ended.

        Args:
            batch: whose calls.
        """
        if not batch.is_idle:
            self._thread.call(self._stop, batch, CancelledError())
            batch.wait_until_idle()

    def close(self) -> None:
        """Stop all calls and wait until they have ended; `start` raises CancelledError from now on."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        self._thread.run(self._close())

    async def _close(self) -> None:
        self._stop_all(CancelledError())
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._client.close()

    def _some_waiting(self) -> list[Request]:
        some = (*islice(reversed(self._waiting), REQUESTS_TO_PROBE), *islice(self._waiting, REQUESTS_TO_PROBE))
        return [call.request for call, _ in some]

    def _add(self, calls: Sequence[Call], batch: Batch) -> None:
        self._waiting.extend([(call, batch) for call in calls])
        self._start_workers()

    def _start_workers(self) -> None:
        for _ in range(min(self._concurrency - len(self._workers), len(self._waiting))):
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers[worker] = None
            worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        del self._workers[worker]
        self._start_workers()

    async def _work(self) -> None:
        worker = asyncio.current_task()
        assert worker is not None
        while self._waiting:
            call, batch = self._waiting.popleft()
            self._workers[worker] = batch
            try:
                await self._call(call, batch)
            finally:
                batch.end()

    async def _call(self, call: Call, batch: Batch) -> None:
        try:
            batch.record(call, await self._client.call(call.request))
        except Exception as error:
            self._stop(batch, error)
            return
        if not self._store.has_room:
            await self._room()

    async def _room(self) -> None:
        """Wait for the store, so that a killed process loses no more than what is in flight and one queue of rows."""
        room = asyncio.get_running_loop().create_future()
        self._store.when_room(partial(self._thread.call, _set, room))
        await room

    def _stop_all(self, error: Exception) -> None:
        for batch in {batch for batch in (*self._workers.values(), *(batch for _, batch in self._waiting)) if batch}:
            self._stop(batch, error)

    def _stop(self, batch: Batch, error: Exception) -> None:
        """End the calls of a batch: those that wait at once, those in flight as soon as they have let go."""
        batch.fail(error)
        before = len(self._waiting)
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not batch)
        batch.end(before - len(self._waiting))
        current = asyncio.current_task()
        for worker, working_for in self._workers.items():
            if working_for is batch and worker is not current:
                worker.cancel()


@final
class BatchCaller:
    """Makes the calls of a model that answers a list at once, one list at a time, whoever asks.

    A model that has never answered but only failed is called with fewer and fewer lists: one, then none of the next
    one, two, four … So it costs little if it is broken, and is found to be well if only the first requests are bad.

    Args:
        model: weights on this machine, or a user's own class.
        store: where replies are stored.
        oversight: the command's.
    """

    def __init__(self, model: BatchModel, store: CallStore, oversight: Oversight) -> None:
        self._model = model
        self._store = store
        self._oversight = oversight
        self._failures = 0
        self._any_answer = False
        self._broken = ""
        self._left_out = 0
        self._to_leave_out = 0
        self._guard = threading.Lock()
        self._closed = False

    def start(self, calls: Sequence[Call], batch: Batch) -> None:
        """Make calls; returns once they have ended.

        Args:
            calls: what to ask.
            batch: what takes the replies.
        """
        try:
            first = 0
            while first < len(calls):
                size = self._model.batch_size
                some = [call.request for call in calls[first : first + size + 1]]
                last = first + len(whole_groups(some, size))
                self._call(calls[first:last], batch)
                first = last
        finally:
            batch.end(len(calls))

    def note_found(self) -> None:
        """Note that stored answers of the model were found: it can answer."""
        self._any_answer = True

    def cancel(self, batch: Batch) -> None:
        """Nothing: whoever stops a batch is the thread that makes its calls.

        Args:
            batch: whose calls.
        """

    def close(self) -> None:
        """Start no further list; a thread that would gets a CancelledError."""
        self._closed = True

    def _call(self, calls: Sequence[Call], batch: Batch) -> None:
        with self._guard:
            if self._closed:
                raise CancelledError
            why = self._why_not()
            replies = [] if why else self._model.generate([call.request for call in calls])
        if why:
            replies = [replace(failed_reply(f"not sent: {why}"), attempts=0)] * len(calls)
        if len(replies) != len(calls):
            raise ModelError(f"`{self._model.name}` gave {len(replies)} replies to {len(calls)} requests.")
        stored = [batch.record(call, reply) for call, reply in zip(calls, replies, strict=True)]
        lost = sum(reply.status in TRIED_AGAIN for reply in stored)
        self._oversight.count(self._model.name, ended=len(stored), failed=lost)
        if not why:
            self._count(stored)
            self._store.wait_for_room()

    def _why_not(self) -> str:
        """Why the next list is not sent; empty if it is."""
        if self._broken and self._to_leave_out:
            self._to_leave_out -= 1
            return self._broken
        while not (why := self._oversight.stopped(self._model.name)) and self._oversight.must_wait(self._model.name):
            time.sleep(NEWS_PAUSE)
        return why

    def _count(self, replies: Sequence[Reply]) -> None:
        """Count what replies cost, and leave lists out where a model has never answered but only failed."""
        self._oversight.count(
            self._model.name, calls=len(replies), prompt_tokens=sum(reply.prompt_tokens for reply in replies),
            completion_tokens=sum(reply.completion_tokens for reply in replies),
            cost=sum(reply.cost for reply in replies),
        )  # fmt: skip
        self._any_answer = self._any_answer or any(reply.status != "failed" for reply in replies)
        self._failures += len(replies)
        if self._any_answer:
            self._broken = ""
        elif self._failures >= MOST_FAILURES_AT_START:
            self._leave_out(replies[-1])

    def _leave_out(self, last: Reply) -> None:
        if not self._broken:
            self._any_answer = self._store.has_answer_of(self._model.identity)
            if self._any_answer:
                return
            name = self._model.name
            self._broken = f"the first {self._failures} calls of `{name}` all failed; the last: {last.detail}"
            rest = "It is called now and then only; its other calls are noted as failed, and made by the next run."
            line = f"The first {self._failures} calls of `{name}` all failed; the last: {last.detail}. {rest}"
            self._oversight.tell(Notice(name, "given up", line))
        self._left_out = 2 * self._left_out or 1
        self._to_leave_out = self._left_out


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
