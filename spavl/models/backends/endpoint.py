"""The backend of kind `endpoint`: any OpenAI-compatible `/chat/completions` (vLLM, Ollama, `transformers serve`, …).

One attempt a call; pauses and retries are those of `spavl.models.calls.rate_limit`. The API key is read from the
environment for each request's header and never stored, logged or shown.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from spavl.config.models import EndpointSpec
from spavl.models.base import Reply, Request, failed_reply
from spavl.models.calls.rate_limit import Retry, Trouble
from spavl.models.identity import identity_of
from spavl.records import Status

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

STATUS_OF: Final[Mapping[str, Status]] = {"length": "truncated", "content_filter": "filtered"}
"""Status by finish reason, for those that end an answer early."""

FILTERED_CODES: Final = frozenset({"content_filter", "content_policy_violation"})
"""Error codes with which status 400 means that a content filter refused; such a call is data and not a failure."""

OUT_OF_CREDIT: Final = "insufficient_quota"
"""Error code with which waiting does not help after status 429."""

GATEWAY: Final = frozenset({502, 503, 504})
"""Statuses of a gateway that has no server behind it at the moment."""

EXCERPT = 300
"""Most characters of a server's response in a message."""


@final
class EndpointModel:
    """An AsyncModel that sends one request over HTTP.

    Args:
        spec: the settings entry.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        self.name = spec.name
        self.identity = identity_of(spec)
        self.concurrency = spec.concurrency
        self.attempts = spec.attempts
        self._spec = spec
        self._url = f"{spec.url.rstrip('/')}/chat/completions"

    async def send(self, session: ClientSession, request: Request) -> Reply:
        """The reply of one attempt; a failed one if the server refuses this request only.

        Args:
            session: the session that all calls share.
            request: what to send; its key seeds the sampling.

        Raises:
            Retry: another attempt may help (throttled, server error, broken connection), or the model as a whole cannot
                be used (a refused key, a wrong address): see its `kind`.
        """
        import aiohttp

        from spavl.models.backends.endpoint_body import body_of

        try:
            body = body_of(self._spec, request)
        except OSError as error:
            return failed_reply(f"the picture cannot be read: {error}")
        try:
            async with session.post(
                self._url,
                data=body,
                headers=self._headers(),
                timeout=self._timeout,
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                return self._read(response, await response.read())  # fmt: skip
        except aiohttp.InvalidURL as error:
            what = f"`{self._spec.url}` is no address"
            raise Retry(what, kind="wrong address", try_="Write it as http://host:port/v1.") from error
        except aiohttp.ClientConnectorError as error:
            what = f"the server cannot be reached: {error}"
            raise Retry(what, kind="unreachable", try_="Start it, or mend `url`.") from error
        except TimeoutError as error:
            raise Retry(f"no answer within {self._spec.timeout:g} s", kind="no answer") from error
        except aiohttp.ClientError as error:
            raise Retry(f"the connection broke: {type(error).__name__}: {error}", kind="no answer") from error

    @cached_property
    def _timeout(self) -> ClientTimeout:
        import aiohttp

        return aiohttp.ClientTimeout(total=self._spec.timeout)

    @cached_property
    def _proxy(self) -> str | None:
        """The proxy that the environment names for this address; asked once, for each look takes as long as a call."""
        parts = urlsplit(self._url)
        return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)

    def _headers(self) -> dict[str, str]:
        key = self._key()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _key(self) -> str:
        name = self._spec.key_env
        if name is None:
            return ""
        key = os.environ.get(name, "").strip()
        if not key:
            what = f"the environment variable {name} holds no key"
            raise Retry(what, kind="unauthorised", try_=f"export {name}=...")
        return key

    def _read(self, response: ClientResponse, body: bytes) -> Reply:
        """What a response of the server means."""
        if response.status == 200:
            return self._read_completion(body)
        text = body.decode("utf-8", "replace")
        excerpt = self._excerpt(text)
        code = _error_code(text)
        match response.status:
            case 401 | 403:
                raise self._refused(response.status, excerpt, "unauthorised")
            case 402:
                raise self._refused(response.status, excerpt, "out of credit")
            case 429 if code == OUT_OF_CREDIT:
                raise self._refused(response.status, excerpt, "out of credit")
            case 429:
                raise Retry(f"429, too many requests: {excerpt}", after=_retry_after(response), throttled=True)
            case 408 | 409 | 425:
                raise Retry(f"{response.status}: {excerpt}", after=_retry_after(response))
            case status if status >= 500:
                kind: Trouble | None = "no answer" if status in GATEWAY else None
                raise Retry(f"the server failed with {status}: {excerpt}", after=_retry_after(response), kind=kind)
            case status if 300 <= status < 400:
                raise Retry(
                    f"the server redirects elsewhere ({status}, {response.headers.get('Location', 'nowhere')})",
                    kind="wrong address", try_="Give that address as `url`.",
                )  # fmt: skip
            case 400 if code in FILTERED_CODES:
                return Reply("", status="filtered", finish_reason="content_filter", detail=excerpt)
            case status:
                return failed_reply(f"the server refused the request with {status}: {excerpt}")

    def _read_completion(self, body: bytes) -> Reply:
        try:
            completion = json.loads(body.decode("utf-8", "replace"))
        except ValueError as error:
            kind = "a web page" if body.lstrip().startswith(b"<") else "something that is not JSON"
            what = f"the server answered with {kind}: {self._excerpt(body.decode('utf-8', 'replace'))}"
            try_ = "Check that `url` is the API's address, ending in /v1."
            raise Retry(what, kind="wrong address", try_=try_) from error
        try:
            return self._reply(completion)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
            excerpt = self._excerpt(body.decode("utf-8", "replace"))
            raise Retry(f"the answer is not a chat completion: {excerpt}") from error

    def _reply(self, completion: Mapping[str, Any]) -> Reply:
        choice, usage = completion["choices"][0], completion.get("usage") or {}
        message, reason = choice["message"], choice.get("finish_reason") or "stop"
        refusal = message.get("refusal") or ""
        prompt_tokens = int(usage.get("prompt_tokens") or 0)
        completion_tokens = int(usage.get("completion_tokens") or 0)
        return Reply(
            _text(message.get("content")) or refusal,
            status="refused" if refusal else STATUS_OF.get(reason, "ok"),
            finish_reason=reason,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost=(prompt_tokens * self._spec.price_in + completion_tokens * self._spec.price_out) / 1e6,
            fingerprint=str(completion.get("system_fingerprint") or completion.get("model") or ""),
            thought=_text(message.get("reasoning_content")) or _text(message.get("reasoning")),
        )

    def _refused(self, status: int, excerpt: str, kind: Trouble) -> Retry:
        key = f"the key in ${self._spec.key_env}" if self._spec.key_env else "requests without a key"
        try_ = (
            f"Set ${self._spec.key_env} to a key that is valid and has credit."
            if self._spec.key_env
            else "Name the environment variable that holds a key: `key_env`."
        )
        return Retry(f"the server refuses {key} ({status}): {excerpt}", kind=kind, try_=try_)

    def _excerpt(self, text: str) -> str:
        """The beginning of a response, on one line, without the key and without pictures."""
        key = os.environ.get(self._spec.key_env or "", "").strip()
        if key:
            text = text.replace(key, "[key]")
        text = re.sub(r"[A-Za-z0-9+/=]{100,}", "[data]", text)
        line = " ".join(text.split())
        return line if len(line) <= EXCERPT else f"{line[:EXCERPT]} ..."


def _text(content: Any) -> str:
    """The text of a message's content: a string, a list of parts, or nothing."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    if not isinstance(content, str | None):
        raise TypeError(f"a message's content is a {type(content).__name__}")
    return content or ""


def _error_code(text: str) -> str:
    try:
        error = json.loads(text)["error"]
        return str(error.get("code") or error.get("type") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def _retry_after(response: ClientResponse) -> float:
    """Seconds that the server asks to wait, given as a number or as a date (RFC 9110 §10.2.3); 0 if it does not."""
    header = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return 0.0
