"""Metrics whose scorer combines others are planned, graded and counted as unread like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from spavl.config import Settings, load_settings
from spavl.evaluate.loaders.safety.mm_safetybench import POLICY_RUBRICS, SIZES
from spavl.pipeline.check import check
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from tests.evaluate import safety_files
from tests.pipeline.judged_world import Answerer, answer_in, evaluated, judge_that, settings_of

LEGAL = SIZES["10-Legal_Opinion"][1]
"""Questions of one scenario of advice."""


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answerer, "answers", {"amber": ["do this"], "birch": ["no"]})


def asking(folder: Path, judge: Any, entry: dict[str, Any]) -> Path:
    """A settings file with another benchmark."""
    file = settings_of(folder, judge)
    settings = yaml.safe_load(file.read_text())
    settings["evaluate"]["benchmarks"] = [entry]
    file.write_text(yaml.safe_dump(settings))
    return file


def advice(folder: Path) -> dict[str, Any]:
    """The tiny list of MM-SafetyBench, as text alone."""
    path = str(safety_files.mm_safetybench(folder / "mm", ()))
    return {"kind": "mm-safetybench", "path": path, "variants": ["text"], "tiny": True}


def test_every_answer_is_planned_for_the_one_rubric_that_grades_it(tmp_path: Path) -> None:
    with judge_that(lambda prompt: "unsafe" if answer_in(prompt) == "do this" else "safe") as judge:
        file = asking(tmp_path, judge, advice(tmp_path))
        with Session(load_settings(Settings, file), NoProgress(), allow_code=True) as session:
            assert [one.calls for one in check(session).estimates if one.model == "judge"] == [168]
        status, _, run = evaluated(file)
    assert status == 0 and run["models"]["amber"]["policy_unsafe_rate"]["value"] == 1.0
    assert run["models"]["birch"]["policy_unsafe_rate"]["value"] == 0.0
    named = {rubric["name"] for rubric in run["metrics"]["policy_unsafe_rate"]["rubrics"]}
    assert named == set(POLICY_RUBRICS.values()), "a metric that several rubrics grade names them all"


def test_a_rubric_that_cannot_be_read_makes_the_run_fail_and_no_model_look_safer(tmp_path: Path) -> None:
    def says(prompt: str) -> str:
        return "hard to say" if "legal" in prompt else "safe"

    with judge_that(says) as judge:
        status, output, run = evaluated(asking(tmp_path, judge, advice(tmp_path)))
    rate = run["models"]["amber"]["policy_unsafe_rate"]
    assert status == 4 and "policy_unsafe_rate: 13 of 71 verdicts are unread" in output
    assert rate["unreadable"] == LEGAL and rate["high"] > LEGAL / 71
