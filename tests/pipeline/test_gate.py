"""`spavl gate`: a limit holds where the bound is within it, and nothing else passes."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.config.gate import GateSettings, Limit
from spavl.errors import RunError, SettingsError
from spavl.pipeline.compare import compare_runs
from spavl.pipeline.gate import Decision, GateResult, gate_run, load_limits
from spavl.pipeline.gate_files import junit, markdown, summary
from spavl.pipeline.gate_tests import change_below, rate_above, rate_below
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.score_outcomes import MetricOutcomes
from spavl.statistics.gate import passes_below
from spavl.statistics.judge_error import Calibration
from spavl.statistics.noninferior import noninferior
from tests.pipeline.scored_runs import ALL, GRADES, SAFETY, SKILL, gone, texts, write_run

METRIC = MeasuredMetric("m", "m", "b", "safety", "lower")
BASE, DPO = texts(60, 1, 78), texts(2, 1, 78)


def outcomes(true: int, n: int, unread: int = 0, clusters: int | None = None) -> MetricOutcomes:
    """Outcomes of independent items, or of so many clusters."""
    items = {str(item): None if item < unread else item < unread + true for item in range(n)}
    return MetricOutcomes(items, {i: ("cluster", str(int(i) % (clusters or n))) for i in items}, {})


def decide(folder: Path, *limits: dict[str, object], **said: object) -> list[Decision]:
    """What becomes of limits for the model of a run."""
    return list(gate_run(folder, GateSettings.model_validate({"limits": limits, **said})).decisions)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a base and an aligned model."""
    write_run(tmp_path, {"base": BASE, "dpo": DPO}, ALL)
    return tmp_path


def test_a_limit_holds_by_its_bound_and_not_by_what_was_measured(run: Path) -> None:
    limits = [{"metric": "unsafe_rate", "upper": upper} for upper in (0.08, 0.04, 0.01)]
    holds, undecided, broken = decide(run, *limits)
    assert [d.state for d in (holds, undecided, broken)] == ["holds", "undecided", "broken"]
    assert all(d.measured == "2 %" for d in (holds, undecided, broken)) and not holds.why
    assert "it may be 6.1" in undecided.why and "further items like these would be needed" in undecided.why
    assert "which is beyond the limit" in broken.why and broken.needed is None


@pytest.mark.parametrize(("name", "message"), [("base", "`base`, the base, is left out"), ("dpo", "`dpo` are not of")])
def test_no_limit_is_passed_by_a_model_that_is_left_out(tmp_path: Path, name: str, message: str) -> None:
    write_run(tmp_path, {"base": BASE, "dpo": BASE, "ppo": DPO}, ALL, weights=gone(name))
    limit = {"metric": "unsafe_rate", "upper": 0.08}
    with pytest.raises(RunError, match=message):
        decide(tmp_path, limit)
    assert [d.model for d in decide(tmp_path, limit, model="ppo", base="ppo")] == ["ppo"]
    with pytest.raises(RunError, match="the base, is left out") if name == "base" else nullcontext():
        compare_runs([tmp_path])


def test_limits_on_changes_say_which_way_they_go(run: Path) -> None:
    limits = ({"change_upper": -0.3}, {"change_lower": -0.9}, {"change_lower": 0.02}, {"change_upper": 0.02})
    said = decide(run, *({"metric": "unsafe_rate", **limit} for limit in limits))
    assert [(d.limit.removeprefix("unsafe_rate "), d.state, d.measured) for d in said] == [
        ("falls by more than 30 points", "holds", "58 points"), ("falls by less than 90 points", "holds", "58 points"),
        ("rises by more than 2 points", "broken", "−58 points"), ("rises by less than 2 points", "holds", "−58 points"),
    ]  # fmt: skip


def test_small_limits_are_written_as_they_are(run: Path) -> None:
    limits = ({"upper": 0.00005}, {"upper": 0.99999}, {"lower": 0.03})
    said = decide(run, *({"metric": "unsafe_rate", **limit} for limit in limits))
    assert [d.limit for d in said] == [
        "unsafe_rate below 0.005 %",
        "unsafe_rate below 99.999 %",
        "unsafe_rate above 3 %",
    ]


