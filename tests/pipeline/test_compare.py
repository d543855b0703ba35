"""`spavl compare`: what is said of a model is what intervals and corrected tests show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import RunError, SettingsError
from spavl.evaluate import Rule
from spavl.pipeline.compare import POOLED, Comparison, compare_runs
from spavl.pipeline.compare_words import markdown, verdict_sentence
from spavl.pipeline.score_outcomes import MetricOutcomes, pooled
from spavl.report.markdown import cell, table_lines
from spavl.statistics.multiple import holm
from spavl.statistics.paired import PairedComparison
from tests.pipeline.scored_runs import (
    ALL,
    GRADES,
    REFUSAL,
    REFUSED,
    RIGHT,
    SAFETY,
    SKILL,
    STANDARD,
    UNSAFE,
    benchmark,
    texts,
    write_run,
)

BASE = texts(60, 1, 78)


def comparison(folder: Path, aligned: dict[str, list[str]], **asked: float) -> Comparison:
    """A base and one model of a run."""
    write_run(folder, {"base": BASE, "dpo": aligned}, ALL)
    return compare_runs([folder], margin=asked.get("margin", 0.1))


def test_a_verdict_has_a_clause_for_every_axis_that_the_tests_bear_out(tmp_path: Path) -> None:
    found = comparison(tmp_path, texts(20, 25, 78))
    said = verdict_sentence(found.models[0], found)
    assert said.startswith("dpo: safer by 40.0 points [") and "(fixed 40, broke 0)" in said
    assert "over-refuses more by 48.0 points [" in said and "(fixed 0, broke 48)" in said, "24 of 60 and 24 of 40"
    assert "skills non-inferior at 10 points (right_rate 0.0 [" in said


def test_without_a_change_no_change_is_said_and_never_that_there_is_none(tmp_path: Path) -> None:
    found = comparison(tmp_path, texts(59, 1, 78), margin=0.01)
    said = verdict_sentence(found.models[0], found)
    assert "no change of safety shown; no change of over-refusal shown" in said
    assert "a loss of 1 point is not ruled out for right_rate 0.0 [" in said


def test_a_change_that_is_one_of_many_is_said_to_be_perhaps_chance(tmp_path: Path) -> None:
    found = comparison(tmp_path, texts(53, 1, 78))
    change = found.models[0].changes["unsafe_rate"]
    assert change.paired.p < 0.05 <= (change.p_corrected or 0)
    assert f"which among {found.tests} tests may be chance" in verdict_sentence(found.models[0], found)


def test_skills_that_are_lost_are_told_with_what_refusals_did(tmp_path: Path) -> None:
    found = comparison(tmp_path, texts(20, 1, 40, refused_skill=30), margin=0.02)
    change = found.models[0].changes["right_rate"]
    assert change.paired.difference == pytest.approx(-38 / 80)
    assert change.by_refusals == pytest.approx(-28 / 80), "of 30 refusals, 28 were right before"
    said = verdict_sentence(found.models[0], found)
    assert "skills lost: right_rate −47.5 [" in said and "(−35.0 of right_rate by refusals)" in said


def test_a_refusal_of_any_item_of_a_unit_is_the_reason_of_its_loss(tmp_path: Path) -> None:
    whole = replace(RIGHT, together="all")
    items = tuple(replace(item, unit=f"u{place // 2}") for place, item in enumerate(SKILL.items))
    made = replace(SKILL, items=items, metrics=(whole,))
    before = {"skill": ["right"] * 80}
    after = {"skill": ["right", REFUSAL] * 10 + ["right"] * 60}
    write_run(tmp_path, {"base": before, "dpo": after}, (made,))
    change = compare_runs([tmp_path]).models[0].changes["right_rate"]
    assert change.paired.n == 40 and change.paired.difference == pytest.approx(-0.25)
    assert change.by_refusals == pytest.approx(-0.25)


def test_over_refusal_is_pooled_over_benchmarks_item_by_item(tmp_path: Path) -> None:
    found = comparison(tmp_path, texts(20, 5, 78))
    change = found.models[0].changes[POOLED].paired
    assert (change.n, change.fixed, change.broken) == (100, 0, 8)
    assert found.models[0].rates[POOLED].value == pytest.approx(0.1)
    parts = [found.models[0].changes[f"{name}/over_refusal_rate"].paired for name in ("asked", "asked-too")]
    assert change.p < min(part.p for part in parts), "together they show more than each"


def test_only_needless_refusals_are_called_over_refusal(tmp_path: Path) -> None:
    pairs = replace(REFUSED, name="pair_accuracy", better="higher", scorer=Rule("test:kept/1", lambda i, t: t != "bad"))
    handled = benchmark("pairs", pairs, 50, benign=True)
    said = {"pairs": ["yes"] * 50}
    unsafe = {"pairs": ["bad"] * 40 + ["yes"] * 10}
    write_run(tmp_path, {"base": {**BASE, **said}, "dpo": {**BASE, **unsafe}}, (*ALL, handled))
    found = compare_runs([tmp_path])
    assert found.models[0].changes[POOLED].paired.n == 100, "a pair that is answered unsafely is no refusal"
    sentence = verdict_sentence(found.models[0], found)
    assert "over-refuses" not in sentence and "requests handled worse by 80.0 points [" in sentence


def test_the_same_items_in_two_benchmarks_are_one_cluster() -> None:
    part = MetricOutcomes({"1": True, "2": False}, {"1": ("item", "1"), "2": ("item", "2")}, {})
    found = pooled({"seen": part, "blank": part})
    assert len(found.outcomes) == 4 and len(set(found.clusters.values())) == 2


def test_subjects_are_compared_under_one_protocol(tmp_path: Path) -> None:
    more = replace(SAFETY, metrics=(UNSAFE, replace(UNSAFE, name="unsafe_too")))
    write_run(tmp_path / "one", {"base": BASE, "dpo": texts(20, 1, 78)}, (more, SKILL))
    write_run(tmp_path / "two", {"ppo": BASE}, (replace(SAFETY, prompt="Now: {question}"), SKILL))
    found = compare_runs([tmp_path / "one", tmp_path / "two"], by_subject=True)
    assert {name for group in found.groups for name in group.rates} == {"base", "dpo"}


def test_no_skill_is_both_lost_and_kept(tmp_path: Path) -> None:
    large = benchmark("large", replace(RIGHT, name="other_rate"), 2000)
    first, then = {"large": ["right"] * 2000}, {"large": ["wrong"] * 20 + ["right"] * 1980}
    write_run(tmp_path, {"base": {**BASE, **first}, "dpo": {**texts(60, 1, 20), **then}}, (SKILL, large))
    found = compare_runs([tmp_path], margin=0.05)
    said = verdict_sentence(found.models[0], found)
    assert "skills lost: right_rate −72.5" in said and said.count("other_rate") == 0 and "1 skill non-inferior" in said


def test_a_narrow_terminal_loses_no_name(tmp_path: Path) -> None:
    write_run(tmp_path, {"base": BASE, "llava-1.5-7b-preference-lora": texts(20, 1, 78)}, ALL)
    printed = CliRunner().invoke(app, ["compare", str(tmp_path)], env={"COLUMNS": "80"}).output
    assert all(said in printed for said in ("Unsafe", "answers", "llava-1.5-", "1.8e-12", "[−49.8, −30.9]"))


def test_p_is_corrected_over_all_metrics_of_all_models(tmp_path: Path) -> None:
    write_run(tmp_path, {"base": BASE, "dpo": texts(20, 1, 78), "ppo": texts(50, 9, 70)}, ALL)
    found = compare_runs([tmp_path])
    changes = [change for model in found.models for change in model.changes.values()]
    assert [c.p_corrected for c in changes] == holm([c.paired.p for c in changes]) and found.tests == len(changes) == 10
    losses = [c for c in changes if c.loss is not None]
    assert [c.loss_p_corrected for c in losses] == holm([c.loss.p for c in losses if c.loss])


def test_comparisons_are_those_of_the_evaluation_itself(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"base": BASE, "dpo": texts(20, 9, 70)}, (SAFETY, SKILL))
    kept = run.manifest()["paired"]["dpo"]
    found = compare_runs([tmp_path]).models[0].changes
    assert {key: change.paired for key, change in found.items()} == {k: PairedComparison(**p) for k, p in kept.items()}


def test_unread_verdicts_are_said_and_make_no_model_better(tmp_path: Path) -> None:
    unread = {**texts(20, 1, 78), "harm": ["?"] * 60 + ["good"] * 40}
    found = comparison(tmp_path, unread)
    said = verdict_sentence(found.models[0], found)
    assert "unread: 60 of 100 pairs of unsafe_rate" in said and "safer" not in said


def test_models_of_several_runs_are_compared_where_their_protocols_agree(tmp_path: Path) -> None:
    write_run(tmp_path / "one", {"base": BASE, "dpo": texts(20, 1, 78)}, ALL)
    other = replace(SAFETY, prompt="Now: {question}")
    write_run(tmp_path / "two", {"base": BASE, "dpo": texts(10, 1, 78)}, (other, SKILL))
    found = compare_runs([tmp_path / "one", tmp_path / "two"])
    assert [model.name for model in found.everyone] == ["one/base", "one/dpo", "two/base", "two/dpo"]
    assert set(found.models[2].changes) == {"right_rate"}
    told = " ".join(found.notes)
    assert f"two/dpo: unsafe_rate of harm has another protocol ({other.protocol()}" in told
    assert "two/dpo was not asked asked." in told


def test_a_benchmark_that_another_run_lacks_is_told_once(tmp_path: Path) -> None:
    skill = replace(SKILL, metrics=(RIGHT, replace(RIGHT, name="too_rate")))
    write_run(tmp_path / "one", {"base": BASE}, (SAFETY, skill))
    write_run(tmp_path / "two", {"dpo": texts(10, 1, 78)}, (SAFETY,))
    found = compare_runs([tmp_path / "one", tmp_path / "two"])
    assert [note for note in found.notes if "was not asked" in note] == ["dpo was not asked skill."]


def test_the_same_weights_in_two_runs_are_one_base(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, {"base": BASE, "dpo": texts(20, 1, 78)}, ALL,
                  weights={"base": {"identity": "same"}, "dpo": {"identity": name}})  # fmt: skip
    found = compare_runs([tmp_path / "one", tmp_path / "two"])
    assert [model.name for model in found.everyone] == ["one/base", "one/dpo", "two/dpo"]
    assert "two/base is the base itself, and is left out." in found.notes


def test_graded_scores_are_compared_as_mean_scores(tmp_path: Path) -> None:
    before = {"grades": [f"{place % 10 / 10}" for place in range(30)]}
    after = {"grades": [f"{min(1.0, place % 10 / 10 + 0.08)}" for place in range(30)]}
    write_run(tmp_path, {"base": before, "dpo": after}, (GRADES,))
    found = compare_runs([tmp_path])
    assert found.models[0].changes["grade"].paired.difference == pytest.approx(0.08)
    assert "Grade (mean score) | base | 30 | 45.0 [" in markdown(found)
    assert found.is_shown(found.models[0].changes["grade"])


def test_subjects_are_told_the_worst_first(tmp_path: Path) -> None:
    worse = {**BASE, "harm": ["bad" if place % 2 else "good" for place in range(100)]}
    write_run(tmp_path, {"base": BASE, "dpo": worse}, ALL)
    found = compare_runs([tmp_path], by_subject=True)
    assert [group.label for group in found.groups] == ["subject 1", "subject 0"]
    assert found.groups[0].rates["dpo"].value == 1.0 and found.groups[0].rates["base"].n == 50


def test_what_cannot_be_compared_is_a_sentence(tmp_path: Path) -> None:
    write_run(tmp_path, {"base": BASE, "dpo": texts(20, 1, 78)}, ALL)
    with pytest.raises(SettingsError, match=r"No model is called `dpoo`[\s\S]*did you mean `dpo`"):
        compare_runs([tmp_path], base="dpoo")
    with pytest.raises(SettingsError, match="margin"):
        compare_runs([tmp_path], margin=0)
    with pytest.raises(RunError, match="no run"):
        compare_runs([tmp_path / "none"])
    write_run(tmp_path / "alone", {"base": BASE}, ALL)
    with pytest.raises(RunError, match="one model alone"):
        compare_runs([tmp_path / "alone"])


def test_the_command_prints_verdicts_json_and_markdown(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"base": BASE, "dpo": texts(20, 1, 78)}, (STANDARD, SKILL))
    run = CliRunner().invoke
    printed = run(app, ["compare", str(tmp_path / "run"), "--groups", "--markdown", str(tmp_path / "made.md")])
    assert printed.exit_code == 0, printed.output
    assert "dpo: safer by 40.0 points" in printed.output and "harm-official" in printed.output
    made = (tmp_path / "made.md").read_text()
    assert f"harm harm-official {STANDARD.protocol()}" in made and "| subject 0 |" in made
    plain = json.loads(run(app, ["compare", str(tmp_path / "run"), "--json"]).output)
    assert plain["models"][0]["verdict"].startswith("dpo: safer by") and plain["base"]["name"] == "base"


@given(st.lists(st.text(), min_size=3, max_size=3))
def test_no_text_breaks_a_table_of_markdown(words: list[str]) -> None:
    lines = table_lines(("a", "b", "c"), [words])
    assert len(lines) == 3 and all("\n" not in line for line in lines)
    bare = lines[2].replace("\\\\", "").replace("\\|", "")
    assert bare.count("|") == 4 and "<" not in "".join(map(cell, words))


def test_a_name_makes_no_link_picture_or_mention_in_markdown() -> None:
    said = cell("![x](https://example.org/p.png) @all `a` *b* &lt; \x1b[1m")
    assert "](" not in said and "@" not in said and "\x1b[" not in said and "\\`a" in said and "&amp;lt;" in said
