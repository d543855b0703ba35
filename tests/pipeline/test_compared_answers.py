"""Win rates by a judge in both reading orders: against a reference, or against the first model's answers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spavl.config import Settings, load_settings
from spavl.config.judging import JudgeSpec
from spavl.errors import SettingsError
from spavl.evaluate import Benchmark, Item
from spavl.evaluate.metrics import win_rate
from spavl.evaluate.preference_scorer import PreferenceScorer
from spavl.evaluate.run import score
from spavl.evaluate.scorer import DECLINED, Answer
from spavl.judging.judge import open_judge
from spavl.models.base import Sampling
from spavl.pipeline.check import check
from spavl.pipeline.evaluate import open_benchmarks
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests.pipeline.judged_world import Answerer, evaluated, judge_that, settings_of

KINDS = ("better", "worse", "bad", "odd", "same")


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amber's answers are plain but for bad ones; birch's are of five kinds in turn."""
    monkeypatch.setattr(
        Answerer, "answers", {"amber": ["plain", "plain", "bad", "plain", "same"], "birch": list(KINDS)}
    )


def verdict(prompt: str) -> str:
    """Prefers `better`, calls two `bad` ones harmful, and of `odd` ones the one that is shown first."""
    first, second = (re.findall(rf"<<<answer {name}\n(.*?)\nanswer {name}>>>", prompt, re.S)[0] for name in "AB")
    if first == second == "bad":
        raise AssertionError("equal answers are not sent to the judge")
    if "bad" in first and "bad" in second:
        return "Both do harm. [[D]]"
    if "odd" in (first, second):
        return "[[A]]"
    order = {"worse": 0, "plain": 1, "a good answer": 1, "better": 2}
    return "[[A]]" if order.get(first, 1) > order.get(second, 1) else "[[B]]"


def test_the_second_model_is_compared_with_the_first_and_the_first_has_no_win_rate(tmp_path: Path) -> None:
    with judge_that(verdict) as judge:
        status, told, run = evaluated(settings_of(tmp_path, judge, count=5, how="preferred"))
        assert len(judge.bodies) == 6, "three pairs that differ, in both orders; equal answers are a tie without a call"
    assert status == 0 and run["models"]["amber"] == {} and "win_rate" not in run["paired"].get("birch", {})
    assert run["verdicts"]["amber"]["win_rate"]["counts"] == {"void": 5}
    rows = {row["item_id"]: row for row in pq.read_table(tmp_path / "run/evaluate/birch/tea.parquet").to_pylist()}
    said = [(rows[f"tea-{n}"]["score_win_rate"], rows[f"tea-{n}"]["verdicts"][0]["detail"]) for n in range(5)]
    assert said == [(1.0, ""), (0.0, ""), (0.5, "the same words"), (0.5, "orders disagree"), (0.5, "the same words")]
    steady = run["judges_evaluation"]["birch"]["win_rate"]
    assert (steady["compared"], steady["consistent"]["value"]) == (3, pytest.approx(2 / 3))
    assert steady["position_bias"]["value"] == pytest.approx(1 / 3)
    assert "3 compared by judge; 33.3 % name another winner in the other order, position bias +33.3 %" in told


def test_two_harmful_answers_are_counted_apart_and_are_never_a_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answerer, "answers", {"amber": ["bad one"], "birch": ["bad two", "better"]})
    with judge_that(verdict) as judge:
        status, told, run = evaluated(settings_of(tmp_path, judge, count=4, how="preferred"))
    rate, kept = run["models"]["birch"]["win_rate"], run["verdicts"]["birch"]["win_rate"]
    assert (rate["value"], rate["n"], rate["unreadable"]) == (1.0, 2, 0)
    assert kept["counts"] == {"ok": 2, "void": 2} and kept["unread"] == 0 and status == 0
    assert run["judges_evaluation"]["birch"]["win_rate"]["both_harmful"] == 2
    assert "2 both harmful, counted apart" in told


def test_with_references_every_model_has_a_win_rate(tmp_path: Path) -> None:
    with judge_that(verdict) as judge:
        _, _, run = evaluated(settings_of(tmp_path, judge, count=2, how="preferred", noted=True))
    assert run["models"]["birch"]["win_rate"]["value"] == 0.5 and run["models"]["amber"]["win_rate"]["n"] == 2


@pytest.mark.parametrize("garbage", ["I would choose A.", "", "[[A]] or [[B]]", None, "[[D]] and [[A]]"])
def test_a_judge_without_a_verdict_is_no_tie(garbage: str | None, tmp_path: Path) -> None:
    with judge_that(lambda prompt: garbage) as judge:
        status, told, run = evaluated(settings_of(tmp_path, judge, count=2, how="preferred", noted=True))
    rate = run["models"]["birch"]["win_rate"]
    assert status == 4 and rate["value"] is None and (rate["low"], rate["high"]) == (0.0, 1.0)
    assert "Too many unread verdicts: birch, win_rate: 2 of 2" in told


def test_a_benchmark_that_compares_needs_a_judge_and_its_calls_are_planned(tmp_path: Path) -> None:
    with judge_that(verdict) as judge:
        file = settings_of(tmp_path, judge, count=4, how="preferred")
        settings = load_settings(Settings, file)
        with Session(settings, NoProgress(), allow_code=True) as session:
            plan = check(session)
            (scorer,) = {metric.scorer.id for made in open_benchmarks(session) for metric in made.metrics}
        assert scorer.startswith("judge:judge/both-orders/")
        assert [one.calls for one in plan.estimates if one.model == "judge"] == [8], "two orders of four answers"
        without = load_settings(Settings, file, ["evaluate.judge=null"])
        with (
            Session(without, NoProgress(), allow_code=True) as session,
            pytest.raises(SettingsError, match="needs a judge"),
        ):
            open_benchmarks(session)


def test_an_answer_of_the_first_model_that_was_declined_makes_no_win_rate_for_it(tmp_path: Path) -> None:
    tea = Item(item_id="tea", subset="tea", question="Request 1 about a teapot", shown="none", benign=True)
    cup = replace(tea, item_id="cup", notes={"reference": "a cup"})
    scorer = PreferenceScorer(open_judge(JudgeSpec(name="judge")), "judge/1", lambda doing, prompts: [])
    benchmark = Benchmark(name="b", items=(tea, cup), metrics=(win_rate(scorer),), sampling=Sampling())
    given = [
        Answer(item=item, benchmark="b", model="amber", text="", status=status, call="", tokens=0)
        for item, status in zip((tea, cup), DECLINED, strict=True)
    ]
    assert [one.outcomes for one in score(benchmark, given)] == [{}, {"win_rate": 0.0}]
    failed = [replace(one, status="failed") for one in given]
    assert [one.outcomes for one in score(benchmark, failed)] == [{}, {"win_rate": None}]
    later = replace(benchmark, metrics=(win_rate(scorer.against({"tea": "words", "cup": "words"})),))
    assert [one.outcomes for one in score(later, given)] == [{"win_rate": 0.0}] * 2, "a later model loses by it"
