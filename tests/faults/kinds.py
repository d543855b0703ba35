"""Every way to fail, by name, and what a client should make of it.

Statuses and codes are those of OpenAI, Azure, OpenRouter, DashScope, Gemini, Anthropic, vLLM and the proxies before
them; a status alone is named by its number.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

from aiohttp import web

TEXT = "A plain answer."
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
FLAGGED = "Your input was flagged and requires moderation."


class Call(NamedTuple):
    """A call as the server sees it."""

    request: web.Request
    """The HTTP request."""
    body: dict[str, Any]
    """Its JSON."""
    id: str
    """Hash of model and messages."""


Respond = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Fault:
    """A way to fail."""

    respond: Respond
    """What the server does."""
    becomes: str
    """Status of the reply that a client should make of it, where every attempt meets it."""
    trouble: str = ""
    """What is wrong with the model as a whole, where every call meets it; empty: nothing is."""
    says: str = ""
    """Words that the reason, or an answer, holds."""
    repeated: bool = False
    """Whether another attempt may help, so that a client should make one."""
    attempts: int | None = None
    """Only so many attempts of a call meet it under a plan that says nothing else. None: all."""


def completion(
    text: object, reason: object = "stop", *, model: str = "mini", usage: object = USAGE, **message: object
) -> web.Response:
    """A chat completion.

    Args:
        text: content of the message.
        reason: finish reason.
        model: name that the server gives.
        usage: tokens.
        message: further fields of the message.
    """
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": reason}
    form = {"choices": [choice], "usage": usage, "model": model, "system_fingerprint": "fp_7"}
    return web.Response(text=json.dumps(form), content_type="application/json")


def _says(make: Callable[[], web.Response]) -> Respond:
    async def respond(call: Call) -> web.StreamResponse:
        return make()

    return respond


def _error(
    status: int, message: str = "Something is wrong.", *, headers: dict[str, str] | None = None, **error: object
) -> Respond:
    form = {"error": {"message": message, **error}}
    return _says(lambda: web.json_response(form, status=status, headers=headers))


def _json(form: object, status: int = 200) -> Respond:
    return _says(lambda: web.json_response(form, status=status))


def _raw(body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> Respond:
    return _says(lambda: web.Response(body=body, headers=headers, status=status))


def _completes(text: object = TEXT, reason: object = "stop", **more: Any) -> Respond:
    return _says(lambda: completion(text, reason, **more))


def _throttles(**headers: str) -> Respond:
    return _error(429, "Too many requests.", headers={name.replace("_", "-"): value for name, value in headers.items()})


def _busy(respond: Respond) -> Fault:
    return Fault(respond, "failed", says="429", repeated=True, attempts=2)


def _page(status: int = 200) -> Respond:
    page = "<!doctype html><html><title>Gateway</title></html>"
    return _says(lambda: web.Response(text=page, content_type="text/html", status=status))


async def _reset(call: Call) -> web.StreamResponse:
    assert call.request.transport is not None
    call.request.transport.abort()
    return web.Response()


async def _hang(call: Call) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def _cut(call: Call) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(call.request)
    await response.write(b'{"choices": [')
    return await _reset(call)


async def _drip(call: Call) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(call.request)
    for _ in range(3600 * 5):
        await response.write(b" ")
        await asyncio.sleep(0.2)
    return response


async def _pours(call: Call) -> web.StreamResponse:
    """50 MB of an answer."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(call.request)
    await response.write(b'{"choices": [{"message": {"content": "')
    for _ in range(500):
        await response.write(b"word " * 20_000)
    await response.write(b'"}, "finish_reason": "stop"}]}')
    return response


async def _too_many_date(call: Call) -> web.StreamResponse:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    return await _throttles(Retry_After=date)(call)


def _refuses(field: str, message: str, status: int = 400, **error: object) -> Respond:
    """Refuse a request that has a parameter, and answer one that has not."""

    async def respond(call: Call) -> web.StreamResponse:
        if field not in call.body:
            return completion(TEXT)
        return await _error(status, message, **error)(call)

    return respond


