"""The table of calls that is shown while they are made: numbers, rates, time left; plain lines without a terminal."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from spavl import progress
from spavl.progress import Calls, ModelCalls, NoProgress, Rates, TerminalProgress

WORDS = ("model", "calls", "in flight", "a second", "tokens", "cost", "failed", "throttled")


def counted(done: Callable[[], int], **more: float) -> progress.TellCalls:
    """Two models, one of which has done nothing yet."""
    return lambda: Calls(
        [
            ModelCalls("amber\x1b[31m", done(), 1_000, in_flight=8, tokens=1_234_567, cost=1.5, failed=3, throttled=2),
            ModelCalls("a-model-with-a-name-that-is-too-long", 0, 12_000_000, cost=None),
        ],
        **more,
    )


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_every_model_until_the_work_has_ended_and_no_number_is_cut(width: int) -> None:
    page = io.StringIO()
    console = Console(file=page, force_terminal=True, width=width, color_system=None)
    with TerminalProgress(console).bar("respond", counted(lambda: 250, spent=1.5, most=100.0)) as on_progress:
        on_progress(250, 1_000)
        time.sleep(1.3)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", page.getvalue())
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", shown)]
    assert max(map(len, lines)) <= width
    (head, *_) = [line for line in lines if all(word in line for word in WORDS)]
    assert len(head) <= width
    assert any(re.search(r"250/1,000 +8 +\d+\.\d +1\.23 M +1\.50 +3 +2$", line) for line in lines)
    assert any(re.search(r"0/12\.0 M +0 +0\.0 +0 +\? +0 +0$", line) for line in lines)
    assert any("1.50 spent of 100.00" in line for line in lines)
    assert r"amber\x1b[" in shown, "control characters are spelt out"
    assert "amber" not in shown.split("respond")[-1], "the bar alone stays"


def test_rates_are_measured_over_some_seconds_and_time_left_is_that_of_the_slowest() -> None:
    done = {"fast": 0, "slow": 0}
    rates = Rates(lambda: Calls([ModelCalls(name, n, 1_000) for name, n in done.items()], later=60.0))
    assert rates.look(0.0)[2] is None, "nothing is known yet"
    for second in range(1, 31):
        done.update(fast=20 * second, slow=5 * second)
        _, speed, left = rates.look(float(second))
    assert speed == pytest.approx({"fast": 20.0, "slow": 5.0})
    assert left == pytest.approx((1_000 - 150) / 5)
    done.update(fast=1_000, slow=150 + 10 * 20)
    for second in (40, 50):  # the slow one has become faster, and what was before is forgotten
        done["slow"] = 150 + 10 * (second - 30)
        _, speed, left = rates.look(float(second))
    assert speed["slow"] == pytest.approx(10.0)


def test_models_that_are_asked_one_after_the_other_are_all_waited_for() -> None:
    done = {"first": 0, "second": 0}
    rates = Rates(lambda: Calls([ModelCalls(name, n, 100) for name, n in done.items()]))
    rates.look(0.0)
    done["first"] = 50
    assert rates.look(10.0)[2] == pytest.approx(150 / 5)


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.05)
    page = io.StringIO()
    with TerminalProgress(Console(file=page, width=100)).bar("respond", counted(lambda: 250)) as on_progress:
        on_progress(1, 1_000)
        time.sleep(0.1)
        on_progress(250, 1_000)
        on_progress(251, 1_000)
    lines = page.getvalue().splitlines()
    assert len(lines) == 2
    assert r"respond: amber\x1b[31m 250/1,000 at" in lines[0] and "3 failed" in lines[0]
    assert lines[1].split() == ["respond", "251", "of", "1,000"]


def test_quiet_progress_asks_nobody() -> None:
    def never() -> Calls:
        raise AssertionError("asked")

    with NoProgress().bar("respond", never) as on_progress:
        on_progress(1, 2)
