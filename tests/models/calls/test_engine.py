"""Asking many things: once each, in order, stored as they come, whatever interrupts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spavl.config.models import PythonSpec
from spavl.errors import ModelError, RunError
from spavl.models import open_model
from spavl.models.base import AsyncModel, BatchModel, Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import complete, plan
from spavl.models.calls.store import CallStore
from tests.models.server import question, said, serving
from tests.models.voices import Echo

GREEDY = Sampling()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


def prompts(*texts: str) -> list[Prompt]:
    return [Prompt(text) for text in texts]


def test_replies_come_in_order_and_equal_questions_are_asked_once(path: Path) -> None:
    echo = Echo(batch_size=2)
    with CallStore(path) as store:
        replies = complete(echo, prompts("a", "b", "a", "c", "a"), sampling=GREEDY, store=store)
    assert [reply.text for reply in replies] == [":a:0", ":b:0", ":a:0", ":c:0", ":a:0"]
    assert echo.asked == [["a", "b"], ["c"]]


def test_what_was_answered_before_is_not_asked_again_even_by_another_process(path: Path) -> None:
    with CallStore(path) as store:
        first = complete(Echo(), prompts("a", "b"), sampling=GREEDY, store=store)
    echo = Echo()
    with CallStore(path) as store:
        second = complete(echo, prompts("b", "c", "a"), sampling=GREEDY, store=store)
        assert (store.hits, store.calls) == (2, 1)
    assert echo.asked == [["c"]]
    assert [second[2], second[0]] == first


def test_a_reply_knows_its_key_and_the_store_the_request_behind_it(path: Path) -> None:
    with CallStore(path) as store:
        (reply,) = complete(Echo(), [Prompt("a", item="cup/1")], sampling=GREEDY, store=store)
        request = store.request(reply.key)
        assert request is not None
        assert (request["text"], request["item"], request["model"]) == ("a", "cup/1", Echo().identity)
        (call,) = plan(Echo(), [Prompt("a", item="cup/1")], sampling=GREEDY)
        assert call.key == reply.key
        assert store.known([call.key]) == {call.key}


def test_samples_of_one_question_lie_side_by_side_and_are_calls_of_their_own(path: Path) -> None:
    with CallStore(path) as store:
        replies = complete(Echo(), prompts("a", "b"), sampling=Sampling(1.0), store=store, samples=2)
        assert [reply.text for reply in replies] == [":a:0", ":a:1", ":b:0", ":b:1"]
        assert len(store) == 4


def test_a_class_is_asked_anew_for_another_item(path: Path) -> None:
    echo = Echo()
    with CallStore(path) as store:
        asked = [Prompt("safe?", item="cup/1"), Prompt("safe?", item="key/1")]
        replies = complete(echo, asked, sampling=GREEDY, store=store)
    assert [reply.text for reply in replies] == ["cup/1:safe?:0", "key/1:safe?:0"]


def test_a_failed_call_is_data_harms_no_other_and_is_tried_again(path: Path) -> None:
    with CallStore(path) as store:
        replies = complete(Echo(fails=["b"]), prompts("a", "b", "c"), sampling=GREEDY, store=store)
        assert [reply.status for reply in replies] == ["ok", "failed", "ok"]
        assert replies[1].detail == "no answer to b"
        echo = Echo()
        replies = complete(echo, prompts("a", "b", "c"), sampling=GREEDY, store=store)
        assert (echo.asked, [reply.status for reply in replies]) == ([["b"]], ["ok"] * 3)


def test_a_model_whose_first_twenty_calls_all_fail_is_not_asked_further(path: Path) -> None:
    hopeless = Echo(fails=["*"], batch_size=5)
    with CallStore(path) as store:
        with pytest.raises(ModelError, match="first 20 calls to `echo` all failed; the last: no answer to q19"):
            complete(hopeless, prompts(*(f"q{n}" for n in range(100))), sampling=GREEDY, store=store)
        assert len(hopeless.asked) == 4
        assert len(store) == 20


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


def test_in_replay_nothing_is_asked_and_a_missing_answer_is_told(path: Path) -> None:
    with CallStore(path) as store:
        complete(Echo(fails=["b"]), prompts("a", "b"), sampling=GREEDY, store=store)
    echo = Echo()
    with CallStore(path, replay=True) as store:
        replies = complete(echo, prompts("b", "a"), sampling=GREEDY, store=store)
        assert [reply.status for reply in replies] == ["failed", "ok"]
        with pytest.raises(ModelError, match="1 answers of `echo` are not in the call store") as told:
            complete(echo, prompts("a", "c"), sampling=GREEDY, store=store)
    assert echo.asked == []
    assert str(path) in told.value.where


def python(target: str, **options: Any) -> PythonSpec:
    return PythonSpec(name="mine", target=target, version="1", options=options, batch_size=3)


def test_a_class_of_the_users_own_needs_permission() -> None:
    with pytest.raises(ModelError, match="refused unless you say so") as told:
        open_model(python("tests.models.voices:Echo"))
    assert "--allow-code" in told.value.try_


def test_a_class_inside_spavl_needs_none_but_must_be_there() -> None:
    with pytest.raises(ModelError, match="cannot be built: KeyError: 'Nobody'"):
        open_model(python("spavl.models.base:Nobody"))


@pytest.mark.parametrize(
    ("target", "options", "why"),
    [
        ("tests.models.no_such_module:Echo", {}, "ModuleNotFoundError"),
        ("tests.models.voices", {}, "KeyError"),
        ("tests.models.voices:Echo", {"unknown": 1}, "TypeError: .*unknown"),
        ("tests.models.voices:Rude", {"manner": "at birth"}, "ValueError: not today"),
    ],
)
def test_a_class_that_cannot_be_built_is_told_in_a_sentence(target: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError, match=f"`mine` cannot be built: {why}"):
        open_model(python(target, **options), allow_code=True)


def test_a_class_is_built_with_its_options_and_answers(path: Path) -> None:
    model = open_model(python("tests.models.voices:Echo", fails=["b"]), allow_code=True)
    assert isinstance(model, BatchModel)
    assert (model.name, model.batch_size) == ("mine", 3)
    with CallStore(path) as store:
        replies = complete(model, prompts("a", "b"), sampling=GREEDY, store=store)
    assert [reply.status for reply in replies] == ["ok", "failed"]
    model.close()


def test_what_a_class_raises_becomes_failed_replies(path: Path) -> None:
    model = open_model(python("tests.models.voices:Rude", manner="error"), allow_code=True)
    with CallStore(path) as store:
        replies = complete(model, prompts("a", "b"), sampling=GREEDY, store=store)
    assert [reply.detail for reply in replies] == ["ZeroDivisionError: a slip of the user's"] * 2
    assert isinstance(model, BatchModel)
    model.close()


@pytest.mark.parametrize(
    ("manner", "told"), [("mute", "`mine` gave 0 replies to 2 requests"), ("sentence", "The oracle is out")]
)
def test_a_class_that_breaks_its_promise_is_told_in_a_sentence(path: Path, manner: str, told: str) -> None:
    model = open_model(python("tests.models.voices:Rude", manner=manner), allow_code=True)
    with CallStore(path) as store, pytest.raises(ModelError, match=told):
        complete(model, prompts("a", "b"), sampling=GREEDY, store=store)


class Slow:
    """An AsyncModel without a network: counts who is inside, answers late, or fails as told."""

    name = "slow"
    identity = "endpoint:slow"
    attempts = 1
    concurrency = 8

    def __init__(self, error: Exception | None = None) -> None:
        self.inside = self.most = self.sent = 0
        self._error = error

    async def send(self, session: Any, request: Request) -> Reply:
        self.inside += 1
        self.sent += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(0.005)
            if self._error is not None and self.sent > 20:
                raise self._error
            return Reply(request.prompt.text.upper())
        finally:
            self.inside -= 1


def test_calls_over_a_network_overlap_up_to_the_limit_and_come_back_in_order(path: Path) -> None:
    slow = Slow()
    assert isinstance(slow, AsyncModel)
    texts = [f"q{n}" for n in range(50)]
    with CallStore(path) as store:
        replies = complete(slow, prompts(*texts), sampling=GREEDY, store=store)
    assert [reply.text for reply in replies] == [text.upper() for text in texts]
    assert slow.most == 8


@pytest.mark.parametrize("error", [ModelError("The key is refused."), ZeroDivisionError("our own bug")])
def test_an_error_stops_the_rest_is_raised_as_it_is_and_loses_nothing(path: Path, error: Exception) -> None:
    slow = Slow(error)
    with CallStore(path) as store:
        with pytest.raises(type(error), match=str(error)):
            complete(slow, prompts(*(f"q{n}" for n in range(1000))), sampling=GREEDY, store=store)
        assert len(store) >= 20 - slow.concurrency
    assert slow.sent < 50
    assert slow.inside == 0


def test_a_store_that_cannot_write_stops_the_calls(path: Path) -> None:
    slow = Slow()
    store = CallStore(path)
    store.close()
    with pytest.raises(RunError, match="closed"):
        complete(slow, prompts(*(f"q{n}" for n in range(2000))), sampling=GREEDY, store=store)
    assert slow.sent == 0


CHILD = """
import signal
import sys
from spavl.config.models import EndpointSpec
from spavl.models import open_model
from spavl.models.base import Prompt, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from tests.models.voices import Echo

