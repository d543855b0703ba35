"""Ceilings of money, over a real server that reports usage: what is spent beyond them, and what becomes of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.config import Settings
from spavl.errors import SpavlError
from spavl.models.calls.oversight import LEFT_OUT
from spavl.records import Response
from spavl.tables import read_table
from tests.models.server import Server
from tests.pipeline.ray_world import CALLS, RESPONDERS, Log, answering, build_run, endpoints, on_ray, settings_of

PRICE = 110 / 1e6
"""What a call costs: 100 tokens in, 10 out, at 1 a million."""
CONCURRENCY = 4


def world(folder: Path, server: Server, name: str, ceilings: dict[str, Any], **more: Any) -> Settings:
    """Settings of a run whose two responders are behind a server."""
    return settings_of(folder, name, endpoints(server.url, concurrency=CONCURRENCY), ceilings=ceilings, **more)


def command(folder: Path, settings: Settings) -> tuple[int, str]:
    """Exit status and output of `spavl build`."""
    file = folder / "my.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    done = CliRunner().invoke(app, ["build", str(file), "--allow-code"], env={"COLUMNS": "250"})
    if isinstance(done.exception, SpavlError):
        return done.exception.exit_status, done.output
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def asked(server: Server, model: str) -> int:
    """Calls of a model that the server got."""
    return sum(body["model"] == model for body in server.bodies)


@pytest.mark.parametrize("calls", [1, 21])
def test_a_model_exceeds_its_ceiling_by_at_most_the_calls_in_flight_and_the_other_goes_on(
    calls: int, tmp_path: Path
) -> None:
    with answering() as server:
        status, text = command(tmp_path, world(tmp_path, server, "run", {"models": {"amber": calls * PRICE}}))
        spent = asked(server, "amber") * PRICE
        assert calls * PRICE <= spent + 1e-12
        assert spent <= (calls + CONCURRENCY - 1) * PRICE + 1e-12, "all that is beyond was in flight"
        assert asked(server, "birch") == CALLS // 2
        made = read_table(tmp_path / "run" / "parts" / "respond" / "amber.parquet", Response)
        lost = [one for one in made if one.response_status == "failed"]
        assert len(lost) == CALLS // 2 - asked(server, "amber")
        assert {one.response_detail.split(":")[0] for one in lost} == {"not sent"}
        assert all("`amber` has reached its ceiling of cost" in one.response_detail for one in lost)
        assert status == 3 and text.count(LEFT_OUT) == 1 and "the other models go on" in text
        before = len(server.bodies)
        assert command(tmp_path, world(tmp_path, server, "run", {}))[0] == 0
        assert len(server.bodies) - before == len(lost), "the next run asks for what is missing alone"


def test_the_run_exceeds_its_ceiling_by_at_most_the_calls_in_flight_of_all_models(tmp_path: Path) -> None:
    most = 20
    with answering() as server:
        settings = world(tmp_path, server, "run", {"cost": most * PRICE})
        assert command(tmp_path, settings)[0] == 3
        assert most <= len(server.bodies) <= most + len(RESPONDERS) * CONCURRENCY - 1


def test_the_prices_of_a_file_are_charged_and_held_against_ceilings(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("amber: {in: 1, out: 1}\nbirch: {in: 0, out: 0}\nothers: {in: 9, out: 9}\n")
    with answering() as server:
        models = [one.model_copy(update={"price_in": None, "price_out": None}) for one in endpoints(server.url)]
        settings = settings_of(tmp_path, "run", tuple(models), prices=str(tmp_path / "prices.yaml"),
                               ceilings={"models": {"amber": 1.0}})  # fmt: skip
        log = Log()
        made = build_run(settings, log)
    assert made["spent"]["respond"]["cost"] == pytest.approx(CALLS / 2 * PRICE)
    assert not [line for line in log.lines if "never be reached" in line]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_actors_hold_a_models_ceiling_together(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with answering(0.05) as server:
        settings = world(tmp_path, server, "run", {"models": {"amber": 6 * PRICE}}, **on_ray(2))
        made = build_run(settings)
    assert 6 <= asked(server, "amber") <= 6 + CONCURRENCY, "what is beyond was in flight, of all actors"
    assert asked(server, "amber") < CALLS // 2 and asked(server, "birch") == CALLS // 2
    assert made["again"]["respond"] == CALLS // 2 - asked(server, "amber")
