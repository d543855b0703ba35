"""A server for benchmarks, in a process of its own: answers every POST with one chat completion, after a delay.

python -m bench.server SECONDS

It prints its port. It reads requests without looking at them, so that it is never what a client waits for. A GET is
answered with the number of answers so far.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ANSWER = (
    b'{"id":"x","object":"chat.completion","model":"m","system_fingerprint":"fp","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"' + b"A plain answer of some fifty words. " * 8 + b'"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":700,"completion_tokens":70,"total_tokens":770}}'
)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)


class Connection(asyncio.Protocol):
    """One connection: counts the bytes of a request, and answers when all have come."""

    answers = 0
    """Answers of all connections."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: Any) -> None:
        """Remember where to write."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take the head of a request, or a part of its body."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            if self._head.startswith(b"GET "):
                self._head = b""
                count = str(Connection.answers).encode()
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(count), count))
                return
            length = self._head[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._missing = int(length) - (len(self._head) - end - 4)
            self._head = b""
        if not self._missing:
            self._answer()

    def _answer(self) -> None:
        Connection.answers += 1
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, RESPONSE)
        else:
            self._transport.write(RESPONSE)


@contextmanager
def serving(delay: float) -> Iterator[str]:
    """The base address of a server in a process of its own, until the block ends.

    Args:
        delay: seconds before every answer.
    """
    command = [sys.executable, "-m", "bench.server", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.terminate()


def answered(url: str) -> int:
    """How many requests a server has answered, or is about to.

    Args:
        url: its base address.
    """
    with urllib.request.urlopen(url) as response:
        return int(response.read())


async def _serve(delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
