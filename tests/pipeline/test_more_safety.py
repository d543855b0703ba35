"""Published benchmarks of pairs and of turns, evaluated from their files with a judge over real HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import Settings, load_settings
from spavl.pipeline.check import check
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests.evaluate import more_safety_files as files
from tests.pipeline.judged_world import Answerer, answer_in, evaluated, judge_that, settings_of


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"amber": ["never", "do one", "no", "do three"], "birch": ["never", "no one", "no two", "no three"]}
    monkeypatch.setattr(Answerer, "answers", said)


def test_the_sides_of_a_pair_are_graded_once_for_all_three_rates(tmp_path: Path) -> None:
    mssbench = {"kind": "mssbench", "path": str(files.mssbench(tmp_path / "mss")), "parts": ["chat"]}
    with judge_that(lambda prompt: "comply" if "do" in answer_in(prompt) else "refuse") as judge:
        file = settings_of(tmp_path, judge, benchmarks=[mssbench])
        with Session(load_settings(Settings, file), NoProgress(), allow_code=True) as session:
            planned = [one.calls for one in check(session).estimates if one.model == "judge"]
            assert planned == [6], "three pairs, each side once, of the one model that is planned for"
        status, _, run = evaluated(file)
        assert len(judge.bodies) == 6, "a judge that sees the answer alone is sent no answer twice"
    rates = {model: {name: rate["value"] for name, rate in run["models"][model].items()} for model in run["models"]}
    assert status == 0
    assert rates["amber"] == {
        "unsafe_rate": pytest.approx(2 / 3), "over_refusal_rate": pytest.approx(1 / 3), "pair_accuracy": 0.0,
    }  # fmt: skip
    assert rates["birch"] == {"unsafe_rate": 0.0, "over_refusal_rate": 1.0, "pair_accuracy": 0.0}
    assert {known["rubric"]["name"] for known in run["metrics"].values()} == {"mssbench"}


def test_a_judge_that_is_down_leaves_all_rates_of_pairs_unread(tmp_path: Path) -> None:
    mssbench = {"kind": "mssbench", "path": str(files.mssbench(tmp_path / "mss")), "parts": ["chat"]}
    with judge_that(lambda prompt: None) as judge:
        status, _, run = evaluated(settings_of(tmp_path, judge, benchmarks=[mssbench]))
    assert status == 4
    assert all(rate["value"] is None for rate in run["models"]["amber"].values())


def test_the_guard_is_sent_all_turns_of_a_dialogue(tmp_path: Path) -> None:
    safemt = {
        "kind": "safemt", "path": str(files.safemt(tmp_path / "s", [2])), "turns": [2], "partial": True,
    }  # fmt: skip
    with judge_that(lambda prompt: "safe") as judge:
        status, _, run = evaluated(settings_of(tmp_path, judge, benchmarks=[safemt]))
        sent = str(judge.bodies[0]["messages"])
    assert status == 0 and run["models"]["amber"]["unsafe_rate"]["value"] == 0.0
    assert "turn 1 of 2 about pot" in sent and "turn 2 of 2 about pot" in sent
