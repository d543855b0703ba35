"""The server of a review on this machine."""

from __future__ import annotations

import socket
from typing import Final

from spavl.web.listening import listen_at, serve

__all__ = ["PORT", "listen", "serve"]

PORT: Final = 8765
"""Where the server listens unless another port is named."""


def listen(host: str, port: int | None) -> socket.socket:
    """A socket for the server: the usual port, or any free one where that is taken and none was named.

    Args:
        host: name or number of the address.
        port: that was named; None: any will do.

    Raises:
        RunError: the port is taken, or the machine has no such address.
    """
    return listen_at(host, port, usual=PORT)
