"""What `spavl check` says of tokens, money, time and disk: guesses that are marked, and what a trial has measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from rich.console import Console
from typer.testing import CliRunner

import spavl
from spavl.amounts import amount, duration, money, size
from spavl.cli import plan_tables, terminal
from spavl.cli.commands import app, parse_count
from spavl.config import Settings
from spavl.models.base import Reply
from spavl.models.calls.store import CallStore
from spavl.models.calls.unit_costs import unit_costs
from spavl.pipeline.check import RunPlan
from spavl.pipeline.collect import candidates
from spavl.pipeline.estimate import COMPLETION_TOKENS, PROMPT_TOKENS, CallEstimate
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.records import Status
from tests.pipeline.instant import Instant, built, write_pictures
from tests.pipeline.instant import settings_of as instant_settings
from tests.pipeline.ray_world import CALLS, PICTURES, QUESTIONS, answering, build_run, endpoints, settings_of

DELAY = 0.02
"""Mean seconds of a call: the server takes one, two or three times half of it."""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings whose build has run once, over a real server; the responders cost 1 a million tokens."""
    folder = tmp_path_factory.mktemp("tried")
    with answering(DELAY / 2) as server:
        settings = settings_of(folder, "run", endpoints(server.url, concurrency=4))
        build_run(settings)
        yield settings


def plan_of(settings: Settings, **more: Any) -> RunPlan:
    """The plan."""
    return spavl.open_run(settings, allow_code=True).check(**more)


def settings_items(settings: Settings) -> Iterator[str]:
    """Ids of the pictures."""
    with Session(settings, NoProgress(), look_only=True, allow_code=True) as session:
        yield from (candidate.image_id for candidate in candidates(session))


def by_model(plan: RunPlan, stage: str = "respond") -> dict[str, CallEstimate]:
    """Estimates of a stage by model."""
    return {one.model: one for one in plan.estimates if one.stage == stage}


