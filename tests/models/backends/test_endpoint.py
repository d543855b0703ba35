"""The endpoint backend: what is sent, what each response means, and what is done when the server misbehaves."""

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
from spavl.models import open_model
from spavl.models.base import AsyncModel, Prompt, Reply, Sampling
from spavl.models.calls import rate_limit
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.records import ImageRef
from tests.models.server import Server, completion, prompt_of, serving
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
    return completion(f"heard {prompt_of(await request.json())}")


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
    assert len(seeds) == 2, "two samples of one prompt need seeds of their own"
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


def test_every_finish_reason_has_its_status(store: CallStore) -> None:
    answers = {
        "fine": completion("Fine."),
        "long": completion("And so on", "length"),
        "filter": completion(None, "content_filter"),
        "refuse": completion(None, refusal="I cannot."),
        "parts": completion([{"type": "text", "text": "In "}, {"type": "text", "text": "parts."}]),  # type: ignore[arg-type]
        "nothing": completion(None),
        "nothing again": completion(" "),
        "azure": web.json_response({"error": {"code": "content_filter", "message": "filtered"}}, status=400),
    }

    async def respond(request: web.Request, number: int) -> web.Response:
        return answers[prompt_of(await request.json())]

    with serving(respond) as server:
        spec = server.spec(price_in=2.0, price_out=5.0, concurrency=1, attempts=1)
        replies = dict(zip(answers, ask(spec, store, *answers), strict=True))
    assert {name: (reply.status, reply.text) for name, reply in replies.items()} == {
        "fine": ("ok", "Fine."),
        "long": ("truncated", "And so on"),
        "filter": ("filtered", ""),
        "refuse": ("refused", "I cannot."),
        "parts": ("ok", "In parts."),
        "nothing": ("empty", ""),
        "nothing again": ("empty", " "),
        "azure": ("filtered", ""),
    }
    fine = replies["fine"]
    assert (fine.prompt_tokens, fine.completion_tokens, fine.fingerprint) == (100, 10, "fp_7")
    assert fine.cost == pytest.approx((100 * 2.0 + 10 * 5.0) / 1e6)
    assert fine.latency > 0


@pytest.mark.parametrize("status", [401, 403])
def test_one_refused_key_fails_its_own_call_names_the_variable_and_hides_the_key(
    store: CallStore, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)

    async def respond(request: web.Request, number: int) -> web.Response:
        return await echo(request, number) if number != 3 else web.Response(status=status, text=f"bad key {KEY}")

    with serving(respond) as server:
        replies = ask(server.spec(key_env="TEST_KEY", concurrency=1), store, *(f"prompt {n}" for n in range(10)))
        assert len(server.bodies) == 10
    assert [reply.status for reply in replies] == ["ok"] * 3 + ["failed"] + ["ok"] * 6
    assert replies[3].detail == f"the server refuses the key in $TEST_KEY ({status}): bad key [key]"
    assert KEY.encode() not in b"".join(file.read_bytes() for file in store.path.parent.iterdir())


