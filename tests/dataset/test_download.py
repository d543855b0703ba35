"""What comes from the web is cut off, checked and never trusted; what may come later is asked for again."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st

from spavl.config.sources import DownloadSettings
from spavl.dataset.collect import connect
from spavl.dataset.collect.download import Downloader, Trouble, _seconds, _trouble_of
from tests.dataset.pictures import noise
from tests.dataset.web import Names, Web, first, redirect, reset, send, serving, status

PICTURE = noise()


@pytest.fixture
def web() -> Iterator[Web]:
    """A server whose every path has a picture."""
    with serving() as server:
        server.otherwise = lambda path: PICTURE
        yield server


@contextmanager
def downloading(settings: DownloadSettings, names: dict[str, list[str]] | None = None) -> Iterator[Downloader]:
    """A downloader, with a table of names in place of name servers."""
    downloader = Downloader(settings, (lambda: Names(names)) if names is not None else _no_names)
    try:
        yield downloader
    finally:
        downloader.close()


def _no_names() -> Names:
    return Names({})


def read(web: Web, path: str, **changes: Any) -> bytes:
    """What a path gives."""
    with downloading(web.settings(**changes)) as downloader:
        return downloader.read(web.address(path))


def trouble(web: Web, path: str, **changes: Any) -> Trouble:
    """Why a path gives nothing."""
    with pytest.raises(Trouble) as caught:
        read(web, path, **changes)
    return caught.value


def test_a_picture_comes_whole_and_nothing_is_told_of_this_machine(
    web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("default login someone password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    web.answers["/"] = lambda handler: send(handler, PICTURE, Set_Cookie="a=b")
    with downloading(web.settings(user_agent="someone@example.org")) as downloader:
        assert [downloader.read(web.address("/")) for _ in range(2)] == [PICTURE, PICTURE]
    assert len(web.headers) == 2
    for sent in web.headers:
        assert sent["User-Agent"] == "someone@example.org"
        assert sent["Accept-Encoding"] == "identity"
        assert sent.keys() & {"Authorization", "Cookie", "Referer"} == set()


def test_redirects_are_followed_up_to_a_number(web: Web) -> None:
    web.answers |= {f"/{n}": redirect(f"/{n + 1}") for n in range(5)}
    assert read(web, "/0", redirects=5) == PICTURE
    assert "more than 4 redirects" in trouble(web, "/0", redirects=4).what
    web.answers["/loop"] = redirect("/loop")
    found = trouble(web, "/loop")
    assert found.lasting
    assert web.asked["/loop"] == 6


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("http://10.0.0.1/x", "10.0.0.1 is a private address"),
        ("http://169.254.169.254/latest/meta-data", "metadata service"), ("http://[::1]:1/", "this machine"),
        ("http://[::ffff:127.0.0.1]/", "this machine"), ("http://2130706433/", "no address"),
        ("http://0x7f.1/", "0x7f.1 stands for"), ("file:///etc/hostname", "only addresses of the form"),
        ("ftp://a/b", "only addresses of the form"), ("http://someone:secret@example.org/", "a password"),
        ("http://127.0.0.1:9/", "this machine"),
    ],
)  # fmt: skip
def test_a_redirect_to_where_nobody_may_ask_is_not_followed(web: Web, to: str, why: str) -> None:
    web.answers["/"] = redirect(to)
    names = {"0x7f.1": ["127.0.0.1"]}
    with downloading(web.settings(), names) as downloader, pytest.raises(Trouble, match=why) as caught:
        downloader.read(web.address("/"))
    assert caught.value.lasting
    assert "secret" not in caught.value.what


@pytest.mark.parametrize("number", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"])
def test_a_public_name_that_stands_for_a_private_number_is_not_asked(web: Web, number: str) -> None:
    web.answers["/"] = redirect(f"http://pictures.example:{web.server_port}/")
    with downloading(web.settings(), {"pictures.example": [number]}) as downloader:
        for address in (f"http://pictures.example:{web.server_port}/", web.address("/")):
            with pytest.raises(Trouble, match=r"pictures\.example stands for") as caught:
                downloader.read(address)
            assert caught.value.lasting
    assert web.asked.total() == 1


def test_a_name_is_checked_each_time_it_is_looked_up(web: Web) -> None:
    """DNS rebinding: a name that stands for something else the second time gains nothing."""
    names = {"rebind.example": ["10.0.0.1", "127.0.0.1"]}
    with downloading(web.settings(), names) as downloader:
        for number in ("10.0.0.1", "127.0.0.1", "127.0.0.1"):
            with pytest.raises(Trouble, match=f"rebind.example stands for {number}"):
                downloader.read(f"http://rebind.example:{web.server_port}/")
    assert not web.asked


def test_the_number_that_is_connected_to_is_checked_though_the_lookup_had_let_it_pass(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "why_refused", lambda number: "")
    names = {"pictures.example": ["127.0.0.1"]}
    why = r"127\.0\.0\.1 is an address of this machine"
    with downloading(web.settings(allow_hosts=()), names) as downloader, pytest.raises(Trouble, match=why) as caught:
        downloader.read(f"http://pictures.example:{web.server_port}/")
    assert caught.value.lasting
    assert not web.asked


def test_a_name_that_is_allowed_is_asked_whatever_it_stands_for(web: Web) -> None:
    allowed = (f"pictures.intranet:{web.server_port}",)
    with downloading(web.settings(allow_hosts=allowed), {"pictures.intranet": ["127.0.0.1"]}) as downloader:
        assert downloader.read(f"http://pictures.intranet:{web.server_port}/") == PICTURE
        with pytest.raises(Trouble, match="this machine"):
            downloader.read(web.address("/"))


def test_a_body_that_is_too_long_is_given_up_while_it_comes(web: Web) -> None:
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(4000):
            handler.wfile.write(b"10000\r\n" + bytes(2**16) + b"\r\n")
            sent.append(2**16)

    web.answers |= {"/endless": endless, "/long": bytes(200_001), "/fits": bytes(200_000)}
    before = psutil.Process().memory_info().rss
    for path in ("/endless", "/long"):
        found = trouble(web, path, max_bytes=200_000)
        assert "larger than `build.collect.download.max_bytes` (200,000)" in found.what
        assert found.lasting
    assert read(web, "/fits", max_bytes=200_000) == bytes(200_000)
    assert sum(sent) < 2**26
    assert psutil.Process().memory_info().rss - before < 2**26


def test_a_length_that_is_a_lie_is_caught(web: Web) -> None:
    web.answers |= {
        "/less": lambda handler: send(handler, bytes(1000), Content_Length="10000", Connection="close"),
        "/more": lambda handler: send(handler, bytes(1000), Content_Length="10"),
        "/huge": lambda handler: send(handler, b"x", Content_Length=str(10**15)),
        "/none": lambda handler: send(handler, b"x", Content_Length="-1"),
    }  # fmt: skip
    assert trouble(web, "/less", attempts=1, idle_seconds=0.3).what
    with suppress(Trouble):  # where the surplus comes in one packet with the rest
        assert read(web, "/more") == bytes(10)
    assert trouble(web, "/huge").lasting
    assert trouble(web, "/none").what


def test_a_compressed_answer_is_not_unpacked(web: Web) -> None:
    bomb = gzip.compress(bytes(10**7))
    web.answers["/"] = lambda handler: send(handler, bomb, Content_Encoding="gzip")
    assert "compressed" in trouble(web, "/").what


@pytest.mark.parametrize("pause", [0.05, 0.6])
def test_a_slow_drip_and_a_silent_server_end_in_time(web: Web, pause: float) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(pause)

    web.answers["/"] = drip
    start = time.monotonic()
    found = trouble(web, "/", seconds=0.5, idle_seconds=0.3)
    assert "did not come in time" in found.what
    assert not found.lasting
    assert time.monotonic() - start < 4
    assert web.asked["/"] == 1


def test_a_picture_that_is_gone_is_not_asked_for_again(web: Web) -> None:
    web.answers |= {"/404": status(404), "/410": status(410), "/403": status(403), "/204": status(204)}
    assert [trouble(web, path).lasting for path in ("/404", "/410", "/403", "/204")] == [True, True, False, False]
    assert trouble(web, "/404").what == "the server answered 404: there is no such picture"
    assert max(web.asked.values()) == 2


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_asks_to_wait_is_waited_for(web: Web, code: int) -> None:
    web.answers["/"] = first(status(code, Retry_After="1"), PICTURE)
    start = time.monotonic()
    assert read(web, "/") == PICTURE
    assert 0.9 < time.monotonic() - start < 8
    assert web.asked["/"] == 2


def test_retry_after_may_be_a_date_and_too_long_a_wait_is_left_to_the_next_run(web: Web) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    web.answers |= {
        "/date": first(status(429, Retry_After=soon), PICTURE), "/odd": first(status(503, Retry_After="soon"), PICTURE)
    }  # fmt: skip
    assert read(web, "/date") == PICTURE
    assert read(web, "/odd") == PICTURE
    web.answers["/long"] = status(429, Retry_After="3600")
    with downloading(web.settings(longest_wait=2)) as downloader:
        for path, said in (
            ("/long", "asked to wait for 3,600 seconds"),
            ("/other", "asked to wait, for 3,600 seconds"),
        ):
            with pytest.raises(Trouble, match=said) as caught:
                downloader.read(web.address(path))
            assert not caught.value.lasting
    assert (web.asked["/long"], web.asked["/other"]) == (1, 0)


def test_a_broken_connection_is_tried_again_and_in_the_end_given_up(web: Web) -> None:
    web.answers |= {"/once": first(reset, PICTURE), "/always": reset}
    assert read(web, "/once") == PICTURE
    found = trouble(web, "/always", attempts=2, longest_wait=0.1)
    assert "the connection failed" in found.what
    assert not found.lasting
    assert web.asked["/always"] in (2, 3, 4)  # aiohttp repeats a request itself, once, where a kept connection was cut


def test_a_name_that_nobody_knows_and_a_port_where_nobody_listens_are_said(web: Web) -> None:
    closed = web.settings(allow_hosts=("127.0.0.1:9",), attempts=1)
    with downloading(closed) as downloader, pytest.raises(Trouble, match="the connection failed"):
        downloader.read("http://127.0.0.1:9/")
    unknown = Downloader(web.settings(attempts=1))
    with pytest.raises(Trouble, match="the name of its host is not known") as caught:
        unknown.read("http://nowhere.invalid/x.png")
    assert not caught.value.lasting
    unknown.close()
    unknown.close()


DATES = r"(Mon, )?[0-9]{1,9} (Jan|Xxx) [0-9]{1,9} [0-9]+:[0-9]+:[0-9]+ ?(GMT|[+-][0-9]{4,12})?"
"""Dates, most of them impossible."""


@given(st.text(max_size=40) | st.from_regex(DATES, fullmatch=True))
def test_any_retry_after_is_a_number_of_seconds(text: str) -> None:
    assert 0 <= _seconds(text) < 10**12


def test_a_certificate_that_is_not_trusted_is_said_and_may_be_mended() -> None:
    key = ConnectionKey("example.org", 443, True, True, None, None, None)
    found = _trouble_of(aiohttp.ClientConnectorCertificateError(key, ssl.SSLCertVerificationError("self-signed")))
    assert "certificate is not trusted" in found.what
    assert (found.lasting, found.again) == (False, False)
    assert _trouble_of(aiohttp.InvalidURL("http://")).lasting


def test_a_host_is_asked_by_few_at_once(web: Web) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.02)
        send(handler, PICTURE)

    addresses = [web.address(f"/{number}") for number in range(40)]
    web.answers |= {f"/{number}": slow for number in range(40)}
    with downloading(web.settings(per_host=3)) as downloader, ThreadPoolExecutor(32) as pool:
        assert list(pool.map(downloader.read, addresses)) == [PICTURE] * 40
    assert web.most_at_once <= 3
