"""Call a model with many prompts: look up stored replies, call for the rest, store every reply as it comes.

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
from spavl.progress import OnProgress

__all__ = ["Call", "Retry", "complete", "plan", "sees_item"]

MOST_FAILURES_AT_START = 20
"""A model whose first replies all failed is called no further after this many."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request and the canonical form that its key is the hash of."""

    request: Request
    """The request, with its key."""
    canonical: str
    """The request as canonical JSON (see `keys.canonical`)."""

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
    on_progress: OnProgress | None = None,
    schema: Mapping[str, Any] | None = None,
    samples: int = 1,
) -> list[Reply]:
    """One reply a prompt and sample: all samples of the first prompt, then of the second, and so on.

    Stored successes are returned without a call; stored failures are tried again; equal requests are sent once. A
    call that fails is a Reply with its status. With a store opened for replay nothing is called, and a stored failure
    is returned as it is.

    Args:
        model: the model to call.
        prompts: what is asked, in the order of the replies.
        sampling: how every reply is generated.
        store: where replies are looked up and stored.
        on_progress: called with replies there are and replies wanted, once before the first call and after each.
        schema: JSON schema that the replies must fit, for models that can be held to one. None: free text.
        samples: replies to each prompt, each a call with a key of its own.

    Raises:
        ModelError: the model cannot be used at all, its first replies all failed, or a reply is missing in replay.
        RunError: the store cannot be written.
    """
    calls = plan(model, prompts, sampling=sampling, schema=schema, samples=samples)
    replies = store.get_many([call.key for call in calls])
    missing = {call.key: call for call in calls if _needs_call(replies.get(call.key), store.replay)}
    if missing and store.replay:
        raise ModelError(
            f"{len(missing)} answers of `{model.name}` are not in the call store, and in replay no call is made.",
            where=str(store.path),
            try_="Run without replay to ask for them.",
        )
    recorder = _Recorder(model.name, store, replies, Counter(call.key for call in calls), on_progress)
    recorder.start(missing)
    if missing:
        try:
            _call_all(model, list(missing.values()), recorder)
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
    """The calls that `complete` would look up, with their keys; nothing is sent. Pass the keys to `store.known`.

    Args:
        model: the model that would be called; only its identity is read.
        prompts: what would be asked.
        sampling: how replies would be generated.
        schema: JSON schema of the replies. None: free text.
        samples: replies to each prompt.
    """
    identity, by_item = model.identity, sees_item(model)
    calls = []
    for prompt in prompts:
        for sample in range(samples):
            request = Request(prompt, sampling, sample, schema)
            form = canonical(request, identity, by_item=by_item)
            calls.append(Call(replace(request, key=key_of(form)), form))
    return calls


def sees_item(model: Model) -> bool:
    """Whether answers may depend on `Prompt.item`: weights and servers never see it, a user's class does.

    Args:
        model: the model that is asked.
    """
    return not isinstance(model, LocalModel | AsyncModel)


def _writable(reply: Reply) -> Reply:
    """The reply with every lone surrogate replaced by U+FFFD, for neither SQLite nor Parquet could hold it.

    A server that cuts an emoji at its token limit returns one.
    """
    return replace(
        reply,
        text=_without_surrogates(reply.text),
        detail=_without_surrogates(reply.detail),
        finish_reason=_without_surrogates(reply.finish_reason),
        fingerprint=_without_surrogates(reply.fingerprint),
    )


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _needs_call(stored: Reply | None, replay: bool) -> bool:
    return stored is None or (stored.status == "failed" and not replay)


def _call_all(model: Model, calls: list[Call], recorder: _Recorder) -> None:
    if isinstance(model, AsyncModel):
        _call_concurrently(model, calls, recorder)
    else:
        _call_in_batches(model, calls, recorder)


def _call_in_batches(model: BatchModel, calls: list[Call], recorder: _Recorder) -> None:
    for start in range(0, len(calls), model.batch_size):
        batch = calls[start : start + model.batch_size]
        replies = model.generate([call.request for call in batch])
        if len(replies) != len(batch):
            raise ModelError(f"`{model.name}` gave {len(replies)} replies to {len(batch)} requests.")
        for call, reply in zip(batch, replies, strict=True):
            recorder.record(call, reply)


def _call_concurrently(model: AsyncModel, calls: list[Call], recorder: _Recorder) -> None:
    """Run the calls on an event loop in another thread, so that it works in a notebook, whose own loop is running."""
    started: Future[Callable[[], object]] = Future()
    ended: Future[None] = Future()

    async def work() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        started.set_result(lambda: loop.call_soon_threadsafe(task.cancel) if task else None)
        await send_all(model, [(call.request, call) for call in calls], recorder.record)

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
class _Recorder:
    """Takes replies as they come: stores them, reports progress, and stops a model that fails from the start.

    `replies` by key are added to; `wanted` says how many of the caller's replies have each key.
    """

    def __init__(
        self,
        name: str,
        store: CallStore,
        replies: dict[str, Reply],
        wanted: Counter[str],
        on_progress: OnProgress | None,
    ) -> None:
        self._name = name
        self._store = store
        self._replies = replies
        self._wanted = wanted
        self._on_progress = on_progress
        self._done = 0
        self._failures_at_start = 0
        self._any_success = False

    def start(self, missing: Container[str]) -> None:
        """Report the replies that are there before the first call."""
        self._done = sum(times for key, times in self._wanted.items() if key not in missing)
        self._report()

    def record(self, call: Call, reply: Reply) -> None:
        """Store a reply and report it; ModelError once the first replies have all failed."""
        reply = _writable(replace(reply, key=call.key))
        self._store.put(call.key, reply, call.canonical)
        self._replies[call.key] = reply
        self._done += self._wanted[call.key]
        self._report()
        self._any_success = self._any_success or reply.status != "failed"
        self._failures_at_start += not self._any_success
        if self._failures_at_start >= MOST_FAILURES_AT_START:
            raise ModelError(
                f"The first {self._failures_at_start} calls to `{self._name}` all failed; the last: {reply.detail}",
                try_="Mend the cause and run the same command again; failed calls are retried.",
            )

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._done, self._wanted.total())