def test_an_empty_key_variable_fails_the_calls_before_anything_is_sent(
    store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    with serving(echo) as server:
        (reply,) = ask(server.spec(key_env="TEST_KEY"), store, "hello")
        assert server.bodies == []
    assert reply.detail == "the environment variable TEST_KEY holds no key"


def test_used_up_credit_fails_the_call_without_waiting(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return web.json_response({"error": {"code": "insufficient_quota"}}, status=429, headers={"Retry-After": "60"})

    with serving(respond) as server:
        (reply,) = ask(server.spec(), store, "hello")
    assert (reply.status, reply.attempts) == ("failed", 1)
    assert "(429)" in reply.detail


def test_a_refused_request_is_a_failed_reply_with_an_excerpt_and_no_secrets(
    store: CallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)

    async def respond(request: web.Request, number: int) -> web.Response:
        text = await request.text()
        return web.Response(status=400, text=f"bad\nrequest {KEY} {text}") if "bad" in text else completion("Fine.")

    image = ImageRef(picture(tmp_path / "x.png", size=200), "a" * 64)
    prompts = [Prompt("good 1"), Prompt("bad", (image,)), Prompt("good 2")]
    with serving(respond) as server:
        model = open_model(server.spec(key_env="TEST_KEY"))
        replies = complete(model, prompts, sampling=Sampling(), store=store)
        assert len(server.bodies) == 3, "a refused request is not repeated"
    assert [reply.status for reply in replies] == ["ok", "failed", "ok"]
    assert replies[1].detail.startswith("the server refused the request with 400: bad request [key]")
    assert "[data]" in replies[1].detail
    assert len(replies[1].detail) < 400
    assert KEY not in replies[1].detail


def test_a_missing_picture_fails_its_own_request(store: CallStore, tmp_path: Path) -> None:
    prompts = [Prompt("What?", (ImageRef(tmp_path / "gone.png", "a" * 64),)), Prompt("good")]
    with serving(echo) as server:
        replies = complete(open_model(server.spec()), prompts, sampling=Sampling(), store=store)
    assert [reply.status for reply in replies] == ["failed", "ok"]
    assert "gone.png" in replies[0].detail


def test_a_throttled_call_waits_as_long_as_asked_and_uses_up_no_attempt(store: CallStore) -> None:
    times: list[float] = []

    async def respond(request: web.Request, number: int) -> web.Response:
        times.append(time.monotonic())
        return completion("Fine.") if number >= 3 else web.Response(status=429, headers={"Retry-After": "0.2"})

    with serving(respond) as server:
        (reply,) = ask(server.spec(attempts=1), store, "hello")
    assert (reply.status, reply.attempts) == ("ok", 4)
    assert all(later - sooner >= 0.19 for sooner, later in pairwise(times))


def test_concurrency_adapts_to_a_server_that_takes_three_calls_and_every_prompt_is_answered(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        if server.in_flight > 3:
            return web.Response(status=429, headers={"Retry-After": "0.02"})
        await asyncio.sleep(0.01)
        return await echo(request, number)

    with serving(respond) as server:
        replies = ask(server.spec(concurrency=16), store, *(f"prompt {n}" for n in range(100)))
        assert [reply.text for reply in replies] == [f"heard prompt {n}" for n in range(100)]
        assert len(server.bodies) < 250, "most requests were not wasted"


def test_no_more_calls_are_in_flight_than_allowed(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        await asyncio.sleep(0.02)
        return await echo(request, number)

    with serving(respond) as server:
        ask(server.spec(concurrency=4), store, *(f"prompt {n}" for n in range(20)))
        assert server.most_in_flight == 4


def test_a_server_error_is_retried_and_then_recorded_as_a_failed_reply(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        text = prompt_of(await request.json())
        if text == "always" or (text == "once" and number < 2):
            return web.Response(status=500, text="<html>Internal trouble</html>", content_type="text/html")
        return completion("Fine.")

    with serving(respond) as server:
        replies = ask(server.spec(attempts=3, concurrency=1), store, "once", "always", "never")
    assert [(reply.status, reply.attempts) for reply in replies] == [("ok", 3), ("failed", 3), ("ok", 1)]
    assert replies[1].detail == "the server failed with 500: <html>Internal trouble</html>"


def test_a_failed_call_is_retried_by_the_next_run(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return web.Response(status=500) if number < 2 else completion("Fine.")

    with serving(respond) as server:
        spec = server.spec(attempts=2)
        assert ask(spec, store, "hello")[0].status == "failed"
        assert ask(spec, store, "hello")[0].status == "ok"
        assert ask(spec, store, "hello")[0].status == "ok"
        assert len(server.bodies) == 3


def test_a_web_page_instead_of_an_answer_is_a_failed_reply(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return web.Response(text="<!doctype html><title>Welcome</title>", content_type="text/html")

    with serving(respond) as server:
        (reply,) = ask(server.spec(), store, "hello")
    assert (reply.status, reply.attempts) == ("failed", 2)
    assert reply.detail.startswith("the server answered with a web page: <!doctype")


@pytest.mark.parametrize("body", ["{}", "[]", '{"choices": []}', '"text"', "null"])
def test_json_that_is_no_chat_completion_is_a_failed_reply(store: CallStore, body: str) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    with serving(respond) as server:
        (reply,) = ask(server.spec(attempts=2), store, "hello")
    assert (reply.status, reply.attempts) == ("failed", 2)
    assert reply.detail.startswith("the answer is not a chat completion: ")


def test_text_that_is_not_json_is_a_failed_reply(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return web.Response(text="It works!")

    with serving(respond) as server:
        (reply,) = ask(server.spec(), store, "hello")
    assert reply.detail == "the server answered with something that is not JSON: It works!"


def test_a_slow_server_is_not_waited_for_longer_than_the_time_limit(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        await asyncio.sleep(5 if number == 0 else 0)
        return completion("Fine.")

    start = time.monotonic()
    with serving(respond) as server:
        (reply,) = ask(server.spec(timeout=0.2), store, "hello")
    assert (reply.status, reply.attempts) == ("ok", 2)
    assert time.monotonic() - start < 4


def test_a_broken_connection_is_retried(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.StreamResponse:
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
        return completion("Fine.")

    with serving(respond) as server:
        (reply,) = ask(server.spec(), store, "hello")
    assert (reply.status, reply.attempts) == ("ok", 3)


def test_a_server_that_is_not_there_fails_its_calls_at_once(store: CallStore) -> None:
    with serving(echo) as server:
        pass
    began = time.monotonic()
    replies = ask(server.spec(), store, *(f"prompt {n}" for n in range(40)))
    assert time.monotonic() - began < 3
    assert {reply.status for reply in replies} == {"failed"}
    assert all("the server cannot be reached" in reply.detail for reply in replies)


@pytest.mark.parametrize("url", ["not an address", "ftp://host/v1", "http://host:80800/v1"])
def test_a_malformed_url_is_refused_by_the_settings(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Server(url=url).spec()


def test_a_redirect_is_not_followed(store: CallStore) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/v1"})

    with serving(respond) as server:
        (reply,) = ask(server.spec(), store, "hello")
    assert reply.detail == "the server redirects elsewhere (307, http://127.0.0.1:9/v1)"


def test_it_works_where_an_event_loop_is_already_running(store: CallStore) -> None:
    async def notebook(spec: EndpointSpec) -> list[Reply]:
        return ask(spec, store, "hello")

    with serving(echo) as server:
        assert asyncio.run(notebook(server.spec()))[0].text == "heard hello"
