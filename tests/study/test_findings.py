"""Findings: a claim is confirmed, refuted or not shown by its comparisons, with what it costs elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from spavl.config.study import StudySettings
from spavl.study.claims import Claim, claims_of
from spavl.study.findings import Comparison, Finding, MetricRuns, compare, findings, interval, listed, points
from spavl.study.laws import curve_of, knee_finding, law_of, law_sentences

ITEMS = 240
SAFER = Claim(name="all", claim="All is safer", better="all", than=("some", "few"), axis="safety")


def metric(
    rates: dict[str, float], *, key: str = "unsafe/all", axis: str = "safety", better: str = "lower",
    label: str = "Unsafe answers", spread: float = 0.0, seeds: int = 3, same: frozenset = frozenset(), start: int = 0,
) -> MetricRuns:  # fmt: skip
    """Planted outcomes whose items are equally hard for all arms."""
    own = np.random.default_rng([7, start]).random(ITEMS)
    runs = {}
    for place, (name, rate) in enumerate(rates.items()):
        random = np.random.default_rng([start, place])
        runs[name] = {
            seed: {str(n): bool(own[n] + random.normal(0, 0.05) < rate + shift) for n in range(ITEMS)}
            for seed, shift in zip(range(1, seeds + 1), spread * random.standard_normal(seeds), strict=True)
        }
    return MetricRuns(key=key, label=label, axis=axis, better=better, runs=runs, clusters={}, same=same,
                      labels={name: f"arm {name}" for name in rates})  # fmt: skip


def found(*metrics: MetricRuns, claim: Claim = SAFER, margin: float = 0.01):
    return findings([claim], [one for own in metrics for one in compare([claim], own)], margin=margin)[0]


def test_a_claim_is_confirmed_where_it_holds_against_every_other_arm() -> None:
    one = found(metric({"all": 0.1, "some": 0.4, "few": 0.6}))
    assert one.verdict == "confirmed" and one.low < -0.3 < one.high < 0 and one.p < 0.05
    assert "arm all" in one.sentence and "arm some" in one.sentence and "arm few" in one.sentence
    assert "points [−" in one.sentence and "-" not in one.sentence.replace("non-", "")


def test_one_comparison_that_says_the_opposite_refutes_and_one_that_shows_nothing_leaves_it_open() -> None:
    worse = found(metric({"all": 0.3, "some": 0.6, "few": 0.05}))
    assert worse.verdict == "refuted" and worse.difference == pytest.approx(0.25, abs=0.06)
    open_ = found(metric({"all": 0.3, "some": 0.6, "few": 0.31}, spread=0.03))
    assert open_.verdict == "not shown" and "no difference is shown" in open_.sentence


def test_a_gain_that_is_shown_to_be_smaller_than_the_margin_refutes() -> None:
    one = Claim(name="all", claim="All is safer", better="all", than=("some",), axis="safety")
    alike = metric({"all": 0.02, "some": 0.02})
    assert found(alike, claim=one, margin=0.2).verdict == "refuted"
    assert "20.0 points or more is excluded" in found(alike, claim=one, margin=0.2).sentence
    assert found(alike, claim=one, margin=0.0001).verdict == "not shown"


def test_a_metric_that_improves_upwards_is_read_upwards() -> None:
    claim = Claim(name="skill", claim="Keeps more skill", better="ppo", than=("dpo",), axis="skill")
    rises = metric({"ppo": 0.9, "dpo": 0.6}, axis="skill", better="higher", label="Right answers")
    assert found(rises, claim=claim).verdict == "confirmed" and found(rises, claim=claim).difference > 0.2
    falls = metric({"ppo": 0.6, "dpo": 0.9}, axis="skill", better="higher", label="Right answers")
    assert found(falls, claim=claim).verdict == "refuted"


def test_what_a_gain_costs_on_other_axes_is_said_and_no_cost_as_not_shown() -> None:
    safety = metric({"all": 0.1, "some": 0.4, "few": 0.6})
    refusals = metric({"all": 0.7, "some": 0.2, "few": 0.2}, key="refused/all", axis="over-refusal",
                      label="Refusals of harmless requests")  # fmt: skip
    skill = metric({"all": 0.8, "some": 0.8, "few": 0.8}, key="right/all", axis="skill", better="higher",
                   label="Right answers")  # fmt: skip
    assert "It costs over-refusal: Refusals of harmless requests +" in found(safety, refusals, skill).sentence
    assert "No cost is shown in skill." in found(safety, skill).sentence


def test_p_values_are_corrected_for_all_claims_of_the_study() -> None:
    claims = [Claim(name=str(n), claim="Safer", better="all", than=("some",), axis="safety") for n in range(30)]
    one = metric({"all": 0.30, "some": 0.40}, spread=0.02)
    alone, many = (findings(own, compare(own, one))[0] for own in (claims[:1], claims))
    assert many.p == pytest.approx(min(1.0, 30 * alone.p)) and alone.p < 0.05 and many.verdict == "not shown"
    assert "not after correction" in many.sentence


def test_a_finding_of_another_kind_is_corrected_with_the_claims_and_corrects_them() -> None:
    claim = Claim(name="all", claim="Safer", better="all", than=("some",), axis="safety")
    compared = compare([claim], metric({"all": 0.1, "some": 0.6}))
    knee = Finding(name="knee", claim="There is a knee", verdict="confirmed", sentence="Knee at n = 5.",
                   difference=-0.2, p=0.03)  # fmt: skip
    alone, (safer, other) = findings([], [], [knee]), findings([claim], compared, [knee])
    assert alone == [knee] and other == knee, "the other p is smaller, and Holm corrects the smallest alone"
    assert safer.p == pytest.approx(2 * findings([claim], compared)[0].p)
    many = findings([], [], [knee, replace(knee, name="second")])
    assert {one.verdict for one in many} == {"not shown"} and many[0].p == pytest.approx(0.06)
    assert "After correction for all claims of the study (p = 0.060)" in many[0].sentence


def test_arms_that_are_the_same_trainings_or_were_not_measured_decide_nothing() -> None:
    same = metric({"all": 0.1, "some": 0.4}, same=frozenset({frozenset({"all", "some"})}))
    claim = Claim(name="all", claim="All is safer", better="all", than=("some",), axis="safety")
    nothing = found(same, claim=claim)
    assert nothing.verdict == "not shown" and nothing.difference is None and "could be compared" in nothing.sentence
    partly = found(metric({"all": 0.1, "some": 0.5}))
    assert partly.verdict == "not shown" and "1 of 2 comparisons could not be made" in partly.sentence
    assert compare([claim], metric({"all": 0.1, "some": 0.5}, better="neither")) == []
    unpaired = metric({"all": 0.1, "some": 0.5})
    moved = {**unpaired.runs, "some": {seed + 10: run for seed, run in unpaired.runs["some"].items()}}
    assert compare([claim], MetricRuns(key="k", label="l", axis="safety", better="lower", runs=moved, clusters={},
                                       labels={})) == []  # fmt: skip


def test_only_the_first_metric_of_the_axis_decides() -> None:
    first = metric({"all": 0.1, "some": 0.4, "few": 0.6})
    second = metric({"all": 0.6, "some": 0.1, "few": 0.1}, key="other/all")
    assert found(first, second).verdict == "confirmed" and found(second, first).verdict == "refuted"


def test_an_improvement_has_its_bounds_in_order_whatever_the_direction() -> None:
    lower = compare([SAFER], metric({"all": 0.1, "some": 0.4, "few": 0.5}))[0]
    higher = compare([SAFER], metric({"all": 0.5, "some": 0.4, "few": 0.1}, better="higher"))[0]
    for one in (lower, higher):
        assert isinstance(one, Comparison) and one.gain[1] <= one.gain[0] <= one.gain[2] and one.gain[0] > 0


def test_points_have_a_sign_that_can_be_read() -> None:
    assert points(-0.012) == "−1.2" and points(-0.0001) == "0.0" and points(0.5) == "50.0"
    assert interval(0.02, -0.01, 0.05) == "+2.0 points [−1.0, 5.0]" and interval(-0.0001, -0.1, 0.1).startswith("0.0 ")
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c"


def claims(text: str, *arms: str, values: tuple[float, ...] = ()) -> list[Claim]:
    study = TypeAdapter(StudySettings).validate_python(yaml.safe_load(text))
    return claims_of(study, dict(zip(arms, values or [None] * len(arms), strict=True)))


def test_each_kind_of_study_has_the_claims_of_the_paper() -> None:
    head = "settings: demo\n"
    scale = claims(f"kind: scale\n{head}sizes: [100, 1000]\n", "100", "1000", values=(100, 1000))
    assert [(one.better, one.than, one.axis) for one in scale] == [("1000", ("100",), "safety")]
    mix = claims(f"kind: mix\n{head}shares: [0, 0.3]\n", "b0", "b3", values=(0, 0.3))
    assert [(one.better, one.than, one.axis) for one in mix] == [("b3", ("b0",), "over-refusal")]
    sources = claims(f"kind: sources\n{head}", "safest", "least-safe", "all")
    assert [(one.better, one.than) for one in sources] == [("all", ("safest", "least-safe"))]
    questions = claims(f"kind: questions\n{head}", "easy_question", "hard_question", "mixed")
    assert [(one.better, one.than) for one in questions] == [("mixed", ("easy_question", "hard_question"))]
    freeze = claims(f"kind: freeze\n{head}", "as-set", "no-projector", "vision-full")
    assert [(one.better, one.than) for one in freeze] == [("as-set", ("no-projector",))]
    method = claims(
        f"kind: method\n{head}arms:\n  dpo: {{}}\n  ppo: {{method: ppo}}\n  ipo: {{loss.kind: ipo}}\n",
        "dpo",
        "ppo",
        "ipo",
    )
    assert [(one.better, one.than, one.axis) for one in method] == [("ppo", ("dpo",), "skill")]


def test_a_study_without_the_arms_of_a_claim_has_none() -> None:
    head = "settings: demo\n"
    assert claims(f"kind: sources\n{head}", "safest", "least-safe") == []
    assert claims(f"kind: freeze\n{head}modes: {{a: {{vision: full}}, b: {{projector: frozen}}}}\n", "a", "b") == []
    assert claims(f"kind: method\n{head}arms: {{a: {{}}, b: {{loss.kind: ipo}}}}\n", "a", "b") == []
    assert claims(f"kind: grid\n{head}axes: {{loss.beta: [0.1, 0.2]}}\n", "a", "b") == []


SIZES = {"100": 100.0, "1000": 1_000.0, "5000": 5_000.0, "20000": 20_000.0, "60000": 60_000.0}


def rates(knee: float = 4_000, exponent: float = 2.0, top: float = 0.6, floor: float = 0.03) -> dict[str, float]:
    return {name: floor + (top - floor) / (1 + 9 * (size / knee) ** exponent) for name, size in SIZES.items()}


def test_a_law_says_where_the_knee_is_and_what_each_step_is_worth() -> None:
    law = law_of(metric(rates()), SIZES)
    assert law is not None and law.identifiable
    said = law_sentences("Unsafe answers", law)
    assert said[0].startswith("Knee at n = ") and "90 % of the gain" in said[0]
    assert said[2].startswith("1,000 → 5,000 pairs is worth −") and "points [" in said[2]
    assert said[-1].startswith("60,000 → 180,000 pairs would be worth") and "by the curve alone" in said[-1]
    shown = knee_finding(law, "Unsafe answers")
    assert shown.verdict == "confirmed" and shown.difference < -0.4 and shown.p < 0.05
    points_of_curve = curve_of(law)
    assert points_of_curve[0][0] == pytest.approx(100) and points_of_curve[-1][0] == pytest.approx(180_000)
    assert all(low <= value <= high for _, value, low, high in points_of_curve)


def test_of_rates_that_lie_on_no_curve_no_curve_says_anything() -> None:
    law = law_of(metric(dict(zip(SIZES, (0.5, 0.1, 0.6, 0.1, 0.5), strict=True))), SIZES)
    assert law is not None and law.why == "misfit"
    assert not any("worth −" in one or "worth +" in one for one in law_sentences("Unsafe answers", law))
    found = knee_finding(law, "Unsafe answers")
    assert (found.verdict, found.difference, curve_of(law)) == ("not shown", None, [])


def test_a_flat_law_has_no_knee_and_is_refuted_only_where_nothing_larger_is_left() -> None:
    law = law_of(metric(dict.fromkeys(SIZES, 0.3)), SIZES)
    assert law is not None and law.why == "no change"
    assert law_sentences("Unsafe answers", law)[0] == (
        "The knee is not identifiable from these points: rates that are the same at all sizes fit as well."
    )
    assert knee_finding(law, "Unsafe answers", margin=0.5).verdict == "refuted"
    assert knee_finding(law, "Unsafe answers", margin=0.0001).verdict == "not shown"


def test_the_model_before_training_is_the_size_zero_and_a_single_size_has_no_law() -> None:
    base = {str(n): n % 5 < 3 for n in range(ITEMS)}
    law = law_of(metric(rates()), SIZES, base)
    assert law is not None and law.measured.sizes[0] == 0 and law.at(0)[1] <= 0.6 <= law.at(0)[2]
    assert "0 → 100 pairs" in law_sentences("Unsafe answers", law)[1]
    assert law_of(metric({"100": 0.5}), SIZES) is None
    nothing = knee_finding(None, "")
    assert nothing.verdict == "not shown" and nothing.difference is None and math.isclose(nothing.p, 1)
