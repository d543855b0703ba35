"""Rates are corrected by people's labels of the run's own answers, or by the guard's qualification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import DataError
from spavl.pipeline.answer_labels import read_labels
from tests.pipeline.judged_world import Answerer, answer_in, evaluated, judge_that, settings_of

COUNT = 40


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second answer of amber is harmful; of these the guard overlooks every fourth, which is veiled."""
    said = ["harm" if n % 8 else "veiled harm" for n in range(2 * COUNT)]
    amber = [said[n] if n % 2 == 0 else "care" for n in range(COUNT)]
    monkeypatch.setattr(Answerer, "answers", {"amber": amber, "birch": ["care"]})


def overlooking(prompt: str) -> str:
    return "unsafe" if answer_in(prompt) == "harm" else "safe"


def labels(folder: Path, rows: list[dict[str, Any]]) -> str:
    file = folder / "labels.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return str(file)


def label(n: int, model: str = "amber", **more: Any) -> dict[str, Any]:
    said = "unsafe" if model == "amber" and n % 2 == 0 else "safe"
    return {"model": model, "benchmark": "tea", "item_id": f"tea-{n}", "label": said, **more}


def test_labels_of_the_runs_own_answers_correct_the_rate_of_their_model(tmp_path: Path) -> None:
    file = labels(tmp_path, [label(n) for n in range(COUNT) if n % 5 < 3])
    with judge_that(overlooking) as judge:
        status, told, run = evaluated(settings_of(tmp_path, judge, count=COUNT, labels=file))
    by_guard, mended = run["models"]["amber"]["unsafe_rate"]["value"], run["corrected"]["amber"]["unsafe_rate"]
    assert status == 0 and by_guard == 0.375 and mended["method"] == "prediction-powered" and mended["labels"] == 24
    assert abs(mended["rate"]["value"] - 0.5) < abs(by_guard - 0.5)
    assert mended["rate"]["low"] <= 0.5 <= mended["rate"]["high"]
    assert mended["sensitivity"]["value"] == pytest.approx(0.75) and mended["specificity"]["value"] == 1.0
    assert run["corrected"]["birch"] == {}, "nothing is known of the errors on birch's answers"
    assert "amber, unsafe_rate: corrected 5" in told and "(prediction-powered, 24 labels; sensitivity 75 %" in told


def test_the_guards_qualification_corrects_where_no_answer_of_the_run_is_labelled(tmp_path: Path) -> None:
    rows = [{"question": f"Question {n}?", "answer": "harm" if n % 4 else "veiled harm", "label": "unsafe"}
            for n in range(40)]  # fmt: skip
    rows += [{"question": f"Question {n}?", "answer": "care", "label": "safe"} for n in range(40)]
    examples = tmp_path / "examples.jsonl"
    examples.write_text("\n".join(map(json.dumps, rows)))
    with judge_that(overlooking) as judge:
        file = settings_of(tmp_path, judge, count=COUNT)
        CliRunner().invoke(app, ["qualify", str(file), "--guard", "judge", "--examples", str(examples), "--allow-code"])
        _, told, run = evaluated(file)
    mended = run["corrected"]["amber"]["unsafe_rate"]
    assert mended["method"] == "rogan-gladen" and mended["rate"]["value"] == pytest.approx(0.5)
    assert mended["rate"]["low"] < 0.5 < mended["rate"]["high"] and mended["labels"] == 80
    assert "corrected 50.0 %" in told and "(rogan-gladen, 80 labels" in told
    assert run["corrected"]["birch"]["unsafe_rate"]["rate"]["value"] == 0.0


def test_labels_of_no_use_are_told_and_refused_before_any_call_where_none_is_of_use(tmp_path: Path) -> None:
    strangers = [label(1, model="maple"), label(COUNT + 2), label(3, benchmark="cups")]
    with judge_that(overlooking) as judge:
        file = settings_of(tmp_path, judge, count=COUNT, labels=labels(tmp_path, strangers))
        words = ["evaluate", str(file), "--model", "amber", "--allow-code"]
        done = CliRunner().invoke(app, words)
        assert judge.bodies == []
    assert isinstance(done.exception, DataError)
    named = f"the model maple, items that tea has not, such as tea-{COUNT + 2}, the benchmark cups"
    assert named in str(done.exception)
    with judge_that(overlooking) as judge:
        file = settings_of(tmp_path, judge, count=COUNT, labels=labels(tmp_path, [label(0), *strangers]))
        status, told, _ = evaluated(file)
    assert status == 0 and "3 labels not used, of items that tea has not" in told


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no labels"),
        ([label(0, label="maybe")], "`label` is safe or unsafe, not "),
        ([label(0), label(0, label="safe")], "labelled both safe and unsafe"),
        ([{"model": "amber", "label": "safe"}], "benchmark"),
    ],
)
def test_wrong_rows_are_a_sentence(rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_labels(Path(labels(tmp_path, rows)))
    assert "maybe" not in said and caught.value.where


def test_what_is_not_about_unsafe_answers_is_not_corrected_by_labels_of_these(tmp_path: Path) -> None:
    guards = [{"name": "four", "model": "judge", "kind": "outcome"}]
    file = labels(tmp_path, [label(n) for n in range(COUNT) if n % 5 < 3])
    with judge_that(lambda prompt: "unsafe" if answer_in(prompt) == "harm" else "unhelpful") as judge:
        _, _, run = evaluated(settings_of(tmp_path, judge, count=COUNT, labels=file, guards=guards, guard="four"))
    assert "unhelpful_rate" in run["models"]["amber"] and list(run["corrected"]["amber"]) == ["unsafe_rate"]


def test_labels_of_what_the_guard_cleared_alone_correct_nothing(tmp_path: Path) -> None:
    file = labels(tmp_path, [label(n) for n in range(1, COUNT, 2)])
    with judge_that(overlooking) as judge:
        _, told, run = evaluated(settings_of(tmp_path, judge, count=COUNT, labels=file))
    mended = run["corrected"]["amber"]["unsafe_rate"]
    assert mended["rate"]["value"] is None and (mended["rate"]["low"], mended["rate"]["high"]) == (0.0, 1.0)
    assert "not corrected: the judge calls unsafe 0% of the labelled answers and 75% of the others" in told


@pytest.mark.parametrize(
    ("more", "wrong"), [({}, "tea-1#1"), ({"samples": 2, "sampling": {"temperature": 1.0}}, "tea-1")]
)
def test_a_label_of_a_sample_that_there_is_not_is_told(more: dict[str, Any], wrong: str, tmp_path: Path) -> None:
    file = labels(tmp_path, [label(1, item_id=wrong)])
    with judge_that(overlooking) as judge:
        words = ["evaluate", str(settings_of(tmp_path, judge, count=4, labels=file, **more)), "--allow-code"]
        done = CliRunner().invoke(app, [*words, "--model", "amber"])
    assert isinstance(done.exception, DataError) and f"items that tea has not, such as {wrong}" in str(done.exception)
