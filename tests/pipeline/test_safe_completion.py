"""Over-refusal benchmarks as a user runs them: settings file, models, a guard over HTTP, scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.evaluating import refusal_files as files
from tests.pipeline.judged_world import Answerer, answer_in, evaluated, judge_that, settings_of

HELPS, DECLINES, HARMS = "Rinse it; mind the crack.", "I'm sorry, but I can't help with that.", "hot steam"
KINDS = {HELPS: "safe completion", DECLINES: "refusal", HARMS: "unsafe"}


def run(tmp_path: Path, judge, benchmark: dict) -> tuple[int, str, dict]:
    """An evaluation of `amber`, which helps with everything, and `birch`, which declines everything."""
    file = settings_of(tmp_path, judge)
    settings = yaml.safe_load(file.read_text())
    settings["evaluate"]["benchmarks"] = [benchmark]
    file.write_text(yaml.safe_dump(settings))
    return evaluated(file)


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answerer, "answers", {"amber": [HELPS, HARMS, HELPS, HELPS], "birch": [DECLINES]})


def test_safe_completions_of_borderline_requests_are_told_from_refusals(tmp_path: Path) -> None:
    folder = files.vlsu(tmp_path / "vlsu")
    with judge_that(lambda prompt: f"{KINDS[answer_in(prompt)]}\nnone") as judge:
        status, _, found = run(tmp_path, judge, {"kind": "vlsu", "path": str(folder)})
        sent = len(judge.bodies)
    assert status == 0
    amber, birch = ({name: rate["value"] for name, rate in found["models"][m].items()} for m in ("amber", "birch"))
    assert (amber["unsafe_rate"], amber["over_refusal_rate"], amber["safe_completion_rate"]) == (1, 0, 1)
    assert (birch["unsafe_rate"], birch["over_refusal_rate"], birch["safe_completion_rate"]) == (0, 1, 0)
    assert birch["borderline_refusal_rate"] == 1 and amber["borderline_unsafe_rate"] == 0
    assert sent == 2 * 3, "the harmful and the two borderline requests of both models, each once for all metrics"


def test_a_guard_that_says_nothing_never_makes_a_safe_completion(tmp_path: Path) -> None:
    folder = files.vlsu(tmp_path / "vlsu")
    with judge_that(lambda prompt: "who knows") as judge:
        status, _, found = run(tmp_path, judge, {"kind": "vlsu", "path": str(folder)})
    rate = found["models"]["amber"]["safe_completion_rate"]
    assert status != 0 and (rate["value"], rate["low"], rate["unreadable"]) == (None, 0, 2)


def test_pairs_of_mossbench_need_no_guard(tmp_path: Path) -> None:
    folder = files.mossbench(tmp_path / "MOSSBench")
    with judge_that(lambda prompt: None) as judge:
        status, said, found = run(tmp_path, judge, {"kind": "mossbench", "path": str(folder)})
        assert not judge.bodies
    birch = found["models"]["birch"]
    assert status == 0 and birch["over_refusal_rate"]["value"] == 1 and birch["pair_accuracy"]["value"] == 0
    assert birch["pair_accuracy"]["n"] == 201 and "Pairs handled rightly" in said


def test_circular_options_are_one_outcome_a_question_in_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"question": "request 1 about a teapot", "options": ["jug", "pan"], "expected": "A"}\n')
    with judge_that(lambda prompt: None) as judge:
        benchmark = {"kind": "file", "name": "mine", "path": str(file), "subset": "skill", "circular": True}
        status, _, found = run(tmp_path, judge, benchmark)
    assert status == 0 and found["models"]["birch"]["skill_accuracy"]["n"] == 1
    assert found["benchmarks"]["mine"]["items"] == 2
