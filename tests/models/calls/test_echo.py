"""No words of a request and no answer stand in the reason of a failed call, however a server repeats them."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
from aiohttp import web

from spavl.models import open_model
from spavl.models.base import Prompt, Sampling
from spavl.models.calls.echo import CLOSED, without_echo
from spavl.models.calls.engine import complete
from spavl.models.calls.oversight import Notice, Oversight
from spavl.models.calls.store import CallStore
from spavl.records import Turn
from tests.models.server import completion, serving

ASKED = 'How is the "marked" thing\nof alder & birch placed in the first row?'


@pytest.mark.parametrize(
    "repeated", [ASKED, ASKED.upper(), json.dumps(ASKED), html.escape(ASKED), repr(ASKED), ASKED[:50]]
)
def test_a_repeated_request_is_closed_and_what_the_server_says_is_kept(repeated: str) -> None:
    reason = without_echo(f"the server refused the request with 400: bad input {repeated} at position 3", Prompt(ASKED))
    assert "alder" not in reason.lower()
    assert "marked" not in reason.lower()
    assert reason.startswith("the server refused the request with 400: bad input")
    assert reason.endswith("at position 3")
    assert CLOSED in reason


def test_the_system_turn_earlier_turns_and_scripts_without_spaces_are_closed_too() -> None:
    earlier = (Turn("user", "the first marked question of all"), Turn("assistant", "an answer that is marked too"))
    prompt = Prompt("\u9019\u662f\u4e00\u500b\u554f\u984c", system="be as marked as can be", earlier=earlier)
    for text in (prompt.text, prompt.system, *(turn.text for turn in earlier)):
        assert without_echo(f"error: {text}", prompt) == f"error: {CLOSED}"


def test_a_reason_of_its_own_words_stays_as_it_is() -> None:
    reason = "the server failed with 500: the picture of the request is too large (C:\\new\\tmp)"
    assert without_echo(reason, Prompt("What is on the picture of the cat?")) == reason
    assert without_echo(reason, Prompt("")) == reason


@pytest.mark.parametrize("status", [200, 400, 403, 404, 413, 429, 500, 503])
def test_whatever_status_echoes_the_prompt_neither_reason_nor_notice_shows_it(tmp_path: Path, status: int) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        sent = (await request.json())["messages"]
        return web.json_response({"error": {"message": f"cannot process {json.dumps(sent)}"}}, status=status)

    notices: list[Notice] = []
    with serving(respond) as server, CallStore(tmp_path / "calls.sqlite") as store:
        spec = server.spec(attempts=1, patience=0.5)
        oversight = Oversight(tell=notices.append)
        replies = complete(open_model(spec), [Prompt(ASKED)], sampling=Sampling(), store=store, oversight=oversight)
    told = [reply.detail for reply in replies] + [notice.line for notice in notices]
    assert any(told)
    assert not [line for line in told if "alder" in line]


@pytest.mark.parametrize(
    "body",
    [
        '{"choices": [{"text": "a marked answer"}]}',
        '{"choices": [{"message": {"content": "a marked ans',
        'data: {"choices": [{"delta": {"content": "a marked answer"}}]}\n\n',
        '{"message": {"content": "a marked answer"}}',
        '"a marked answer"',
        '[{"generated_text": "a marked answer"}]',
    ],
)
def test_an_answer_in_another_form_is_not_quoted_as_a_reason(tmp_path: Path, body: str) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    with serving(respond) as server, CallStore(tmp_path / "calls.sqlite") as store:
        (reply,) = complete(open_model(server.spec(attempts=1)), [Prompt("hello")], sampling=Sampling(), store=store)
    assert reply.status == "failed"
    assert "marked" not in reply.detail


def test_a_server_that_names_its_error_elsewhere_is_still_quoted(tmp_path: Path) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return completion("fine") if number else web.json_response({"detail": "the weights are still loading"})

    with serving(respond) as server, CallStore(tmp_path / "calls.sqlite") as store:
        (reply,) = complete(open_model(server.spec(attempts=1)), [Prompt("hello")], sampling=Sampling(), store=store)
    assert "the weights are still loading" in reply.detail
