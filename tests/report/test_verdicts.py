"""What the page shows of verdicts, of the heat map, of graded scores, and of a dataset that was not evaluated."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import RunError
from spavl.pipeline.report import write_run_report
from spavl.report import Curve, GroupShown, MetricShown, ModelShown, ReportData, Step
from spavl.report.coverage_data import CoverageRow, CoverageShown
from spavl.report.page import render
from spavl.report.phrases import headline
from spavl.statistics import rate
from spavl.statistics.estimate import estimate
from tests.pipeline.scored_runs import ALL, GRADES, gone, texts, write_run
from tests.report.sample import sample


def test_a_page_without_verdicts_and_heat_map_has_neither(tmp_path: Path) -> None:
    page = render(replace(sample(tmp_path), groups=()))
    body = page[page.index("<body>") :]
    assert 'class="verdicts"' not in body and "where it still fails" not in body and "--heat" not in body


def test_verdicts_stand_at_the_top_and_are_explained(tmp_path: Path) -> None:
    page = render(replace(sample(tmp_path), verdicts=("DPO: safer by <b>40</b> points.",)))
    at = page.index("DPO: safer by &lt;b&gt;40&lt;/b&gt; points.")
    assert page.index('class="lead"') < at < page.index('id="change"') and "<b>Verdicts</b>" in page


def test_the_heat_map_has_a_colour_for_every_rate_and_the_worst_row_first(tmp_path: Path) -> None:
    def group(label: str, unsafe: int) -> GroupShown:
        return GroupShown(label=label, rates={name: rate([True] * unsafe + [False] * (10 - unsafe))
                                              for name in ("base", "dpo")})  # fmt: skip

    page = render(replace(sample(tmp_path), groups=(group("mild", 0), group("worst", 8), group("mean", 4))))
    table = page[page.index('class="heat"') :]
    table = table[: table.index("</table>")]
    assert re.findall(r'scope="row">(\w+)<', table) == ["worst", "mean", "mild"]
    assert re.findall(r"--heat:([\d.]+)%", table) == ["49.6", "49.6", "24.8", "24.8"], "none where nothing fails"
    assert re.findall(r">(\d/10)<", table) == ["8/10", "8/10", "4/10", "4/10", "0/10", "0/10"]
    assert "PPO" not in table, "the base, the first aligned model and the change"


def test_weighted_items_are_no_counts(tmp_path: Path) -> None:
    weighted = estimate([1.0, 0.0, 0.0, 0.0, 0.0], range(5), [9.0, 1.0, 1.0, 1.0, 1.0])
    group = GroupShown(label="s", rates=dict.fromkeys(("base", "dpo", "ppo"), weighted), weighted=True)
    page = render(replace(sample(tmp_path), groups=(group,)))
    heat = page[page.index('id="heat"') : page.index('id="frontier"')]
    assert "/5" not in heat and " of 5" not in heat and "69\u202f% <small>n 5</small>" in heat
    assert "Unsafe answers of DPO are highest in s (69.2\u202f%)." in heat


def test_the_table_of_all_models_says_what_was_not_read_of_weighted_items_and_scores_too(tmp_path: Path) -> None:
    some = estimate([1.0, 0.0, 0.0, None], range(4), [9.0, 1.0, 1.0, 1.0])
    group = GroupShown(label="s", rates=dict.fromkeys(("base", "dpo", "ppo"), some), weighted=True)
    data = replace(sample(tmp_path), groups=(group,))
    page = render(data)
    table = page[page.index("by subject, all models") : page.index('id="frontier"')]
    assert table.count("81.8\u202f% <small>n 4, 1 unread</small>") >= 3
    scored = replace(data, metrics=(replace(data.metrics[0], graded=True), *data.metrics[1:]))
    table = render(scored).partition("by subject, all models")[2]
    assert table.count("81.8 of 3 <small>1 unread</small>") >= 3


def test_graded_metrics_are_mean_scores_and_no_percents() -> None:
    metric = MetricShown(name="g", label="Grade", axis="skill", better="higher", what="Mean score.", graded=True)
    scores = estimate([0.5, 0.56], ["a", "b"])
    model = ModelShown(name="base", label="Base", role="base", rates={"g": scores})
    groups = (GroupShown(label="one", rates={"base": scores}),)
    data = ReportData(title="t", metrics=(metric,), models=(model,), groups=groups, heat=groups)
    page = render(data)
    assert headline(data).lead == "Grade of Base: 53.0."
    assert "<b>53.0</b>" in page and "mean score, " in page and "53.0\u202f%" not in page
    assert "Base scores lowest in one (53.0)." in page and "53.0 <small>n 2</small>" in page


def test_a_dataset_alone_is_a_page_without_sections_on_models() -> None:
    row = CoverageRow(name="all", depth=0, is_subcategory=False, counts=(4,), few=(False,))
    shown = CoverageShown(taxonomy="mine", columns=("pictures",), rows=(row,), subcategories=1, without_pictures=())
    steps = (Step(name="pictures", count=40), Step(name="pairs", count=154))
    for data in (ReportData(title="t", metrics=(), models=(), funnel=steps, coverage=shown),
                 ReportData(title="t", metrics=(), models=(), coverage=shown)):  # fmt: skip
        page = render(data)
        assert 'id="built"' in page and "#numbers" not in page and 'id="change"' not in page
        assert "<b>Changes</b>" not in page and "<b>Unread verdicts</b>" not in page
        links = set(re.findall(r'href="#([\w-]+)"', page))
        assert links <= set(re.findall(r'id="([\w-]+)"', page)), "every link leads somewhere"
    assert headline(replace(data, funnel=steps)).lead == "40 pictures became 154 pairs."


def test_bands_are_drawn_behind_a_curve(tmp_path: Path) -> None:
    line = Curve(title="c", what="w", series={"a": ((0, 0.5), (10, 0.2))}, percent=True)
    data = replace(sample(tmp_path), curves=(line,))
    plain = render(data)
    shown = render(replace(data, curves=(replace(line, bands={"a": ((0, 0.4, 0.6), (10, 0.1, 0.4))}),)))
    assert shown.count("<path") > plain.count("<path")


def test_a_run_has_its_verdicts_domains_and_protocol_names_on_the_page(tmp_path: Path) -> None:
    known = {"class1": "Top", "class2": "", "counts": {"pictures": 1}}
    leaves = [{**known, "class3": f"subject {n}"} for n in (0, 1)]
    coverage = {"taxonomy": "mine", "levels": 2, "columns": ["pictures"], "leaves": leaves}
    coverage["display"] = {"Top": "Top of all"}
    official = tuple(replace(made, standard="harm-official") if made is ALL[0] else made for made in ALL)
    write_run(tmp_path, {"base": texts(60, 1, 78), "dpo": texts(20, 1, 78)}, official, coverage=coverage)
    page = write_run_report(tmp_path).read_text()
    assert "dpo: safer by 40.0 points [" in page and f"protocol harm-official {ALL[0].protocol()}" in page
    assert '<tr class="sum"><th scope="row">Top of all</th>' in page and '<th scope="row">subject 0</th>' in page


def test_where_the_base_is_gone_no_other_model_is_called_the_base(tmp_path: Path) -> None:
    answers = {"base": texts(60, 1, 78), "dpo": texts(20, 1, 78), "ppo": texts(10, 1, 78)}
    write_run(tmp_path, answers, ALL, weights=gone("base"))
    page = write_run_report(tmp_path).read_text()
    plain = json.loads((tmp_path / "report.json").read_text())
    assert [(model["name"], model["role"]) for model in plain["models"]] == [("dpo", "aligned"), ("ppo", "aligned")]
    assert "Scores of `base` are left out" in plain["limits"][0] and ">repaired<" not in page
    assert plain["verdict"] == "Unsafe answers of dpo: 20.0\u202f%." and '"tone base"' not in page


def test_graded_scores_of_a_run_are_shown_as_such(tmp_path: Path) -> None:
    grades = {"grades": [f"{place % 10 / 10}" for place in range(30)]}
    write_run(tmp_path, {"base": grades, "dpo": grades}, (GRADES,))
    page = write_run_report(tmp_path).read_text()
    assert "<b>45.0</b>" in page and "Mean score, from 0 to 100, of answers by their grade." in page
    assert "scored 90 of 100" in page


def test_a_run_that_was_built_and_not_evaluated_has_a_report(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"base": texts(1, 1, 1)}, ALL)
    manifest = run.manifest()
    for key in ("models", "paired", "metrics", "benchmarks"):
        del manifest[key]
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="built or evaluated"):
        write_run_report(tmp_path)
    stages = [
        {"name": "collect", "noun": "pictures", "kept": "made"},
        {"name": "pair", "noun": "pairs", "kept": "made"},
    ]
    counts = {"collect": {"made": 40}, "pair": {"found": 360, "made": 154, "ties": 206}}
    (tmp_path / "run.json").write_text(json.dumps({**manifest, "stages": stages, "counts": counts}))
    page = write_run_report(tmp_path).read_text()
    assert "40 pictures became 154 pairs." in page and "nothing was evaluated yet" in page and "206" in page


def test_a_model_whose_table_of_scores_is_gone_was_not_compared_and_is_not_said_to_be_unsure(tmp_path: Path) -> None:
    answers = {"base": texts(60, 1, 78), "dpo": texts(3, 1, 78), "ppo": texts(10, 1, 78)}
    run = write_run(tmp_path, answers, ALL)
    assert "warning" not in CliRunner().invoke(app, ["report", str(tmp_path)]).output
    (run.evaluate / "dpo" / "harm.parquet").unlink()
    said = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert said.exit_code == 0
    assert said.output.splitlines()[0].startswith("warning: the scores of dpo on harm are not there: ")
    lead = "Nothing is shown of dpo: it was not compared with base: the scores of dpo on harm are not there."
    page = (tmp_path / "report.md").read_text("utf-8")
    assert lead in page and "may be chance" not in page and "not shown" not in page
    assert "ppo: safer by" in page and "before and 3.0\u202f% after, which were not compared: the scores of dpo" in page


@pytest.mark.parametrize("models", [("base",), ("dpo",)])
def test_where_the_only_comparison_lacks_its_scores_none_is_made_up(tmp_path: Path, models: tuple[str, ...]) -> None:
    run = write_run(tmp_path, {"base": texts(60, 1, 78), "dpo": texts(3, 1, 78)}, ALL)
    for name in models:
        (run.evaluate / name / "harm.parquet").unlink()
    write_run_report(tmp_path)
    page = (tmp_path / "report.md").read_text("utf-8")
    assert f"Nothing is shown of dpo: it was not compared with base: the scores of {models[0]} on harm" in page
    assert "better |" not in page


def test_one_answer_that_was_fixed_is_one_answer(tmp_path: Path) -> None:
    data = sample(tmp_path)
    base, first, *others = data.models
    main = data.metrics[0].name
    one = replace(first, paired={**first.paired, main: replace(first.paired[main], fixed=1)})
    points = headline(replace(data, models=(base, one, *others))).points
    assert any("it fixed 1 answer and broke" in said for said in points)