def shown(plan: RunPlan, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that a terminal shows."""
    console = Console(width=width, highlight=False)
    monkeypatch.setattr(terminal, "out", console)
    monkeypatch.setattr(plan_tables, "out", console)
    with console.capture() as printed:
        plan_tables.print_plan(plan)
    return [line.rstrip() for line in printed.get().splitlines()]


def test_where_nothing_was_measured_every_number_is_a_guess_and_unknown_money_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prices.yaml").write_text("birch: {in: 2, out: 4, currency: USD}\n")
    with answering() as server:
        models = [one.model_copy(update={"price_in": None, "price_out": None}) for one in endpoints(server.url)]
        plan = plan_of(settings_of(tmp_path, "run", tuple(models), prices=str(tmp_path / "prices.yaml")))
    found = by_model(plan)
    calls = PICTURES * QUESTIONS
    assert {one.basis for one in plan.estimates} == {"guess"} and not plan.measured
    assert found["birch"].prompt_tokens == calls * PROMPT_TOKENS
    assert found["birch"].cost == pytest.approx(calls * (2 * PROMPT_TOKENS + 4 * COMPLETION_TOKENS) / 1e6)
    assert found["amber"].cost is None and "amber" in plan.unknown_cost and "birch" not in plan.unknown_cost
    assert [one for one in plan.warnings if one.endswith("has no price for `amber`")]
    text = "\n".join(shown(plan, 100, monkeypatch))
    assert re.search(r"respond +amber +endpoint +30 +~30,000 +~4,500 +\? +~", text)
    assert re.search(r"respond +birch .*~[\d.,]+ +~\S+ s$", text, re.MULTILINE), "money that rests on a guess is one"
    assert re.search(r"In all: [\d,]+ calls, ~\S+ tokens, ~\S+ USD and more, ~", text)
    assert "cost USD" in text and "The cost is unknown of" in text and "~ is a guess" in text


def test_after_a_trial_tokens_money_time_and_disk_of_any_size_come_from_it(tried: Settings) -> None:
    plan = plan_of(tried, pictures=100 * PICTURES)
    found = by_model(plan)
    assert {one.basis for one in plan.estimates} == {"here"} and plan.measured and plan.scaled
    for one in found.values():
        assert one.expected == one.calls == 100 * CALLS // 2
        assert (one.prompt_tokens, one.completion_tokens) == (one.calls * 100, one.calls * 10)
        assert one.cost == pytest.approx(one.calls * 110 / 1e6)
        assert DELAY <= one.call_seconds < 5 * DELAY
        assert one.seconds == pytest.approx(one.calls / 4 * one.call_seconds)
    work = {one.stage: one for one in plan.work}
    assert work["respond"].seconds >= max(one.seconds for one in found.values())
    assert [work[stage].records for stage in ("collect", "ask", "respond")] == [1_000, 3_000, 6_000]
    store = Path(tried.store).stat().st_size
    assert plan.store_bytes == pytest.approx(100 * store, rel=0.02)


def test_as_many_pictures_as_there_were_take_what_was_taken(tried: Settings) -> None:
    plan, run = plan_of(tried), spavl.open_run(tried).manifest()
    assert plan.expected == sum(one["calls"] for one in run["spent"].values())
    assert plan.cost == pytest.approx(sum(one["cost"] for one in run["spent"].values()))
    files = [path for path in Path(tried.out).rglob("*") if path.is_file()]
    pictures_and_tables = sum(path.stat().st_size for path in files if path.suffix in (".parquet", ".png"))
    assert plan.bytes - plan.store_bytes == pytest.approx(pictures_and_tables, rel=0.1)


def test_a_plan_of_another_size_counts_no_picture(tried: Settings, tmp_path: Path) -> None:
    tree = tried.model_dump()
    tree["build"]["collect"]["folder"] = str(tmp_path / "not there yet")
    plan = plan_of(Settings.model_validate(tree), pictures=10_000_000)
    assert (plan.pictures, plan.looked_at, plan.problems) == (10_000_000, 0, [])
    assert plan.calls == plan_of(tried).calls * 1_000_000


def test_what_is_lost_on_the_way_lets_expect_fewer_calls_than_are_possible(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", 8)
    for name in ("broken.png", "cut.png"):
        (tmp_path / "pictures" / "weapon" / name).write_bytes(b"no picture")
    settings = instant_settings(tmp_path)
    before = plan_of(settings)
    assert before.expected == round(before.calls * 8 / 10), "two of ten pictures that were looked at are broken"
    Instant.fails.add(next(settings_items(settings)))
    counts, calls, _, _ = built(settings)
    Instant.fails.clear()
    plan = plan_of(settings)
    expected = {one.stage: one.records for one in plan.work}
    assert counts["collect"]["made"] == 8 == expected["collect"]
    assert plan.expected == calls < before.expected <= before.calls == plan.calls
    assert expected["pair"] == counts["pair"]["pair"] and expected["export"] == counts["pair"]["pair"]
    ten = plan_of(settings, pictures=100)
    assert ten.expected == 10 * plan.expected


def test_a_ceiling_that_the_plan_will_reach_is_told(tried: Settings) -> None:
    tree = tried.model_dump() | {
        "ceilings": {"cost": 0.5, "minutes": 10_000.0, "models": {"amber": 0.1, "birch": 900.0}}
    }
    warnings = plan_of(Settings.model_validate(tree), pictures=10_000).warnings
    assert [one.split(" is ")[0] for one in warnings] == ["`ceilings.cost`", "`ceilings.models.amber`"]
    assert "0.5, and 6.60 is to be expected" in warnings[0]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_plan_of_ten_million_pictures_fits_a_terminal(
    width: int, tried: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(plan_of(tried, pictures=10_000_000), width, monkeypatch)
    tables = lines[lines.index("Calls") : lines.index(next(one for one in lines if one.startswith("In all")))]
    assert max(map(len, tables)) <= width
    assert not [line for line in tables if "…" in line]
    (amber,) = [line for line in tables if " amber " in line]
    assert re.search(r" 30\.0 M +3\.00 bn +300 M +3,300 +[\d,.]+ h$", amber)
    assert len([line for line in tables if line]) == 2 * 2 + 5 + 1 + 8 + 2, "no line is broken"


def test_the_command_takes_numbers_as_people_write_them_and_prints_json(tried: Settings, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump(tried.model_dump(mode="json")))
    done = CliRunner().invoke(app, ["check", str(file), "--allow-code", "--pictures", "250k", "--json"])
    assert done.exit_code == 0, done.output
    plan = json.loads(done.output)
    assert plan["pictures"] == 250_000 and plan["problems"] == []
    assert plan["total"]["calls"] == sum(one["calls"] for one in plan["estimates"])
    assert plan["total"]["seconds"] == pytest.approx(sum(one["seconds"] for one in plan["work"]))
    words = CliRunner().invoke(app, ["check", str(file), "--allow-code"], env={"COLUMNS": "200"}).output
    assert "start with `spavl build" in words, "all is measured"
    tree = tried.model_dump(mode="json") | {"out": str(tmp_path / "new"), "store": str(tmp_path / "new.sqlite")}
    file.write_text(yaml.safe_dump(tree))
    words = CliRunner().invoke(app, ["check", str(file), "--allow-code"], env={"COLUMNS": "200"}).output
    assert f"`spavl build {file} --limit 20` measures" in words


@pytest.mark.parametrize(
    ("text", "number"), [("10M", 10_000_000), ("250k", 250_000), ("1.5m", 1_500_000), ("1_000", 1_000), ("7", 7)]
)
def test_a_number_of_pictures_is_read(text: str, number: int) -> None:
    assert parse_count(text) == number


@pytest.mark.parametrize("text", ["", "0", "-5", "many", "1.5", "10G", "1e6", "k", "0.0001k"])
def test_what_is_no_number_of_pictures_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_count(text)


def test_what_a_call_takes_is_read_from_the_store_by_model(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    assert unit_costs(path) == {}
    with CallStore(path) as store:
        for number in range(10):
            for model, tokens in (("a", 10), ("b", 30)):
                request = json.dumps({"model": model, "text": "x" * 2_000})
                status: Status = "failed" if number == 0 else "ok"
                store.put(f"{model}{number:031}", Reply("y", status, prompt_tokens=tokens, completion_tokens=2 * tokens,
                                                        cost=0.5, latency=0.1, attempts=2), request)  # fmt: skip
    found = unit_costs(path)
    assert set(found) == {"a", "b"}
    one = found["b"]
    assert (one.calls, one.prompt_tokens, one.completion_tokens, one.cost) == (10, 30.0, 60.0, 0.5)
    assert [one.seconds, one.failed] == pytest.approx([0.2, 0.1])
    assert 10 * (found["a"].bytes + one.bytes) == pytest.approx(path.stat().st_size)


@pytest.mark.parametrize(
    ("how", "number", "text"),
    [
        (amount, 0, "0"), (amount, 999_499, "999,499"), (amount, 999_900, "1.00 M"), (amount, 36e6, "36.0 M"),
        (amount, 2.7e9, "2.70 bn"), (amount, 999.6e6, "1.00 bn"), (size, 12_345, "12 kB"), (size, 402e9, "402 GB"),
        (size, 3.456e12, "3.46 TB"), (duration, 0, "0 s"), (duration, 0.3, "0.3 s"), (duration, 61, "61 s"),
        (duration, 600, "10 min"), (duration, 7_200, "2.00 h"), (duration, 3.6e6, "1,000 h"), (money, None, "?"),
        (money, 0, "0.00"), (money, 0.0123, "0.012"), (money, 12.3, "12.30"), (money, 287_472.4, "287,472"),
    ],
)  # fmt: skip
def test_amounts_are_short_and_tell_their_unit(how: Any, number: float, text: str) -> None:
    assert how(number) == text
