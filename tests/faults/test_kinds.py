"""Every fault of the fault server by name: the typed value that a client makes of it, and how often it is tried."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path
from typing import Any, get_args

import pytest

from spavl.models.backends.endpoint import EndpointModel
from spavl.models.base import Prompt, Reply, Request, Sampling
from spavl.models.calls import rate_limit
from spavl.models.calls.rate_limit import Retry, open_session
from tests.faults.kinds import BUSY, FAULTS, MODEL, Fault
from tests.faults.plan import Plan
from tests.faults.server import FaultServer, serving

SLOW = {"hang", "slow drip"}
TROUBLES = set(get_args(rate_limit.Trouble))
SCHEMA = {"type": "object"}


def attempt(server: FaultServer, **more: Any) -> Reply | Retry:
    """One attempt: the reply, or what was raised."""
    model = EndpointModel(server.spec(**{"timeout": 5, **more}))

    async def send() -> Reply | Retry:
        async with open_session() as session:
            request = Request(Prompt("What is this?"), Sampling(temperature=0.7), 0, SCHEMA, "0" * 32)
            try:
                return await model.send(session, request)
            except Retry as error:
                return error

    return asyncio.run(send())


def meets(name: str, **more: Any) -> Reply | Retry:
    """What one attempt makes of a fault."""
    with serving({"*": Plan(share=1.0, kinds=(name,))}) as server:
        return attempt(server, **({"timeout": 0.5} if name in SLOW else {}), **more)


def test_there_are_faults_of_more_than_twenty_five_kinds_and_each_has_a_value() -> None:
    assert len(FAULTS) >= 100
    assert {fault.trouble for fault in FAULTS.values()} - {""} <= TROUBLES


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_becomes_its_typed_value(name: str) -> None:
    fault, found = FAULTS[name], meets(name)
    if isinstance(found, Retry):
        assert fault.repeated or fault.trouble
        assert (found.kind or "") == fault.trouble or (fault.repeated and not fault.trouble)
        said = f"{found.detail} {found.try_}"
    else:
        assert found.status == ("ok" if fault.becomes == "empty" else fault.becomes), found
        assert found.status == "filtered" or (found.text.strip() == "") == (
            fault.becomes not in ("ok", "truncated", "refused")
        )
        assert fault.becomes in ("ok", "truncated", "empty") or found.detail
        said = f"{found.text} {found.detail}"
    assert fault.says in said
    assert said.isprintable() or isinstance(found, Reply)


@pytest.mark.parametrize("name", BUSY)
def test_a_busy_server_is_asked_again(name: str) -> None:
    found = meets(name)
    assert isinstance(found, Retry)
    assert found.throttled == name.startswith("429")


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("429", 0, 0), ("429 seconds", 0.1, 0.1), ("429 milliseconds", 0.05, 0.05), ("429 date", 0.0, 1.0),
        ("429 a day", 86400, 86400), ("429 inf", float("inf"), float("inf")),
    ],
)  # fmt: skip
def test_a_server_s_wish_to_wait_is_read_in_every_form(name: str, least: float, most: float) -> None:
    found = meets(name)
    assert isinstance(found, Retry)
    assert least <= found.after <= most


@pytest.mark.parametrize("name", [name for name, fault in MODEL.items() if fault.trouble == "refused parameter"])
def test_a_parameter_refused_by_name_is_left_out_by_the_setting_that_the_message_names(name: str) -> None:
    setting, _, value = FAULTS[name].says.partition(": ")
    changed = value.strip("[]").split(", ") if value.startswith("[") else value
    found = meets(name, **{setting: changed})
    assert isinstance(found, Reply) and found.status == "ok"


def test_thought_and_answer_come_apart_in_every_form() -> None:
    for name in ("reasoning_content", "reasoning"):
        found = meets(name)
        assert isinstance(found, Reply) and (found.thought, found.text) == ("Hm.", "A plain answer.")


def test_an_answer_of_50_mb_costs_no_more_memory_than_its_limit_and_what_is_read_of_it() -> None:
    with serving({"*": Plan(share=1.0, kinds=("50 MB",))}) as server:
        attempt(server, max_response_bytes=1000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = attempt(server)
    assert isinstance(found, Reply) and "longer than 8,000,000 bytes" in found.detail
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 60


def test_a_slow_drip_ends_at_the_time_limit() -> None:
    started = time.monotonic()
    assert isinstance(meets("slow drip"), Retry)
    assert time.monotonic() - started < 4


def test_a_refused_key_is_not_in_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.faults import kinds

    monkeypatch.setenv("TEST_KEY", "not-a-real-key-123")
    monkeypatch.setitem(kinds.FAULTS, "echo", Fault(kinds._error(401, "not-a-real-key-123 is wrong"), "failed"))
    found = meets("echo", key_env="TEST_KEY")
    assert isinstance(found, Retry) and "[key] is wrong" in found.detail and "$TEST_KEY" in found.detail


def test_a_plan_is_the_same_whatever_the_order(tmp_path: Path) -> None:
    plan = Plan(share=0.3, kinds=("500", "413"), attempts=2)
    faults = [plan.fault(f"{n}", "", attempt=0, calls=n, seconds=0) for n in range(1000)]
    assert 250 < sum(fault is not None for fault in faults) < 350
    assert [plan.fault(f"{n}", "", attempt=0, calls=0, seconds=9) for n in range(1000)] == faults
    assert all(plan.fault(f"{n}", "", attempt=2, calls=0, seconds=0) is None for n in range(1000))
