"""The calls of one `complete`: which are wanted, which have come, and what is stored and reported of them."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from spavl.models.base import Reply, Request, failed_reply
from spavl.models.calls.echo import without_echo
from spavl.models.calls.store import CallStore
from spavl.models.thought import split_thought
from spavl.progress import OnProgress

EMPTY = ("the model answered without a word", "the model thought and then answered without a word")
"""Why an answer is empty: without a thought, and after one."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request and the canonical form that its key is the hash of."""

    request: Request
    """The request, with its key."""
    canonical: str
    """The request as canonical JSON (see `keys.CanonicalForm`)."""

    @property
    def key(self) -> str:
        """Name of the call in the store."""
        return self.request.key


@final
class Batch:
    """Takes the replies of one `complete` as they come: stores them and reports progress.

    Args:
        keys: keys of the caller's replies, in their order; equal requests have equal keys.
        replies: replies that were found, by key.
        store: where replies are stored.
        on_progress: called with replies there are and replies wanted.
    """

    def __init__(
        self, keys: Sequence[str], replies: dict[str, Reply], store: CallStore, on_progress: OnProgress | None
    ) -> None:
        self.replies = replies
        """Replies by key: those that were found, and those that have come."""
        self._keys = keys
        self._wanted = Counter(keys)
        self.store = store
        """Where replies are stored."""
        self._on_progress = on_progress
        self._done = 0
        self._in_flight = 0
        self._error: BaseException | None = None
        self._guard = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()

    def in_order(self) -> list[Reply]:
        """The caller's replies, once all have come."""
        return [self.replies[key] for key in self._keys]

    def report_found(self, missing: int) -> None:
        """Report the replies that are there before the first call.

        Args:
            missing: how many of the caller's replies are not.
        """
        self._advance(len(self._keys) - missing)

    def wanted(self, key: str) -> int:
        """How many of the caller's replies have a key.

        Args:
            key: key of a call.
        """
        return self._wanted[key]

    def record(self, call: Call, reply: Reply) -> Reply:
        """Store a reply and report it; returns it as it was stored. A call that was never sent leaves no row.

        Args:
            call: what was asked.
            reply: what came back.
        """
        reply = _stored_form(reply, call)
        if reply.attempts:
            self.store.put(call.key, reply, call.canonical)
        self.take(call.key, reply)
        return reply

    def take(self, key: str, reply: Reply) -> None:
        """Count a reply that is stored already, because another batch asked for the same.

        Args:
            key: key of the call.
            reply: what came back.
        """
        self.replies[key] = reply
        self._advance(self._wanted[key])

    def begin(self, calls: int) -> None:
        """Note that calls are about to be made.

        Args:
            calls: how many.
        """
        with self._guard:
            self._in_flight += calls
            if self._in_flight:
                self._idle.clear()

    def end(self, calls: int = 1) -> None:
        """Note that calls have ended, however they ended.

        Args:
            calls: how many.
        """
        with self._guard:
            self._in_flight -= calls
            if not self._in_flight:
                self._idle.set()

    def fail(self, error: BaseException) -> None:
        """Note why the calls cannot all be made; the first error is what `wait` raises.

        Args:
            error: what happened.
        """
        if self._error is None:
            self._error = error

    @property
    def is_idle(self) -> bool:
        """Whether no call is waiting or in flight."""
        return self._idle.is_set()

    def wait_until_idle(self) -> None:
        """Wait until no call is waiting or in flight, whatever became of them."""
        self._idle.wait()

    def wait(self) -> None:
        """Wait until all calls have ended; raises the first error there was."""
        self._idle.wait()
        if self._error is not None:
            raise self._error

    def _advance(self, replies: int) -> None:
        self._done += replies
        if self._on_progress is not None:
            self._on_progress(self._done, len(self._keys))


def _stored_form(reply: Reply, call: Call) -> Reply:
    """The reply with its key, thought and answer apart, `empty` if it has no word, lone surrogates replaced by U+FFFD.

    Neither SQLite nor Parquet could hold one; a server that cuts an emoji at its token limit returns one.
    """
    try:
        _check_values(reply)
    except (TypeError, ValueError, AttributeError) as error:
        reply = failed_reply(f"the model returned no valid reply: {error}")
    thought, text = split_thought(reply.text)
    thoughts = "\n\n".join(part for part in (reply.thought, thought) if part)
    status = "empty" if reply.status == "ok" and not text.strip() else reply.status
    why = EMPTY[bool(thoughts)] if status == "empty" else ""
    detail = without_echo(reply.detail, call.request.prompt) if reply.detail else why
    return Reply(
        _writable(text), status, _writable(reply.finish_reason), reply.prompt_tokens, reply.completion_tokens,
        reply.cost, reply.latency, reply.attempts, _writable(reply.fingerprint), _writable(detail),
        _writable(thoughts), call.key,
    )  # fmt: skip


def _check_values(reply: Reply) -> None:
    """Refuse what neither SQLite nor Parquet could hold, such as 10**30 tokens: its row would block all others."""
    for text in (reply.text, reply.status, reply.finish_reason, reply.fingerprint, reply.detail, reply.thought):
        if type(text) is not str:
            raise TypeError(f"a {type(text).__name__} is no text")
    for count in (reply.prompt_tokens, reply.completion_tokens, reply.attempts):
        if type(count) is not int or not 0 <= count < 2**63:
            raise TypeError(f"{count!r:.60} is no number of tokens or attempts")
    for amount in (reply.cost, reply.latency):
        if type(amount) not in (int, float) or not math.isfinite(amount):
            raise TypeError(f"{amount!r:.60} is no amount")


def _writable(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
