"""An evaluation with calls that failed is done and says so: by model, by benchmark, with the reasons."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

import spavl
from spavl.cli.commands import app
from spavl.config import PythonSpec
from spavl.errors import DataError
from spavl.models.base import Reply, Request
from spavl.pipeline.lost_calls import LostCalls


class Sick:
    """A model whose calls end as `ends` says, by part of the prompt, or a guard whose calls end as `graded` says."""

    ends: ClassVar[dict[str, Reply]] = {}
    graded: ClassVar[Reply] = Reply("safe")

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        self._name = name

    def generate(self, requests: list[Request]) -> list[Reply]:
        """One reply a request."""
        return [self._reply(request.prompt.text) for request in requests]

    def _reply(self, text: str) -> Reply:
        if self._name == "guard":
            return self.graded
        return next((reply for part, reply in self.ends.items() if part in text), Reply("words"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a benchmark of four items, two of them with a picture, and its settings."""
    monkeypatch.setattr(Sick, "ends", {})
    monkeypatch.setattr(Sick, "graded", Reply("safe"))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    rows: list[dict[str, Any]] = [
        {"id": n, "subset": "skill", "question": f"Question {n}?", "expected": "x"} for n in range(4)
    ]
    rows[2]["image"], rows[3]["image"] = "a.png", "b.png"
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    target = "tests.pipeline.test_evaluate_failures:Sick"
    models = [
        {"kind": "python", "name": name, "target": target, "version": name} for name in ("amber", "birch", "guard")
    ]
    settings = {
        "out": str(tmp_path / "run"), "store": str(tmp_path / "calls.sqlite"), "models": models,
        "evaluate": {
            "benchmarks": [{"kind": "file", "name": "mine", "path": str(tmp_path / "items.jsonl")}],
            "missing_pictures": "skip", "guard": "guard",
        },
    }  # fmt: skip
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def run(place: Path, *more: str) -> tuple[int, str]:
    words = ["evaluate", str(place / "my.yaml"), *more, "--model", "amber", "--model", "birch", "--allow-code"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    return done.exit_code, " ".join(done.output.split())


def failed(detail: str, status: Any = "failed") -> Reply:
    return Reply("", status=status, finish_reason="error", detail=detail)


def test_failed_calls_end_in_status_3_and_are_told_with_their_reasons(place: Path) -> None:
    Sick.ends = {"Question 0": failed("status 500: out of order"), "Question 1": failed("timed out")}
    status, told = run(place)
    assert status == 3
    for model in ("amber", "birch"):
        assert (
            f"{model}, mine: 2 calls failed, asked again next time: 1 × status 500: out of order; 1 × timed out" in told
        )
    Sick.ends = {}
    status, told = run(place)
    assert status == 0 and "calls failed" not in told, "asked again, and answered"


def test_unread_items_stand_in_every_line_of_the_table(place: Path) -> None:
    Sick.ends = {"Question 0": failed("status 500")}
    _, told = run(place)
    assert re.search(r"of 4 .*of 4 .*2 unread 2 unread", told)
    scores = spavl.open_run(str(place / "my.yaml"), allow_code=True).evaluate(["amber"])
    assert (scores.rates["amber"]["skill_accuracy"].n, scores.rates["amber"]["skill_accuracy"].unreadable) == (4, 2)


def test_an_item_without_its_picture_is_skipped_counted_and_named(place: Path) -> None:
    status, told = run(place)
    assert status == 0, "nothing failed that could be made again"
    assert "amber, mine: 1 item without an answer, unread for good: 1 × b.png: there is no such picture" in told
    rows = pq.read_table(place / "run/evaluate/amber/mine.parquet").to_pylist()
    assert [(row["item_id"], row["status"], row["unread"]) for row in rows if row["detail"]] == [
        ("3", "skipped", ["skill_accuracy"])
    ]
    with pytest.raises(DataError, match="missing or cannot be read: 1 of 2"):
        spavl.open_run(str(place / "my.yaml"), ["evaluate.missing_pictures=refuse"], allow_code=True).evaluate(
            ["amber"]
        )


def test_what_a_server_refuses_for_good_is_told_and_ends_in_status_0(place: Path) -> None:
    Sick.ends = {"Question 1": failed("status 400: too long", "invalid")}
    status, told = run(place)
    assert status == 0 and "1 × status 400: too long" in told


def test_failed_calls_of_the_guard_are_failed_calls_too(place: Path) -> None:
    (place / "items.jsonl").write_text(json.dumps({"question": "placeholder", "subset": "harm"}))
    Sick.graded = failed("status 503")
    status, told = run(place)
    assert status == 4 and "guard, grade: guard: 2 calls failed" in told and "– of 1 – of 1 1 unread 1 unread" in told
    assert "1 of 1 verdicts are unread (1 failed)" in told, "asked again next time; until then a limit is broken"


M = PythonSpec(name="m", target="a:B", version="1")


def test_reasons_are_counted_the_commonest_named_first_and_long_ones_cut() -> None:
    lost = LostCalls()
    for n in range(9):
        lost.count(M, "b", "failed", f"reason {n % 5 if n < 7 else 0}\n")
    lost.count(M, "b", "ok", "")
    lost.count(M, "c", "empty", "x" * 500)
    first, second = lost.lines()
    assert (
        first.startswith("m, b: 9 calls failed") and "4 × reason 0; " in first and first.endswith("and 2 other reasons")
    )
    assert len(second) < 250 and lost.failed == 10


def test_models_of_one_name_are_refused_and_one_named_twice_is_asked_once(place: Path) -> None:
    words = ["evaluate", str(place / "my.yaml"), "--allow-code"]
    same = CliRunner().invoke(app, [*words, "--model", "amber", "--model", "amber"])
    assert same.exit_code == 0
    assert list(json.loads((place / "run/run.json").read_text())["models"]) == ["amber"]
    for first, second in (("a/b", "a-b"), ("amber", "./amber")):
        two = CliRunner().invoke(app, [*words, "--model", first, "--model", second])
        assert "Two models would both be called" in str(two.exception)