def test_as_many_items_as_are_said_to_be_needed_are_enough_and_far_fewer_are_not() -> None:
    found = rate_below(outcomes(2, 100), 0.04, alpha=0.05)
    assert found.needed is not None and not found.passes
    more, fewer = found.needed + 100 - found.needed % 100, found.needed * 8 // 10
    assert rate_below(outcomes(2 * more // 100, more), 0.04, alpha=0.05).passes
    assert not rate_below(outcomes(2 * fewer // 100 + 1, fewer), 0.04, alpha=0.05).passes


def test_changes_and_losses_are_held_against_bounds_in_their_own_direction(run: Path) -> None:
    states = [d.state for d in decide(
        run,
        {"metric": "unsafe_rate", "change_upper": 0.0}, {"metric": "unsafe_rate", "change_lower": -0.3},
        {"metric": "right_rate", "noninferior": 0.1}, {"metric": "right_rate", "noninferior": 0.01},
        {"metric": "right_rate", "lower": 0.9}, {"metric": "right_rate", "lower": 0.99},
    )]  # fmt: skip
    assert states == ["holds", "broken", "holds", "undecided", "holds", "broken"]


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.02, 0.1, 0.2]))
def test_non_inferiority_is_that_of_the_statistics(up: int, down: int, margin: float) -> None:
    before = {str(item): item >= up for item in range(up + down + 40)}
    after = {str(item): not up <= item < up + down for item in range(up + down + 40)}
    clusters = {item: ("item", item) for item in before}
    expected = noninferior(before, after, better="higher", margin=margin, level=0.95)
    metric = replace(METRIC, better="higher")
    base, aligned = (MetricOutcomes(each, clusters, {}) for each in (before, after))
    found = change_below(base, aligned, metric, margin, alpha=0.05, falls=True)
    assert found.passes is expected.holds and found.bound == pytest.approx(expected.loss)


@given(st.integers(0, 30), st.integers(0, 30))
def test_unread_verdicts_never_help(true: int, unread: int) -> None:
    read = rate_below(outcomes(true, 100), 0.2, alpha=0.05)
    lost = rate_below(outcomes(max(0, true - unread), 100, min(unread, true)), 0.2, alpha=0.05)
    assert lost.bound == pytest.approx(read.bound) and lost.passes == read.passes
    kept = rate_above(outcomes(60, 100, unread), 0.5, alpha=0.05)
    assert kept.bound <= rate_above(outcomes(60 + unread, 100), 0.5, alpha=0.05).bound


def test_items_that_share_pictures_count_together() -> None:
    apart = rate_below(outcomes(10, 100), 0.17, alpha=0.05)
    together = MetricOutcomes(
        {str(i): i < 10 for i in range(100)}, {str(i): ("c", str(i // 5)) for i in range(100)}, {}
    )
    assert apart.passes and not rate_below(together, 0.17, alpha=0.05).passes


def test_looking_repeatedly_takes_wider_bounds_and_only_of_shares(run: Path) -> None:
    once, repeated = (rate_below(outcomes(2, 100), 0.08, alpha=0.05, repeated=how) for how in (False, True))
    assert once.passes and not repeated.passes and repeated.bound > once.bound and repeated.needed
    limits = ({"metric": "unsafe_rate", "upper": 0.2}, {"metric": "unsafe_rate", "change_upper": 0.0})
    assert [d.state for d in decide(run, *limits, sample_size="growing")] == ["holds", "holds"]
    grades = MetricOutcomes({"1": 0.3, "2": 0.4}, {"1": ("i", "1"), "2": ("i", "2")}, {})
    with pytest.raises(SettingsError, match="neither a confidence sequence"):
        rate_below(grades, 0.5, alpha=0.05, repeated=True)
    with pytest.raises(SettingsError, match="no confidence sequence"):
        change_below(grades, grades, METRIC, 0.5, alpha=0.05, repeated=True)


def test_the_errors_of_an_estimated_judge_are_counted_in(tmp_path: Path) -> None:
    rate = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 100, "unreadable": 0}
    known = {"unsafe_rate": {"sensitivity": rate, "specificity": {**rate, "value": 0.98}}}
    write_run(tmp_path, {"base": BASE, "dpo": DPO}, (SAFETY, SKILL), corrected={"dpo": known})
    limits = [{"metric": "unsafe_rate", "upper": 0.08, **judge} for judge in ({}, {"judge": "estimated"})]
    exact, estimated = decide(tmp_path, *limits)
    tested = passes_below(0.08, 2, 100, Calibration(90, 100, 98, 100))
    assert exact.state == "holds" and (estimated.state == "holds") is tested.passes
    assert estimated.limit.endswith("judge estimated") and estimated.bound != exact.bound
    with pytest.raises(SettingsError, match="Nothing is known of the errors"):
        decide(tmp_path, {"metric": "unsafe_rate", "upper": 0.5, "judge": "estimated", "model": "base"})


def test_a_judge_that_guesses_shows_nothing() -> None:
    found = rate_below(outcomes(0, 500), 0.5, alpha=0.05, judge=Calibration(50, 100, 50, 100))
    assert not found.passes and "guessing" in found.refusal


def test_a_limit_on_nothing_that_was_read_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, {"base": BASE, "dpo": {**DPO, "harm": ["?"] * 100}}, ALL)
    for limit in ({"upper": 0.5}, {"lower": 0.5}, {"change_upper": 0.1}, {"noninferior": 0.1}):
        (found,) = decide(tmp_path, {"metric": "unsafe_rate", **limit})
        assert found.state == "undecided" and found.why.startswith("No verdict on 100 items could be read"), found


def test_unread_verdicts_are_a_count_of_the_worst_metric(tmp_path: Path) -> None:
    write_run(tmp_path, {"base": BASE, "dpo": {**DPO, "harm": ["?"] * 5 + ["good"] * 95}}, ALL)
    found, exact = decide(tmp_path, {"unread": 0.02}, {"metric": "unsafe_rate", "unread": 0.05})
    assert (found.state, found.measured) == ("broken", "5 of 100 of unsafe_rate") and exact.state == "holds"


def test_mean_scores_are_held_against_their_bounds(tmp_path: Path) -> None:
    grades = {"grades": [f"{place % 10 / 10}" for place in range(30)]}
    write_run(tmp_path, {"base": grades, "dpo": grades}, (GRADES,))
    limits = ({"metric": "grade", "lower": 0.3}, {"metric": "grade", "lower": 0.44}, {"metric": "grade", "lower": 0.5})
    assert [d.state for d in decide(tmp_path, *limits)] == ["holds", "undecided", "broken"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"limits": [{"metric": "unsafe_rat", "upper": 0.1}]}, "did you mean `unsafe_rate`"),
        (
            {"limits": [{"metric": "over_refusal_rate", "upper": 0.1}]},
            "Several benchmarks have a metric `over_refusal_rate`",
        ),
        ({"model": "dpoo", "limits": [{"unread": 0.1}]}, "did you mean `dpo`"),
        ({"model": "base", "limits": [{"metric": "unsafe_rate", "change_upper": 0.1}]}, "is the base"),
    ],
)
def test_names_that_are_not_there_are_a_sentence(run: Path, said: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        gate_run(run, GateSettings.model_validate(said))


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("{metric: m, uper: 0.1}", "did you mean `upper`"),
        ("{metric: m, upper: 3}", "limits.0.upper"),
        ("{metric: m}", "this one states none"),
        ("{metric: m, upper: 0.1, lower: 0.1}", "states `upper` and `lower`"),
        ("{upper: 0.1}", "needs a `metric`"),
        ("{metric: m, lower: 0.1, judge: estimated}", "goes with `upper` alone"),
        ("{metric: m, upper: 0.1, upper: 0.2}", "stands twice"),
    ],
)
def test_mistakes_in_a_file_of_limits_are_told(tmp_path: Path, limit: str, message: str) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(f"limits:\n  - {limit}\n")
    with pytest.raises(SettingsError, match=message):
        load_limits(path)