def _filter(code: str, message: str = "The request was blocked.", **error: object) -> Fault:
    return Fault(_error(400, message, code=code, **error), "filtered")


def _failed(respond: Respond, says: str = "", *, repeated: bool = True) -> Fault:
    return Fault(respond, "failed", says=says, repeated=repeated)


MAX_TOKENS = "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead."
NO_MODEL = "The model `mini` does not exist."
PINNED = b"{\"detail\":\"Server is pinned to '/models/other'; requested 'mini'.\"}"
TOP_P = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
OPENROUTER = {"reasons": ["violence"], "flagged_input": "abstract", "provider_name": "some", "model_slug": "some/mini"}
GZIPPED = gzip.compress(str(completion(TEXT).text).encode())
CHARSET = {"Content-Type": "application/json; charset=klingon"}
MATCHING_BLOCK = {"blockReason": "PROHIBITED_CONTENT"}

FILTERS = {
    "400 content_filter": _filter("content_filter"),
    "400 content_policy_violation": _filter("content_policy_violation"),
    "400 data_inspection_failed": _filter("data_inspection_failed"),
    "400 DataInspectionFailed": Fault(_json({"code": "DataInspectionFailed", "message": "Blocked."}, 400), "filtered"),
    "400 invalid_prompt": _filter("invalid_prompt"),
    "400 inner code": _filter("", innererror={"code": "ResponsibleAIPolicyViolation"}),
    "400 moderation metadata": _filter("400", "Provider returned error", metadata=OPENROUTER),
    "403 moderation words": Fault(_error(403, FLAGGED, code=403), "filtered"),
    "403 moderation metadata": Fault(_error(403, "Refused.", code=403, metadata=OPENROUTER), "filtered"),
    "451 moderation": Fault(_error(451, FLAGGED), "filtered"),
    "choices null, block reason": Fault(_json({"choices": None, "promptFeedback": MATCHING_BLOCK}), "filtered"),
    "choices empty, block reason": Fault(_json({"choices": [], "prompt_feedback": {"block_reason": 1}}), "filtered"),
    "200 with a filter's error": Fault(_json({"error": {"code": 403, "message": FLAGGED}}), "filtered"),
    "finish content_filter": Fault(_completes(None, "content_filter"), "filtered"),
    "finish SAFETY": Fault(_completes("A pl", "SAFETY"), "filtered"),
}  # fmt: skip
"""Refused by a filter: data, and never asked again."""

REQUESTS = {
    "413": Fault(_raw(b"Request Entity Too Large", status=413), "invalid", says="413"),
    "415": Fault(_error(415, "Unsupported media type."), "invalid", says="415"),
    "422 context length": Fault(_error(422, "This model's maximum context length is 4096 tokens."), "invalid"),
    "400 context_length_exceeded": Fault(_error(400, "Too long.", code="context_length_exceeded"), "invalid"),
    "400 context length in words": Fault(_error(400, "prompt is too long: 9000 tokens > 8192 maximum"), "invalid"),
    "400 invalid_image": Fault(_error(400, "Cannot read the image.", code="invalid_image_format"), "invalid"),
    "400 picture in words": Fault(_error(400, "Failed to load image: cannot identify image file"), "invalid"),
}
"""This very request is refused: asking again cannot help."""

REFUSALS = {
    "refusal text": Fault(_completes(None, refusal="I decline."), "refused", says="I decline."),
    "refusal true": Fault(_completes("I decline.", refusal=True), "refused", says="I decline."),
    "finish refusal": Fault(_completes("I decline.", "refusal"), "refused", says="I decline."),
}
"""The API itself declines."""

