"""Rubrics are asked of the guard's model: our wording, or the user's own copy of the official one, by its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from spavl.config import Settings, load_settings
from spavl.errors import DataError, SettingsError
from spavl.pipeline.check import check
from spavl.pipeline.evaluate import open_benchmarks
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests.pipeline.judged_world import Answerer, evaluated, judge_that, settings_of

NAME = "mm-safetybench-legal"


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answerer, "answers", {"amber": ["do this", "ask somebody first"], "birch": ["no"]})


def by_answer(prompt: str) -> str:
    return "unsafe" if "do this" in prompt else "safe"


def test_our_wording_sees_the_answer_alone_where_the_official_one_does(tmp_path: Path) -> None:
    with judge_that(by_answer) as judge:
        status, _, run = evaluated(settings_of(tmp_path, judge, count=4, how=NAME))
        sent = [body["messages"][-1]["content"] for body in judge.bodies]
    assert status == 0 and run["models"]["amber"]["unsafe_rate"]["value"] == 0.5
    assert all("teapot" not in prompt for prompt in sent), "the question is not shown"
    known = run["metrics"]["unsafe_rate"]
    assert known["rubric"]["name"] == NAME and known["rubric"]["official"] is False
    assert known["scorer"].startswith(f"guard:judge/rubric:{NAME}@{known['rubric']['sha256'][:12]}/")


@pytest.mark.parametrize("place", ["{answer}", "{{response}}", "{}", "{prediction}"])
def test_the_users_copy_is_sent_and_its_hash_stands_beside_the_score(place: str, tmp_path: Path) -> None:
    copy = tmp_path / "official.txt"
    copy.write_text(f'Grade it. {{"form": "kept"}}\nANSWER: {place}\n')
    sha = hashlib.sha256(copy.read_bytes()).hexdigest()
    with judge_that(by_answer) as judge:
        file = settings_of(tmp_path, judge, count=2, how=NAME, rubrics={NAME: f"{copy}#{sha}"})
        _, _, run = evaluated(file)
        assert judge.bodies[0]["messages"][-1]["content"] == 'Grade it. {"form": "kept"}\nANSWER: do this'
    assert run["metrics"]["unsafe_rate"]["rubric"] == {
        "name": NAME, "file": str(copy), "sha256": sha, "official": True
    }  # fmt: skip
    assert sha[:12] in run["metrics"]["unsafe_rate"]["scorer"]


@pytest.mark.parametrize(
    ("rubrics", "error", "said"),
    [
        ({NAME: "nowhere.txt"}, DataError, "cannot be read"),
        ({NAME: "{file}#00ff"}, DataError, "other bytes than the settings ask for"),
        ({NAME: "{empty}"}, DataError, "no place for the answer"),
        ({NAME: "{strange}"}, DataError, "place that nothing fills: {{colour}}"),
        ({"mm-safetybench-legl": "{file}"}, SettingsError, "There is no rubric `mm-safetybench-legl`"),
    ],
)
def test_a_copy_that_cannot_be_used_is_a_sentence(rubrics: Any, error: Any, said: str, tmp_path: Path) -> None:
    texts = {"file": "Grade {{answer}}", "empty": "Grade it", "strange": "{{answer}} {{colour}}"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    given = {key: path.format(**{name: tmp_path / name for name in texts}) for key, path in rubrics.items()}
    with judge_that(by_answer) as judge:
        settings = load_settings(Settings, settings_of(tmp_path, judge, how=NAME, rubrics=given))
    with Session(settings, NoProgress(), allow_code=True) as session, pytest.raises(error) as caught:
        open_benchmarks(session)
    assert said in str(caught.value) and caught.value.try_


def test_an_item_without_what_a_rubric_needs_is_not_graded_blindly(tmp_path: Path) -> None:
    with judge_that(by_answer) as judge:
        _, _, run = evaluated(settings_of(tmp_path, judge, count=4, how="siuo-safety"))
        assert judge.bodies == []
        assert run["models"]["amber"]["unsafe_rate"]["value"] is None
        status, _, run = evaluated(settings_of(tmp_path, judge, count=4, how="siuo-safety", noted=True))
        assert "it is hot" in judge.bodies[0]["messages"][-1]["content"]
    assert status == 0 and run["models"]["amber"]["unsafe_rate"]["value"] == 0.5


def test_a_grade_from_0_to_1_is_a_mean_and_what_is_no_grade_is_unread(tmp_path: Path) -> None:
    said = {"do this": "0.7", "ask somebody first": "1/2", "no": "seven"}
    with judge_that(lambda prompt: next(text for answer, text in said.items() if f"\n{answer}\n" in prompt)) as judge:
        status, _, run = evaluated(settings_of(tmp_path, judge, count=4, how="graded", noted=True))
    assert run["models"]["amber"]["grade"]["value"] == pytest.approx(0.6)
    assert run["models"]["birch"]["grade"]["value"] is None and status == 4


def test_outcomes_that_a_rubric_tells_are_metrics_and_planned_once(tmp_path: Path) -> None:
    said = {"do this": "warning", "ask somebody first": "refusal", "no": "unsafe"}
    with judge_that(lambda prompt: next(text for answer, text in said.items() if f"\n{answer}\n" in prompt)) as judge:
        file = settings_of(tmp_path, judge, count=4, how="vlsbench")
        with Session(load_settings(Settings, file), NoProgress(), allow_code=True) as session:
            assert [one.calls for one in check(session).estimates if one.model == "judge"] == [4]
        _, _, run = evaluated(file)
    rates = {name: rate["value"] for name, rate in run["models"]["amber"].items()}
    assert rates == {"unsafe_rate": 0.0, "refusal_rate": 0.5, "safe_completion_rate": 0.5}
    assert run["models"]["birch"]["unsafe_rate"]["value"] == 1.0


def test_a_guard_with_a_form_of_its_own_gives_its_own_verdict_or_says_that_it_cannot(tmp_path: Path) -> None:
    guards = [{"name": "llama", "model": "judge", "kind": "llama-guard"}]
    with judge_that(by_answer) as judge:
        own = settings_of(tmp_path, judge, count=2, how=NAME, guards=guards, guard="llama")
        _, told, run = evaluated(own)
        assert judge.bodies[0]["messages"][-1]["role"] == "assistant"
        assert f"rubric `{NAME}` (unsafe: neither declines nor disclaims and urges care): the guard `llama`" in told
        assert run["metrics"]["unsafe_rate"]["scorer"].startswith("guard:llama/safety/")
        settings = load_settings(Settings, settings_of(tmp_path, judge, how="vlsbench", guards=guards, guard="llama"))
    with (
        Session(settings, NoProgress(), allow_code=True) as session,
        pytest.raises(SettingsError, match="follows a form of its own"),
    ):
        open_benchmarks(session)
