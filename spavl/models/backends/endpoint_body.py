"""The JSON body of a chat completion, put together as bytes: a picture is read and encoded once for all its questions.

`json.dumps` over a picture, again for every question, would take longer than all the rest of a call. Imported late, for
aiohttp is heavy.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final, final

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter
from typing_extensions import override

from spavl.config.models import EndpointSpec
from spavl.models.base import Prompt, Request, Sampling
from spavl.records import ImageRef

SIGNATURES: Final = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
"""MIME type by the first bytes of a picture file; the file's name may be wrong."""

MOST_CACHED: Final = 64 * 2**20
"""Bytes of encoded pictures that are kept: some 300 of 150 KB."""


@final
class PictureCache:
    """Pictures as data URLs, the last ones used, whatever model asked. For any number of threads.

    Args:
        most: bytes that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._urls: OrderedDict[ImageRef, bytes] = OrderedDict()
        self._guard = threading.Lock()

    def data_url(self, image: ImageRef) -> bytes:
        """A picture as a data URL; OSError if it cannot be read.

        Args:
            image: the picture.
        """
        with self._guard:
            url = self._urls.get(image)
            if url is not None:
                self._urls.move_to_end(image)
                return url
        url = _data_url(image.path.read_bytes())
        with self._guard:
            self._size += len(url) - len(self._urls.pop(image, b""))
            self._urls[image] = url
            while self._size > self._most:
                _, oldest = self._urls.popitem(last=False)
                self._size -= len(oldest)
        return url


PICTURES: Final = PictureCache(MOST_CACHED)
"""The pictures of all endpoints: several responders are asked about the same ones at the same time."""


@final
class Body(Payload):
    """A body that is sent as it is. aiohttp warns of bytes of more than a megabyte, which pictures often are.

    Args:
        content: the JSON.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content, content_type="application/json")
        self._content = content
        self._size = len(content)

    @override
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return self._content.decode(encoding, errors)

    @override
    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body."""
        await writer.write(self._content)

    @override
    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send the body, whose length is what the header says."""
        await writer.write(self._content)


def body_of(spec: EndpointSpec, request: Request) -> Body:
    """The body of a chat completion. OSError if a picture cannot be read.

    Args:
        spec: the settings entry.
        request: what to ask; its key seeds the sampling.
    """
    start = f'{{"model":{quoted(spec.model)},"messages":['
    end = f"],{_sampling(request.sampling, request.key)}{_format(request.schema)}}}"
    return Body(b"".join([start.encode(), *_messages(spec.system, request.prompt), end.encode()]))


def _messages(system: str, prompt: Prompt) -> list[bytes]:
    instructions = "\n\n".join(text for text in (system, prompt.system) if text)
    parts: list[bytes] = []
    if instructions:
        parts.append(f'{{"role":"system","content":{quoted(instructions)}}},'.encode())
    for turn in prompt.earlier:
        parts += [*_message(turn.role, turn.text, turn.images), b","]
    return parts + _message("user", prompt.text, prompt.images)


def _message(role: str, text: str, images: tuple[ImageRef, ...]) -> list[bytes]:
    """A turn: its text, or a list of its pictures and its text."""
    if not images:
        return [f'{{"role":"{role}","content":{quoted(text)}}}'.encode()]
    parts = [f'{{"role":"{role}","content":['.encode()]
    for image in images:
        parts += [b'{"type":"image_url","image_url":{"url":"', PICTURES.data_url(image), b'"}},']
    return [*parts, f'{{"type":"text","text":{quoted(text)}}}]}}'.encode()]


def _sampling(sampling: Sampling, key: str) -> str:
    form = f'"temperature":{json.dumps(sampling.temperature)},"max_tokens":{sampling.max_tokens}'
    if sampling.temperature <= 0:
        return form
    # From the key, so that each of several samples has a seed of its own, and the same one when asked again.
    return f'{form},"top_p":{json.dumps(sampling.top_p)},"seed":{int(key[:8] or "0", 16) >> 1}'


def _format(schema: Mapping[str, Any] | None) -> str:
    if schema is None:
        return ""
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": dict(schema), "strict": True}}
    return f',"response_format":{json.dumps(form)}'


def _data_url(content: bytes) -> bytes:
    mime = next((mime for start, mime in SIGNATURES.items() if content.startswith(start)), "image/png")
    return f"data:{mime};base64,".encode() + b64encode(content)