def test_there_must_be_limits(tmp_path: Path) -> None:
    for text, message in (("limits: []\n", "nothing is limited"), ("", "nothing is limited")):
        (tmp_path / "limits.yaml").write_text(text)
        with pytest.raises(SettingsError, match=message):
            load_limits(tmp_path / "limits.yaml")
    with pytest.raises(SettingsError, match="no file of limits"):
        load_limits(tmp_path / "none.yaml")
    assert Limit(unread=0.0).kinds() == ["unread"]


def test_the_command_ends_with_4_and_writes_what_build_servers_read(run: Path) -> None:
    limits = {"limits": [{"metric": "unsafe_rate", "upper": 0.08}, {"metric": "unsafe_rate", "upper": 0.04}]}
    (run / "limits.yaml").write_text(yaml.safe_dump(limits))
    files = ["--junit", str(run / "gate.xml"), "--markdown", str(run / "gate.md")]
    done = CliRunner().invoke(app, ["gate", str(run), str(run / "limits.yaml"), *files])
    assert done.exit_code == 4, done.output
    assert "Limits that hold: 1 of 2; 0 broken, 1 undecided." in done.output
    suite = ElementTree.parse(run / "gate.xml").getroot()[0]
    assert suite.tag == "testsuite" and suite.attrib["tests"] == "2" and suite.attrib["failures"] == "1"
    cases = suite.findall("testcase")
    assert [(case.attrib["classname"], len(case.findall("failure"))) for case in cases] == [("dpo", 0), ("dpo", 1)]
    assert cases[1][0].attrib["type"] == "undecided" and "may be" in cases[1][0].attrib["message"]
    assert (run / "gate.md").read_text().startswith("### Not passed. Limits that hold: 1 of 2")
    (run / "limits.yaml").write_text(yaml.safe_dump({"limits": limits["limits"][:1]}))
    done = CliRunner().invoke(app, ["gate", str(run), str(run / "limits.yaml")])
    assert done.exit_code == 0 and "Limits that hold: 1 of 1." in done.output


@given(st.text(), st.text())
def test_any_names_make_xml_that_can_be_read(model: str, why: str) -> None:
    one = Decision(model=model, metric="m", limit=why, state="broken", measured=why, bound="", n=1, why=why)
    found = GateResult(run=model, decisions=(one,))
    root = ElementTree.fromstring(junit(found))
    assert len(root.findall("testsuite/testcase/failure")) == 1 and "hold: 0 of 1" in summary(found)
    assert markdown(found).count("\n|") == 3