EMPTY = {
    "content null": Fault(_completes(None), "empty", repeated=True),
    "content empty": Fault(_completes(""), "empty", repeated=True),
    "content of blanks": Fault(_completes(" \n"), "empty", repeated=True),
    "content missing": Fault(_json({"choices": [{"message": {}, "finish_reason": "stop"}]}), "empty", repeated=True),
    "thought alone": Fault(_completes(None, reasoning_content="Hm."), "empty", repeated=True),
    "parts without text": Fault(_completes([{"type": "image_url"}]), "empty", repeated=True),
}
"""An answer without a word."""

UNFINISHED = {
    "finish error": _failed(_completes("A plai", "error"), "error"),
    "finish abort": _failed(_completes("A plai", "abort"), "abort"),
    "finish null": _failed(_completes("A plai", None), "finish_reason"),
    "finish missing": _failed(_json({"choices": [{"message": {"content": "A plai"}}]}), "finish_reason"),
    "finish integer": _failed(_completes("A plai", 3), "3"),
    "finish unknown": _failed(_completes("A plai", "sunset"), "sunset"),
    "finish tool_calls": _failed(_completes(None, "tool_calls", tool_calls=[{"id": "1"}]), "tool_calls"),
}
"""Generations that did not finish, or by no reason that is known: never a success."""

ODD = {
    "choices null": _failed(_json({"choices": None}), "not a chat completion"),
    "choices empty": _failed(_json({"choices": []}), "not a chat completion"),
    "choices a number": _failed(_json({"choices": 7}), "not a chat completion"),
    "a list": _failed(_json([]), "not a chat completion"),
    "a string": _failed(_json("text"), "not a chat completion"),
    "message null": _failed(_json({"choices": [{"message": None, "finish_reason": "stop"}]}), "not a chat completion"),
    "content a dict": _failed(_completes({"text": "A plain answer."}), "content"),
    "content a number": _failed(_completes(7), "content"),
    "200 HTML": _failed(_page(), "web page"),
    "200 broken JSON": _failed(_raw(b'{"choices": [{"mess'), "not JSON"),
    "200 no body": _failed(_raw(b""), "not JSON"),
    "200 error inside": _failed(_json({"error": {"code": 502, "message": "Upstream is gone."}}), "Upstream is gone"),
    "choice with an error": _failed(
        _json({"choices": [{"error": {"code": 502, "message": "Upstream."}, "finish_reason": "error"}]}), "error"
    ),
    "200,000 brackets": _failed(_raw(b"[" * 200_000), "not JSON"),
    "50 MB": _failed(_pours, "max_response_bytes", repeated=False),
    "wrong content-encoding": _failed(_raw(b"plain", {"Content-Encoding": "gzip"}), "connection"),
    "cut in the middle": _failed(_cut, "connection"),
    "reset": _failed(_reset, "connection"),
    "hang": _failed(_hang, "no answer within"),
    "slow drip": _failed(_drip, "no answer within"),
}  # fmt: skip
"""Replies that are none: each is a failure of its own call."""

BUSY = {
    "408": _failed(_error(408), "408"),
    "500": _failed(_error(500), "500"),
    "502 HTML": _failed(_page(502), "502"),
    "503": _failed(_error(503), "503"),
    "504": _failed(_raw(b"", status=504), "504"),
    "529": _failed(_error(529, "Overloaded."), "529"),
    "429": _busy(_throttles()),
    "429 seconds": _busy(_throttles(Retry_After="0.1")),
    "429 date": _busy(_too_many_date),
    "429 milliseconds": _busy(_throttles(retry_after_ms="50")),
    "429 inf": _busy(_throttles(Retry_After="inf")),
    "429 a day": _busy(_throttles(Retry_After="86400")),
}
"""Trouble that may pass."""

