"""The backend of kind `endpoint`: any OpenAI-compatible `/chat/completions` (vLLM, Ollama, `transformers serve`, …).

One attempt a call; pauses and retries are those of `spavl.models.calls.rate_limit`. Secrets are read from the
environment for each request's header and never stored, logged or shown. What a response means is told by
`endpoint_reply` (status 200) and `endpoint_errors` (all others).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, final
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from spavl.config.models import EndpointSpec
from spavl.errors import DataError
from spavl.models.backends.endpoint_errors import Refusal, excerpt, read_refusal, without_echoes
from spavl.models.backends.endpoint_reply import Completion, read_completion
from spavl.models.base import Reply, Request, failed_reply
from spavl.models.calls.rate_limit import Retry
from spavl.models.identity import identity_of

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

    from spavl.models.backends.endpoint_body import Body

CHAT = "/chat/completions"


def _say_nothing(line: str) -> None:
    """Where nobody listens."""


@final
class EndpointModel:
    """An AsyncModel that sends one request over HTTP.

    Args:
        spec: the settings entry.
        log: told, once, where the server says that another model answers than the one that was asked; from any thread.
    """

    def __init__(self, spec: EndpointSpec, log: Callable[[str], None] = _say_nothing) -> None:
        self.name = spec.name
        self.identity = identity_of(spec)
        self.concurrency = spec.concurrency
        self.attempts = spec.attempts
        self.patience = spec.patience
        self.longest_wait = spec.longest_wait
        self._spec = spec
        self._url = chat_address(spec.url)
        self._log = log
        self._said_model = False

    async def send(self, session: ClientSession, request: Request) -> Reply:
        """The reply of one attempt; a failed, filtered or invalid one if the server refuses this request only.

        Args:
            session: the session that all calls share.
            request: what to send; its key seeds the sampling.

        Raises:
            Retry: another attempt may help (throttled, server error, broken connection), or the model as a whole cannot
                be used (a refused key, a wrong address): see its `kind`.
        """
        try:
            body = await self._body(request)
        except OSError as error:
            return failed_reply(f"the picture cannot be read: {error}")
        except DataError as error:
            return Reply("", "invalid", "error", detail=f"the picture cannot be opened: {error.what}")
        import aiohttp

        try:
            async with session.post(
                self._url,
                data=body,
                headers=self._headers(),
                timeout=self._timeout,
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                return self._read(request, response, *await self._received(response))  # fmt: skip
        except aiohttp.InvalidURL as error:
            what = f"`{self._spec.url}` is no address"
            raise Retry(what, kind="wrong address", try_="Write it as http://host:port/v1.") from error
        except aiohttp.ClientConnectorError as error:
            what = f"the server cannot be reached: {error}"
            raise Retry(what, kind="unreachable", try_="Start it, or mend `url`.") from error
        except TimeoutError as error:
            raise Retry(f"no answer within {self._spec.timeout:g} s", kind="no answer") from error
        except aiohttp.ClientError as error:
            what = f"the connection broke: {type(error).__name__}: {excerpt(str(error))}"
            raise Retry(what, kind="no answer") from error

    async def _body(self, request: Request) -> Body:
        """The body, put together on another thread where a picture has to be read, and perhaps converted, first."""
        from spavl.models.backends.endpoint_body import body_of
        from spavl.models.backends.endpoint_pictures import PICTURES

        if PICTURES.holds(request.prompt.pictures, self._spec.pictures):
            return body_of(self._spec, request)
        return await asyncio.to_thread(body_of, self._spec, request)

    async def _received(self, response: ClientResponse) -> tuple[bytes, bool]:
        """A response's body up to the limit, and whether that is all of it."""
        pieces, size = [], 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if size > self._spec.max_response_bytes:
                return b"".join(pieces), False
        return b"".join(pieces), True

    def _read(self, request: Request, response: ClientResponse, body: bytes, whole: bool) -> Reply:
        """What a response of the server means."""

        def text() -> str:
            return without_echoes(self._without_secrets(body.decode("utf-8", "replace")), request.prompt)

        if not whole and response.status == 200:
            most = self._spec.max_response_bytes
            return failed_reply(f"the response is longer than {most:,} bytes (`max_response_bytes`)")
        if response.status != 200:
            return read_refusal(Refusal(response.status, text(), response.headers), self._spec)
        completion = Completion(body, text)
        reply = read_completion(completion, self._spec)
        answers = completion.model.removesuffix("@main")  # `transformers serve` adds the revision
        if answers not in ("", self._spec.model) and not self._said_model:
            self._said_model = True
            self._log(
                f"`{self.name}`: `{self._spec.model}` was asked for, and the server says that `{completion.model}` "
                "answers; if that is another model, mend `model` or `identity`."
            )
        return reply

    @cached_property
    def _timeout(self) -> ClientTimeout:
        import aiohttp

        return aiohttp.ClientTimeout(total=self._spec.timeout)

    @cached_property
    def _proxy(self) -> str | None:
        """The proxy that the environment names for this address; asked once, for each look takes as long as a call."""
        parts = urlsplit(self._url)
        named = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
        if not named:
            return None
        proxy = named if "://" in named else f"http://{named}"
        if not _is_proxy(proxy):
            what = f"the environment variable {parts.scheme}_proxy holds no address of an HTTP proxy"
            raise Retry(what, kind="wrong address", try_="Write it as http://host:port, or unset it.")
        return proxy

    def _headers(self) -> dict[str, str]:
        headers = {}
        if self._spec.key_env is not None:
            headers["Authorization"] = f"Bearer {self._secret(self._spec.key_env)}"
        for name, value in self._spec.headers.items():
            headers[name] = self._secret(value[1:]) if value.startswith("$") else value
        return headers

    def _secret(self, variable: str) -> str:
        secret = os.environ.get(variable, "").strip()
        if not secret:
            what = f"the environment variable {variable} holds no key"
            raise Retry(what, kind="unauthorised", try_=f"export {variable}=...")
        if not (secret.isascii() and secret.isprintable()):
            what = f"the environment variable {variable} holds a line break or another character that no key has"
            raise Retry(what, kind="unauthorised", try_=f"export {variable}=... with the key alone, on one line")
        return secret

    def _without_secrets(self, text: str) -> str:
        for secret in filter(None, (os.environ.get(name, "").strip() for name in self._spec.variables)):
            text = text.replace(secret, "[key]")
        return text


def chat_address(url: str) -> str:
    """Where chat completions are asked for: `/chat/completions` after the path of a base address, before its query.

    Args:
        url: the base address, or the whole one.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(CHAT) else path + CHAT))


def _is_proxy(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
