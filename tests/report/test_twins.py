"""Markdown and JSON beside the page hold the same numbers, and nothing that may do harm."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spavl.errors import RunError
from spavl.report import ReportData, StageCost, write_report
from spavl.report.alarms import AlarmShown, AlarmsShown
from spavl.report.cost_data import total_of
from spavl.report.numbers import interval, percent, points
from spavl.report.page import render, twins_of
from spavl.report.summary_data import ExampleShare, ProtocolShown, TrainingShown
from spavl.report.twins import as_json, as_markdown
from tests.report.sample import METRICS, sample


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> ReportData:
    training = TrainingShown(name="dpo", method="dpo", seconds=61.0, device="cpu", facts={"pairs": "1,140"},
                             settings="beta: 0.1")  # fmt: skip
    return replace(
        sample(tmp_path_factory.mktemp("pictures")), trainings=(training,),
        protocols=(ProtocolShown(benchmark="world", source="here", items=480, standard="", hash="0123abcd"),),
        example_shares=(ExampleShare(kind="repaired", count=225, of=480, shown=3),),
        curves=(), responders=(), composition=(), metrics=METRICS[:5],
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(data: ReportData) -> str:
    return render(data)


def bare(data: ReportData, **changed: Any) -> ReportData:
    """The same without figures."""
    return replace(data, metrics=(), models=(), groups=(), **changed)


def test_every_rate_and_change_of_the_page_stands_in_both_twins(data: ReportData, page: str) -> None:
    markdown, plain = as_markdown(data), json.loads(as_json(data))
    models = {model["name"]: model for model in plain["models"]}
    for model in data.models:
        for metric, rate in model.rates.items():
            if metric not in {shown.name for shown in data.metrics}:
                continue
            said = f"{percent(rate.value or 0.0)} ({interval(rate)})"
            assert said in markdown.replace("&lt;", "<") and percent(rate.value or 0.0) in page
            assert models[model.name]["rates"][metric]["value"] == rate.value
            assert models[model.name]["rates"][metric]["n"] == rate.n
        for metric, paired in list(model.paired.items())[:5]:
            moved = f"{points(paired.difference or 0.0)} "
            assert moved in markdown and moved in page
            assert models[model.name]["paired"][metric]["low"] == paired.low


def test_verdict_cost_protocols_and_proportions_are_the_same_everywhere(data: ReportData, page: str) -> None:
    markdown, plain = as_markdown(data), json.loads(as_json(data))
    assert plain["verdict"] in page and plain["verdict"] in markdown and plain["basis"] in markdown
    assert [axis["axis"] for axis in plain["axes"]][::2] == ["safety", "over-refusal", "helpfulness", "skill"]
    for said in ("0123abcd", "repaired 225 of 480", "19,080"):
        assert said in page and said in markdown
    assert plain["protocols"][0]["hash"] == "0123abcd" and plain["stages"][2]["calls"] == 18080
    assert plain["trainings"][0]["settings"] == "beta: 0.1" and "beta: 0.1" in page


def test_no_question_and_no_answer_is_in_a_twin(data: ReportData) -> None:
    for twin in (as_markdown(data), as_json(data)):
        assert "placeholder for an unsafe answer" not in twin and "placeholder question" not in twin
        assert "I cannot help with this" not in twin and "data:image" not in twin


def test_twins_lie_beside_the_page_and_replace_no_file_of_yours(data: ReportData, tmp_path: Path) -> None:
    data = bare(data)
    for _ in range(2):
        write_report(data, tmp_path / "shown.html")
    assert {path.name for path in tmp_path.iterdir()} == {"shown.html", "shown.md", "shown.json"}
    assert [path.name for path in twins_of(tmp_path / "eval.2024")] == ["eval.2024.md", "eval.2024.json"]
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(RunError, match="no report"):
        write_report(data, tmp_path / "README.html")
    assert (tmp_path / "README.md").read_text() == "mine" and not (tmp_path / "README.html").exists()
    with pytest.raises(RunError, match="name of its own twin"):
        write_report(data, tmp_path / "page.md")


def test_what_an_earlier_run_paid_for_is_told_apart(data: ReportData) -> None:
    stages = (
        StageCost(name="respond", seconds=2.0, calls=10, stored=90, tokens=1_000, cost=5.0, earlier_tokens=900,
                  earlier_cost=4.5),
        StageCost(name="grade", seconds=1.0, stored=100, tokens=70, cost=0.7),
        StageCost(name="judge", seconds=1.0, calls=7, tokens=7, cost=0.004),
    )  # fmt: skip
    assert [stage.earlier for stage in stages] == [(900, 4.5), (70, 0.7), (0, 0.0)]
    assert [stage.now for stage in stages] == [(100, 0.5), (0, 0.0), (7, 0.004)]
    shown = bare(data, stages=stages)
    page = render(shown)
    row = re.search(r'<tr><th scope="row">respond</th>.*?</tr>', page, flags=re.DOTALL)
    assert row and re.findall(r"<td>([\d.,]+)</td>", row[0])[-4:] == ["100", "900", "0.50", "4.50"]
    assert "0.50 paid now and 5.20 earlier" in page and "0.50 paid now and 5.20 earlier" in as_markdown(shown)


def test_a_stage_without_prices_knows_its_tokens_too() -> None:
    stage = StageCost(name="respond", seconds=2.0, calls=10, stored=90, tokens=1_000, earlier_tokens=900)
    assert stage.earlier == (900, 0.0) and stage.now == (100, 0.0)
    assert total_of((stage, stage)).now == (200, 0.0)


def test_where_it_was_not_noted_who_paid_nobody_is_named(data: ReportData) -> None:
    stage = StageCost(name="respond", seconds=2.0, calls=10, stored=90, tokens=1_000, cost=5.0)
    assert stage.now is None and stage.earlier is None
    shown = bare(data, stages=(stage,))
    assert "5.00 paid, now or earlier" in render(shown) and "| ? | ? | ? | ? |" in as_markdown(shown)


def test_alarms_ring_in_both_twins(data: ReportData) -> None:
    def alarm(sign: str, *, rings: bool) -> AlarmShown:
        return AlarmShown(name=sign, sign=sign, subject="dpo", what=f"{sign} was measured.", try_="look", rings=rings,
                          limit="above 5 %", setting="alarms.x")  # fmt: skip

    alarms = AlarmsShown(alarms=(alarm("blindness", rings=True), alarm("collapse", rings=False)), missing=("none",))
    shown = bare(data, alarms=alarms)
    markdown, plain = as_markdown(shown), json.loads(as_json(shown))
    assert "- **Blindness** (dpo): blindness was measured. Rings above 5 %." in markdown
    assert "- collapse was measured. Quiet: rings above 5 %." in markdown and alarms.lead in markdown
    assert [one["rings"] for one in plain["alarms"]["alarms"]] == [True, False]
