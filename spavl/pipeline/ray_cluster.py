"""The Ray cluster of `runner: ray`: whether it answers, and joining or starting it."""

from __future__ import annotations

import logging
import os
import socket

from spavl.config import Settings
from spavl.errors import MissingExtra, RunError

REACH_SECONDS = 3.0
"""Longest wait for a cluster's head to answer."""
OBJECT_STORE_BYTES = 512 * 1024 * 1024
"""Memory for results under way, of a cluster that is started here."""
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""How a client of HTTP/2, and so of Ray, begins a connection (RFC 9113, 3.4), with empty SETTINGS."""
SETTINGS_FRAME = 4
"""Type of the frame that the server must begin with, at byte 3."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed|Task .* failed",
}
"""What Ray is told, when it is imported, where the environment says nothing: to send its makers no reports of its use;
not to copy this folder with all its runs to the actors, as it does under `uv run`; and not to print at length that an
actor died, which is said in a line of ours."""
NO_EXTRA = "`runner: ray` needs ray, which is not installed"


def check_ray(settings: Settings) -> None:
    """Check that Ray is installed, and that the cluster of `ray.address` answers. `auto` is looked up by Ray later.

    Args:
        settings: of the run.

    Raises:
        MissingExtra: Ray is not installed.
        RunError: nothing answers there, or something that is not Ray.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray  # noqa: F401
    except ImportError as missing:
        raise MissingExtra(NO_EXTRA, try_="pip install 'spavl[ray]'") from missing
    address = settings.ray.address
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS) as connection:
            connection.sendall(HTTP2_GREETING)
            answer = connection.recv(9)
    except (OSError, UnicodeError) as error:
        raise _no_answer(address, str(error)) from error
    if answer[3:4] != bytes([SETTINGS_FRAME]):
        raise _no_answer(address, "what listens there is not Ray")


def connect(settings: Settings) -> bool:
    """Join the cluster that the settings name, or start one. Returns whether this process was in none before.

    Args:
        settings: of the run.

    Raises:
        RunError: the cluster does not let this process join.
    """
    import ray

    if ray.is_initialized():
        return False
    address = settings.ray.address
    here = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES} if address is None else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **here)
    except (ConnectionError, RuntimeError, ValueError, OSError, SystemExit) as error:
        raise _no_answer(address or "local", str(error)) from error
    return True


def _no_answer(address: str, why: str) -> RunError:
    return RunError(
        f"The Ray cluster does not answer: {' '.join(why.split())[:200]}", where=f"ray.address: {address}",
        try_="leave `ray.address` out: one is started here; a cluster with tokens needs `export RAY_AUTH_MODE=token`",
    )  # fmt: skip