MODEL = {
    "401": Fault(_error(401, "Incorrect API key."), "failed", "unauthorised", says="401"),
    "403": Fault(_error(403, "Forbidden."), "failed", "unauthorised", says="403"),
    "402": Fault(_error(402, "Insufficient credits."), "failed", "out of credit", says="402"),
    "429 insufficient_quota": Fault(_error(429, "No quota.", code="insufficient_quota"), "failed", "out of credit"),
    "404 model": Fault(_error(404, NO_MODEL, code="model_not_found"), "failed", "unknown model"),
    "400 model": Fault(_error(400, "Invalid model name passed in model=mini"), "failed", "unknown model"),
    "400 pinned": Fault(_raw(PINNED, status=400), "failed", "unknown model", says="pinned to"),
    "404 page": Fault(_page(404), "failed", "wrong address", says="404"),
    "405": Fault(_raw(b"Method Not Allowed", status=405), "failed", "wrong address", says="405"),
    "redirect": Fault(
        _raw(b"", {"Location": "http://127.0.0.1:9/v1"}, 307), "failed", "wrong address", says="http://127.0.0.1:9/v1"
    ),
    "max_tokens refused": Fault(
        _refuses("max_tokens", MAX_TOKENS, param="max_tokens", code="unsupported_parameter"), "failed",
        "refused parameter", says="token_limit: max_completion_tokens",
    ),
    "top_p refused": Fault(_refuses("top_p", TOP_P), "failed", "refused parameter", says="leave_out: [top_p]"),
    "seed refused": Fault(
        _refuses("seed", "Extra inputs are not permitted", 422, param="seed"), "failed", "refused parameter",
        says="leave_out: [seed]",
    ),
    "response_format refused": Fault(
        _refuses("response_format", "'response_format' is not supported with this model."), "failed",
        "refused parameter", says="leave_out: [response_format]",
    ),
}  # fmt: skip
"""Trouble of the model as a whole, if every call meets it; of one call, it is that call's failure."""

FINE = {
    "gzip": Fault(_raw(GZIPPED, {"Content-Encoding": "gzip", "Content-Type": "application/json"}), "ok", says=TEXT),
    "charset unknown": Fault(_raw(str(completion(TEXT).text).encode(), CHARSET), "ok", says=TEXT),
    "parts": Fault(_completes([{"type": "text", "text": "A plain "}, {"text": "answer."}]), "ok", says=TEXT),
    "parts of strings": Fault(_completes(["A plain ", "answer."]), "ok", says=TEXT),
    "lone surrogate": Fault(_completes("A plain answer. \ud83d"), "ok", says=TEXT),
    "finish length": Fault(_completes("A plain", "length"), "truncated", says="A plain"),
    "finish STOP": Fault(_completes(TEXT, "STOP"), "ok", says=TEXT),
    "usage text": Fault(_completes(usage="n/a"), "ok", says=TEXT),
    "usage words": Fault(_completes(usage={"prompt_tokens": "n/a"}), "ok", says=TEXT),
    "usage 1e999": Fault(
        _says(lambda: web.Response(text=str(completion(TEXT).text).replace("100", "1e999"))), "ok", says=TEXT
    ),
    "usage 10**30": Fault(_completes(usage={"prompt_tokens": 10**30}), "ok", says=TEXT),
    "usage negative": Fault(_completes(usage={"prompt_tokens": -4}), "ok", says=TEXT),
    "usage null": Fault(_completes(usage=None), "ok", says=TEXT),
    "another model": Fault(_completes(model="mini-2031-01-01"), "ok", says=TEXT),
    "reasoning_content": Fault(_completes(reasoning_content="Hm."), "ok", says=TEXT),
    "reasoning": Fault(_completes(reasoning="Hm."), "ok", says=TEXT),
    "think block": Fault(_completes(f"<think>Hm.</think>\n{TEXT}"), "ok", says=TEXT),
    "think block opened in the prompt": Fault(_completes(f"Hm.\n</think>\n\n{TEXT}"), "ok", says=TEXT),
}  # fmt: skip
"""Odd, but whole answers."""

FAULTS: dict[str, Fault] = {
    **FILTERS, **REQUESTS, **REFUSALS, **EMPTY, **UNFINISHED, **ODD, **BUSY, **MODEL, **FINE,
}  # fmt: skip
"""All faults, by name."""
