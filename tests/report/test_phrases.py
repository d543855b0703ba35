"""Sentences of the report, made from the numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spavl.report import GroupShown, MetricShown, ModelShown, ReportData, headline, numbers, phrases
from spavl.report.summary_phrases import basis
from spavl.statistics import compare_paired, estimate, rate

UNSAFE = MetricShown(name="u", label="Unsafe answers", axis="safety", better="lower", what="")
REFUSED = MetricShown(name="r", label="Needless refusals", axis="over-refusal", better="lower", what="")
SKILL = MetricShown(name="s", label="Correct names", axis="skill", better="higher", what="")


def outcomes(true: int, n: int, unread: int = 0) -> dict[str, bool | None]:
    """Item 0 upwards is True, the last are unread."""
    return {str(i): None if i >= n - unread else i < true for i in range(n)}


def model(label, role, said, base=None, metrics=(UNSAFE, REFUSED, SKILL)):
    paired = {m.name: compare_paired(base[m.name], said[m.name], better=m.better) for m in metrics} if base else {}
    return ModelShown(
        name=label, label=label, role=role, rates={m.name: rate(said[m.name].values()) for m in metrics}, paired=paired
    )


BASE = {"u": outcomes(189, 400), "r": outcomes(4, 400), "s": outcomes(384, 400)}


def report(**models) -> ReportData:
    shown = [model("base", "base", BASE)]
    shown += [model(label, role, said, BASE) for label, (role, said) in models.items()]
    return ReportData(title="t", metrics=(UNSAFE, REFUSED, SKILL), models=tuple(shown))


def plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def test_the_lead_is_made_from_the_numbers():
    data = report(dpo=("aligned", {"u": outcomes(2, 400), "r": outcomes(4, 400), "s": outcomes(381, 400)}))
    said = headline(data)
    assert plain(said.lead) == (
        "dpo is safer (unsafe answers fell from 47.2 % to 0.5 % on 400 items); not shown after correction for 3 tests: "
        "over-refusal (needless refusals −1.0 to +1.0 points), skill (correct names −2.2 to +0.2 points)."
    )
    points = [plain(p) for p in said.points]
    assert points[0] == "Unsafe answers fell from 47.2 % to 0.5 %."
    assert points[1] == "On the same 400 items it fixed 187 answers and broke 0 (p < 0.001)."
    assert points[2] == "Needless refusals stayed at 1.0 %."
    assert points[3] == (
        "Correct names were 96.0 % before and 95.2 % after, which on 400 items may be chance (p = 0.25); "
        "a loss of 2 points is not ruled out."
    )


def test_no_unsafe_answer_at_all_is_said_with_its_bound():
    data = report(dpo=("aligned", {**BASE, "u": outcomes(0, 400)}))
    assert plain(headline(data).points[0]) == "Unsafe answers fell from 47.2 % to 0 % (at most 1.0 %)."
    assert "dpo is safer (unsafe answers fell from 47.2 % to 0 % (at most 1.0 %) on 400" in plain(headline(data).lead)


def test_a_model_that_got_worse_is_said_to_have():
    data = report(dpo=("aligned", {**BASE, "u": outcomes(260, 400)}))
    assert plain(headline(data).points[0]) == "Unsafe answers rose from 47.2 % to 65.0 %."
    assert plain(headline(data).lead).startswith("dpo keeps its skill within 2 points, but is less safe (unsafe")


def test_a_small_change_may_be_chance():
    data = report(dpo=("aligned", {**BASE, "u": outcomes(187, 400)}))
    expected = "Unsafe answers were 47.2 % before and 46.8 % after, which on 400 items may be chance (p = 0.50)."
    assert plain(headline(data).points[0]) == expected
    assert "safer" not in headline(data).lead and "not shown after correction" in headline(data).lead


def test_a_change_that_only_its_own_test_shows_may_be_chance_among_all():
    data = report(dpo=("aligned", {**BASE, "u": outcomes(183, 400)}))
    assert 0.05 / 3 < data.models[1].paired["u"].p < 0.05
    said = headline(data)
    expected = (
        "Unsafe answers were 47.2 % before and 45.8 % after, which among 3 tests may be chance (p = 0.031 alone)."
    )
    assert plain(said.points[0]) == expected and "is safer" not in said.lead
    pooled = replace(data, tests=4)
    assert "after correction for 4 tests" in headline(pooled).lead and "corrected for 4 tests" in basis(pooled)


def test_a_change_whose_test_was_not_corrected_where_others_were_is_not_said_to_have_happened():
    much = {**BASE, "u": outcomes(150, 400)}
    data = report(left_out=("aligned", much), dpo=("aligned", much))
    base, left_out, dpo = data.models
    data = replace(data, models=(base, left_out, replace(dpo, corrected={"u": 0.001})), tests=12)
    said = headline(data)
    assert "not shown" in said.lead.lower() and plain(said.points[0]) == (
        "Unsafe answers were 47.2 % before and 37.5 % after, which among 12 tests may be chance (p < 0.001 alone)."
    )
    assert "dpo: unsafe answers fell from 47.2 % to 37.5 %." in [plain(point) for point in said.points]


def test_a_change_of_a_metric_without_a_better_direction_is_said_to_be_by_its_own_test():
    looked_at = replace(UNSAFE, name="s", label="Long answers", better="neither")
    data = report(dpo=("aligned", {**BASE, "s": outcomes(100, 400)}))
    said = headline(replace(data, metrics=(UNSAFE, REFUSED, looked_at)))
    assert "Long answers fell from 96.0 % to 25.0 % by its own test." in [plain(point) for point in said.points]
    alone = headline(replace(data, metrics=(UNSAFE, looked_at)))
    assert "Long answers fell from 96.0 % to 25.0 %." in [plain(point) for point in alone.points], "nothing to correct"


def test_one_item_tells_no_change():
    said = {"u": outcomes(1, 1)}
    base = model("base", "base", said, metrics=(UNSAFE,))
    dpo = model("dpo", "aligned", {"u": outcomes(0, 1)}, said, metrics=(UNSAFE,))
    shown = headline(ReportData(title="t", metrics=(UNSAFE,), models=(base, dpo)))
    lead, points = plain(shown.lead), [plain(point) for point in shown.points]
    assert lead == "Nothing is shown of dpo on 1 item: safety (unsafe answers −100.0 to +58.7 points)."
    assert "which on 1 item may be chance (p = 1.00)" in points[0] and "fell" not in " ".join(points)


def test_a_judge_whose_verdicts_are_unreadable_gives_no_headline_of_success():
    data = report(dpo=("aligned", {**BASE, "u": outcomes(0, 400, unread=400)}))
    said = headline(data)
    assert "safer" not in said.lead and "not shown" in said.lead.lower()
    assert "cannot be compared" in said.points[0]
    assert any("400 verdicts could not be read" in p for p in said.points)


def test_a_judge_that_lost_some_verdicts_is_said_with_the_worst_case():
    data = report(dpo=("aligned", {**BASE, "u": outcomes(0, 400, unread=40)}))
    assert plain(headline(data).points[0]).startswith(
        "Unsafe answers fell from 47.2 % to 0.0 % (0.0–13.3 % with 40 unread)"
    )


def test_a_skill_that_stayed_is_kept_only_where_a_loss_is_ruled_out():
    data = report(dpo=("aligned", BASE))
    assert "a loss of 2 points is ruled out" in plain(headline(data).points[-1])
    few = {m: outcomes(9, 10) for m in "urs"}
    small = replace(data, models=(model("base", "base", few), model("dpo", "aligned", few, few)))
    assert "a loss of 2 points is not ruled out" in plain(headline(small).points[-1])


def test_the_control_is_compared_with_the_aligned_model():
    data = report(
        dpo=("aligned", {**BASE, "u": outcomes(2, 400)}),
        blind=("control", {**BASE, "u": outcomes(100, 400), "r": outcomes(90, 400)}),
    )
    assert plain(headline(data).points[-1]).startswith(
        "blind: unsafe answers and needless refusals add up to 47.5 %, against 1.5 % for dpo"
    )


def test_errors_of_a_metric_of_which_more_is_better_are_what_it_leaves():
    safe = replace(UNSAFE, label="Safe answers", better="higher")
    looked_at = replace(UNSAFE, name="s", label="Long answers", better="neither")
    data = report(
        dpo=("aligned", {**BASE, "u": outcomes(398, 400)}),
        blind=("control", {**BASE, "u": outcomes(300, 400), "r": outcomes(90, 400)}),
    )
    said = headline(replace(data, metrics=(looked_at, safe, REFUSED)))
    assert plain(said.points[0]) == "Safe answers rose from 47.2 % to 99.5 %.", "the first that has a direction"
    assert plain(said.points[-1]).startswith(
        "blind: missing safe answers and needless refusals add up to 47.5 %, against 1.5 % for dpo"
    )
    only = replace(data, metrics=(looked_at,), groups=(GroupShown(label="s", rates={"dpo": rate([True])}),))
    assert plain(headline(only).points[0]).startswith("Long answers stayed at 96.0 %")
    assert headline(only).lead.startswith("Nothing is shown of dpo: it was not compared"), "no direction is better"
    assert phrases.still_failing(only) == "", "where neither is better nothing fails"


def test_without_an_aligned_model_the_base_is_described():
    assert plain(headline(report()).lead) == "Unsafe answers of base: 47.2 %."


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.4721, "47.2 %"),
        (0.0, "0.0 %"),
        (0.0004, "< 0.1 %"),
        (0.0005, "0.1 %"),
        (0.9999, "> 99.9 %"),
        (1.0, "100.0 %"),
    ],
)
def test_percent_never_rounds_something_to_nothing(share, said):
    assert plain(numbers.percent(share)) == said


def test_numbers_read_well():
    assert [plain(numbers.seconds(s)) for s in (0.44, 12.3, 59.6, 200, 7500)] == [
        "0.4 s",
        "12 s",
        "1 min 00 s",
        "3 min 20 s",
        "2 h 05 min",
    ]
    assert [numbers.points(d) for d in (-0.469, 0.002, -0.0001)] == ["−46.9", "+0.2", "0.0"]
    assert [plain(numbers.p_value(p)) for p in (1e-9, 0.0123, 0.25)] == ["p < 0.001", "p = 0.012", "p = 0.25"]
    assert numbers.count(19080) == "19,080"


def test_subjects_that_still_fail_are_named_with_their_counts():
    data = report(dpo=("aligned", BASE))
    clean, bad, worse = (rate([True] * n + [False] * (9 - n)) for n in (0, 1, 2))
    groups = tuple(GroupShown(label=f"s{n}", rates={"dpo": r}) for n, r in enumerate((clean, bad, worse)))
    assert phrases.still_failing(replace(data, groups=groups)) == "dpo still fails in 2 of 3 subjects: s2 (2), s1 (1)."
    assert phrases.still_failing(replace(data, groups=groups[:1])).startswith("dpo has no failure in any of 1 subjects")


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_subjects_of_weighted_items_without_a_failure_are_never_called_the_worst(better):
    best = float(better == "higher")
    shares = {"clean": [best] * 3, "bad": [best, best, 1 - best], "thirds": [best] * 7}
    rates = {name: estimate(seen, range(len(seen)), [0.1] * len(seen)) for name, seen in shares.items()}
    groups = tuple(GroupShown(label=name, rates={"dpo": value}, weighted=True) for name, value in rates.items())
    metric = replace(UNSAFE, better=better)
    data = replace(report(dpo=("aligned", BASE)), metrics=(metric,), groups=groups)
    side, share = ("highest", "33.3 %") if better == "lower" else ("lowest", "66.7 %")
    assert plain(phrases.still_failing(data)) == f"Unsafe answers of dpo are {side} in bad ({share})."
    said = phrases.still_failing(replace(data, groups=(groups[0], groups[2])))
    assert said == "dpo has no failure in any of 2 subjects; each alone was asked about few times."
    unread = GroupShown(label="unread", rates={"dpo": estimate([None, None], range(2), [1.0, 1.0])}, weighted=True)
    said = phrases.still_failing(replace(data, groups=(groups[0], unread)))
    assert said == "dpo has no known failure in any of 2 subjects; 2 verdicts are unread."
    assert plain(phrases.still_failing(replace(data, groups=(groups[1], unread)))).endswith("; 2 verdicts are unread.")


def test_unread_verdicts_are_said_beside_the_subjects_that_still_fail():
    groups = tuple(
        GroupShown(label=name, rates={"dpo": rate(seen)})
        for name, seen in {"s": [True, False], "unread": [None]}.items()
    )
    said = phrases.still_failing(replace(report(dpo=("aligned", BASE)), groups=groups))
    assert said == "dpo still fails in 1 of 2 subjects: s (1); 1 verdict is unread."


def test_verdicts_of_the_table():
    data = report(
        dpo=("aligned", {"u": outcomes(2, 400), "r": outcomes(60, 400), "s": outcomes(384, 400)}),
    )
    paired = data.models[1].paired
    assert phrases.verdict(UNSAFE, paired["u"], data) == "better"
    assert phrases.verdict(REFUSED, paired["r"], data) == "worse"
    assert phrases.verdict(SKILL, paired["s"], data) == "kept within 2 points"
    assert phrases.verdict(UNSAFE, None, data) == ""


def test_a_rate_of_which_neither_direction_is_better_is_more_or_fewer():
    said = MetricShown(name="u", label="Answers that say yes", axis="skill", better="neither", what="")
    before, after = outcomes(100, 400), outcomes(200, 400)
    paired = compare_paired(before, after, better="neither")
    data = report(dpo=("aligned", BASE))
    assert phrases.verdict(said, paired, data) == "more"
    assert plain(phrases.paired_words(paired, "neither")).startswith("became so 100, ceased to be 0")
    assert phrases.change(said, rate(before.values()), rate(after.values()), paired, data).count("ruled out") == 0
