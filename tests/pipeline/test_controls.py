"""Controls in the pipeline: asked after a model's own answers, compared with them, stored, planned and shown."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
from PIL import Image

from spavl.cli.terminal import out as console
from spavl.cli.terminal import print_controls, print_scores
from spavl.config import PythonSpec, Settings
from spavl.config.benchmarks import FileBenchmark
from spavl.errors import DataError, SettingsError
from spavl.models.base import Reply, Request
from spavl.pipeline.check import check
from spavl.pipeline.controls import plain_controls
from spavl.pipeline.evaluate import evaluate, open_benchmarks, run_benchmarks
from spavl.pipeline.report import write_run_report
from spavl.pipeline.scores import Scores
from spavl.pipeline.session import Session
from tests.pipeline.instant import Log

ITEMS = 12
CONTROLS = [{"kind": "none"}, {"kind": "blank"}, {"kind": "shuffled"}, {"kind": "jpeg", "level": 1}]


class Seeing:
    """Refuses where the picture is mostly red; the guard calls every whole answer unsafe. Notes what it was asked."""

    asked: ClassVar[list[Request]] = []

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        self._name = name

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request."""
        self.asked.extend(request for request in requests if "answer" not in request.prompt.fields)
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        if "answer" in request.prompt.fields:
            return Reply("safe" if "cannot" in request.prompt.fields["answer"] else "unsafe\nplaceholder")
        if self._name == "looking" and request.prompt.images:
            with Image.open(request.prompt.images[0].path) as image:
                red, green, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
            if red > green + 60 and red > blue + 60:
                return Reply("I'm sorry, but I cannot help with that.")
        return Reply("Here is the answer.")


def settings_of(folder: Path, **changed: Any) -> Settings:
    """Settings of an evaluation of two models on requests about red (harmful) and green (harmless) pictures."""
    rows = []
    for n in range(ITEMS):
        harmful = n % 2 == 0
        name = f"{n}.png"
        Image.new("RGB", (16, 16), (200 + n, 20, 20) if harmful else (20, 200 + n, 20)).save(folder / name)
        rows.append({"id": n, "question": f"Request {n} about a teapot?", "image": name, "group": f"g{n % 3}",
                     "subset": "harm" if harmful else "benign"})  # fmt: skip
    (folder / "items.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    models = [
        PythonSpec(name=name, target="tests.pipeline.test_controls:Seeing", version=name)
        for name in ("looking", "careless", "guard")
    ]
    return Settings.model_validate({
        "out": str(folder / "run"), "store": str(folder / "calls.sqlite"),
        "models": [one.model_dump() for one in models], "guards": [{"name": "guard"}],
        "evaluate": {
            "benchmarks": [{"kind": "file", "name": "own", "path": str(folder / "items.jsonl")}], "guard": "guard",
            "controls": CONTROLS, **changed,
        },
    })  # fmt: skip


def evaluated(settings: Settings, log: Log | None = None) -> tuple[Scores, int]:
    """Scores of the two models, and how many calls were made."""
    with Session(settings, log or Log(), allow_code=True) as session:
        return evaluate(session, models=["careless", "looking"]), session.store.calls


def known(folder: Path, model: str) -> dict[str, dict[str, Any]]:
    """What `run.json` says of every control of a model."""
    return {one["control"]: one for one in json.loads((folder / "run/run.json").read_text())["controls"][model]}


def test_what_a_model_keeps_without_its_picture_stands_in_run_json(tmp_path: Path) -> None:
    evaluated(settings_of(tmp_path))
    found = known(tmp_path, "looking")
    for control in ("none", "blank", "shuffled"):
        unsafe = found[control]["metrics"]["unsafe_rate"]
        assert (unsafe["own"]["value"], unsafe["rate"]["value"], unsafe["flips"]["value"]) == (0.0, 1.0, 1.0)
        assert (unsafe["kept"]["value"], unsafe["lost"]["value"]) == (0.0, 1.0)
        assert unsafe["paired"]["difference"] == 1.0 and unsafe["paired"]["broken"] == ITEMS // 2
    assert found["shuffled"]["metrics"]["over_refusal_rate"]["flips"]["value"] == 1.0, "it is shown red ones"
    assert found["none"]["metrics"]["over_refusal_rate"]["flips"]["value"] == 0.0
    assert found["jpeg-1"]["metrics"]["unsafe_rate"]["kept"]["value"] == 1.0
    careless = known(tmp_path, "careless")["none"]["metrics"]["unsafe_rate"]
    assert careless["own"]["value"] == 1.0 and careless["kept"]["n"] == 0 and careless["flips"]["value"] == 0.0


def test_own_answers_are_not_asked_again_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    Seeing.asked.clear()
    first, _ = evaluated(settings_of(tmp_path))
    assert len(Seeing.asked) == 2 * ITEMS * (1 + len(CONTROLS))
    before = json.loads((tmp_path / "run/run.json").read_text())["controls"]
    second, calls = evaluated(settings_of(tmp_path))
    assert calls == 0 and second.controls == first.controls
    assert json.loads((tmp_path / "run/run.json").read_text())["controls"] == before


def test_scores_without_controls_are_the_same_with_them(tmp_path: Path) -> None:
    plain, _ = evaluated(settings_of(tmp_path, controls=[]))
    assert plain.controls == {} and json.loads((tmp_path / "run/run.json").read_text())["controls"] == {}
    assert "Controls" not in write_run_report(tmp_path / "run").read_text()
    both, _ = evaluated(settings_of(tmp_path))
    assert (both.rates, both.paired, both.metrics, both.benchmarks) == (
        plain.rates, plain.paired, plain.metrics, plain.benchmarks
    )  # fmt: skip


