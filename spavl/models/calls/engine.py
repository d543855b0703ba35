"""Ask a model many things: look up what was paid for, call for the rest, store every reply as it comes.

The only file that knows concurrency. Whatever ends a run early (Ctrl-C, a refused key, a full disk), the replies that
came are stored; running again asks only for the others.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, final

from spavl.errors import ModelError
from spavl.models.backends.local import LocalModel
from spavl.models.base import AsyncModel, BatchModel, Model, Prompt, Reply, Request, Sampling
from spavl.models.calls.keys import canonical, key_of
from spavl.models.calls.rate_limit import Retry, send_all
from spavl.models.calls.store import CallStore

__all__ = ["Call", "Progress", "Retry", "complete", "plan", "sees_item"]

Progress = Callable[[int, int], None]
"""Called with (done, total), in replies."""

HOPELESS_AFTER = 20
"""A model whose first replies, this many, all failed is not asked further."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its key, and the canonical form that the key is the hash of."""

    request: Request
    canonical: str

    @property
    def key(self) -> str:
        """Name of the call in the store."""
        return self.request.key


def complete(
    model: Model,
    prompts: Sequence[Prompt],
    *,
    sampling: Sampling,
    store: CallStore,
    on_progress: Progress | None = None,
    schema: Mapping[str, Any] | None = None,
    samples: int = 1,
) -> list[Reply]:
    """One reply a prompt and sample: all samples of the first prompt, then of the second, and so on.

    Stored successes are returned without a call; stored failures are tried again; equal requests are asked once. A
    call that fails is a Reply with its status. With a store opened for replay nothing is called: a stored failure is
    returned as it is and a missing answer raises ModelError. Otherwise raises ModelError when the model cannot be used
    at all, RunError when the store cannot be written.
    """
    calls = plan(model, prompts, sampling=sampling, schema=schema, samples=samples)
    replies = store.get_many([call.key for call in calls])
    missing = {call.key: call for call in calls if _wanted(replies.get(call.key), store.replay)}
    if missing and store.replay:
        raise ModelError(
            f"{len(missing)} answers of `{model.name}` are not in the call store, and in replay no call is made.",
            where=str(store.path),
            try_="Run without replay to ask for them.",
        )
    ledger = _Ledger(model.name, store, replies, Counter(call.key for call in calls), on_progress)
    ledger.start(missing)
    if missing:
        try:
            _ask(model, list(missing.values()), ledger)
        finally:
            store.flush()
    return [replies[call.key] for call in calls]


def plan(
    model: Model,
    prompts: Sequence[Prompt],
    *,
    sampling: Sampling,
    schema: Mapping[str, Any] | None = None,
    samples: int = 1,
) -> list[Call]:
    """The calls that `complete` would look up, with their keys; nothing is asked. Pass the keys to `store.known`."""
    identity, by_item = model.identity, sees_item(model)
    calls = []
    for prompt in prompts:
        for sample in range(samples):
            request = Request(prompt, sampling, sample, schema)
            form = canonical(request, identity, by_item=by_item)
            calls.append(Call(replace(request, key=key_of(form)), form))
    return calls


def sees_item(model: Model) -> bool:
    """Whether answers may depend on `Prompt.item`: weights and servers never see it, a user's class does."""
    return not isinstance(model, LocalModel | AsyncModel)


def _writable(reply: Reply) -> Reply:
    """The reply in text that can be written: half a character (a lone surrogate, as where a server cuts an emoji at its
    token limit) becomes U+FFFD, for neither SQLite nor Parquet could hold it."""
    return replace(
        reply, text=_whole(reply.text), detail=_whole(reply.detail), finish_reason=_whole(reply.finish_reason),
        fingerprint=_whole(reply.fingerprint),
    )  # fmt: skip


def _whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _wanted(stored: Reply | None, replay: bool) -> bool:
    return stored is None or (stored.status == "failed" and not replay)


def _ask(model: Model, calls: list[Call], ledger: _Ledger) -> None:
    if isinstance(model, AsyncModel):
        _in_a_loop_of_its_own(model, calls, ledger)
    else:
        _in_batches(model, calls, ledger)


def _in_batches(model: BatchModel, calls: list[Call], ledger: _Ledger) -> None:
    for start in range(0, len(calls), model.batch_size):
        chunk = calls[start : start + model.batch_size]
        replies = model.generate([call.request for call in chunk])
        if len(replies) != len(chunk):
            raise ModelError(f"`{model.name}` gave {len(replies)} replies to {len(chunk)} requests.")
        for call, reply in zip(chunk, replies, strict=True):
            ledger.record(call, reply)


def _in_a_loop_of_its_own(model: AsyncModel, calls: list[Call], ledger: _Ledger) -> None:
    """Run the calls on an event loop in another thread, so that it works in a notebook, whose own loop is running."""
    started: Future[Callable[[], object]] = Future()
    ended: Future[None] = Future()

    async def work() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        started.set_result(lambda: loop.call_soon_threadsafe(task.cancel) if task else None)
        await send_all(model, [(call.request, call) for call in calls], ledger.record)

    def run() -> None:
        try:
            ended.set_result(asyncio.run(work()))
        except BaseException as error:
            ended.set_exception(error)

    thread = threading.Thread(target=run, name=f"calls-{model.name}")
    thread.start()
    try:
        ended.result()
    except BaseException:
        # Ctrl-C reaches this thread, not the loop's: cancel what is in flight and wait until it has let go.
        with suppress(RuntimeError):  # the loop has closed by itself
            started.result()()
        raise
    finally:
        thread.join()


@final
class _Ledger:
    """Where replies go as they come: the store, the caller's list, the progress bar, and a check that some succeed."""

    def __init__(
        self, name: str, store: CallStore, replies: dict[str, Reply], asked: Counter[str], on_progress: Progress | None
    ) -> None:
        self._name = name
        self._store = store
        self._replies = replies
        self._asked = asked
        self._progress = on_progress
        self._done = 0
        self._failed_from_the_start = 0
        self._answered = False

    def start(self, missing: Container[str]) -> None:
        """Count what is there already."""
        self._done = sum(times for key, times in self._asked.items() if key not in missing)
        self._report()

    def record(self, call: Call, reply: Reply) -> None:
        """Store a reply. Raises ModelError when the first replies have all failed, RunError when the disk is full."""
        reply = _writable(replace(reply, key=call.key))
        self._store.put(call.key, reply, call.canonical)
        self._replies[call.key] = reply
        self._done += self._asked[call.key]
        self._report()
        self._answered = self._answered or reply.status != "failed"
        self._failed_from_the_start += not self._answered
        if self._failed_from_the_start >= HOPELESS_AFTER:
            raise ModelError(
                f"The first {self._failed_from_the_start} calls to `{self._name}` all failed; the last: {reply.detail}",
                try_="Mend the cause and run the same command again; failed calls are tried anew.",
            )

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._asked.total())
