"""A build from a manifest and from a dataset: what comes, what is rejected and why, and what the next run asks for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from spavl.config import Settings
from spavl.config.load import merge
from spavl.dataset.collect.downloads import EVERY
from spavl.dataset.collect.store import WINDOW
from spavl.pipeline.check import check
from spavl.pipeline.collect import collect_slices
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests.dataset.pictures import noise
from tests.dataset.web import Web, send, serving, status
from tests.pipeline.instant import Instant, built, settings_of


@pytest.fixture
def web() -> Iterator[Web]:
    """A server whose every path has a picture of its own."""
    Instant.fails.clear()
    with serving() as server:
        server.otherwise = lambda path: noise(int(path.strip("/")))
        yield server


def settings_for(folder: Path, web: Web, rows: list[tuple[str, str]]) -> Settings:
    """Settings of a build of a manifest."""
    lines = [f"{picture},{topic}" for picture, topic in rows]
    (folder / "pictures.csv").write_text("\n".join(["image,topic", *lines]) + "\n")
    wanted = {"source": "manifest", "folder": None, "manifest": str(folder / "pictures.csv"),
              "download": web.settings(attempts=2, longest_wait=0.1).model_dump(mode="json")}  # fmt: skip
    return Settings.model_validate(merge(settings_of(folder).model_dump(mode="json"), {"build": {"collect": wanted}}))


def rejected(folder: Path) -> dict[str, dict[str, str]]:
    """The rejected pictures by what they are called."""
    return {one["file"]: one for one in json.loads((folder / "run" / "rejected.json").read_text("utf-8"))}


def test_every_picture_has_a_record_or_a_reason_and_the_next_run_asks_only_for_what_may_come(
    web: Web, tmp_path: Path
) -> None:
    web.answers |= {
        "/404": status(404), "/busy": status(503), "/page": b"<html>not a picture</html>",
        "/away": status(302, Location="http://10.0.0.1/x.png"), "/twin": noise(0),
    }  # fmt: skip
    (tmp_path / "here.png").write_bytes(noise(99))
    addresses = {path: web.address(path) for path in ("/0", "/1", "/2", "/404", "/busy", "/page", "/away", "/twin")}
    rows = [(address, ("weapon", "cyber")[n % 2]) for n, address in enumerate(addresses.values())]
    settings = settings_for(tmp_path, web, [*rows, ("here.png", "weapon"), ("../there.png", "weapon")])
    with Session(settings, NoProgress(), allow_code=True, look_only=True) as session:
        assert check(session).pictures == 10
    assert not web.asked
    _, calls, _, lines = built(settings)
    assert calls > 0
    assert rejected(tmp_path).keys() == {addresses[p] for p in ("/404", "/busy", "/page", "/away", "/twin")} | {
        "../there.png"
    }
    why = {name: (one["kind"], one["reason"]) for name, one in rejected(tmp_path).items()}
    assert why[addresses["/404"]] == ("download", "the server answered 404: there is no such picture")
    assert why[addresses["/busy"]] == ("download", "the server answered 503: Service Unavailable")
    assert why[addresses["/away"]] == (
        "download",
        "10.0.0.1 is a private address, which is not asked unless `download.allow_hosts` names it",
    )
    assert why[addresses["/page"]][0] == "unreadable"
    assert why[addresses["/twin"]][0] == "exact duplicate"
    assert why["../there.png"] == ("unreadable", f"the path leads out of the folder {tmp_path}")
    assert any("6 pictures not used" in line for line in lines)

    web.asked.clear()
    web.answers["/busy"] = noise(50)
    _, calls, _, _ = built(settings)
    assert web.asked == {"/busy": 1, "/page": 1}  # the page was no picture, and nothing is kept of it
    assert calls > 0
    assert len(rejected(tmp_path)) == 5

    web.asked.clear()
    _, calls, hits, lines = built(settings)
    assert (calls, hits, web.asked.total()) == (0, 0, 0)
    assert lines[-1].endswith("collect, ask, respond, grade, match, judge, pair")


def test_a_build_that_is_killed_goes_on_with_what_is_missing(web: Web, tmp_path: Path) -> None:
    held = Event()

    def hold(handler: BaseHTTPRequestHandler) -> None:
        held.wait(20)
        send(handler, noise(int(handler.path.strip("/"))))

    web.answers |= {f"/{number}": hold for number in range(200, 300)}
    settings = settings_for(tmp_path, web, [(web.address(f"/{number}"), "weapon") for number in range(300)])
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    command = [sys.executable, "-m", "spavl", "build", str(tmp_path / "my.yaml"), "--allow-code"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while stored(tmp_path) < 128 and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    held.set()
    before = web.asked.total()
    kept = stored(tmp_path)
    assert 128 <= kept <= before < 300
    with Session(settings, NoProgress(), allow_code=True) as session:
        made = sum(table.num_rows for table in collect_slices(session, Counter(), 300))
    assert made == stored(tmp_path) == len(web.asked) == 300
    asked_twice = sum(number > 1 for number in web.asked.values())
    assert asked_twice <= before - kept + WINDOW + EVERY  # those that were on their way, or just stored
    assert asked_twice < 200


def test_a_build_that_is_interrupted_does_not_wait_for_servers(web: Web, tmp_path: Path) -> None:
    held = Event()
    web.answers |= {f"/{number}": lambda handler: held.wait(30) and None for number in range(70, 100)}
    settings = settings_for(tmp_path, web, [(web.address(f"/{number}"), "weapon") for number in range(100)])
    # room for all that are held, so that none of the first is kept waiting behind them
    roomy = {"seconds": 60, "idle_seconds": 60, "per_host": 64, "concurrency": 64}
    slow = {"build": {"collect": {"download": roomy}}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(merge(settings.model_dump(mode="json"), slow)))
    command = [sys.executable, "-m", "spavl", "build", str(tmp_path / "my.yaml"), "--allow-code"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 90
        while stored(tmp_path) < 64 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.wait(20) == 130
        assert time.monotonic() - start < 10
    finally:
        held.set()
        process.kill()
        process.wait()
    assert stored(tmp_path) >= 64


def stored(folder: Path) -> int:
    """Pictures in the run folder."""
    return len(list((folder / "run" / "images").glob("*/*.png")))


def test_a_dataset_is_built_like_a_folder_and_again_without_a_call(tmp_path: Path) -> None:
    Instant.fails.clear()
    rows: list[dict[str, Any]] = [
        {"image": {"bytes": noise(n), "path": f"{n}.png"}, "class3": ["weapon", "cyber"][n % 2]} for n in range(6)
    ]
    pq.write_table(pa.Table.from_pylist([*rows, {"image": None, "class3": "weapon"}]), tmp_path / "validation.parquet")
    wanted = {"source": "dataset", "folder": None, "dataset": {"path": str(tmp_path / "validation.parquet")}}
    tree = merge(settings_of(tmp_path).model_dump(mode="json"), {"build": {"collect": wanted}})
    _, calls, _, _ = built(Settings.model_validate(tree))
    assert calls > 0
    assert rejected(tmp_path) == {
        "validation.parquet, row 7": {"file": "validation.parquet, row 7", "reason": "the row holds no picture",
                                      "kind": "unreadable"}
    }  # fmt: skip
    assert built(Settings.model_validate(tree))[1:3] == (0, 0)