# A shell that runs the tests in the background hands on a deaf ear for Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
kind, where, path, count = sys.argv[1:]
if kind == "endpoint":
    model = open_model(EndpointSpec(name="e", url=where, model="m", identity="test/1", concurrency=8))
else:
    model = Echo(batch_size=16, diary=where, pause=0.0005)
with CallStore(path) as store:
    prompts = [Prompt(f"q{n}") for n in range(int(count))]
    replies = complete(model, prompts, sampling=Sampling(), store=store)
print(len(replies), store.hits)
"""


def child(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def committed(path: Path, count: int, model: Any) -> set[str]:
    """The questions whose answers are on disk."""
    calls = plan(model, [Prompt(f"q{n}") for n in range(count)], sampling=GREEDY)
    with CallStore(path, replay=True) as store:
        known = store.known([call.key for call in calls])
    return {call.request.prompt.text for call in calls if call.key in known}


def wait_for(lines: Path, count: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and (not lines.exists() or lines.read_text().count("\n") < count):
        time.sleep(0.01)


@pytest.mark.parametrize("after", [1, 150, 333])
def test_kill_9_in_batches_loses_no_committed_row_and_repeats_little(path: Path, tmp_path: Path, after: int) -> None:
    diary, count = tmp_path / "diary", 600
    with child("batch", diary, path, count) as first:
        wait_for(diary, after)
        os.kill(first.pid, signal.SIGKILL)
    asked_before = diary.read_text().split()
    kept = committed(path, count, Echo())
    assert len(asked_before) < count, "the test was too slow to kill it midway"
    assert len(asked_before) - len(kept) <= 16 + 64
    with child("batch", diary, path, count) as second:
        said_at_the_end, _ = second.communicate()
    asked_after = diary.read_text().split()[len(asked_before) :]
    assert said_at_the_end.split() == [str(count), str(len(kept))]
    assert kept.isdisjoint(asked_after)
    assert set(asked_before) | set(asked_after) == {f"q{n}" for n in range(count)}
    assert len(asked_before) + len(asked_after) - count <= 16 + 64


def test_kill_9_over_http_loses_no_committed_row_and_repeats_little(path: Path) -> None:
    async def play(request: Any, number: int) -> Any:
        if number == 300:
            os.kill(first.pid, signal.SIGKILL)
        await asyncio.sleep(0.002)
        return said("Fine.")

    count = 600
    with serving(play) as server:
        with child("endpoint", server.url, path, count) as first:
            pass
        asked_before = [question(body) for body in server.bodies]
        model = open_model(server.spec(identity="test/1"))
        kept = committed(path, count, model)
        assert 300 <= len(asked_before) < count
        assert len(asked_before) - len(kept) <= 8 + 64
        with child("endpoint", server.url, path, count) as second:
            said_at_the_end, _ = second.communicate()
        asked_after = [question(body) for body in server.bodies[len(asked_before) :]]
    assert said_at_the_end.split() == [str(count), str(len(kept))]
    assert kept.isdisjoint(asked_after)
    assert len(asked_before) + len(asked_after) - count <= 8 + 64


def test_ctrl_c_ends_within_seconds_with_everything_finished_on_disk(path: Path) -> None:
    async def play(request: Any, number: int) -> Any:
        # All eight callers hang: so each has its earlier reply, and 100 calls are finished.
        if number == 107:
            os.kill(running.pid, signal.SIGINT)
        await asyncio.sleep(30 if number >= 100 else 0.002)
        return said("Fine.")

    with serving(play) as server:
        begun = time.monotonic()
        with child("endpoint", server.url, path, 600) as running:
            _, trace = running.communicate(timeout=20)
        assert "KeyboardInterrupt" in trace
        assert time.monotonic() - begun < 15
        assert len(committed(path, 600, open_model(server.spec(identity="test/1")))) == 100
