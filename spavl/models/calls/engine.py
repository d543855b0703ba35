"""Call models with many prompts: look up stored replies, call for the rest, store every reply as it comes.

A model that cannot be used fails its own calls and stops nobody else: every call ends as a reply with its status. What
ends a run early is Ctrl-C, a full disk, a checkpoint that cannot be loaded, or a user's own class that breaks its
rules; then the replies that came are stored, and running again asks only for the others. Any number of threads may call
one engine: the calls of one model share its limits, whoever asks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self, final

from spavl.errors import ModelError
from spavl.models.backends.local import LocalModel
from spavl.models.base import AsyncModel, Model, Prompt, Reply, Request, Sampling
from spavl.models.calls.batch import Batch, Call
from spavl.models.calls.claims import Claims
from spavl.models.calls.dispatch import BatchCaller, Dispatcher, LoopThread
from spavl.models.calls.keys import CanonicalForm, key_of
from spavl.models.calls.oversight import Oversight
from spavl.models.calls.rate_limit import ConcurrencyLimit, Limits, Retry
from spavl.models.calls.store import CallStore
from spavl.plural import plural
from spavl.progress import OnProgress
from spavl.records import TRIED_AGAIN, WEIGHTS_TRIED_AGAIN, Status

__all__ = ["Call", "Engine", "Pending", "Retry", "complete", "plan", "sees_item"]


def _own_limits(model: AsyncModel) -> Limits:
    return ConcurrencyLimit(model.concurrency)


@final
class Engine:
    """Makes calls for any number of threads, through one store. A context manager; otherwise call `close`.

    Calls over a network all run in one event loop, on a thread that lives until `close`; those of one model share one
    limit, one pool of connections and one circuit breaker. Other models answer one list at a time.
    Equal requests are sent once, also if two threads want them at the same time. The store is the caller's to close.

    Args:
        store: where replies are looked up and stored.
        limits: makes the limits of a model behind a network. None: `ConcurrencyLimit`, for this process alone.
        oversight: ceilings of the command, and where it is said what happens to a model. None: no ceiling, no word.
    """

    def __init__(
        self,
        store: CallStore,
        *,
        limits: Callable[[AsyncModel], Limits] | None = None,
        oversight: Oversight | None = None,
    ) -> None:
        self.store = store
        self._oversight = oversight or Oversight()
        self._limits = limits or _own_limits
        self._guard = threading.Lock()
        self._thread: LoopThread | None = None
        self._callers: dict[int, tuple[Model, Dispatcher | BatchCaller]] = {}
        self._claims = Claims()
        self._closed = False

    def complete(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        *,
        sampling: Sampling,
        schema: Mapping[str, Any] | None = None,
        samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[Reply]:
        """One reply a prompt and sample: all samples of the first prompt, then of the second, and so on.

        Stored successes are returned without a call; stored failures are tried again; equal requests are sent once. A
        call that fails is a Reply with its status. With a store opened for replay nothing is called, and a stored
        failure is returned as it is.

        Args:
            model: the model to call; the same object for all calls that are to share its limits.
            prompts: what is asked, in the order of the replies.
            sampling: how every reply is generated.
            schema: JSON schema that the replies must fit, for models that can be held to one. None: free text.
            samples: replies to each prompt, each a call with a key of its own.
            on_progress: called with replies there are and replies wanted, once before the first call and after each;
                on the thread of the calls.
        """
        return self.submit(
            model, prompts, sampling=sampling, schema=schema, samples=samples, on_progress=on_progress
        ).result()

    def submit(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        *,
        sampling: Sampling,
        schema: Mapping[str, Any] | None = None,
        samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> Pending:
        """What `complete` would do, begun: look-ups are made, and calls over a network are queued.

        Who submits the next batch before asking for the result of this one keeps the model busy at the batch's edge.
        Models that are not behind a network are called when the result is asked for.

        Args:
            model: as for `complete`.
            prompts: as for `complete`.
            sampling: as for `complete`.
            schema: as for `complete`.
            samples: as for `complete`.
            on_progress: as for `complete`.

        Raises:
            ModelError: a reply is missing in replay.
            CancelledError: the engine was stopped.
        """
        form = CanonicalForm(model.identity, sampling, schema, by_item=sees_item(model))
        forms = [form.of(prompt, sample) for prompt in prompts for sample in range(samples)]
        keys = [key_of(form) for form in forms]
        ended = self._claims.ended
        replies = self.store.get_many(keys)
        missing: dict[str, Call] = {}
        again = () if self.store.replay else _asked_again(model)
        for place, key in enumerate(keys):
            if key not in missing and _needs_call(replies.get(key), again):
                replies.pop(key, None)
                request = Request(prompts[place // samples], sampling, place % samples, schema, key)
                missing[key] = Call(request, forms[place])
        if missing and self.store.replay:
            raise _missing_in_replay(model, list(missing.values()), self.store)
        batch = Batch(keys, replies, self.store, on_progress)
        wanted = sum([batch.wanted(key) for key in missing])
        batch.report_found(wanted)
        self._oversight.count(model.name, found=len(keys) - wanted)
        caller = self._caller(model) if missing else None
        if caller is not None and any(reply.status not in TRIED_AGAIN for reply in replies.values()):
            caller.note_found()
        return Pending(caller, self._claims, ended, batch, missing)

    def forget(self, model: Model) -> None:
        """Let go of a model that is asked no more, so that its memory can be freed. Harmless for one never asked.

        Args:
            model: weights on this machine, or a user's own class.
        """
        with self._guard:
            self._callers.pop(id(model), None)

    def cancel(self) -> None:
        """Stop all calls; who waits for them gets a `concurrent.futures.CancelledError`, as does who asks later."""
        with self._guard:
            self._closed = True
            callers = [caller for _, caller in self._callers.values()]
        for caller in callers:
            caller.close()

    def close(self) -> None:
        """Stop all calls and end the event loop's thread. Harmless when called again."""
        self.cancel()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _caller(self, model: Model) -> Dispatcher | BatchCaller:
        with self._guard:
            if self._closed:
                raise CancelledError
            if id(model) not in self._callers:
                self._callers[id(model)] = (model, self._new_caller(model))
            return self._callers[id(model)][1]

    def _new_caller(self, model: Model) -> Dispatcher | BatchCaller:
        if not isinstance(model, AsyncModel):
            return BatchCaller(model, self.store, self._oversight)
        self._thread = self._thread or LoopThread()
        return Dispatcher(model, self._thread, self._limits(model), self.store, self._oversight)


