"""Ending a server on loopback without leaving a connection open."""

from __future__ import annotations

import asyncio

from aiohttp import web


async def close(runner: web.AppRunner) -> None:
    """Take no new connections, and close all there are before the loop ends.

    asyncio leaves a connection open that it takes in the moment in which the server is closed: it is warned of when its
    memory is freed, in whatever test that happens. So nothing more is taken first, and then the server is closed.
    """
    loop = asyncio.get_running_loop()
    for site in runner.sites:
        assert isinstance(site, web.TCPSite)
        for listening in site._server.sockets:  # type: ignore[union-attr]
            loop.remove_reader(listening.fileno())
    await _turns()
    await runner.cleanup()
    await _turns()


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
