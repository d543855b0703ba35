"""How an endpoint is adapted: names of parameters, further fields and headers, addresses, proxies, keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spavl.config.models import EndpointSpec
from spavl.models import open_model
from spavl.models.backends.endpoint import chat_address
from spavl.models.backends.endpoint_body import body_of
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.models.identity import identity_of
from tests.faults.plan import Plan
from tests.faults.server import FaultServer, serving

ENTRY: dict[str, Any] = {"name": "a", "url": "http://127.0.0.1:9/v1", "model": "m", "identity": "maker/m/1"}
KEY = "sk-not-a-real-key-0123456789"


def spec(**more: Any) -> EndpointSpec:
    return EndpointSpec.model_validate({**ENTRY, **more})


def sent(entry: EndpointSpec, temperature: float = 0.7) -> dict[str, Any]:
    request = Request(Prompt("What?"), Sampling(temperature, 0.9, 33), 0, {"type": "object"}, "0" * 32)
    return dict(json.loads(body_of(entry, request).decode()))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


def ask(store: CallStore, server: FaultServer, *, log: Any = lambda line: None, **more: Any) -> list[Reply]:
    model = open_model(server.spec(attempts=1, **more), log=log)
    return complete(model, [Prompt("one"), Prompt("two")], sampling=Sampling(), store=store)


def test_the_token_limit_goes_by_the_name_that_the_server_knows() -> None:
    assert sent(spec())["max_tokens"] == 33
    newer = sent(spec(token_limit="max_completion_tokens"))
    assert newer["max_completion_tokens"] == 33 and "max_tokens" not in newer
    assert identity_of(spec(token_limit="max_completion_tokens")) == identity_of(spec())


def test_parameters_that_a_server_refuses_are_left_out_and_that_is_part_of_the_key() -> None:
    names = ["seed", "top_p", "temperature", "response_format"]
    assert all(name in sent(spec()) for name in names)
    assert set(sent(spec(leave_out=names))) == {"model", "messages", "max_tokens"}
    assert identity_of(spec(leave_out=["seed"])) != identity_of(spec())


def test_further_fields_are_sent_and_are_part_of_the_key() -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 1}
    assert extra.items() <= sent(spec(extra_body=extra)).items()
    others = [{}, extra, {"top_k": 2}, {"top_k": 1}]
    assert len({identity_of(spec(extra_body=fields)) for fields in others}) == 4
    assert identity_of(spec(extra_body={"a": 1, "b": 2})) == identity_of(spec(extra_body={"b": 2, "a": 1}))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"temperature": 1}, "`temperature` has a setting of its own"), ({"stream": True}, "form of the reply"),
        ({"n": 2}, "form of the reply"), ({"messages": []}, "what is asked"), ({"top_k": float("nan")}, "plain values"),
    ],
)  # fmt: skip
def test_a_further_field_that_has_a_setting_or_changes_the_reply_is_refused(extra: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spec(extra_body=extra)


def test_further_headers_are_sent_and_secrets_come_from_the_environment(
    store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", KEY)
    with serving({"*": Plan(share=1.0, kinds=("401",))}) as server:
        replies = ask(store, server, headers={"api-key": "$GATEWAY_KEY", "X-Team": "safety"})
    assert server.headers[0]["api-key"] == KEY and server.headers[0]["X-Team"] == "safety"
    assert "Authorization" not in server.headers[0]
    assert replies[0].status == "failed"
    assert KEY not in server.spec(headers={"api-key": "$GATEWAY_KEY"}).model_dump_json()
    assert KEY.encode() not in b"".join(file.read_bytes() for file in store.path.parent.iterdir())
    assert identity_of(spec(headers={"X-Team": "safety"})) == identity_of(spec())


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Authorization": "Bearer abc"}, "is a secret"), ({"X-Api-Key": "abc"}, "is a secret"),
        ({"X Team": "a"}, "no name of a header"), ({"X-Team": "a\r\nHost: b"}, "more than one line"),
    ],
)  # fmt: skip
def test_a_written_down_secret_and_a_malformed_header_are_refused(headers: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spec(headers=headers)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1/chat/completions"),
        (
            "https://x.invalid/openai/deployments/d?api-version=2024-10-21",
            "https://x.invalid/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_the_path_is_put_before_the_query(url: str, address: str) -> None:
    assert chat_address(spec(url=url).url) == address


def test_a_query_reaches_the_server(store: CallStore) -> None:
    with serving({"*": Plan()}) as server:
        replies = ask(store, server, url=f"{server.url}?api-version=2024-10-21")
    assert [reply.status for reply in replies] == ["ok", "ok"]
    assert server.queries[0] == "/v1/chat/completions?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("url", "says"),
    [("http://me:secret@host/v1", "no name and no password"), ("http://host/v1#part", "no part after #")],
)
def test_an_address_with_a_password_or_a_fragment_is_refused(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spec(url=url)


@pytest.mark.parametrize("key", ["one\ntwo", "one\r\nHost: x", "sk-…", "a\tb"])
def test_a_key_that_no_header_can_hold_is_a_sentence_before_any_call(
    key: str, store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", key)
    with serving({"*": Plan()}) as server:
        replies = ask(store, server, key_env="TEST_KEY")
    assert server.bodies == []
    assert {reply.status for reply in replies} == {"failed"}
    assert "TEST_KEY holds a line break or another character" in replies[0].detail
    assert key not in replies[0].detail


def test_a_line_break_at_the_end_of_a_key_does_no_harm(store: CallStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", f"{KEY}\n")
    with serving({"*": Plan()}) as server:
        ask(store, server, key_env="TEST_KEY")
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_call_goes_through_the_proxy_that_the_environment_names(
    scheme: str, store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({"*": Plan()}) as server:
        monkeypatch.setenv("http_proxy", scheme + server.url.removesuffix("/v1").removeprefix("http://"))
        monkeypatch.setenv("no_proxy", "direct.invalid")
        replies = ask(store, server, url="http://somewhere.invalid/v1")
    assert replies[0].status == "ok"
    assert server.headers[0]["Host"] == "somewhere.invalid"


@pytest.mark.parametrize("proxy", ["http://user:pw@", "socks5://127.0.0.1:1", "http://host:port", "http://"])
def test_a_malformed_proxy_is_a_sentence_that_names_the_variable_and_not_its_value(
    proxy: str, store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving({"*": Plan()}) as server:
        replies = ask(store, server, url="http://somewhere.invalid/v1")
    assert server.bodies == []
    assert "the environment variable http_proxy holds no address of an HTTP proxy" in replies[0].detail
    assert "pw" not in replies[0].detail


@pytest.mark.parametrize("line", ["machine 127.0.0.1", "default"])
@pytest.mark.parametrize("key_env", [None, "TEST_KEY"])
def test_a_netrc_file_is_not_read(
    line: str, key_env: str | None, store: CallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".netrc"
    file.write_text(f"{line} login someone password secret\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TEST_KEY", KEY)
    with serving({"*": Plan()}) as server:
        replies = ask(store, server, key_env=key_env)
    assert replies[0].status == "ok"
    assert server.headers[0].get("Authorization") == (f"Bearer {KEY}" if key_env else None)


def test_a_changed_model_is_asked_anew_though_its_identity_is_kept(store: CallStore) -> None:
    with serving({"*": Plan()}) as server:
        before = ask(store, server)
        after = ask(store, server, model="other")
        assert [body["model"] for body in server.bodies] == ["mini", "mini", "other", "other"]
        assert ask(store, server, name="moved") == before
        assert len(server.bodies) == 4
    assert before[0].text != after[0].text


def test_another_model_that_answers_is_told_once_and_no_failure(store: CallStore) -> None:
    lines: list[str] = []
    with serving({"*": Plan(share=1.0, kinds=("another model",))}) as server:
        replies = ask(store, server, log=lines.append)
    assert [reply.status for reply in replies] == ["ok", "ok"]
    (line,) = lines
    assert "`mini` was asked for, and the server says that `mini-2031-01-01` answers" in line


def test_the_model_that_was_asked_for_is_no_news(store: CallStore) -> None:
    lines: list[str] = []
    with serving({"*": Plan()}) as server:
        ask(store, server, log=lines.append)
    assert lines == []


def test_usage_is_kept_with_the_stored_call_and_its_price_too(store: CallStore) -> None:
    with serving({"*": Plan()}) as server:
        ask(store, server, price_in=2.0, price_out=5.0)
        again = ask(store, server, price_in=2.0, price_out=5.0)
        assert len(server.bodies) == 2
    assert (again[0].prompt_tokens, again[0].completion_tokens) == (100, 10)
    assert again[0].cost == pytest.approx((100 * 2.0 + 10 * 5.0) / 1e6)
