"""What a server repeats of prompts and answers is shown nowhere: its words may do harm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import web

from spavl.models.base import Prompt
from spavl.models.calls.store import CallStore
from tests.models.calls.in_trouble import Said, ask
from tests.models.server import serving

ASKED = 'A placeholder "question" of\nsome length, ä'
BODIES = {
    "moderation's metadata": (403, {"error": {"message": "flagged", "metadata": {"flagged_input": "A placeholder …"}}}),
    "FastAPI's input": (422, {"detail": [{"loc": ["body"], "msg": "bad", "input": ASKED}]}),
    "within a sentence": (400, {"error": {"message": f"Refused: {ASKED}", "code": "content_filter"}}),
    "an unknown error": (500, {"error": {"message": f"cannot parse '{ASKED}'"}}),
    "no completion": (200, {"choices": [{"text": "A placeholder answer"}]}),
    "of the whole request": (400, {"error": "bad", "request": {"messages": [{"role": "user", "content": ASKED}]}}),
}


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("name", BODIES)
def test_what_a_server_repeats_is_no_part_of_the_reason(tmp_path: Path, name: str, ascii_only: bool) -> None:
    status, body = BODIES[name]

    async def respond(request: web.Request, number: int) -> web.Response:
        text = json.dumps(body, ensure_ascii=ascii_only)
        return web.Response(status=status, text=text, content_type="application/json")

    with CallStore(tmp_path / "calls.sqlite") as store, serving(respond) as server:
        (reply,) = ask(store, server.spec(attempts=1), [Prompt(ASKED)], Said())
    assert reply.status in ("filtered", "invalid", "failed")
    assert reply.detail and "placeholder" not in reply.detail


@pytest.mark.parametrize("cut", [60, 61, 75])
def test_words_of_an_answer_that_is_cut_off_are_no_part_of_the_reason(tmp_path: Path, cut: int) -> None:
    whole = json.dumps({"choices": [{"message": {"content": 'A "placeholder" answer\\ of some length'}}]})

    async def respond(request: web.Request, number: int) -> web.Response:
        return web.Response(text=whole[:cut], content_type="application/json")

    with CallStore(tmp_path / "calls.sqlite") as store, serving(respond) as server:
        (reply,) = ask(store, server.spec(attempts=1), [Prompt("q")], Said())
    assert reply.status == "failed"
    assert reply.detail and "placeholder" not in reply.detail.replace("a stream", "")
