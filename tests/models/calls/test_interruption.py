"""Interrupted calls: killed at any moment or stopped by Ctrl-C, committed replies are kept and few calls repeated."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spavl.models import open_model
from spavl.models.base import Prompt, Sampling
from spavl.models.calls.engine import plan
from spavl.models.calls.store import CallStore
from tests.models.python_models import Echo
from tests.models.server import completion, prompt_of, serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


CHILD = """
import signal
import sys
from spavl.config.models import EndpointSpec
from spavl.models import open_model
from spavl.models.base import Prompt, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from tests.models.python_models import Echo

# A shell that runs the tests in the background makes its children ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
kind, where, path, count = sys.argv[1:]
if kind == "endpoint":
    model = open_model(EndpointSpec(name="e", url=where, model="mini", identity="test/1", concurrency=8))
else:
    model = Echo(batch_size=16, log=where, pause=0.0005)
with CallStore(path) as store:
    prompts = [Prompt(f"q{n}") for n in range(int(count))]
    replies = complete(model, prompts, sampling=Sampling(), store=store)
print(len(replies), store.hits)
"""


def child(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def committed(path: Path, count: int, model: Any) -> set[str]:
    """Texts of the prompts whose replies are on disk."""
    calls = plan(model, [Prompt(f"q{n}") for n in range(count)], sampling=Sampling())
    with CallStore(path, replay=True) as store:
        known = store.known([call.key for call in calls])
    return {call.request.prompt.text for call in calls if call.key in known}


def wait_for(lines: Path, count: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and (not lines.exists() or lines.read_text().count("\n") < count):
        time.sleep(0.01)


@pytest.mark.parametrize("kill_at", [1, 150, 333])
def test_kill_9_in_batches_loses_no_committed_row_and_repeats_little(path: Path, tmp_path: Path, kill_at: int) -> None:
    log, count = tmp_path / "log", 600
    with child("batch", log, path, count) as first:
        wait_for(log, kill_at)
        os.kill(first.pid, signal.SIGKILL)
    before = log.read_text().split()
    kept = committed(path, count, Echo())
    assert len(before) < count, "the test was too slow to kill it midway"
    assert len(before) - len(kept) <= 16 + 64
    with child("batch", log, path, count) as second:
        output, _ = second.communicate()
    after = log.read_text().split()[len(before) :]
    assert output.split() == [str(count), str(len(kept))]
    assert kept.isdisjoint(after)
    assert set(before) | set(after) == {f"q{n}" for n in range(count)}
    assert len(before) + len(after) - count <= 16 + 64


def test_kill_9_over_http_loses_no_committed_row_and_repeats_little(path: Path) -> None:
    async def respond(request: Any, number: int) -> Any:
        if number == 300:
            os.kill(first.pid, signal.SIGKILL)
        await asyncio.sleep(0.002)
        return completion("Fine.")

    count = 600
    with serving(respond) as server:
        with child("endpoint", server.url, path, count) as first:
            pass
        before = [prompt_of(body) for body in server.bodies]
        model = open_model(server.spec(identity="test/1"))
        kept = committed(path, count, model)
        assert 300 <= len(before) < count
        assert len(before) - len(kept) <= 8 + 64
        with child("endpoint", server.url, path, count) as second:
            output, _ = second.communicate()
        after = [prompt_of(body) for body in server.bodies[len(before) :]]
    assert output.split() == [str(count), str(len(kept))]
    assert kept.isdisjoint(after)
    assert len(before) + len(after) - count <= 8 + 64


def test_ctrl_c_ends_within_seconds_with_everything_finished_on_disk(path: Path) -> None:
    async def respond(request: Any, number: int) -> Any:
        # From now on all eight calls in flight hang; 100 calls are finished.
        if number == 107:
            os.kill(running.pid, signal.SIGINT)
        await asyncio.sleep(30 if number >= 100 else 0.002)
        return completion("Fine.")

    with serving(respond) as server:
        start = time.monotonic()
        with child("endpoint", server.url, path, 600) as running:
            _, trace = running.communicate(timeout=20)
        assert "KeyboardInterrupt" in trace
        assert time.monotonic() - start < 15
        assert len(committed(path, 600, open_model(server.spec(identity="test/1")))) == 100