def test_a_table_of_a_control_has_what_was_shown(tmp_path: Path) -> None:
    evaluated(settings_of(tmp_path))
    blank = pq.read_table(tmp_path / "run/evaluate/looking/own@blank.parquet").to_pylist()
    assert {row["shown"] for row in blank} == {"blank"} and len({row["image_sha256"][0] for row in blank}) == 1
    assert {row["benchmark"] for row in blank} == {"own@blank"}
    own = pq.read_table(tmp_path / "run/evaluate/looking/own.parquet").to_pylist()
    assert [row["item_id"] for row in own] == [row["item_id"] for row in blank]


def test_fewer_items_get_controls_where_the_settings_say_so(tmp_path: Path) -> None:
    evaluated(settings_of(tmp_path, control_items=4))
    found = known(tmp_path, "looking")
    assert {one["items"] for one in found.values()} == {4}
    assert found["none"]["metrics"]["unsafe_rate"]["own"]["n"] == 2


def test_check_counts_no_call_for_items_that_lack_their_picture(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, missing_pictures="skip", controls=[{"kind": "jpeg"}])
    (tmp_path / "0.png").unlink()
    with Session(settings, Log(), allow_code=True, look_only=True) as session:
        calls = {one.model: one.calls for one in check(session).estimates}
    assert calls == {"base": 2 * (ITEMS - 1), "guard": 2 * (ITEMS // 2 - 1)}
    Seeing.asked.clear()
    with Session(settings, Log(), allow_code=True) as session:
        evaluate(session, models=["careless"])
    assert len(Seeing.asked) == calls["base"]


def test_unread_answers_under_a_control_are_said_in_the_terminal(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, controls=[{"kind": "none"}])
    scores, _ = evaluated(settings)
    found = plain_controls(scores.metrics, scores.controls)
    flips = found["models"]["looking"][0]["metrics"]["unsafe_rate"]["flips"]
    flips["unreadable"] = 2
    with console.capture() as captured:
        print_controls(found)
    assert "(100 %, 2 unread)" in captured.get()


def test_check_counts_the_calls_of_controls_and_makes_no_picture(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, control_items=4)
    with Session(settings, Log(), allow_code=True, look_only=True) as session:
        plan = check(session)
        assert not (session.world / "controls").exists()
    calls = {one.model: one.calls for one in plan.estimates}
    assert calls == {"base": ITEMS + 4 * 4, "guard": ITEMS // 2 + 4 * 2}
    assert plan.items == ITEMS and plan.problems == []
    wrong = settings_of(tmp_path, controls=[{"kind": "language", "path": "gone.csv"}], control_benchmarks=["own"])
    with Session(wrong, Log(), allow_code=True, look_only=True) as session:
        assert "gone.csv" in check(session).problems[0].render()


def test_a_benchmark_that_cannot_be_opened_is_not_told_again_by_the_controls(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, control_benchmarks=["own", "gone"])
    gone = FileBenchmark(name="gone", path="gone.jsonl")
    own = settings.evaluate.model_copy(update={"benchmarks": [*settings.evaluate.benchmarks, gone]})
    with Session(settings.model_copy(update={"evaluate": own}), Log(), allow_code=True, look_only=True) as session:
        problems = [problem.render() for problem in check(session).problems]
    assert len(problems) == 1 and "gone.jsonl" in problems[0] and "try:" in problems[0]


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"control_benchmarks": ["owm"]}, SettingsError, "No benchmark is called `owm`"),
        ({"controls": [{"kind": "paraphrase", "path": "gone.csv"}]}, DataError, "gone.csv"),
    ],
)  # fmt: skip
def test_a_wrong_control_is_refused_before_any_call(
    tmp_path: Path, changed: dict[str, Any], error: type[Exception], words: str
) -> None:
    Seeing.asked.clear()
    with pytest.raises(error) as raised:
        evaluated(settings_of(tmp_path, **changed))
    assert words in raised.value.render() and Seeing.asked == []  # type: ignore[attr-defined]


def test_a_control_that_does_not_apply_is_said_once_and_counted(tmp_path: Path) -> None:
    log = Log()
    evaluated(settings_of(tmp_path, controls=[{"kind": "caption"}, {"kind": "again"}, {"kind": "blank"}]), log)
    assert [line for line in log.lines if "control" in line] == [
        "control caption does not apply to own (12 items: no caption)",
        "control again does not apply to own (12 items: greedy answers)",
    ]
    found = known(tmp_path, "looking")["caption"]
    assert found["items"] == 0 and found["left_out"] == {"no caption": 12} and found["metrics"] == {}


def test_a_blind_control_gets_no_controls(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with Session(settings, Log(), allow_code=True) as session:
        session.run.note(aligned={"careless": {"blind": True}})
        scores = run_benchmarks(session, settings.models[:2], open_benchmarks(session))
    assert list(scores.rates) == ["looking", "careless"]
    assert list(scores.controls) == ["looking"]


def test_controls_stand_in_the_terminal_and_on_the_page(tmp_path: Path) -> None:
    scores, _ = evaluated(settings_of(tmp_path))
    with console.capture() as printed:
        print_scores(scores)
    assert re.search(r"none +0\.0 \(0 %\) +\+100\.0 \(100 %\)", printed.get())
    assert "Needless refusals under controls" in printed.get()
    page = write_run_report(tmp_path / "run").read_text().replace("\u202f", " ")
    assert "Without its picture, looking stays safe on 0 % (at most 39.0 %) of the 6 items" in page
    assert page.count('aria-label="Controls of ') == 2 and "JPEG of quality 50" in page


def test_nothing_is_printed_where_there_are_no_controls() -> None:
    with console.capture() as printed:
        print_controls({"metrics": {}, "models": {}})
    assert printed.get() == ""
