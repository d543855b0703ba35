"""A server of pages on this machine."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn

from spavl.errors import RunError


def listen_at(host: str, port: int | None, *, usual: int) -> socket.socket:
    """A socket for the server: the usual port, or any free one where that is taken and none was named.

    Args:
        host: name or number of the address.
        port: that was named; None: any will do.
        usual: that is tried first where none was named.

    Raises:
        RunError: the port is taken, or the machine has no such address.
    """
    try:
        return _bound(host, usual if port is None else port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and port is None:
            return _bound(host, 0)
        other = "`--host 127.0.0.1`" if _is_of_host(error) else "`--port` with another number"
        raise RunError(_why(error, host, port or usual), where=f"{host}:{port or usual}", try_=other) from error


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Another program listens at port {port}"
    if _is_of_host(error):
        return f"This machine has no address `{host}`"
    return f"The server cannot listen there: {error.strerror}"


def _is_of_host(error: OSError) -> bool:
    return isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL


def serve(app: Any, listening: socket.socket, *, on_start: Callable[[], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        app: the web app.
        listening: a socket.
        on_start: called when pages can be opened.
    """
    config = uvicorn.Config(app, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=3)
    server = _Server(config, on_start)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that says when it has started."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so.

        Args:
            sockets: that it listens at.
        """
        await super().startup(sockets)
        if self.started:
            self._on_start()
