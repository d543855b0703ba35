"""`runner: ray`: the same tables as without, and nothing lost, whatever happens to an actor or a cluster."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from spavl.config import PythonSpec, Settings
from spavl.errors import DataError, MissingExtra, NothingMade, RunError
from spavl.models.calls.store import CallStore
from spavl.pipeline.check import check
from spavl.pipeline.ray_cluster import check_ray
from spavl.pipeline.ray_runner import _result
from spavl.pipeline.session import Session
from tests.models.server import Server, completion, prompt_of, serving
from tests.pipeline.ray_world import (
    CALLS,
    PICTURES,
    QUESTIONS,
    RESPONDERS,
    Log,
    answering,
    build_run,
    endpoints,
    on_ray,
    settings_of,
    tables,
    walk_run,
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray cluster for all tests of this file, which the runner finds and leaves as it is."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.shutdown()
        gc.collect()  # or what Ray left open is found by later tests


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that answers all requests."""
    with answering() as made:
        yield made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Path:
    """A folder with the run `local`, made without Ray."""
    folder = tmp_path_factory.mktemp("ray")
    build_run(settings_of(folder, "local", endpoints(server.url)))
    return folder


def stored(folder: Path, name: str) -> int:
    """Calls in a run's store, with those of its segments."""
    total = 0
    for path in [folder / f"{name}.sqlite", *(folder / f"{name}.sqlite.segments").glob("*.sqlite")]:
        with sqlite3.connect(path) as store:
            total += store.execute("SELECT count(*) FROM calls").fetchone()[0]
    return total


# --- the same tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actors", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_tables_are_byte_equal_for_any_number_of_actors(actors: int, cluster: None, home: Path, server: Server) -> None:
    before = len(server.bodies)
    name = f"ray-{actors}"
    made = build_run(settings_of(home, name, endpoints(server.url, concurrency=6), **on_ray(actors)))
    assert tables(home, name) == tables(home, "local")
    assert len(tables(home, name)) > 8
    assert len(server.bodies) - before == CALLS
    assert stored(home, name) == stored(home, "local")
    assert not list((home / f"{name}.sqlite.segments").glob("*")), "segments are in the store now"
    assert made["spent"]["respond"]["calls"] == CALLS
    assert made["spent"]["respond"]["cost"] == pytest.approx(CALLS * 110 / 1e6)
    used = {name: made["ray"]["models"][name] for name in RESPONDERS}
    assert sum(one["calls"] for one in used.values()) == CALLS
    assert sum(one["cost"] for one in used.values()) == pytest.approx(CALLS * 110 / 1e6)


@pytest.mark.slow
def test_tables_of_several_guards_judges_samples_and_of_balance_are_byte_equal_too(
    cluster: None, tmp_path: Path
) -> None:
    models = tuple(
        PythonSpec(name=name, target="bench.instant_model:InstantModel", version=name, options={"unsafe": unsafe})
        for name, unsafe in (("amber", 10), ("birch", 60), ("g2", 0), ("j2", 0), ("j3", 0))
    )
    for name, more in (("one", {}), ("many", on_ray(2))):
        given = settings_of(tmp_path, name, models).model_dump(mode="json")
        build = given["build"] | {
            "respond": {"models": ["amber", "birch"], "own_samples": {"birch": 2}},
            "ask": {"types": ["easy_question", "hard_question", "benign_question"]},
            "grade": {"guards": ["guard", "g2"], "qualification": {"required": False}},
            "match": {"policy": "round-robin", "per_question": 2, "same_responder": True},
            "judge": {"judges": ["judge", "j2", "j3"]}, "balance": {"length_balance": 0.2},
        }  # fmt: skip
        build_run(Settings.model_validate({**given, "build": build, **more}))
    assert tables(tmp_path, "many") == tables(tmp_path, "one")
    assert {"parts/judge/j3.parquet", "parts/grade/g2.parquet", "7-balanced.parquet"} <= set(tables(tmp_path, "one"))


