"""Which addresses may be asked for a picture: http and https, without a password, of public machines.

A list of addresses is untrusted input: without this check it would make the machine that builds the dataset ask its own
network, or its cloud's metadata service, in its owner's name (server-side request forgery).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from spavl.errors import DataError

SCHEMES = {"http": 80, "https": 443}
"""What may be asked, with the usual port."""
LONGEST = 8192
"""Most characters of an address."""
METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
"""Metadata services of clouds, which hand out keys: AWS, Google and Azure, Azure, Alibaba, Oracle, AWS."""
SHARED = ip_network("100.64.0.0/10")
"""Addresses behind a provider's own translation (RFC 6598)."""
UNICAST = ip_network("2000::/3")
"""The part of IPv6 that public addresses are taken from."""
NAT64 = ip_network("64:ff9b::/96")
"""IPv6 addresses whose last 32 bits are an IPv4 address (RFC 6052)."""
_USER = re.compile(r"(?<=//)[^/?#]*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Host = tuple[str, int]
"""A host's name or number, and a port."""


class RefusedAddress(DataError):
    """An address that is not asked."""


def why_refused(number: str) -> str:
    """What an IP address is that may not be asked, such as `a private address`; empty where it may.

    Args:
        number: an IPv4 or IPv6 address.
    """
    address = _inner(ip_address(number.partition("%")[0]))
    kinds = (
        (address in METADATA, "the address of a cloud's metadata service"),
        (address.is_loopback, "an address of this machine"),
        (address.is_unspecified, "no address of a machine"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (address.version == 4 and address in SHARED, "an address inside a provider's network"),
        (address.is_private, "a private address"),
        (address.is_reserved or not address.is_global, "a reserved address"),
        (address.version == 6 and address not in UNICAST, "a reserved address"),
    )
    return next((what for holds, what in kinds if holds), "")


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 address that stands for one."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def check_address(address: str, allowed: Collection[Host] = ()) -> Host:
    """Host and port of an address, once it is known that it may be asked, as far as it says so itself.

    A name is looked up later, and what it stands for is checked where the connection is made.

    Args:
        address: as a manifest or a redirect names it.
        allowed: hosts that may be asked whatever their numbers.

    Raises:
        RefusedAddress: it is no http or https address, holds a password, or the number of a machine that is not public.
    """
    if len(address) > LONGEST or _CONTROL.search(address):
        raise RefusedAddress("the address is too long, or holds control characters")
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").rstrip("."), parts.port or SCHEMES.get(parts.scheme, 0)
    except ValueError:
        raise RefusedAddress("this is no address that can be asked") from None
    if parts.scheme not in SCHEMES or not host[0]:
        raise RefusedAddress("only addresses of the form http://… and https://… are asked")
    if "@" in parts.netloc:
        raise RefusedAddress("the address holds a user name or a password, which would be kept with the picture")
    if host not in allowed:
        refuse_number(host[0])
    return host


def refuse_number(host: str) -> None:
    """Refuse a host that is the number of a machine that is not public; a name passes.

    Args:
        host: a name, or an IPv4 or IPv6 address.

    Raises:
        RefusedAddress: it is such a number.
    """
    try:
        why = why_refused(host)
    except ValueError:
        return
    if why:
        raise RefusedAddress(f"{host} is {why}, which is not asked unless `download.allow_hosts` names it")


def hosts_of(named: Iterable[str]) -> frozenset[Host]:
    """Hosts with their ports, read from the setting that allows them.

    Args:
        named: each as `host:port`.
    """
    parts = (urlsplit(f"//{one}") for one in named)
    return frozenset(((one.hostname or "").rstrip("."), one.port or 0) for one in parts)


def is_address(text: str) -> bool:
    """Whether a text names a picture by an address and not by a path.

    Args:
        text: a cell of a manifest.
    """
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text))


def shown(address: str) -> str:
    """An address as messages show it: without user name and password.

    Args:
        address: the address.
    """
    return _USER.sub("…@", address)
