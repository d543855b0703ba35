"""Pictures from the web, kept in memory only: a thread with an event loop, limits, redirects and retries.

What comes is hostile: it is cut off at a size and a time, never unpacked, and its declared type and length are not
believed. What it is is found out by who decodes it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock, Thread
from typing import final
from urllib.parse import urljoin

import aiohttp
import stamina
from aiohttp.resolver import ThreadedResolver

from spavl.config.sources import DownloadSettings
from spavl.dataset.collect.addresses import RefusedAddress, check_address, hosts_of
from spavl.dataset.collect.connect import ResolverFactory, open_session

FIRST_PAUSE = 0.5
"""Seconds before the second attempt, doubled for each further one."""
PIECE = 2**16
"""Bytes that are read at once."""
REDIRECTS = (301, 302, 303, 307, 308)
COMPRESSED = ("gzip", "x-gzip", "deflate", "compress", "br", "zstd")
MEANINGS = {401: "it wants a login", 403: "access is refused", 404: "there is no such picture",
            410: "the picture is gone", 451: "withheld for legal reasons"}  # fmt: skip
"""What is said of a status."""

logging.getLogger("stamina").addHandler(logging.NullHandler())  # it would write of every retry to the screen


class Trouble(Exception):
    """A picture did not come.

    Args:
        what: why, as part of a sentence.
        lasting: whether asking again another day cannot help.
        again: whether asking again soon may help.
        after: seconds that the server asks to wait.
    """

    def __init__(self, what: str, *, lasting: bool = False, again: bool = False, after: float = 0.0) -> None:
        self.what = what
        self.lasting = lasting
        self.again = again
        self.after = after
        super().__init__(what)


@dataclass(slots=True)
class _Host:
    """A host that is being asked."""

    free: asyncio.Semaphore
    users: int = 0
    until: float = 0.0


@final
class Downloader:
    """Fetches pictures; may be asked by several threads at once.

    Args:
        settings: limits.
        make_resolver: makes what looks up the names of hosts.
    """

    def __init__(self, settings: DownloadSettings, make_resolver: ResolverFactory = ThreadedResolver) -> None:
        self._settings = settings
        self._make_resolver = make_resolver
        self._allowed = hosts_of(settings.allow_hosts)
        self._hosts: dict[str, _Host] = {}
        self._closing = Lock()
        self._loop = asyncio.new_event_loop()
        self._names = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="names")
        self._loop.set_default_executor(self._names)
        self._thread = Thread(target=self._loop.run_forever, name="downloads", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    async def _open(self) -> None:
        self._slots = asyncio.Semaphore(self._settings.concurrency)
        self._session = open_session(self._settings, self._make_resolver)

    def close(self) -> None:
        """End all requests and the thread. Harmless when called again."""
        with self._closing:
            if self._loop.is_closed():
                return
            asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._names.shutdown(wait=False, cancel_futures=True)
            self._loop.close()

    async def _shut(self) -> None:
        me = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not me]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    def read(self, address: str) -> bytes:
        """The bytes at an address, whatever they are.

        Args:
            address: http or https.

        Raises:
            Trouble: they do not come.
        """
        return asyncio.run_coroutine_threadsafe(self._fetch(address), self._loop).result()

    async def _fetch(self, address: str) -> bytes:
        """The bytes, after as many attempts as it takes."""
        tries = stamina.retry_context(
            on=self._pause, attempts=self._settings.attempts, timeout=None, wait_initial=FIRST_PAUSE,
            wait_max=self._settings.longest_wait or FIRST_PAUSE,
        )  # fmt: skip
        async for attempt in tries:
            with attempt:
                return await self._attempt(address)
        raise AssertionError("stamina ends with a value or an exception")

    def _pause(self, error: Exception) -> bool | float:
        """Whether another attempt is made; or the seconds before it, where the server names them."""
        if not isinstance(error, Trouble) or not error.again or error.after > self._settings.longest_wait:
            return False
        return error.after or True

    async def _attempt(self, address: str) -> bytes:
        """The bytes, by one attempt."""
        try:
            return await self._follow(address)
        except RefusedAddress as error:
            raise Trouble(error.what, lasting=True) from error
        except TimeoutError as error:
            raise Trouble("it did not come in time (`build.collect.download.seconds`, `idle_seconds`)") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _trouble_of(error) from error

    async def _follow(self, address: str) -> bytes:
        """The bytes at an address, or where it redirects to; each address is checked anew."""
        left = self._settings.seconds
        for _ in range(self._settings.redirects + 1):
            host, _ = check_address(address, self._allowed)
            async with self._turn(host):
                start = time.monotonic()
                async with asyncio.timeout(left), self._session.get(address, allow_redirects=False) as response:
                    if response.status not in REDIRECTS:
                        return await self._body(response, host)
                    address = urljoin(address, response.headers.get("Location", ""))
                left -= time.monotonic() - start
        raise Trouble(f"more than {self._settings.redirects} redirects", lasting=True)

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """Wait until a host may be asked."""
        host = self._hosts.setdefault(name, _Host(asyncio.Semaphore(self._settings.per_host)))
        host.users += 1
        try:
            async with host.free:
                while (pause := host.until - time.monotonic()) > 0:
                    if pause > self._settings.longest_wait:
                        raise Trouble(f"{name} asked to wait, for {pause:,.0f} seconds more")
                    await asyncio.sleep(pause)
                async with self._slots:
                    yield
        finally:
            host.users -= 1
            if not host.users and host.until <= time.monotonic():
                self._hosts.pop(name, None)

    async def _body(self, response: aiohttp.ClientResponse, host: str) -> bytes:
        """The bytes of an answer, of which no more are taken than allowed."""
        if response.status != 200:
            raise self._refusal(response, host)
        if response.headers.get("Content-Encoding", "").strip().lower() in COMPRESSED:
            raise Trouble("the server sent it compressed, though asked not to, and nothing is unpacked", lasting=True)
        most = self._settings.max_bytes
        too_large = Trouble(f"it is larger than `build.collect.download.max_bytes` ({most:,})", lasting=True)
        if (response.content_length or 0) > most:
            raise too_large
        data = bytearray()
        async for piece in response.content.iter_chunked(PIECE):
            if len(data) + len(piece) > most:
                raise too_large
            data += piece
        return bytes(data)

    def _refusal(self, response: aiohttp.ClientResponse, host: str) -> Trouble:
        """What an answer with another status than 200 means."""
        status = response.status
        meaning = MEANINGS.get(status) or response.reason or ""
        what = f"the server answered {status}" + (f": {' '.join(meaning.split())[:80]}" if meaning else "")
        if status != 429 and status < 500:
            return Trouble(what, lasting=status in (404, 410))
        after = _seconds(response.headers.get("Retry-After", ""))
        if after and host in self._hosts:
            self._hosts[host].until = max(self._hosts[host].until, time.monotonic() + after)
        wait = f", and asked to wait for {after:,.0f} seconds" if after > self._settings.longest_wait else ""
        return Trouble(what + wait, again=True, after=after)


def _seconds(text: str) -> float:
    """What `Retry-After` asks for: seconds, or a date; 0 where it says neither."""
    if text.strip().isascii() and text.strip().isdigit():
        return float(min(int(text.strip()[:9]), 10**9))
    try:
        when = parsedate_to_datetime(text)
        until = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):  # what the parser raises over odd dates
        return 0.0


def _trouble_of(error: aiohttp.ClientError | OSError | ValueError) -> Trouble:
    """What an exception of a connection means."""
    why = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return Trouble(f"the server's certificate is not trusted: {why}")
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return Trouble("this is no address that can be asked", lasting=True)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        soon = isinstance(error.os_error, socket.gaierror) and error.os_error.errno == socket.EAI_AGAIN
        return Trouble(f"the name of its host is not known: {error.host}", again=soon)
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        return Trouble(f"the connection failed: {why}", again=True)
    return Trouble("the server's answer cannot be read as HTTP")
