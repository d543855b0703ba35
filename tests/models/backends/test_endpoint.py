"""A model behind HTTP: what is sent, what each answer means, and what is done when the server misbehaves."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from spavl.config.models import EndpointSpec
from spavl.errors import ModelError
from spavl.models import open_model
from spavl.models.base import AsyncModel, ImageRef, Prompt, Reply, Sampling
from spavl.models.calls import rate_limit
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from tests.models.server import Server, question, said, serving
from tests.tiny import picture

KEY = "sk-not-a-real-key-0123456789"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "FIRST_PAUSE", 0.01)


def ask(spec: EndpointSpec, store: CallStore, *texts: str, sampling: Sampling = Sampling()) -> list[Reply]:
    return complete(open_model(spec), [Prompt(text) for text in texts], sampling=sampling, store=store)


async def echo(request: web.Request, number: int) -> web.Response:
    return said(f"heard {question(await request.json())}")


def test_what_is_sent_is_a_chat_completion_with_the_picture_in_it(
    store: CallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    image = ImageRef(picture(tmp_path / "x.png").rename(tmp_path / "wrongly-named.jpg"), "a" * 64)
    prompt = Prompt("What is this?", (image,), system="Be fair.")
    sampling = Sampling(temperature=0.7, top_p=0.9, max_tokens=33, seed=4)
    schema = {"type": "object"}
    with serving(echo) as server:
        model = open_model(server.spec(key_env="TEST_KEY", system="Be brief."))
        assert isinstance(model, AsyncModel)
        replies = complete(model, [prompt], sampling=sampling, store=store, schema=schema, samples=2)
    assert [reply.text for reply in replies] == ["heard What is this?"] * 2
    first, second = server.bodies
    seeds = {body.pop("seed") for body in (first, second)}
    assert len(seeds) == 2, "two samples of one question must not be drawn alike"
    url = "data:image/png;base64," + base64.b64encode(image.path.read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is this?"}]
    assert first == {
        "model": "mini",
        "messages": [{"role": "system", "content": "Be brief.\n\nBe fair."}, {"role": "user", "content": content}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 33,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": {"type": "object"}, "strict": True},
        },
    }
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_every_way_an_answer_can_end_has_its_status(store: CallStore) -> None:
    answers = {
        "fine": said("Fine."),
        "long": said("And so on", "length"),
        "filter": said(None, "content_filter"),
        "refuse": said(None, refusal="I cannot."),
        "parts": said([{"type": "text", "text": "In "}, {"type": "text", "text": "parts."}]),  # type: ignore[arg-type]
        "nothing": said(None),
        "azure": web.json_response({"error": {"code": "content_filter", "message": "filtered"}}, status=400),
    }

    async def play(request: web.Request, number: int) -> web.Response:
        return answers[question(await request.json())]

    with serving(play) as server:
        spec = server.spec(price_in=2.0, price_out=5.0, concurrency=1)
        replies = dict(zip(answers, ask(spec, store, *answers), strict=True))
    assert {name: (reply.status, reply.text) for name, reply in replies.items()} == {
        "fine": ("ok", "Fine."),
        "long": ("truncated", "And so on"),
        "filter": ("filtered", ""),
        "refuse": ("refused", "I cannot."),
        "parts": ("ok", "In parts."),
        "nothing": ("ok", ""),
        "azure": ("filtered", ""),
    }
    fine = replies["fine"]
    assert (fine.prompt_tokens, fine.completion_tokens, fine.fingerprint) == (100, 10, "fp_7")
    assert fine.cost == pytest.approx((100 * 2.0 + 10 * 5.0) / 1e6)
    assert fine.latency > 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_the_work_names_the_variable_and_loses_nothing(
    store: CallStore, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)

    async def play(request: web.Request, number: int) -> web.Response:
        return await echo(request, number) if number < 3 else web.Response(status=status, text=f"bad key {KEY}")

    with serving(play) as server:
        spec = server.spec(key_env="TEST_KEY", concurrency=1)
        with pytest.raises(ModelError, match=rf"refuses the key in \$TEST_KEY \({status}\)") as told:
            ask(spec, store, *(f"question {n}" for n in range(10)))
        assert len(server.bodies) == 4
    assert KEY not in str(told.value)
    assert len(store) == 3
    assert KEY.encode() not in b"".join(file.read_bytes() for file in store.path.parent.iterdir())


def test_a_variable_without_a_key_is_told_before_anything_is_sent(
    store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    with serving(echo) as server:
        with pytest.raises(ModelError, match="environment variable TEST_KEY holds no key"):
            ask(server.spec(key_env="TEST_KEY"), store, "hello")
        assert server.bodies == []


def test_credit_that_is_used_up_stops_the_work_without_waiting(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        return web.json_response({"error": {"code": "insufficient_quota"}}, status=429, headers={"Retry-After": "60"})

    with serving(play) as server, pytest.raises(ModelError, match=r"refuses requests without a key \(429\)"):
        ask(server.spec(), store, "hello")


def test_a_refused_request_is_a_failed_reply_with_an_excerpt_and_no_secrets(
    store: CallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)

    async def play(request: web.Request, number: int) -> web.Response:
        text = await request.text()
        return web.Response(status=400, text=f"bad\nrequest {KEY} {text}") if "bad" in text else said("Fine.")

    image = ImageRef(picture(tmp_path / "x.png", size=200), "a" * 64)
    prompts = [Prompt("good 1"), Prompt("bad", (image,)), Prompt("good 2")]
    with serving(play) as server:
        model = open_model(server.spec(key_env="TEST_KEY"))
        replies = complete(model, prompts, sampling=Sampling(), store=store)
        assert len(server.bodies) == 3, "a refused request is not repeated"
    assert [reply.status for reply in replies] == ["ok", "failed", "ok"]
    assert replies[1].detail.startswith("the server refused the request with 400: bad request [key]")
    assert "[data]" in replies[1].detail
    assert len(replies[1].detail) < 400
    assert KEY not in replies[1].detail


def test_a_picture_that_is_gone_fails_its_own_request(store: CallStore, tmp_path: Path) -> None:
    prompts = [Prompt("What?", (ImageRef(tmp_path / "gone.png", "a" * 64),)), Prompt("good")]
    with serving(echo) as server:
        replies = complete(open_model(server.spec()), prompts, sampling=Sampling(), store=store)
    assert [reply.status for reply in replies] == ["failed", "ok"]
    assert "gone.png" in replies[0].detail


def test_being_told_to_wait_is_heeded_and_is_no_fault_of_the_call(store: CallStore) -> None:
    times: list[float] = []

    async def play(request: web.Request, number: int) -> web.Response:
        times.append(time.monotonic())
        return said("Fine.") if number >= 3 else web.Response(status=429, headers={"Retry-After": "0.2"})

    with serving(play) as server:
        (reply,) = ask(server.spec(attempts=1), store, "hello")
    assert (reply.status, reply.attempts) == ("ok", 4)
    assert all(later - sooner >= 0.19 for sooner, later in pairwise(times))


def test_a_server_that_takes_three_at_a_time_is_found_out_and_everything_is_answered(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        if server.inside > 3:
            return web.Response(status=429, headers={"Retry-After": "0.02"})
        await asyncio.sleep(0.01)
        return await echo(request, number)

    with serving(play) as server:
        replies = ask(server.spec(concurrency=16), store, *(f"question {n}" for n in range(100)))
        assert [reply.text for reply in replies] == [f"heard question {n}" for n in range(100)]
        assert len(server.bodies) < 250, "most requests were not wasted"


def test_no_more_calls_are_in_flight_than_allowed(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        await asyncio.sleep(0.02)
        return await echo(request, number)

    with serving(play) as server:
        ask(server.spec(concurrency=4), store, *(f"question {n}" for n in range(20)))
        assert server.most_inside == 4


def test_a_server_error_is_tried_again_and_then_recorded(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        text = question(await request.json())
        if text == "always" or (text == "once" and number < 2):
            return web.Response(status=500, text="<html>Internal trouble</html>", content_type="text/html")
        return said("Fine.")

    with serving(play) as server:
        replies = ask(server.spec(attempts=3, concurrency=1), store, "once", "always", "never")
    assert [(reply.status, reply.attempts) for reply in replies] == [("ok", 3), ("failed", 3), ("ok", 1)]
    assert replies[1].detail == "the server failed with 500: <html>Internal trouble</html>"


def test_a_failed_call_is_tried_anew_by_the_next_run(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        return web.Response(status=500) if number < 2 else said("Fine.")

    with serving(play) as server:
        spec = server.spec(attempts=2)
        assert ask(spec, store, "hello")[0].status == "failed"
        assert ask(spec, store, "hello")[0].status == "ok"
        assert ask(spec, store, "hello")[0].status == "ok"
        assert len(server.bodies) == 3


def test_a_web_page_instead_of_an_answer_is_told_in_a_sentence(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        return web.Response(text="<!doctype html><title>Welcome</title>", content_type="text/html")

    with serving(play) as server, pytest.raises(ModelError, match="answered with a web page: <!doctype") as told:
        ask(server.spec(), store, "hello")
    assert "ending in /v1" in told.value.try_


@pytest.mark.parametrize("body", ['{"error": "busy"}', "[]", '{"choices": []}', '"text"', "null"])
def test_json_that_is_no_chat_completion_is_a_failed_reply(store: CallStore, body: str) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    with serving(play) as server:
        (reply,) = ask(server.spec(attempts=2), store, "hello")
    assert (reply.status, reply.attempts) == ("failed", 2)
    assert reply.detail.startswith("the answer is not a chat completion: ")


def test_words_that_are_not_json_are_told_in_a_sentence(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        return web.Response(text="It works!")

    with serving(play) as server, pytest.raises(ModelError, match="something that is not JSON: It works!"):
        ask(server.spec(), store, "hello")


def test_a_slow_server_is_not_waited_for_longer_than_the_time_limit(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        await asyncio.sleep(5 if number == 0 else 0)
        return said("Fine.")

    begun = time.monotonic()
    with serving(play) as server:
        (reply,) = ask(server.spec(timeout=0.2), store, "hello")
    assert (reply.status, reply.attempts) == ("ok", 2)
    assert time.monotonic() - begun < 4


def test_a_connection_that_breaks_is_tried_again(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.StreamResponse:
        if number == 0:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if number == 1:
            half = web.StreamResponse(headers={"Content-Length": "1000"})
            await half.prepare(request)
            await half.write(b'{"choices": [')
            assert request.transport is not None
            request.transport.close()
            return half
        return said("Fine.")

    with serving(play) as server:
        (reply,) = ask(server.spec(), store, "hello")
    assert (reply.status, reply.attempts) == ("ok", 3)


def test_a_server_that_is_not_there_is_told_in_a_sentence(store: CallStore) -> None:
    with serving(echo) as server:
        pass
    with pytest.raises(ModelError, match="the server cannot be reached") as told:
        ask(server.spec(), store, "hello")
    assert server.url in told.value.where
    assert "Start it" in told.value.try_


def test_a_server_that_goes_away_stops_the_work_and_what_came_is_kept(store: CallStore) -> None:
    with serving(echo) as server:
        ask(server.spec(), store, *(f"question {n}" for n in range(5)))
    with pytest.raises(ModelError, match="cannot be reached"):
        ask(server.spec(attempts=2), store, *(f"question {n}" for n in range(10)))
    assert len(store) == 5


@pytest.mark.parametrize("url", ["not an address", "ftp://host/v1", "http://host:80800/v1"])
def test_an_address_that_is_none_is_refused_where_it_is_written(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Server(url=url).spec()


def test_a_server_that_sends_us_elsewhere_is_not_followed(store: CallStore) -> None:
    async def play(request: web.Request, number: int) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/v1"})

    with serving(play) as server, pytest.raises(ModelError, match=r"sends us elsewhere \(307, http://127.0.0.1:9/v1\)"):
        ask(server.spec(), store, "hello")


def test_it_works_where_an_event_loop_is_already_running(store: CallStore) -> None:
    async def notebook(spec: EndpointSpec) -> list[Reply]:
        return ask(spec, store, "hello")

    with serving(echo) as server:
        assert asyncio.run(notebook(server.spec()))[0].text == "heard hello"
