"""Connections to public machines only: each is checked by the number that is really connected to.

A name is looked up once for a connection, and the connection goes to the numbers that were checked, so that a name
server that answers otherwise the second time (DNS rebinding) gains nothing. The socket's own check stands behind it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from spavl.config.sources import DownloadSettings
from spavl.dataset.collect.addresses import RefusedAddress, hosts_of, refuse_number, why_refused

ResolverFactory = Callable[[], AbstractResolver]
"""Makes what looks names up, inside the event loop."""


@final
class PublicResolver(AbstractResolver):
    """Looks names up, and gives of their numbers only those that may be asked.

    Args:
        inner: what looks them up.
        allowed: hosts that may be asked whatever their numbers.
    """

    def __init__(self, inner: AbstractResolver, allowed: frozenset[tuple[str, int]]) -> None:
        self._inner = inner
        self._allowed = allowed
        self.granted: set[tuple[str, int]] = {host for host in allowed if _is_number(host[0])}
        """Numbers and ports of the allowed hosts."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The numbers of a host that may be asked.

        Args:
            host: its name.
            port: to connect to.
            family: of addresses.

        Raises:
            RefusedAddress: it has none.
        """
        found = await self._inner.resolve(host, port, family)
        if (host.rstrip(".").lower(), port) in self._allowed:
            self.granted.update((one["host"], port) for one in found)
            return found
        public = [one for one in found if not why_refused(one["host"])]
        if found and not public:
            why = why_refused(found[0]["host"])
            number = found[0]["host"]
            raise RefusedAddress(
                f"{host} stands for {number}, {why}, which is not asked unless `download.allow_hosts` names the host"
            )
        return public

    async def close(self) -> None:
        """Close what looks names up."""
        await self._inner.close()


def _is_number(host: str) -> bool:
    try:
        why_refused(host)
    except ValueError:
        return False
    return True


def open_session(settings: DownloadSettings, make_resolver: ResolverFactory) -> aiohttp.ClientSession:
    """A session without cookies, `.netrc`, proxies and decompression; to be made in its event loop.

    Args:
        settings: time limits, and hosts that may be asked though they are private.
        make_resolver: makes what looks names up.
    """
    resolver = PublicResolver(make_resolver(), hosts_of(settings.allow_hosts))

    def make_socket(found: Any) -> socket.socket:
        """A socket for a number that may be asked."""
        family, kind, protocol, _, (number, port, *_) = found
        if (number, port) not in resolver.granted:
            refuse_number(number)
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        limit=settings.concurrency, limit_per_host=settings.per_host, resolver=resolver, use_dns_cache=False,
        socket_factory=make_socket,
    )  # fmt: skip
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False,
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=settings.idle_seconds, sock_read=settings.idle_seconds
        ),
        headers={"User-Agent": settings.user_agent, "Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"},
    )  # fmt: skip
