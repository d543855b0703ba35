"""`spavl check`: an evaluation alone, all that is missing at once, broken pictures, and the evaluation's calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import spavl
from spavl.cli.commands import app
from spavl.errors import DataError, RunError, SettingsError
from spavl.pipeline.check import RunPlan
from spavl.run import Run
from tests.pipeline.instant import Instant, settings_of, write_pictures


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with pictures and a benchmark file of 5 items, 3 of them harmful."""
    write_pictures(tmp_path / "pictures", 4)
    rows = [{"question": f"Placeholder {n}?", "subset": "harm" if n < 3 else "benign"} for n in range(5)]
    (tmp_path / "items.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    Instant.fails.clear()
    yield tmp_path


def plan_of(place: Path, *, allow_code: bool = True, **changed: Any) -> RunPlan:
    """The plan of a settings tree."""
    return spavl.open_run(settings_of(place, **changed), allow_code=allow_code).check()


def said(place: Path, tree: dict[str, Any], *words: str) -> tuple[int, str]:
    """Exit status and output of `spavl check`."""
    file = place / "my.yaml"
    file.write_text(yaml.safe_dump(tree))
    done = CliRunner().invoke(app, ["check", str(file), *words], env={"COLUMNS": "250"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def benchmark(place: Path, path: str = "items.jsonl", name: str = "mine") -> dict[str, Any]:
    """Settings of a benchmark of a file."""
    return {"kind": "file", "name": name, "path": str(place / path)}


def problems(plan: RunPlan) -> str:
    """All problems of a plan."""
    return "\n".join(problem.render() for problem in plan.problems)


def test_a_file_for_an_evaluation_alone_is_accepted_and_its_calls_are_counted(place: Path) -> None:
    one = settings_of(place).model_dump(mode="json")
    models = [model for model in one["models"] if model["name"] == "guard"]
    tree = {
        "out": str(place / "run"), "store": str(place / "calls.sqlite"), "models": models,
        "guards": [{"name": "guard"}], "evaluate": {"benchmarks": [benchmark(place)], "guard": "guard"},
    }  # fmt: skip
    status, text = said(place, tree, "--allow-code")
    assert status == 0, text
    assert "benchmarks alone" in text
    assert "5 items of benchmarks" in text
    assert "spavl evaluate" in text
    plan = spavl.open_run(tree, allow_code=True).check()
    assert [(e.stage, e.model, e.kind, e.calls) for e in plan.estimates] == [
        ("evaluate", "base", "local", 5), ("evaluate", "guard", "python", 3)
    ]  # fmt: skip
    assert not (place / "run").exists()
    assert not (place / "calls.sqlite").exists()


def test_where_models_are_listed_and_none_is_aligned_it_must_be_said_which_are_evaluated(place: Path) -> None:
    one = settings_of(place).model_dump(mode="json")
    tree = {
        "out": str(place / "run"), "store": str(place / "calls.sqlite"), "guards": [{"name": "guard"}],
        "models": [model for model in one["models"] if model["name"] == "guard"],
        "evaluate": {"benchmarks": [benchmark(place)], "guard": "guard"},
    }  # fmt: skip
    status, text = said(place, tree, "--allow-code")
    assert (
        status == 0 and "every model that `--model` names" in text and "my.yaml --model NAME" in " ".join(text.split())
    )
    with pytest.raises(SettingsError, match="not said which models") as raised:
        spavl.open_run(tree, allow_code=True).evaluate()
    assert "`guard`" in raised.value.render()


def test_a_file_for_everything_counts_the_calls_of_the_evaluation_too(place: Path) -> None:
    plan = plan_of(place, evaluate={"benchmarks": [benchmark(place)], "guard": "guard"})
    assert [(e.model, e.calls) for e in plan.estimates if e.stage == "evaluate"] == [("base", 5), ("guard", 3)]
    assert plan.problems == []
    assert plan.calls == sum(e.calls for e in plan.estimates)


def test_everything_that_is_missing_is_named_at_once(place: Path) -> None:
    plan = plan_of(
        place,
        build={"respond": {"models": ["amber"]}, "grade": {"guards": ["gard"]}},
        evaluate={"benchmarks": [benchmark(place, "gone.jsonl"), benchmark(place, "also-gone.jsonl", "other")]},
    )
    text = problems(plan)
    assert "also-gone.jsonl" in text
    assert str(place / "gone.jsonl") in text
    assert "One responder is named, `amber`" in text
    assert "names the guard `gard`" in text


def test_the_guard_of_the_evaluation_is_looked_at(place: Path) -> None:
    text = problems(plan_of(place, evaluate={"benchmarks": [benchmark(place)], "guard": "gaurd"}))
    assert "`evaluate.guard` names the guard `gaurd`" in text
    assert "did you mean `guard`" in text
    without = problems(plan_of(place, evaluate={"benchmarks": [benchmark(place)]}))
    assert "needs a guard that grades answers" in without


def test_a_class_that_may_not_be_run_or_is_not_there_is_named(place: Path) -> None:
    assert "--allow-code" in problems(plan_of(place, allow_code=False))
    models = [{"kind": "python", "name": "asker", "target": "tests.pipeline.nowhere:Model", "version": "1"}]
    models += [m for m in settings_of(place).model_dump(mode="json")["models"] if m["name"] != "asker"]
    assert "tests.pipeline.nowhere" in problems(plan_of(place, models=models))


def test_broken_pictures_are_told_and_are_no_problem_unless_all_are(place: Path) -> None:
    weapon = place / "pictures" / "weapon"
    (weapon / "broken.png").write_bytes(b"no picture")
    (weapon / "cut.png").write_bytes((weapon / "0.png").read_bytes()[:40])
    plan = plan_of(place)
    assert sorted(Path(one.file).name for one in plan.unusable) == ["broken.png", "cut.png"]
    assert (plan.looked_at, plan.pictures, plan.problems) == (6, 6, [])
    status, text = said(place, settings_of(place).model_dump(mode="json"), "--allow-code")
    assert status == 0
    assert "2 of 6 pictures looked at cannot be used" in text
    for path in (place / "pictures").rglob("*.png"):
        path.write_bytes(b"no picture")
    assert "None of the pictures can be used" in problems(plan_of(place))


def test_neither_pictures_nor_benchmarks_is_a_sentence(place: Path) -> None:
    with pytest.raises(spavl.SpavlError, match="No folder of pictures is named"):
        plan_of(place, build={"collect": {"folder": None}})


@pytest.mark.parametrize("word", ["check", "build"])
def test_a_folder_in_place_of_a_settings_file_is_named_whole(word: str, place: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(place)
    done = CliRunner().invoke(app, [word, "."])
    assert isinstance(done.exception, spavl.SpavlError)
    assert "where: .\n" not in f"{done.exception}\n"
    assert str(place) in str(done.exception)


def test_a_place_that_is_a_dot_is_a_whole_path_in_every_error(place: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(place / "pictures")
    assert spavl.SpavlError("Wrong", where=".").where == str(place / "pictures")
    assert spavl.SpavlError("Wrong", where="..").where == str(place)
    assert spavl.SpavlError("Wrong", where="a.b").where == "a.b"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_key_or_a_secret_header_that_is_not_set_is_a_problem(
    place: Path, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("A_KEY", "A_HEADER"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    one = settings_of(place).model_dump(mode="json")
    shared = {"kind": "endpoint", "url": "http://127.0.0.1:1/v1", "model": "m"}
    one["models"][3] = {**shared, "name": "amber", "identity": "t/1", "key_env": "A_KEY"}
    one["models"][4] = {**shared, "name": "birch", "identity": "t/2", "headers": {"api-key": "$A_HEADER"}}
    status, text = said(place, one, "--allow-code")
    assert status == 2
    assert "The API key of `amber` is not set" in text and "environment variable A_KEY" in text
    assert "A header of `birch` is not set" in text and "environment variable A_HEADER" in text


def test_a_ceiling_of_cost_that_no_price_can_reach_is_told_before_anything_is_paid(place: Path) -> None:
    endpoint = {"name": "far", "kind": "endpoint", "url": "http://127.0.0.1:9/v1", "model": "m", "identity": "m/1"}
    for priced in (0.0, 1.0):
        tree = {
            "models": [endpoint | {"price_in": priced}], "ceilings": {"cost": 5.0}, "out": str(place / "run"),
            "store": str(place / "calls.sqlite"), "build": {"collect": {"folder": str(place / "pictures")}},
        }  # fmt: skip
        assert ("`ceilings.cost` can never be reached" in said(place, tree)[1]) is (not priced)


def test_a_picture_named_as_the_folder_of_pictures_is_told_as_a_file(place: Path) -> None:
    picture = next((place / "pictures").rglob("*.png"))
    with pytest.raises(DataError, match="a file and no folder"):
        plan_of(place, build={"collect": {"folder": str(picture)}})


def test_a_settings_file_named_as_the_run_folder_is_told_as_a_file(place: Path) -> None:
    (place / "my.yaml").write_text("seed: 1\n")
    with pytest.raises(RunError, match="RUN is a folder, and this is a file"):
        Run(place / "my.yaml").found()
