"""Servers that go away and come back, and one sick responder of three."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bench.faulty_builds.builds import Build, prepare
from bench.measures import Measure
from tests.faults.plan import Plan
from tests.faults.process import ServerProcess

HEALTHY = ("birch", "cedar")
SICK = "amber"
DELAY = 0.1
"""Seconds before each answer."""
KNOBS = {"concurrency": 4, "attempts": 3, "timeout": 3.0}
PATIENCE = 3.0
"""Seconds that the sick responder is waited for."""
SICKNESSES = {
    "dead": Plan(share=1.0, kinds=("reset",)),
    "hanging": Plan(share=1.0, kinds=("hang",)),
    "dying": Plan(after=40, kinds=("reset",), delay=DELAY),
    "slow": Plan(delay=12 * DELAY),
}
"""What happens to the calls of the sick responder."""


def restarts(folder: Path, seconds: tuple[int, ...] = (9, 60)) -> list[Measure]:
    """A server that is killed in the middle of a build and comes back on the same port.

    Args:
        folder: for the builds.
        seconds: for how long it is away, a build each.
    """
    return [measure for away in seconds for measure in _restart(folder / f"away-{away}", away)]


def _restart(folder: Path, away: int) -> list[Measure]:
    with ServerProcess(folder / "server", {"*": Plan(delay=0.02)}) as server:
        build = prepare(folder / "build", server.url, concurrency=4)
        process = build.start()
        _wait(lambda: len(server.asked()) > 300 or process.poll() is not None)
        server.stop()
        time.sleep(away)
        server.start()
        back = time.perf_counter()
        status = process.wait()
        after = time.perf_counter() - back
    bad = [r for r in build.records() if r["status"] != "ok"]
    how = f"killed after 300 calls; the build ended {after:.0f} s after it was back, with status {status}"
    return [
        Measure(f"server away for {away} s: ends with 0, without a person", float(status == 0), 1, "", "higher", how),
        Measure(f"server away for {away} s: calls that failed", len(bad), 0, "", "lower", str(bad[:1])),
    ]


def sick_responders(folder: Path) -> list[Measure]:
    """One responder of three that is dead, hangs, dies after 40 answers, or is twelve times slower than the others.

    Args:
        folder: for the builds.
    """
    with ServerProcess(folder / "server", {"*": Plan(delay=DELAY)}) as server:
        healthy = prepare(folder / "healthy", server.url, responders=HEALTHY, **KNOBS)
        reference = healthy.finish().seconds
        answers = _healthy_answered(server, 0)
    return [row for name in SICKNESSES for row in _sick(folder / name, name, reference, answers)]


def _sick(folder: Path, name: str, reference: float, healthy_answers: float) -> list[Measure]:
    with ServerProcess(folder / "server", {SICK: SICKNESSES[name], "*": Plan(delay=DELAY)}) as server:
        build = prepare(folder / "build", server.url, responders=(SICK, *HEALTHY), patience=PATIENCE, **KNOBS)
        ended = build.finish()
        answered = _healthy_answered(server, 0)
    missing = 2 * len(build.rows("2-queries")) - _healthy_done(build)
    how = f"{ended.seconds:.0f} s against {reference:.0f} s without it; status {ended.status}"
    rows = [Measure(f"{name} responder: answers of healthy ones that are missing", missing, 0, "", "lower", how)]
    if name == "slow":  # it is healthy, too, and the run waits for it
        return [*rows, _ratio(f"{name} responder: time until the others have answered", answered, healthy_answers)]
    return [*rows, _ratio(f"{name} responder: wall time", ended.seconds, reference)]


def _ratio(what: str, seconds: float, reference: float) -> Measure:
    how = f"{seconds:.0f} s against {reference:.0f} s; patience {PATIENCE:g} s"
    return Measure(f"{what} against a run without it", seconds / reference, 1.5, "times", "lower", how)


def _healthy_answered(server: ServerProcess, started: float) -> float:
    """Seconds between the first call of the run and the last question to a healthy responder."""
    asked = server.asked()
    last = max(attempt.seconds for attempt in asked if attempt.model in HEALTHY)
    return last - asked[0].seconds - started


def _healthy_done(build: Build) -> int:
    rows = build.rows("3-responses")
    return sum(row["responder"] in HEALTHY and row["response_status"] == "ok" for row in rows)


def _wait(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.02)
