"""Longitudinal suites: rates by the date of the items; when the suite grows, only what is new is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.config.study import load_study
from spavl.errors import DataError, SettingsError
from spavl.models.base import Reply, Request
from spavl.statistics.transfer import Drift
from spavl.study.longitudinal import run_longitudinal
from spavl.study.page import study_shown
from spavl.study.results import write_results

SETTINGS = """
out: runs/mine
models:
  - {{name: steady, kind: python, target: "{here}:Steady", version: "1"}}
  - {{name: drifting, kind: python, target: "{here}:Drifting", version: "1"}}
evaluate:
  benchmarks: [{{kind: file, name: suite, path: {suite}}}]
"""
STUDY = "kind: longitudinal\nsettings: mine.yaml\nmodels: [steady, drifting]\nby: year\nout: {out}\n"
ASKED: list[str] = []
"""Questions that were asked of models of this process."""


class Steady:
    """Helps with everything."""

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        pass

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        ASKED.extend(request.prompt.text for request in requests)
        return [Reply("Here is how to do that.", completion_tokens=6) for _ in requests]


class Drifting(Steady):
    """Declines what is of the year 2026."""

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        replies = super().generate(requests)
        words = ("I'm sorry, but I can't help with that." if "2026" in r.prompt.text else reply.text
                 for r, reply in zip(requests, replies, strict=True))  # fmt: skip
        return [Reply(text, completion_tokens=6) for text in words]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    suite = tmp_path / "suite.jsonl"
    suite.write_text(rows([2023, 2024, 2025], 20), "utf-8")
    (tmp_path / "mine.yaml").write_text(SETTINGS.format(here=__name__, suite=suite), "utf-8")
    (tmp_path / "study.yaml").write_text(STUDY.format(out=tmp_path / "made"), "utf-8")
    ASKED.clear()
    return tmp_path / "study.yaml"


def rows(years: Sequence[int], each: int) -> str:
    items = [{"question": f"Request {n} of {year}", "benign": True, "added": f"{year}-0{1 + n % 3}-01"}
             for year in years for n in range(each)]  # fmt: skip
    return "".join(f"{json.dumps(item)}\n" for item in items)


def test_rates_are_by_the_date_of_the_items_and_only_new_items_are_asked(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run_longitudinal(load_study(study), study, allow_code=True)
    assert first.asked == len(ASKED) == 2 * 60
    ASKED.clear()
    with (tmp_path / "suite.jsonl").open("a", encoding="utf-8") as file:
        file.write(rows([2026], 20))
    second = run_longitudinal(load_study(study), study, allow_code=True)
    assert second.asked == len(ASKED) == 2 * 20 and all("2026" in text for text in ASKED)
    refused = {(one.arm, one.subset): one.rate for one in second.results if one.metric == "over_refusal_rate"}
    assert refused["drifting", "2026"] == 1.0 and refused["drifting", "2025"] == 0.0
    assert {refused["steady", year] for year in ("2023", "2024", "2025", "2026")} == {0.0}


def test_the_page_shows_every_model_and_period_and_whether_there_is_a_trend(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.jsonl").write_text(rows([2023, 2024, 2025, 2026], 20), "utf-8")
    made = run_longitudinal(load_study(study), study, allow_code=True)
    (drift,) = study_shown(made.folder).drifts
    assert drift.periods == ("2023", "2024", "2025", "2026") and drift.items == (20,) * 4
    assert [model.label for model in drift.models] == ["steady", "drifting"]
    assert "no trend is shown" in drift.models[0].sentence and "no trend" not in drift.models[1].sentence
    page = made.page.read_text("utf-8")
    assert "2026" in page and "drifting" in page and "<script" not in page


def test_trends_are_corrected_for_all_of_the_study(study, tmp_path, monkeypatch):
    """Each of the two alone would be shown."""
    monkeypatch.chdir(tmp_path)
    made = run_longitudinal(load_study(study), study, allow_code=True)
    trend = Drift(0.1, 0.01, 0.19, 0.03, 0.0, 9)
    monkeypatch.setattr("spavl.study.drifts.drift", lambda *given, **more: trend)
    (both,) = study_shown(made.folder).drifts
    assert all("no trend is shown; the interval excludes none, but not after" in one.sentence for one in both.models)
    write_results(made.folder, [one for one in made.results if one.arm == "steady"])
    (alone,) = study_shown(made.folder).drifts
    assert ["no trend is shown" in model.sentence for model in alone.models] == [False]
    write_results(made.folder, [replace(one, better="neither") for one in made.results])
    (described,) = study_shown(made.folder).drifts
    assert all("what only describes is not tested" in model.sentence for model in described.models)


def test_a_study_without_a_dated_item_that_counts_is_a_sentence(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = run_longitudinal(load_study(study), study, allow_code=True)
    write_results(made.folder, [])
    assert study_shown(made.folder).lead == "No item that a metric counts says when it joined."


def test_a_suite_without_dates_is_refused_before_anything_is_asked(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.jsonl").write_text('{"question": "Request", "benign": true}\n', "utf-8")
    with pytest.raises(DataError, match="says when it joined"):
        run_longitudinal(load_study(study), study, allow_code=True)
    assert not ASKED


def test_settings_of_trainings_are_refused(study):
    with pytest.raises(SettingsError, match="studies that train"):
        load_study(study, ["size=100"])


def test_the_command_tells_what_would_be_asked_and_asks_it(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["study", str(study), "--check", "--allow-code"])
    assert told.exit_code == 0 and "60 items" in told.output and not ASKED
    done = CliRunner().invoke(app, ["study", str(study), "--allow-code"])
    assert done.exit_code == 0 and "120 calls made" in done.output and "study.html" in done.output
