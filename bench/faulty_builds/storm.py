"""A storm: 30 % of all calls meet one of many faults, then the sky is clear and the build is run again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bench.faulty_builds.builds import RESPONDERS, Build, prepare
from bench.measures import Measure
from tests.faults.kinds import FAULTS
from tests.faults.plan import Plan
from tests.faults.process import ServerProcess
from tests.faults.server import Asked

SHARE = 0.3
KINDS = tuple(
    name
    for name, fault in FAULTS.items()
    if fault.becomes not in ("ok", "truncated") and fault.trouble != "refused parameter"
)
"""All faults but those that are answers, and parameters that are refused: not every request has them."""
AGAIN = ("failed", "empty")
"""What the next run asks again."""
KNOBS = {"attempts": 2, "timeout": 2.0, "longest_wait": 0.05, "concurrency": 16}
"""Of the models: short waits, so that the storm is over in minutes."""


def storm(folder: Path) -> list[Measure]:
    """60 pictures, three questions each, three responders; a first run in the storm and a second one after it.

    Args:
        folder: for the builds.
    """
    with ServerProcess(folder / "server", {"*": Plan(share=SHARE, kinds=KINDS)}) as server:
        build = prepare(folder / "storm", server.url, **KNOBS)
        first = build.finish()
        records, asked = build.records(), server.asked()
        server.replan({})
        second = build.finish()
        later = server.asked()[len(asked) :]
    return [*_first_run(first.status, first.seconds, records, asked), *_second_run(second.status, build, asked, later)]


def _first_run(status: int, seconds: float, records: list[dict[str, str]], asked: list[Asked]) -> list[Measure]:
    without_reason = [r for r in records if r["status"] not in ("ok", "truncated") and not r["detail"]]
    met = {attempt.fault for attempt in asked if attempt.fault}
    calls = {attempt.call for attempt in asked}
    faulted = {attempt.call for attempt in asked if attempt.fault}
    counted = ", ".join(f"{count:,} {name}" for name, count in Counter(r["status"] for r in records).most_common())
    how = f"{len(calls):,} calls, {len(asked):,} attempts, {seconds:.0f} s; {counted}"
    return [
        Measure("storm: first run ends with 0 or 3", float(status in (0, 3)), 1, "", "higher", f"status {status}"),
        Measure("storm: kinds of fault met", len(met), 20, "", "higher", "kinds of tests/faults, by the server's log"),
        Measure("storm: calls that met a fault", 100 * len(faulted) / len(calls), (25, 35), "%", "between", how),
        Measure("storm: questions planned and recorded", _count(records, "query"), 180, "", "higher", how),
        Measure(
            "storm: answers planned and not recorded",
            abs(_count(records, "query", ok=True) * len(RESPONDERS) - _count(records, "response")),
            0, "", "lower", "three for each question that could be written",
        ),
        Measure("storm: records without their reason", len(without_reason), 0, "", "lower", str(without_reason[:1])),
    ]  # fmt: skip


def _second_run(status: int, build: Build, asked: list[Asked], later: list[Asked]) -> list[Measure]:
    last = {a.call: a.fault for a in asked if not a.probe}
    may_succeed = {call for call, fault in last.items() if fault and FAULTS[fault].becomes in AGAIN}
    before, again = {a.call for a in asked}, {a.call for a in later}
    # Which answers are compared depends on all that there are: a comparison may be wanted no more.
    compared = {a.call for a in asked if a.model == "judge"}
    needless, missed = (again & before) - may_succeed, may_succeed - again - compared
    how = f"{len(again & before):,} asked again, {len(again - before):,} for the first time; status {status}"
    left = [r for r in build.records() if r["status"] in AGAIN]
    return [
        Measure("storm: second run ends with 0 or 3", float(status in (0, 3)), 1, "", "higher", f"status {status}"),
        Measure("storm: calls asked again that could not succeed", len(needless), 0, "", "lower", how),
        Measure("storm: calls that could succeed and were not asked again", len(missed), 0, "", "lower", how),
        Measure("storm: failed calls after the second run", len(left), 0, "", "lower", how),
    ]


def _count(records: list[dict[str, str]], of: str, ok: bool = False) -> int:
    return sum(record["of"] == of and (not ok or record["status"] == "ok") for record in records)


def flagged(folder: Path) -> list[Measure]:
    """A server that answers "flagged" to one of 30 prompts.

    Args:
        folder: for the builds.
    """
    with ServerProcess(folder / "server", {}) as server:
        calm = prepare(folder / "calm", server.url, pictures=10)
        calm.finish()
        question = calm.rows("2-queries")[7]["question"]
        plan = Plan(always={question: "403 moderation words"})
        server.replan(dict.fromkeys(RESPONDERS, plan))
        build = prepare(folder / "flagged", server.url, pictures=10)
        first, asked = build.finish(), len(server.asked())
        second = build.finish()
        more = len(server.asked()) - asked
    answers = Counter(row["query_id"] for row in build.rows("3-responses") if row["response_status"] == "ok")
    complete = sum(count == len(RESPONDERS) for count in answers.values())
    statuses = f"status {first.status}, then {second.status}"
    fine = first.status in (0, 3) and second.status in (0, 3)
    return [
        Measure("1 of 30 prompts flagged: ends with 0 or 3", float(fine), 1, "", "higher", statuses),
        Measure("1 of 30 prompts flagged: complete prompts", complete, (29, 29), "", "between", "of 30"),
        Measure("1 of 30 prompts flagged: calls of a second run", more, 0, "", "lower", statuses),
    ]
