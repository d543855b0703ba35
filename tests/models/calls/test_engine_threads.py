"""One engine for many threads: shared limits, equal calls made once, and an end that is clean for everyone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import Engine
from spavl.models.calls.rate_limit import ConcurrencyLimit, Retry
from spavl.models.calls.store import CallStore
from tests.models.python_models import Echo

GREEDY = Sampling()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


@pytest.fixture
def engine(store: CallStore) -> Iterator[Engine]:
    with Engine(store) as opened:
        yield opened


class Network:
    """An AsyncModel without a network: counts its calls, and answers as `answer` says after `pause` seconds."""

    attempts = 1
    patience = longest_wait = 5.0

    def __init__(
        self, name: str = "slow", concurrency: int = 8, pause: float = 0.005, answer: Callable[[str], Reply] = Reply
    ) -> None:
        self.name = name
        self.identity = f"endpoint:{name}"
        self.concurrency = concurrency
        self.sent: list[str] = []
        self.sessions: set[int] = set()
        self.threads: set[int] = set()
        self.in_flight = self.most_in_flight = self.least_in_flight = 0
        self._pause = pause
        self._answer = answer

    async def send(self, session: Any, request: Request) -> Reply:
        """Answer after a pause."""
        self.sent.append(request.prompt.text)
        self.sessions.add(id(session))
        self.threads.add(threading.get_ident())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self._pause)
            return self._answer(request.prompt.text)
        finally:
            self.in_flight -= 1


def prompts(first: int, count: int) -> list[Prompt]:
    return [Prompt(f"q{number}") for number in range(first, first + count)]


def in_threads(works: Sequence[Callable[[], Any]]) -> list[Future[Any]]:
    """Each in a thread of its own, ended."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [pool.submit(work) for work in works]


def test_batches_of_several_threads_share_the_limit_of_their_model_and_one_loop(engine: Engine) -> None:
    one, two = Network("one"), Network("two", concurrency=4)

    def ask(model: Network, first: int) -> list[str]:
        return [reply.text for reply in engine.complete(model, prompts(first, 40), sampling=GREEDY)]

    done = in_threads([lambda m=model, f=first: ask(m, f) for model in (one, two) for first in (0, 100, 200)])
    assert [future.result() for future in done] == [[f"q{n}" for n in range(f, f + 40)] for f in (0, 100, 200)] * 2
    assert (one.most_in_flight, two.most_in_flight) == (8, 4)
    assert len(one.threads | two.threads) == 1
    assert len(one.sessions | two.sessions) == 1
    assert threading.get_ident() not in one.threads


def test_the_loop_lives_from_call_to_call_and_ends_with_the_engine(store: CallStore) -> None:
    model = Network()
    with Engine(store) as engine:
        for first in (0, 10):
            engine.complete(model, prompts(first, 10), sampling=GREEDY)
    assert len(model.threads) == len(model.sessions) == 1
    assert not any(thread.ident in model.threads for thread in threading.enumerate())
    with pytest.raises(CancelledError):
        engine.complete(model, prompts(20, 1), sampling=GREEDY)
    engine.close()


def test_equal_calls_of_two_threads_are_made_once(engine: Engine, store: CallStore) -> None:
    model = Network(pause=0.02)
    done = in_threads([lambda: engine.complete(model, prompts(0, 50), sampling=GREEDY)] * 4)
    assert all(future.result() == done[0].result() for future in done)
    assert sorted(model.sent) == sorted(prompt.text for prompt in prompts(0, 50))
    assert store.calls == 50


def test_equal_calls_of_a_python_model_are_made_once_and_its_lists_one_at_a_time(engine: Engine) -> None:
    class OneAtATime(Echo):
        def generate(self, requests: Sequence[Request]) -> list[Reply]:
            assert alone.acquire(blocking=False)
            try:
                return super().generate(requests)
            finally:
                alone.release()

    alone, model = threading.Lock(), OneAtATime(batch_size=4, pause=0.0005)
    done = in_threads([lambda: engine.complete(model, prompts(0, 60), sampling=GREEDY)] * 4)
    assert all(future.result() == done[0].result() for future in done)
    assert sorted(text for batch in model.batches for text in batch) == sorted(p.text for p in prompts(0, 60))


def test_a_call_that_another_thread_gave_up_is_made_after_all(engine: Engine) -> None:
    def stop_early(done: int, total: int) -> None:
        if done:
            raise ZeroDivisionError("a bug in a progress bar")

    model = Network(pause=0.05, concurrency=1)
    first = engine.submit(model, prompts(0, 3), sampling=GREEDY, on_progress=stop_early)
    second = engine.submit(model, prompts(1, 3), sampling=GREEDY)
    with pytest.raises(ZeroDivisionError):
        first.result()
    assert [reply.text for reply in second.result()] == ["q1", "q2", "q3"]


