"""What an endpoint is sent: turns and pictures in their order, a picture read once, proxies of the environment."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from spavl.config.models import EndpointSpec
from spavl.models import open_model
from spavl.models.backends.endpoint_body import PictureCache, body_of
from spavl.models.base import Prompt, Request, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.records import ImageRef, Role, Turn
from tests.models.server import completion, serving

SPEC = EndpointSpec(name="e", url="http://127.0.0.1:9/v1", model="mini", identity="test/1")
PNG = b"\x89PNG and more"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


def image(path: Path, content: bytes = PNG) -> ImageRef:
    path.write_bytes(content)
    return ImageRef(path, "a" * 64)


def shown(content: bytes, mime: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{base64.b64encode(content).decode()}"}}


def sent(prompt: Prompt, **more: Any) -> dict[str, Any]:
    return dict(json.loads(body_of(SPEC, Request(prompt, Sampling(), **more)).decode()))


def test_a_conversation_is_sent_turn_by_turn_with_the_pictures_of_each(tmp_path: Path) -> None:
    one, two, three = (image(tmp_path / name, PNG + name.encode()) for name in "123")
    earlier = (Turn("user", "These two?", (one, two)), Turn("assistant", "A cup and a key."))
    assert sent(Prompt("And this?", (three,), system="Be brief.", earlier=earlier)) == {
        "model": "mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [shown(PNG + b"1"), shown(PNG + b"2"), {"type": "text", "text": "These two?"}],
            },
            {"role": "assistant", "content": "A cup and a key."},
            {"role": "user", "content": [shown(PNG + b"3"), {"type": "text", "text": "And this?"}]},
        ],
        "temperature": 0.0,
        "max_tokens": 256,
    }


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(st.characters()))), st.text(), st.text())
def test_whatever_is_said_arrives_as_it_was_said(turns: list[tuple[Role, str]], text: str, system: str) -> None:
    messages = sent(Prompt(text, system=system, earlier=tuple(Turn(*turn) for turn in turns)))["messages"]
    said = [("system", system)] * bool(system) + turns + [("user", text)]
    assert [(message["role"], message["content"]) for message in messages] == said


@pytest.mark.parametrize("start", [b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"none"])
def test_a_picture_s_type_is_told_by_its_bytes(tmp_path: Path, start: bytes) -> None:
    mime = {b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}.get(start, "image/png")
    (message,) = sent(Prompt("What?", (image(tmp_path / "x", start),)))["messages"]
    assert message["content"][0] == shown(start, mime)


def test_pictures_are_read_once_while_they_are_kept_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    pictures = [image(tmp_path / f"{number}.png", bytes([number]) * 30) for number in range(4)]
    cache = PictureCache(most=100)  # two of 40 bytes in base64
    encoded = [cache.encoded(picture) for picture in pictures]
    for picture in pictures:
        picture.path.unlink()
    assert [cache.encoded(picture) for picture in pictures[2:]] == encoded[2:]
    for picture in pictures[:2]:
        with pytest.raises(OSError, match=picture.path.name):
            cache.encoded(picture)


def test_a_picture_of_other_bytes_is_another_picture_to_the_cache(tmp_path: Path) -> None:
    cache, before = PictureCache(most=1000), image(tmp_path / "x.png", b"before")
    cache.encoded(before)
    before.path.write_bytes(b"after")
    after = replace(before, sha256="b" * 64)
    assert cache.encoded(after) == ("image/png", base64.b64encode(b"after"))


def test_a_picture_of_several_megabytes_arrives_whole(store: CallStore, tmp_path: Path) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return completion("Fine.")

    content = PNG * 400_000
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
        ({"content": None, "reasoning_content": "Hm."}, "Hm.", ""),
        ({"content": "Yes.", "reasoning_content": None}, "", "Yes."),
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


def test_a_call_goes_through_the_proxy_that_the_environment_names(
    store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: list[str] = []

    async def respond(request: web.Request, number: int) -> web.Response:
        hosts.append(request.headers["Host"])
        return completion("By proxy.")

    with serving(respond) as server:
        monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "direct.invalid")
        spec = server.spec(url="http://somewhere.invalid/v1")
        (reply,) = complete(open_model(spec), [Prompt("?")], sampling=Sampling(), store=store)
    assert (reply.text, hosts) == ("By proxy.", ["somewhere.invalid"])


def test_a_netrc_file_is_not_read(store: CallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        return completion("Fine.")

    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login someone password secret")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    with serving(respond) as server:
        complete(open_model(server.spec()), [Prompt("?")], sampling=Sampling(), store=store)
    assert "Authorization" not in server.headers[0]
