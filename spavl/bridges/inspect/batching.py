"""Questions that come one by one from many threads, asked of a model together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from spavl.models.base import Prompt, Reply, Sampling

WAIT = 0.05
"""Seconds in which no further question comes, after which those that wait are asked."""

AskMany = Callable[[Sequence[Prompt], Sampling], Sequence[Reply]]
"""(prompts, how they are sampled) → replies in order."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    prompt: Prompt
    sampling: Sampling
    reply: Future[Reply]


class Batching:
    """Collects questions until none has come for a moment, then asks all of them at once.

    So a framework that asks one question at a time keeps a batch of a model busy, and questions about one picture
    share its encoding.

    Args:
        ask_many: asks a list.
        most: questions that are asked as soon as there are so many.
    """

    def __init__(self, ask_many: AskMany, most: int) -> None:
        self._ask_many = ask_many
        self._most = most
        self._news = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._thread: threading.Thread | None = None

    def ask(self, prompt: Prompt, sampling: Sampling) -> Reply:
        """The reply to one question; waits for it.

        Args:
            prompt: what is asked.
            sampling: how the answer is sampled.
        """
        one = _Waiting(prompt, sampling, Future())
        with self._news:
            self._waiting.append(one)
            self._news.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="batching", daemon=True)
                self._thread.start()
        return one.reply.result()

    def _work(self) -> None:
        while True:
            for alike in _by_sampling(self._next()):
                self._answer(alike)

    def _next(self) -> list[_Waiting]:
        """The questions that wait, once none has come for a moment."""
        with self._news:
            while not self._waiting:
                self._news.wait()
            last = time.monotonic()
            known = len(self._waiting)
            while len(self._waiting) < self._most and time.monotonic() - last < WAIT:
                self._news.wait(WAIT)
                if len(self._waiting) > known:
                    known, last = len(self._waiting), time.monotonic()
            taken, self._waiting = self._waiting, []
        return taken

    def _answer(self, alike: Sequence[_Waiting]) -> None:
        try:
            replies = self._ask_many([one.prompt for one in alike], alike[0].sampling)
            for one, reply in zip(alike, replies, strict=True):
                one.reply.set_result(reply)
        except BaseException as error:  # whoever waits is told; the thread goes on
            for one in alike:
                if not one.reply.done():
                    one.reply.set_exception(error)


def _by_sampling(waiting: Sequence[_Waiting]) -> list[list[_Waiting]]:
    found: dict[Sampling, list[_Waiting]] = {}
    for one in waiting:
        found.setdefault(one.sampling, []).append(one)
    return list(found.values())