@final
class Pending:
    """Replies that were asked for by `Engine.submit`.

    Args:
        caller: what makes the calls.
        claims: which batch makes a call that several want.
        ended: `Claims.ended` before replies were looked for.
        batch: what takes the replies, and has the store.
        missing: the calls that need to be made, by key.
    """

    def __init__(
        self,
        caller: Dispatcher | BatchCaller | None,
        claims: Claims,
        ended: int | None,
        batch: Batch,
        missing: dict[str, Call],
    ) -> None:
        self._caller = caller
        self._claims = claims
        self._ended = ended
        self._batch = batch
        self._missing = missing
        self._claimed: tuple[list[Call], dict[str, Batch]] | None = None
        if isinstance(caller, Dispatcher):
            self._start()

    def result(self) -> list[Reply]:
        """The replies, once all have come and are on disk, in the order of prompts and samples.

        Raises:
            ModelError: a checkpoint cannot be loaded, or a user's own class raises one or breaks its rules.
            RunError: the store cannot be written.
            CancelledError: the engine was stopped.
        """
        if self._missing:
            try:
                while self._missing:
                    self._finish(*(self._claimed or self._start()))
            finally:
                self._batch.store.flush()
        return self._batch.in_order()

    def _start(self) -> tuple[list[Call], dict[str, Batch]]:
        assert self._caller is not None
        own, others = self._claims.claim(self._missing, self._batch)
        try:
            self._caller.start(self._not_stored_since(own), self._batch)
        except BaseException:
            self._claims.release([call.key for call in own], self._batch)
            raise
        self._claimed = own, others
        return own, others

    def _not_stored_since(self, own: list[Call]) -> list[Call]:
        """The calls that no other batch has made since this one looked for their replies."""
        before, self._ended = self._ended, None
        if before == self._claims.ended:
            return own
        try:
            for key, reply in self._batch.store.get_many([call.key for call in own]).items():
                if reply.status not in TRIED_AGAIN:
                    self._batch.take(key, reply)
        except BaseException:
            self._batch.end(len(own))
            raise
        calls = [call for call in own if call.key not in self._batch.replies]
        self._batch.end(len(own) - len(calls))
        return calls

    def _finish(self, own: list[Call], others: dict[str, Batch]) -> None:
        assert self._caller is not None
        try:
            self._batch.wait()
            for other in others.values():
                other.wait_until_idle()
        except BaseException:
            self._caller.cancel(self._batch)
            raise
        finally:
            self._claims.release([call.key for call in own], self._batch)
        for key, other in others.items():
            if key in other.replies:
                self._batch.take(key, other.replies[key])
        # What another batch gave up is asked for again.
        self._missing = {key: call for key, call in self._missing.items() if key not in self._batch.replies}
        self._claimed = None


