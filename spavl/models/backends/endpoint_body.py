"""The JSON body of a chat completion, put together as bytes: a picture is read and encoded once for all its questions.

`json.dumps` over a picture, again for every question, would take longer than all the rest of a call. Imported late, for
aiohttp is heavy.
"""

from __future__ import annotations

import json
import threading
from binascii import b2a_base64
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final, final

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter
from typing_extensions import override

from spavl.config.models import EndpointSpec
from spavl.models.base import Request, Sampling
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
    """Pictures in base64, the last ones used, whatever model asked. For any number of threads.

    Args:
        most: bytes that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._pictures: OrderedDict[ImageRef, tuple[str, bytes]] = OrderedDict()
        self._guard = threading.Lock()

    def encoded(self, image: ImageRef) -> tuple[str, bytes]:
        """MIME type and base64 of a picture; OSError if it cannot be read.

        Args:
            image: the picture.
        """
        with self._guard:
            known = self._pictures.get(image)
            if known is not None:
                self._pictures.move_to_end(image)
                return known
        content = image.path.read_bytes()
        found = _mime(content), b2a_base64(content, newline=False)
        with self._guard:
            if image not in self._pictures:
                self._size += len(found[1])
            self._pictures[image] = found
            while self._size > self._most:
                _, (_, oldest) = self._pictures.popitem(last=False)
                self._size -= len(oldest)
        return found


PICTURES: Final = PictureCache(MOST_CACHED)
"""The pictures of all endpoints: several responders are asked about the same ones at the same time."""


@final
class Body(Payload):
    """A body in pieces, each sent as it is: joined, every picture would be copied twice more for each question.

    Nor does aiohttp warn of it, as it does of bytes of more than a megabyte, which pictures often are.

    Args:
        pieces: the JSON.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__(pieces, content_type="application/json")
        self._pieces = pieces
        self._size = sum(map(len, pieces))

    @override
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return b"".join(self._pieces).decode(encoding, errors)

    @override
    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the body."""
        for piece in self._pieces:
            await writer.write(piece)

    @override
    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send the body, whose length is what the header says."""
        await self.write(writer)


def body_of(spec: EndpointSpec, request: Request) -> Body:
    """The body of a chat completion. OSError if a picture cannot be read.

    Args:
        spec: the settings entry.
        request: what to ask; its key seeds the sampling.
    """
    text = f'{{"model":{quoted(spec.model)},"messages":['
    instructions = "\n\n".join(part for part in (spec.system, request.prompt.system) if part)
    if instructions:
        text += f'{{"role":"system","content":{quoted(instructions)}}},'
    pieces: list[bytes] = []
    for turn in request.prompt.turns:
        text += f'{{"role":"{turn.role}","content":' + ("[" if turn.images else "")
        for image in turn.images:
            mime, content = PICTURES.encoded(image)
            pieces += [f'{text}{{"type":"image_url","image_url":{{"url":"data:{mime};base64,'.encode(), content]
            text = '"}},'
        text += f'{{"type":"text","text":{quoted(turn.text)}}}]}},' if turn.images else f"{quoted(turn.text)}}},"
    end = f"{text.removesuffix(',')}],{_sampling(request.sampling, request.key)}{_format(request.schema)}}}"
    return Body([*pieces, end.encode()])


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


def _mime(content: bytes) -> str:
    return next((mime for start, mime in SIGNATURES.items() if content.startswith(start)), "image/png")
