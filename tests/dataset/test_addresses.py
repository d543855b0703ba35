"""Only addresses of public machines are asked, however a number is written and wherever it is hidden."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spavl.config.sources import DownloadSettings
from spavl.dataset.collect.addresses import RefusedAddress, check_address, hosts_of, shown, why_refused

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "169.254.0.1", "100.64.0.1", "100.127.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::",
    "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1", "100::1",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "64:ff9b::808:808",
          "::ffff:8.8.8.8")  # fmt: skip


@pytest.mark.parametrize("number", PRIVATE)
def test_a_number_that_is_not_public_is_refused_with_what_it_is(number: str) -> None:
    assert why_refused(number)
    host = f"[{number}]" if ":" in number else number
    if "%" not in number:
        with pytest.raises(RefusedAddress, match="which is not asked"):
            check_address(f"http://{host}/x.png")


@pytest.mark.parametrize("number", PUBLIC)
def test_a_public_number_is_asked(number: str) -> None:
    assert why_refused(number) == ""


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_number_of_a_special_network_passes_in_any_of_its_forms(number: IPv4Address) -> None:
    special = any(
        number in ip_network(one)
        for one in (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
        )
    )  # fmt: skip
    forms = (number, IPv6Address(f"::ffff:{number}"), IPv6Address(int(ip_address("64:ff9b::")) + int(number)))
    for form in forms:
        assert not special or why_refused(str(form)), form
        assert bool(why_refused(str(form))) == bool(why_refused(str(number)))


@given(st.text(max_size=60))
def test_any_text_is_a_host_or_refused(text: str) -> None:
    for address in (text, f"http://{text}", f"https://{text}/x"):
        try:
            host, port = check_address(address)
        except RefusedAddress:
            continue
        assert host
        assert 0 <= port < 2**16


@pytest.mark.parametrize(
    "address",
    [
        "ftp://example.org/x.png", "file:///etc/hostname", "data:image/png;base64,AAAA", "javascript:x", "x.png",
        "//example.org/x.png", "http:///x.png", "http://", "", "http://[::1", "http://example.org:99999/", "ws://a/b",
        "http://exa\nmple.org/", "http://example.org/\0", f"http://example.org/{'x' * 9000}",
    ],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(address: str) -> None:
    with pytest.raises(RefusedAddress):
        check_address(address)


def test_an_address_with_a_password_is_refused_and_shown_without_it() -> None:
    address = "https://someone:secret@example.org/x.png?a=b@c"
    with pytest.raises(RefusedAddress, match="user name or a password") as error:
        check_address(address)
    assert "secret" not in error.value.render()
    assert shown(address) == "https://…@example.org/x.png?a=b@c"
    assert shown("https://example.org/a@b") == "https://example.org/a@b"


def test_a_host_that_is_allowed_is_asked_at_that_port_alone() -> None:
    allowed = hosts_of(["127.0.0.1:8080", "[::1]:9000", "Pictures.Intranet:80"])
    assert check_address("http://127.0.0.1:8080/x", allowed) == ("127.0.0.1", 8080)
    assert check_address("http://[::1]:9000/x", allowed) == ("::1", 9000)
    assert ("pictures.intranet", 80) in allowed
    with pytest.raises(RefusedAddress):
        check_address("http://127.0.0.1:8081/x", allowed)


@pytest.mark.parametrize(
    "host", ["localhost", "http://localhost:80", "a/b:80", "user@host:80", "host:port", "host:0", "host:70000"]
)
def test_an_allowed_host_is_written_with_its_port(host: str) -> None:
    with pytest.raises(ValidationError, match="a host is written with its port"):
        DownloadSettings(allow_hosts=(host,))
