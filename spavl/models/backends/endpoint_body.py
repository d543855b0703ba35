"""The JSON body of a chat completion, put together as bytes: a picture is encoded once for all its questions.

`json.dumps` over a picture, again for every question, would take longer than all the rest of a call. Imported late, for
aiohttp is heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, final

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter
from typing_extensions import override

from spavl.config.models import EndpointSpec
from spavl.models.backends.endpoint_pictures import PICTURES
from spavl.models.base import Request


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
    """The body of a chat completion. OSError if a picture's file cannot be read.

    Args:
        spec: the settings entry.
        request: what to ask; its key seeds the sampling.

    Raises:
        DataError: a picture cannot be opened.
    """
    text = f'{{"model":{quoted(spec.model)},"messages":['
    instructions = "\n\n".join(part for part in (spec.system, request.prompt.system) if part)
    if instructions:
        text += f'{{"role":"system","content":{quoted(instructions)}}},'
    pieces: list[bytes] = []
    for turn in request.prompt.turns:
        text += f'{{"role":"{turn.role}","content":' + ("[" if turn.images else "")
        for image in turn.images:
            mime, content = PICTURES.encoded(image, spec.pictures)
            pieces += [f'{text}{{"type":"image_url","image_url":{{"url":"data:{mime};base64,'.encode(), content]
            text = '"}},'
        text += f'{{"type":"text","text":{quoted(turn.text)}}}]}},' if turn.images else f"{quoted(turn.text)}}},"
    parameters = json.dumps(_parameters(spec, request), separators=(",", ":"))
    return Body([*pieces, f"{text.removesuffix(',')}],{parameters[1:]}".encode()])


def _parameters(spec: EndpointSpec, request: Request) -> dict[str, Any]:
    """All fields of the body but `model` and `messages`."""
    sampling = request.sampling
    fields: dict[str, Any] = {"temperature": sampling.temperature, spec.token_limit: sampling.max_tokens}
    if sampling.temperature > 0:
        # The seed is of the key, so that each of several samples has one of its own, and the same when asked again.
        fields |= {"top_p": sampling.top_p, "seed": int(request.key[:8] or "0", 16) >> 1}
    if request.schema is not None:
        fields["response_format"] = _response_format(request.schema)
    return {name: value for name, value in fields.items() if name not in spec.leave_out} | spec.extra_body


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": dict(schema), "strict": True}}
