"""A web server on this machine for tests of downloads: what each path answers, and which paths were asked for."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from spavl.config.sources import DownloadSettings

Answer = Callable[[BaseHTTPRequestHandler], None]
"""Writes an answer."""


class Web(ThreadingHTTPServer):
    """A server whose answers may be set by path; every other path has the bytes of `otherwise`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer | bytes] = {}
        self.otherwise: Callable[[str], bytes] = lambda path: b""
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = Lock()

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_port}"

    def address(self, path: str) -> str:
        """The address of a path."""
        return f"http://{self.host}{path}"

    def settings(self, **changes: Any) -> DownloadSettings:
        """Settings that allow this server, and wait for little."""
        return DownloadSettings(**{"allow_hosts": (self.host,), "seconds": 5, "idle_seconds": 2, **changes})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Web

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked[self.path] += 1
            self.server.headers.append(dict(self.headers))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            answer = self.server.answers.get(self.path, b"")
            if callable(answer):
                answer(self)
            else:
                send(self, answer or self.server.otherwise(self.path))
        except OSError:  # the client has had enough
            self.close_connection = True
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def log_message(self, *args: Any) -> None:
        """Nothing is written."""


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """Send a whole answer."""
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def status(code: int, **headers: str) -> Answer:
    """An answer without a body."""
    return lambda handler: send(handler, b"", code, **headers)


def redirect(to: str) -> Answer:
    """An answer that leads elsewhere."""
    return status(302, Location=to)


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Break the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    raise OSError


def first(answer: Answer, then: bytes) -> Answer:
    """An answer to the first request, and a body for all others."""
    asked = Counter[str]()

    def give(handler: BaseHTTPRequestHandler) -> None:
        asked["times"] += 1
        if asked["times"] == 1:
            answer(handler)
        else:
            send(handler, then)

    return give


@contextmanager
def serving() -> Iterator[Web]:
    """A server, in a thread of its own."""
    web = Web()
    thread = Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


class Names(AbstractResolver):
    """Looks names up in a table; each name may stand for another number every time."""

    def __init__(self, table: dict[str, list[str]]) -> None:
        self._table = table

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The next number of a name."""
        numbers = self._table[host]
        number = numbers.pop(0) if len(numbers) > 1 else numbers[0]
        kind = socket.AF_INET6 if ":" in number else socket.AF_INET
        return [ResolveResult(hostname=host, host=number, port=port, family=kind, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


def store(folder: Path, data: bytes, sha256: str, suffix: str = ".png") -> Path:
    """Put a picture where a run folder keeps it."""
    path = folder / "images" / sha256[:2] / f"{sha256}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