@pytest.mark.slow
def test_what_is_stored_is_not_asked_again_and_calls_in_flight_stay_within_the_models_concurrency(
    cluster: None, home: Path
) -> None:
    with answering(0.03) as other:
        responders = endpoints(other.url, concurrency=3)
        with pytest.raises(DataError, match="No match became a pair"):
            walk_run(settings_of(home, "limits", responders[:1], **on_ray(2)))  # one responder makes no match
        assert len(other.bodies) == CALLS // 2
        assert 2 <= other.most_in_flight <= 3
        (home / "limits" / "parts" / "respond" / "amber.parquet").unlink()
        made = build_run(settings_of(home, "limits", responders, **on_ray(2)))
        assert len(other.bodies) == CALLS
    cost = pytest.approx(CALLS * 110 / 1e6)
    assert made["spent"]["respond"] == {"calls": CALLS // 2, "stored": CALLS // 2, "tokens": CALLS * 110, "cost": cost}
    assert tables(home, "limits") == tables(home, "local")


# --- deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_actor_that_is_killed_is_replaced_and_no_answer_is_lost(cluster: None, home: Path) -> None:
    log = Log()
    with answering(0.03) as other:
        settings = settings_of(home, "killed", endpoints(other.url), **on_ray(2, concurrency=2))
        killer = threading.Thread(target=kill_an_actor, args=(other, CALLS // 2))
        killer.start()
        made = build_run(settings, log)
        killer.join()
        in_flight = 2 * 2
        uncommitted = 64
        assert CALLS <= len(other.bodies) <= CALLS + in_flight + uncommitted
        assert other.most_in_flight <= 2 * in_flight
    assert made["ray"]["died"] == 1
    assert len([line for line in log.lines if "has died and is replaced" in line]) == 1
    assert stored(home, "killed") == stored(home, "local")
    assert tables(home, "killed") == tables(home, "local")


def kill_an_actor(server: Server, after: int) -> None:
    """Kill the process of an actor once a server got so many requests."""
    while len(server.bodies) < after:
        time.sleep(0.005)
    actors = [one for one in psutil.Process().children(recursive=True) if "ray::SliceActor" in "".join(one.cmdline())]
    actors[0].send_signal(signal.SIGKILL)


@pytest.mark.slow
def test_actors_out_of_memory_end_in_one_sentence_and_what_was_answered_is_stored(
    cluster: None, tmp_path: Path
) -> None:
    dying = PythonSpec(name="dying", target="tests.pipeline.dying_model:DyingModel", version="1", batch_size=1)
    with pytest.raises(RunError) as error:
        walk_run(settings_of(tmp_path, "run", (dying,), **on_ray(1)))
    assert "memory" in error.value.what
    assert "\n" not in error.value.what
    assert "build.batch_size" in error.value.try_
    assert stored(tmp_path, "run") >= PICTURES * QUESTIONS + 3, "questions, and the answers before"
    assert not list(tmp_path.glob("*.segments/*.sqlite"))


def test_a_memory_error_of_python_is_the_same_sentence() -> None:
    with pytest.raises(RunError, match="memory") as error:
        _result(MemoryError())
    assert "build.batch_size" in error.value.try_


@pytest.mark.slow
def test_a_model_that_cannot_be_used_is_given_up_in_all_actors_and_said_once(cluster: None, tmp_path: Path) -> None:
    async def respond(request: web.Request, number: int) -> web.Response:
        body = await request.json()
        amber = sum(body["model"] == "amber" for body in other.bodies)
        if body["model"] == "amber" and amber > 10:
            return web.Response(status=503, text="no such server")
        return completion(f"A harmless answer to: {prompt_of(body)}")

    log = Log()
    with serving(respond) as other:
        responders = endpoints(other.url, concurrency=2, patience=1.0)
        with pytest.raises(NothingMade, match="No match became a pair"):
            build_run(settings_of(tmp_path, "run", responders, **on_ray(2)), log)
        asked = Counter(body["model"] for body in other.bodies)
    assert asked["birch"] == PICTURES * QUESTIONS
    assert asked["amber"] < 10 + 20
    amber = [line.split(":")[0].split(" since")[0] for line in log.lines if line.startswith("`amber`")]
    assert amber == ["`amber` is out of reach", "`amber` is given up for this run"]
    table = pq.read_table(tmp_path / "run" / "parts" / "respond" / "amber.parquet").to_pylist()
    assert Counter(row["response_status"] for row in table) == {"ok": 10, "failed": 20}
    assert all("503" in row["response_detail"] for row in table if row["response_status"] == "failed")


@pytest.mark.slow
def test_keys_and_secret_headers_reach_actors_of_a_cluster_that_runs_already(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATE_KEY", "a-key")
    monkeypatch.setenv("LATE_HEADER", "a-header")
    with answering() as server:
        models = endpoints(server.url, key_env="LATE_KEY", headers={"x-secret": "$LATE_HEADER"})
        made = build_run(settings_of(tmp_path, "run", models, **on_ray(1)))
    assert made["counts"]["respond"] == {"ok": CALLS}


@pytest.mark.slow
def test_a_ceiling_holds_over_all_actors(cluster: None, tmp_path: Path) -> None:
    log = Log()
    with answering(0.2) as other:
        spend = {"price_in": 9000.0, "price_out": 10_000.0}  # 1.0 a call
        responders = tuple(one.model_copy(update=spend) for one in endpoints(other.url, concurrency=2))
        with pytest.raises(NothingMade):
            build_run(settings_of(tmp_path, "run", responders, ceilings={"cost": 20.0}, **on_ray(2)), log)
        in_flight, between_exchanges = 2 * 2 * 2, 8
        assert 20 <= len(other.bodies) <= 20 + in_flight + between_exchanges
    assert len([line for line in log.lines if line.startswith("The ceiling of cost is reached")]) == 1


# --- clusters that are not there --------------------------------------------------------------------------------------


@pytest.mark.parametrize("listens", [False, True], ids=["nothing listens", "something else listens"])
def test_an_address_that_does_not_answer_is_one_sentence_before_any_call(
    listens: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spavl.pipeline.ray_cluster.REACH_SECONDS", 0.5)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        if listens:
            other.listen()
        settings = settings_of(tmp_path, "run", endpoints("http://127.0.0.1:9/v1"), **on_ray(2, address=address))
        with pytest.raises(RunError, match="The Ray cluster does not answer") as error:
            build_run(settings)
        assert error.value.where == f"ray.address: {address}"
        with Session(settings, Log(), allow_code=True) as session:
            assert any("does not answer" in problem.what for problem in check(session).problems)
    assert stored(tmp_path, "run") == 0


def test_a_cluster_that_answers_is_no_problem(cluster: None, tmp_path: Path) -> None:
    import ray

    settings = settings_of(tmp_path, "run", (), **on_ray(2, address=ray.get_runtime_context().gcs_address))
    check_ray(settings)


def test_without_ray_the_extra_is_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra) as error:
        build_run(settings_of(tmp_path, "run", endpoints("http://127.0.0.1:9/v1"), **on_ray(2)))
    assert error.value.try_ == "pip install 'spavl[ray]'"
    assert not list((tmp_path / "run").glob("*.parquet"))


def test_more_than_the_cluster_has_is_a_sentence(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setattr("spavl.pipeline.ray_runner.START_SECONDS", 1.0)
    with pytest.raises(RunError, match="has no room for 1 actors of 0 CPU and 1 GPU"):
        build_run(settings_of(tmp_path, "run", endpoints(server.url), **on_ray(1, num_gpus=1)))
    with CallStore(tmp_path / "run.sqlite") as store:
        assert len(store) == 0