def test_a_model_stays_busy_where_the_next_batch_is_submitted_before_the_last_is_waited_for(engine: Engine) -> None:
    model = Network(pause=0.1, concurrency=4)
    start = time.monotonic()
    pending = engine.submit(model, prompts(0, 6), sampling=GREEDY)
    for first in range(6, 60, 6):
        following = engine.submit(model, prompts(first, 6), sampling=GREEDY)
        assert len(pending.result()) == 6
        pending = following
    pending.result()
    # 15 rounds of four; drained at each edge, the ten batches would take 20 rounds.
    assert time.monotonic() - start < 18.5 * 0.1


def test_failures_at_the_start_are_counted_over_all_batches(engine: Engine, store: CallStore) -> None:
    model = Echo(batch_size=1, fails=["*"])
    for first in (0, 7, 14):
        assert {r.status for r in engine.complete(model, prompts(first, 7), sampling=GREEDY)} == {"failed"}
    assert len(store) == len(model.batches) == 20, "the 21st is left out"


def test_a_model_that_is_given_up_fails_all_its_batches_and_no_other_model(engine: Engine, store: CallStore) -> None:
    def refuse(text: str) -> Reply:
        raise Retry("the key is refused", kind="unauthorised", try_="Set another.")

    refused, other = Network("refused", answer=refuse), Network("other")
    batches = [engine.submit(refused, prompts(first, 100), sampling=GREEDY) for first in (0, 100, 200)]
    fine = engine.submit(other, prompts(0, 100), sampling=GREEDY)
    replies = [reply for batch in batches for reply in batch.result()]
    assert {reply.status for reply in fine.result()} == {"ok"}
    assert {reply.status for reply in replies} == {"failed"}
    assert 20 <= len(refused.sent) < 40
    assert len(store) == 100 + len(refused.sent) - 1, "all but the probe"
    assert refused.in_flight == 0
    (later,) = engine.complete(refused, prompts(300, 1), sampling=GREEDY)
    assert later.detail.startswith("not sent: `refused` was given up for this run: each of the last 20 calls")
    assert len(refused.sent) < 40


def test_cancel_ends_what_every_thread_waits_for_and_keeps_what_came(store: CallStore, engine: Engine) -> None:
    model, slow = Network(pause=0.02), Echo(batch_size=1, pause=0.02)

    def cancel_soon() -> None:
        while len(model.sent) < 20 or len(slow.batches) < 3:
            time.sleep(0.01)
        engine.cancel()

    start = time.monotonic()
    *asked, _ = in_threads(
        [
            lambda m=m, f=f: engine.complete(m, prompts(f, 1000), sampling=GREEDY)
            for m in (model, slow)
            for f in (0, 500)
        ]
        + [cancel_soon]
    )
    assert all(isinstance(future.exception(), CancelledError) for future in asked)
    assert time.monotonic() - start < 6
    assert model.in_flight == 0
    assert len(store) >= len(model.sent) - 8 + sum(map(len, slow.batches)) - 2 > 0


def test_what_one_batch_is_stopped_by_leaves_the_others_alone(engine: Engine) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise ZeroDivisionError("a bug in a progress bar")

    model = Network()
    stopped, fine = in_threads(
        [
            lambda: engine.complete(model, prompts(0, 100), sampling=GREEDY, on_progress=interrupt),
            lambda: engine.complete(model, prompts(200, 100), sampling=GREEDY),
        ]
    )
    assert isinstance(stopped.exception(), ZeroDivisionError)
    assert len(fine.result()) == 100
    assert model.in_flight == 0


def test_limits_can_be_shared_by_putting_another_counter_in_their_place(store: CallStore) -> None:
    class Counted:
        """Limits that count what passes, over a limit of their own."""

        def __init__(self, concurrency: int) -> None:
            self.acquired = self.released = self.throttled = 0
            self._limit = ConcurrencyLimit(concurrency)

        async def acquire(self) -> float:
            self.acquired += 1
            return await self._limit.acquire()

        def release(self) -> None:
            self.released += 1
            self._limit.release()

        def increase(self) -> None:
            self._limit.increase()

        def throttle(self, acquired: float, pause: float) -> None:
            self.throttled += 1

    busy: list[str] = []

    def sometimes_busy(text: str) -> Reply:
        if text == "q3" and not busy:
            busy.append(text)
            raise Retry("429", after=0.01, throttled=True)
        return Reply(text, cost=0.5)

    shared, models = Counted(3), [Network(name, answer=sometimes_busy) for name in ("one", "two")]
    with Engine(store, limits=lambda model: shared) as engine:
        for model in models:
            engine.complete(model, prompts(0, 20), sampling=GREEDY)
    assert (shared.acquired, shared.released, shared.throttled) == (41, 41, 1)
    assert [model.most_in_flight for model in models] == [3, 3]
    assert store.cost == 20.0
