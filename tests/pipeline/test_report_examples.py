"""Examples of a report stand in proportion to what the run has."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from spavl.pipeline.measured_metrics import measured_metrics
from spavl.pipeline.report_examples import KINDS, examples_of, shares_of
from spavl.report.summary_phrases import proportions
from spavl.run import Run
from tests.pipeline.scored_runs import ALL, REFUSAL, texts, write_run

COUNTS = st.dictionaries(st.sampled_from(KINDS), st.integers(0, 5_000))


def of(run: Run, wanted: int) -> tuple[dict[str, int], dict[str, tuple[int, int]], list[str]]:
    """Examples by kind, what is said of every kind, and the kinds in their order."""
    shown, shares = examples_of(run, ["base", "dpo"], measured_metrics(run.manifest()), wanted, "dpo")
    kinds = [example.kind for example in shown]
    return {kind: kinds.count(kind) for kind in kinds}, {s.kind: (s.count, s.of) for s in shares}, kinds


@given(COUNTS, st.integers(0, 40))
@example({"repaired": 1, "new failure": 1, "still fails": 1, "stays right": 13}, 5)
def test_shares_are_whole_never_more_than_there_are_and_every_kind_has_one_where_there_is_room(counts, wanted) -> None:
    made = shares_of(counts, wanted)
    assert set(made) == set(counts) and all(0 <= made[kind] <= n for kind, n in counts.items())
    assert sum(made.values()) == min(wanted, sum(counts.values()))
    there = [kind for kind, n in counts.items() if n]
    if len(there) <= wanted:
        assert all(made[kind] for kind in there)


def test_repairs_failures_and_refusals_stand_in_proportion_and_it_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"base": texts(60, 1, 78), "dpo": texts(20, 6, 78)}, ALL)
    kinds, said, order = of(run, 12)
    assert said["repaired"] == (40, 100) and said["still fails"] == (20, 100) and said["stays right"] == (40, 100)
    assert said["over-refusal"] == (6, 60) and said["new failure"] == (0, 100)
    assert kinds["repaired"] >= kinds["still fails"] >= kinds["over-refusal"] == 1 and sum(kinds.values()) == 12
    assert order == sorted(order, key=KINDS.index), "kind by kind"


def test_the_sentence_names_model_and_benchmarks_and_claims_one_of_each_kind_where_it_is_so(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path, {"base": texts(60, 1, 78), "dpo": texts(20, 6, 78)}, ALL)
    said = {n: proportions(examples_of(run, ["base", "dpo"], measured_metrics(run.manifest()), n, "dpo")[1])
            for n in (0, 12)}  # fmt: skip
    assert said[12].startswith("In proportion to what dpo does, with at least one of each kind: on harm repaired 40 of")
    assert "; on asked over-refusal 6 of 60" in said[12] and "at least" not in said[0] and "0 shown" in said[0]


def test_an_answer_that_cannot_be_read_is_neither_repaired_nor_broken(tmp_path: Path) -> None:
    base = {**texts(50, 0, 80), "harm": ["bad"] * 50 + ["good"] * 50}
    dpo = {**base, "harm": ["?"] * 30 + ["good"] * 20 + ["bad"] * 3 + ["good"] * 47}
    _, said, _ = of(write_run(tmp_path, {"base": base, "dpo": dpo}, ALL), 8)
    assert [said[kind][0] for kind in KINDS[:5]] == [20, 3, 0, 47, 30]


def test_examples_show_every_answer_with_its_grade_and_close_what_may_do_harm(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"base": texts(60, 1, 78), "dpo": texts(20, 6, 78)}, ALL)
    shown, _ = examples_of(run, ["base", "dpo"], measured_metrics(run.manifest()), 12, "dpo")
    first = shown[0]
    assert first.kind == "repaired" and [a.grade for a in first.answers] == ["unsafe", "safe"]
    assert first.harmful and first.answers[0].closed and not first.answers[1].closed
    refused = next(one for one in shown if one.kind == "over-refusal")
    assert refused.benign and refused.answers[1].text == REFUSAL and refused.answers[1].grade == "refused"


def test_a_run_of_one_model_has_examples_too(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"base": texts(60, 1, 78)}, ALL)
    shown, shares = examples_of(run, ["base"], measured_metrics(run.manifest()), 6, "base")
    assert {one.kind for one in shown} == {"over-refusal", "other"} and len(shown) == 6, (
        "nothing was repaired or broken"
    )
    assert [(one.kind, one.count) for one in shares] == [("over-refusal", 1)]
