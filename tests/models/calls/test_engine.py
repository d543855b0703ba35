"""`complete`: equal requests are sent once, replies are in order and stored as they come, errors lose none of them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from spavl.errors import ModelError, RunError
from spavl.models.base import AsyncModel, Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import Engine, _asked_again, complete, plan
from spavl.models.calls.oversight import Oversight
from spavl.models.calls.store import CallStore
from spavl.records import Status
from tests.models.calls.in_trouble import Said
from tests.models.python_models import Echo

GREEDY = Sampling()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


def prompts(*texts: str) -> list[Prompt]:
    return [Prompt(text) for text in texts]


def test_replies_are_in_order_and_equal_requests_are_sent_once(path: Path) -> None:
    echo = Echo(batch_size=2)
    with CallStore(path) as store:
        replies = complete(echo, prompts("a", "b", "a", "c", "a"), sampling=GREEDY, store=store)
    assert [reply.text for reply in replies] == [":a:0", ":b:0", ":a:0", ":c:0", ":a:0"]
    assert echo.batches == [["a", "b"], ["c"]]


def test_stored_replies_are_returned_without_a_call_even_after_reopening(path: Path) -> None:
    with CallStore(path) as store:
        first = complete(Echo(), prompts("a", "b"), sampling=GREEDY, store=store)
    echo = Echo()
    with CallStore(path) as store:
        second = complete(echo, prompts("b", "c", "a"), sampling=GREEDY, store=store)
        assert (store.hits, store.calls) == (2, 1)
    assert echo.batches == [["c"]]
    assert [second[2], second[0]] == first


def test_a_reply_knows_its_key_and_the_store_the_request_behind_it(path: Path) -> None:
    with CallStore(path) as store:
        (reply,) = complete(Echo(), [Prompt("a", item="cup/1")], sampling=GREEDY, store=store)
        request = store.request(reply.key)
        assert request is not None
        assert request["turns"] == [{"images": [], "role": "user", "text": "a"}]
        assert (request["item"], request["model"]) == ("cup/1", Echo().identity)
        (call,) = plan(Echo(), [Prompt("a", item="cup/1")], sampling=GREEDY)
        assert call.key == reply.key
        assert store.known([call.key]) == {call.key}


def test_samples_of_one_prompt_are_side_by_side_and_calls_of_their_own(path: Path) -> None:
    with CallStore(path) as store:
        replies = complete(Echo(), prompts("a", "b"), sampling=Sampling(1.0), store=store, samples=2)
        assert [reply.text for reply in replies] == [":a:0", ":a:1", ":b:0", ":b:1"]
        assert len(store) == 4


def test_a_python_model_is_called_again_for_another_item(path: Path) -> None:
    echo = Echo()
    with CallStore(path) as store:
        wanted = [Prompt("safe?", item="cup/1"), Prompt("safe?", item="key/1")]
        replies = complete(echo, wanted, sampling=GREEDY, store=store)
    assert [reply.text for reply in replies] == ["cup/1:safe?:0", "key/1:safe?:0"]


def test_a_failed_call_is_a_reply_and_is_retried_by_the_next_run(path: Path) -> None:
    with CallStore(path) as store:
        replies = complete(Echo(fails=["b"]), prompts("a", "b", "c"), sampling=GREEDY, store=store)
        assert [reply.status for reply in replies] == ["ok", "failed", "ok"]
        assert replies[1].detail == "no answer to b"
        echo = Echo()
        replies = complete(echo, prompts("a", "b", "c"), sampling=GREEDY, store=store)
        assert (echo.batches, [reply.status for reply in replies]) == ([["b"]], ["ok"] * 3)


def test_a_model_whose_first_twenty_calls_all_fail_is_called_now_and_then_only(path: Path) -> None:
    failing, said = Echo(fails=["*"], batch_size=5), Said()
    with CallStore(path) as store, Engine(store, oversight=Oversight(tell=said)) as engine:
        replies = engine.complete(failing, prompts(*(f"q{n}" for n in range(1000))), sampling=GREEDY)
        assert len(failing.batches) < 4 + 8
        made = 5 * len(failing.batches)
        assert len(store) == store.calls == made, "calls that were not made are not stored"
    assert {reply.status for reply in replies} == {"failed"}
    assert replies[19].detail == "no answer to q19"
    assert replies[20].detail == "not sent: the first 20 calls of `echo` all failed; the last: no answer to q19"
    assert [reply.attempts for reply in replies].count(0) == 1000 - made
    assert said.states == [("echo", "given up")]


def test_a_model_that_fails_at_the_first_requests_only_is_found_to_be_well(path: Path) -> None:
    texts = [f"q{n}" for n in range(200)]
    for least in (150, 170):
        with CallStore(path) as store:
            replies = complete(Echo(fails=texts[:30]), prompts(*texts), sampling=GREEDY, store=store)
        assert {reply.status for reply in replies[:30]} == {"failed"}
        assert [reply.status for reply in replies].count("ok") >= least, "all others, by the second run"


def test_what_was_given_up_is_asked_by_the_next_run_and_no_stored_failure_stops_it(path: Path) -> None:
    texts = [f"q{n}" for n in range(100)]
    with CallStore(path) as store:
        complete(Echo(fails=["*"]), prompts(*texts), sampling=GREEDY, store=store)
    with CallStore(path) as store:
        replies = complete(Echo(), prompts(*texts), sampling=GREEDY, store=store)
    assert {reply.status for reply in replies} == {"ok"}
    failing = Echo(fails=[f"p{n}" for n in range(30)])
    with CallStore(path) as store:
        again = complete(failing, prompts(*(f"p{n}" for n in range(60))), sampling=GREEDY, store=store)
    assert [reply.status for reply in again] == ["failed"] * 30 + ["ok"] * 30, "it has answered in an earlier run"


@pytest.mark.parametrize("status", ["invalid", "filtered"])
def test_lasting_failures_are_kept_and_trip_nothing(path: Path, status: Status) -> None:
    class Declines(Echo):
        def _reply(self, request: Request) -> Reply:
            declined = int(request.prompt.text[1:]) < 25
            return Reply("", status=status, detail="too large") if declined else Reply("An answer")

    wanted = prompts(*(f"q{n}" for n in range(40)))
    for calls in (40, 0):
        with CallStore(path) as store:
            replies = complete(Declines(), wanted, sampling=GREEDY, store=store)
            assert store.calls == calls
        assert [reply.status for reply in replies] == [status] * 25 + ["ok"] * 15


def test_an_empty_answer_is_typed_and_asked_again_where_another_may_come(path: Path) -> None:
    class Silent(Echo):
        def _reply(self, request: Request) -> Reply:
            return Reply({"a": "  \n", "b": "<think>Hm.</think> "}.get(request.prompt.text, "An answer"))

    silent, echo = Silent(), Echo()
    with CallStore(path) as store:
        replies = complete(silent, prompts("a", "b", "c"), sampling=GREEDY, store=store)
        assert [reply.status for reply in replies] == ["empty", "empty", "ok"]
        again = complete(echo, prompts("a", "b", "c"), sampling=GREEDY, store=store)
    assert echo.batches == [["a", "b"]]
    assert [reply.status for reply in again] == ["ok"] * 3
    assert _asked_again(echo) == ("failed", "empty")


def test_failures_after_a_first_success_stop_nothing(path: Path) -> None:
    texts = [f"q{n}" for n in range(60)]
    with CallStore(path) as store:
        replies = complete(Echo(fails=texts[10:]), prompts(*texts), sampling=GREEDY, store=store)
    assert sum(reply.status == "failed" for reply in replies) == 50


def test_progress_counts_replies_from_what_is_there_to_all(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with CallStore(path) as store:
        complete(Echo(), prompts("a", "b"), sampling=GREEDY, store=store)
        complete(
            Echo(),
            prompts("a", "c", "a", "c", "d"),
            sampling=GREEDY,
            store=store,
            on_progress=lambda *s: seen.append(s),
        )
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_in_replay_nothing_is_called_and_a_missing_reply_is_an_error(path: Path) -> None:
    with CallStore(path) as store:
        complete(Echo(fails=["b"]), prompts("a", "b"), sampling=GREEDY, store=store)
    echo = Echo()
    with CallStore(path, replay=True) as store:
        replies = complete(echo, prompts("b", "a"), sampling=GREEDY, store=store)
        assert [reply.status for reply in replies] == ["failed", "ok"]
        with pytest.raises(ModelError, match="1 answers of `echo` are not in the call store") as raised:
            complete(echo, prompts("a", "c"), sampling=GREEDY, store=store)
    assert echo.batches == []
    assert str(path) in raised.value.where


def test_what_a_call_costs_does_not_grow_with_the_number_of_calls(path: Path) -> None:
    with CallStore(path) as store:
        start = time.process_time()
        replies = complete(
            Echo(batch_size=1000),
            [Prompt(f"q{number}") for number in range(20_000)],
            sampling=GREEDY,
            store=store,
            on_progress=lambda done, total: None,
        )
        assert time.process_time() - start < 5, "some 1 s; with work for every key at every reply, 10"
    assert len(replies) == 20_000


class Slow:
    """An AsyncModel without a network: answers in capitals, counts calls in flight, and raises `error` after 20."""

    name = "slow"
    identity = "endpoint:slow"
    attempts = 1
    patience = longest_wait = 5.0
    concurrency = 8

    def __init__(self, error: Exception | None = None) -> None:
        self.in_flight = self.most_in_flight = self.sent = 0
        self._error = error

    async def send(self, session: Any, request: Request) -> Reply:
        self.in_flight += 1
        self.sent += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0.005)
            if self._error is not None and self.sent > 20:
                raise self._error
            return Reply(request.prompt.text.upper())
        finally:
            self.in_flight -= 1


def test_calls_over_a_network_overlap_up_to_the_limit_and_come_back_in_order(path: Path) -> None:
    slow = Slow()
    assert isinstance(slow, AsyncModel)
    texts = [f"q{n}" for n in range(50)]
    with CallStore(path) as store:
        replies = complete(slow, prompts(*texts), sampling=GREEDY, store=store)
    assert [reply.text for reply in replies] == [text.upper() for text in texts]
    assert slow.most_in_flight == 8


@pytest.mark.parametrize("error", [ModelError("The key is refused."), ZeroDivisionError("our own bug")])
def test_an_exception_of_a_models_code_fails_its_call_and_gives_the_model_up_if_every_call_raises_it(
    path: Path, error: Exception
) -> None:
    slow, said = Slow(error), Said()
    with CallStore(path) as store:
        wanted = prompts(*(f"q{n}" for n in range(1000)))
        replies = complete(slow, wanted, sampling=GREEDY, store=store, oversight=Oversight(tell=said))
        assert len(store) == sum(reply.attempts > 0 for reply in replies) < 60
    assert [reply.status for reply in replies[:12]] == ["ok"] * 12
    assert replies[40].detail == f"unexpected {type(error).__name__}: {error}" or "given up" in replies[40].detail
    assert "given up for this run: each of the last 20 calls was refused" in replies[-1].detail
    assert said.states == [("slow", "given up")]
    assert slow.sent < 60
    assert slow.in_flight == 0


def test_a_store_that_cannot_write_stops_the_calls(path: Path) -> None:
    slow = Slow()
    store = CallStore(path)
    store.close()
    with pytest.raises(RunError, match="closed"):
        complete(slow, prompts(*(f"q{n}" for n in range(2000))), sampling=GREEDY, store=store)
    assert slow.sent == 0
