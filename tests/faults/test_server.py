"""The fault server itself: its schedules, its log, and a port that is really closed between two lives."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.faults.benign import answer, share
from tests.faults.plan import Plan, read_plans, write_plans
from tests.faults.process import ServerProcess
from tests.faults.server import serving


def post(url: str, text: str, model: str = "mini", **more: Any) -> int:
    """Status of one call."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_restarted_server_has_its_port_and_its_log_and_its_port_was_closed(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, {"*": Plan()}) as server:
        assert post(server.url, "one") == 200
        port = server.port
        server.stop()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        server.start()
        assert server.port == port
        assert post(server.url, "two", max_tokens=1) == 200
        server.replan({"*": Plan(share=1.0, kinds=("413",))})
        assert post(server.url, "one") == 413
        asked = server.asked()
    assert [(one.fault, one.attempt, one.probe) for one in asked] == [
        (None, 0, False),
        (None, 0, True),
        ("413", 0, False),
    ]
    assert asked[0].call == asked[2].call != asked[1].call


def test_every_schedule_meets_the_calls_that_it_says() -> None:
    plans = {
        "twice": Plan(share=1.0, kinds=("500",), attempts=2),
        "words": Plan(always={"apple": "413"}),
        "dying": Plan(after=2, kinds=("503",)),
        "down": Plan(down=(0, 3600)),
    }
    with serving(plans) as server:
        assert [post(server.url, "x", "twice") for _ in range(3)] == [500, 500, 200]
        assert [post(server.url, text, "words") for text in ("an apple", "a pear", "an apple")] == [413, 200, 413]
        assert [post(server.url, f"{n}", "dying") for n in range(4)] == [200, 200, 503, 503]
        assert post(server.url, "x", "down") == 503
        assert post(server.url, "x", "not named") == 200


def test_plans_are_read_as_they_were_written(tmp_path: Path) -> None:
    plans = {"a": Plan(0.5, ("500", "hang"), 2, {"x": "413"}, 7, (1.0, 2.0), 0.1), "*": Plan()}
    write_plans(tmp_path / "plans.json", plans)
    assert read_plans(tmp_path / "plans.json") == plans


@pytest.mark.parametrize(
    ("prompt", "starts"),
    [
        ("… is filed under a safety topic …", "What is in place"),
        ("<<<answer\nAnswer of amber: x\nanswer>>> … the single word safe or unsafe …", ("safe\n", "unsafe\n")),
        ("<<<answer A\nx\nanswer A>>>\n<<<answer B\ny\nanswer B>>>\n[[A]], [[B]], or [[C]]", "One is better.\n[["),
        ("What is this?", "Answer of mini"),
    ],
)
def test_a_healthy_server_answers_in_the_form_of_every_stage(prompt: str, starts: str | tuple[str, ...]) -> None:
    body = {"model": "mini", "messages": [{"role": "user", "content": prompt}]}
    assert answer("0" * 64, body).startswith(starts)
    assert answer("0" * 64, body) == answer("0" * 64, body)
    assert 0 <= share(prompt) < 1
