"""What an endpoint is sent: turns and pictures in their order, a picture read once, proxies of the environment."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spavl.config.models import EndpointSpec
from spavl.models import open_model
from spavl.models.backends.endpoint_body import body_of
from spavl.models.base import Prompt, Request, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.records import ImageRef, Role, Turn
from tests.models.server import completion, serving

SPEC = EndpointSpec(name="e", url="http://127.0.0.1:9/v1", model="mini", identity="test/1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


def image(path: Path, content: bytes) -> ImageRef:
    path.write_bytes(content)
    return ImageRef.of(path)


def png(colour: int, side: int = 8) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (side, side), (colour, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def shown(content: bytes, mime: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{base64.b64encode(content).decode()}"}}


def sent(prompt: Prompt, **more: Any) -> dict[str, Any]:
    return dict(json.loads(body_of(SPEC, Request(prompt, Sampling(), **more)).decode()))


def test_a_conversation_is_sent_turn_by_turn_with_the_pictures_of_each(tmp_path: Path) -> None:
    one, two, three = (image(tmp_path / str(number), png(number)) for number in (1, 2, 3))
    earlier = (Turn("user", "These two?", (one, two)), Turn("assistant", "A cup and a key."))
    assert sent(Prompt("And this?", (three,), system="Be brief.", earlier=earlier)) == {
        "model": "mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [shown(png(1)), shown(png(2)), {"type": "text", "text": "These two?"}],
            },
            {"role": "assistant", "content": "A cup and a key."},
            {"role": "user", "content": [shown(png(3)), {"type": "text", "text": "And this?"}]},
        ],
        "temperature": 0.0,
        "max_tokens": 256,
    }


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(st.characters()))), st.text(), st.text())
def test_whatever_is_said_arrives_as_it_was_said(turns: list[tuple[Role, str]], text: str, system: str) -> None:
    messages = sent(Prompt(text, system=system, earlier=tuple(Turn(*turn) for turn in turns)))["messages"]
    said = [("system", system)] * bool(system) + turns + [("user", text)]
    assert [(message["role"], message["content"]) for message in messages] == said


def test_a_picture_of_several_megabytes_arrives_whole(store: CallStore, tmp_path: Path) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return completion("Fine.")

    buffer = BytesIO()
    Image.effect_noise((2000, 2000), 90).save(buffer, "PNG")
    content = buffer.getvalue()
    assert len(content) > 2_000_000
    with serving(respond) as server:
        model = open_model(server.spec())
        (reply,) = complete(
            model, [Prompt("?", (image(tmp_path / "x.png", content),))], sampling=Sampling(), store=store
        )
    assert reply.status == "ok"
    assert server.bodies[0]["messages"][0]["content"][0] == shown(content)
    assert server.headers[0]["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("message", "thought", "answer"),
    [
        ({"content": "Yes.", "reasoning_content": "Hm."}, "Hm.", "Yes."),
        ({"content": "Yes.", "reasoning": "Hm."}, "Hm.", "Yes."),
        ({"content": "<think>Hm.</think>Yes."}, "Hm.", "Yes."),
        ({"content": "<think>More.</think>Yes.", "reasoning": "Hm."}, "Hm.\n\nMore.", "Yes."),
        ({"content": "Hm.\n</think>\n\nYes."}, "Hm.", "Yes."),
        ({"content": "Hm.</think>Yes.", "reasoning_content": ""}, "Hm.", "Yes."),
        ({"content": "<think>\n\n</think>\n\nYes."}, "", "Yes."),
        ({"content": "Yes.", "reasoning_content": None}, "", "Yes."),
        ({"content": "Yes.", "reasoning": {"steps": 3}}, "", "Yes."),
    ],
)
def test_reasoning_is_kept_apart_from_the_answer(
    store: CallStore, message: dict[str, Any], thought: str, answer: str
) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        content = message["content"]
        return completion(content, **{name: value for name, value in message.items() if name != "content"})

    with serving(respond) as server:
        (reply,) = complete(open_model(server.spec()), [Prompt("?")], sampling=Sampling(), store=store)
    assert (reply.thought, reply.text, reply.status) == (thought, answer, "ok")
