"""Who may use a page of this machine: the token in its address, and where a request may come from."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlencode, urlsplit

from spavl.errors import RunError

TOKEN: Final = "access_token"
"""Name of the file that holds the token; nobody else's account may read it."""
EVERYWHERE: Final = ("0.0.0.0", "::")
"""Addresses at which a server listens to all networks of its machine."""
SAME_ORIGIN: Final = ("same-origin", "none")
"""What browsers say in `Sec-Fetch-Site` of requests that no other page made."""


def access_token(folder: Path) -> str:
    """The token that an address holds: made once, so that open pages outlive a restart.

    Args:
        folder: that keeps it, such as that of a review.

    Raises:
        RunError: it can be neither read nor written.
    """
    path = folder / TOKEN
    try:
        with _opened_once(path) as file:
            file.write(secrets.token_urlsafe(24))
    except FileExistsError:
        pass
    except OSError as error:
        raise RunError(f"The token of the page cannot be written: {error.strerror}", where=str(path)) from error
    try:
        found = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise RunError(f"The token of the page cannot be read: {error}", where=str(path)) from error
    if len(found) < 16:
        raise RunError("The token of the page is damaged", where=str(path), try_="delete the file: a new one is made")
    return found


def _opened_once(path: Path) -> TextIO:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8")


def is_same(given: str, wanted: str) -> bool:
    """Whether two tokens are the same, compared in a time that says nothing of where they differ.

    Args:
        given: what a request brought.
        wanted: the right one.
    """
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def address(host: str, port: int, token: str, personal: str = "") -> str:
    """The address to open.

    Args:
        host: name or number of the machine.
        port: of the server.
        token: of the page.
        personal: of a person; empty: whoever opens it says a name.
    """
    named = f"[{host}]" if ":" in host else host
    return f"http://{named}:{port}/?{urlencode({'token': token} | ({'me': personal} if personal else {}))}"


def name_of(host: str) -> str:
    """What others call a server that listens at an address: of one that listens everywhere, the machine's name.

    Args:
        host: name or number of the address.
    """
    return socket.gethostname() if host in EVERYWHERE else host


def number_of(host: str) -> str:
    """The number by which a telephone reaches a server that listens everywhere, where nobody knows this machine's name.

    Empty where the machine has no network, or the host is a single address.

    Args:
        host: name or number that the server listens at.
    """
    if host not in EVERYWHERE:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))  # sends nothing: the system chooses the address that it would send from
        except OSError:
            return ""
        return str(asked.getsockname()[0])


def known_hosts(host: str) -> frozenset[str]:
    """Names by which the server may be called; numbers are always right, for no page can make one its own.

    Args:
        host: that it listens at.
    """
    own = socket.gethostname().lower()
    return frozenset({"localhost", host.lower(), own, f"{own}.local"})


def is_known_host(header: str, known: Iterable[str]) -> bool:
    """Whether a request calls the server by a name of its own, not by one that somebody's name server led here.

    Args:
        header: `Host`.
        known: names of the server.
    """
    try:
        parts = urlsplit(f"//{header}")
        name = parts.hostname or ""
    except ValueError:
        return False
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in known
    return True


def is_loopback(name: str) -> bool:
    """Whether a name or number is the one by which every machine calls itself.

    Args:
        name: of a host.
    """
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a form was sent by a page of this server, and not by another site that is open in the browser.

    Args:
        headers: of the request, by names in lower case.
    """
    if "sec-fetch-site" in headers:  # right behind a server that speaks TLS too, where `Host` is another
        return headers["sec-fetch-site"] in SAME_ORIGIN
    try:
        return urlsplit(headers.get("origin", "")).netloc == (headers.get("host") or None)
    except ValueError:
        return False