def complete(
    model: Model,
    prompts: Sequence[Prompt],
    *,
    sampling: Sampling,
    store: CallStore,
    on_progress: OnProgress | None = None,
    schema: Mapping[str, Any] | None = None,
    samples: int = 1,
    oversight: Oversight | None = None,
) -> list[Reply]:
    """`Engine.complete` with an engine of its own, for who asks one list of prompts.

    Args:
        model: the model to call.
        prompts: what is asked, in the order of the replies.
        sampling: how every reply is generated.
        store: where replies are looked up and stored.
        on_progress: called with replies there are and replies wanted, once before the first call and after each.
        schema: JSON schema that the replies must fit, for models that can be held to one. None: free text.
        samples: replies to each prompt, each a call with a key of its own.
        oversight: as for `Engine`.
    """
    with Engine(store, oversight=oversight) as engine:
        return engine.complete(
            model, prompts, sampling=sampling, schema=schema, samples=samples, on_progress=on_progress
        )


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
    form = CanonicalForm(model.identity, sampling, schema, by_item=sees_item(model))
    calls = []
    for prompt in prompts:
        for sample in range(samples):
            text = form.of(prompt, sample)
            calls.append(Call(Request(prompt, sampling, sample, schema, key_of(text)), text))
    return calls


def sees_item(model: Model) -> bool:
    """Whether answers may depend on `Prompt.item`: weights and servers never see it, a user's class does.

    Args:
        model: the model that is asked.
    """
    return not isinstance(model, LocalModel | AsyncModel)


def _asked_again(model: Model) -> tuple[Status, ...]:
    """Statuses of stored replies that a model is asked for again."""
    return WEIGHTS_TRIED_AGAIN if isinstance(model, LocalModel) else TRIED_AGAIN


def _needs_call(stored: Reply | None, asked_again: tuple[Status, ...]) -> bool:
    return stored is None or stored.status in asked_again


def _missing_in_replay(model: Model, missing: Sequence[Call], store: CallStore) -> ModelError:
    item = missing[0].request.prompt.item
    example = f", such as that about `{item}`" if item else ""
    return ModelError(
        f"{plural(len(missing), 'answer')} of `{model.name}` cannot be found in the call store{example}; in "
        "replay, and where the store can only be read, no call is made.",
        where=str(store.path),
        try_="Run without replay, with a store that can be written, to ask for them.",
    )
