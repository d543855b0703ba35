"""Rows of two marked answers, and of several rated ones, become the pair that their marks say."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.preferences import rated_answers
from spavl.preferences.pairs import Reading
from spavl.preferences.rated_answers import ASPECTS, FAITHFUL
from tests.interchange.import_files import beavertails, vlfeedback
from tests.preferences.test_pairs import read_pairs


def lines(path, rows):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


@pytest.mark.parametrize(("prefer", "chosen"), [("safer", 1), ("more_helpful", 2)])
@pytest.mark.parametrize("write", [int, str, float])
def test_both_opinions_of_beavertails_are_kept_whichever_decides(tmp_path, prefer, chosen, write):
    file = lines(tmp_path / "train.jsonl", [beavertails(0, write(1), write(2)) if write is not str else
                                            beavertails(0, "1", "2")])  # fmt: skip
    (pair,) = read_pairs(file, Reading(prefer=prefer))
    said = ("answer that declines 0", "answer 0")
    assert (pair.chosen, pair.rejected) == (said if chosen == 1 else said[::-1])
    first, second = ("chosen", "rejected") if chosen == 1 else ("rejected", "chosen")
    assert pair.about == {
        "class3": "kind_of_harm", "more_harmless": first, "more_helpful": second,
        f"{first}_safe": True, f"{first}_outcome": "safe", f"{first}_severity": 0, f"{first}_source": "model one",
        f"{second}_safe": False, f"{second}_outcome": "unsafe", f"{second}_severity": 2,
        f"{second}_source": "model two",
    }  # fmt: skip


def test_beavertails_is_not_read_before_somebody_says_which_opinion_decides(tmp_path):
    with pytest.raises(DataError, match="not which is to be preferred"):
        read_pairs(lines(tmp_path / "train.jsonl", [beavertails(0)]))


def test_an_answer_that_is_marked_by_no_valid_number_is_no_pair(tmp_path):
    file = lines(tmp_path / "train.jsonl", [beavertails(0), beavertails(1, safer=0), beavertails(2, safer=True)])
    assert [pair.malformed for pair in read_pairs(file, Reading(prefer="safer"))] == [
        "", *["none of the two answers is marked as safer"] * 2
    ]  # fmt: skip


@pytest.mark.parametrize("mark", [2, "2", 2.0])
def test_align_anything_says_which_answer_is_better_over_all(tmp_path, mark):
    rows = [{"question": "request", "response_1": "one", "response_2": "two", "overall_response": mark}]
    (pair,) = read_pairs(lines(tmp_path / "train.jsonl", rows))
    assert (pair.chosen, pair.rejected, pair.about) == ("two", "one", {})
    with pytest.raises(DataError, match="only which answer is better over all"):
        read_pairs(tmp_path / "train.jsonl", Reading(prefer="safer"))


def test_an_older_table_with_a_pair_as_json_in_its_text(tmp_path):
    inner = {"question": "request", "chosen": "one", "rejected": "two"}
    rows = [
        {"text": json.dumps(inner), "origin_dataset": "d", "origin_split": json.dumps({"model": "m"})},
        {"text": "{", "origin_dataset": "d", "origin_split": None},
        {"text": "[1]", "origin_dataset": "d", "origin_split": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    first, second, third = read_pairs(tmp_path / "train.parquet")
    assert (first.question, first.chosen, first.rejected) == ("request", "one", "two")
    assert first.about == {"rejected_source": "m"}
    assert (second.malformed, third.malformed) == (
        "`text` is no JSON", "`text` is no object with question, chosen and rejected"
    )  # fmt: skip


def test_a_table_of_rlaif_v_names_the_model_of_both_answers(tmp_path):
    row = {"question": "q", "chosen": "x", "rejected": "y", "origin_split": '{"model": "m", "type": "t"}'}
    (pair,) = read_pairs(lines(tmp_path / "a.jsonl", [row]))
    assert pair.about == {"chosen_source": "m", "rejected_source": "m"}


def test_the_authors_json_brings_rationales(tmp_path):
    row = {"image": "class/19902.jpg", "question": "q", "chosen": "x", "rejected": "y", "reason1": "a", "reason2": "b"}
    (pair,) = read_pairs(lines(tmp_path / "a.jsonl", [row]))
    assert pair.about == {"reason_ab": "a", "reason_ba": "b"}


RATINGS = [("3", "3", "5"), ("5", "5", "2"), ("1", "N/A", "1"), ("2", "1", "4")]


@pytest.mark.parametrize(("prefer", "models"), [
    (None, ("model 1", "model 3")), ("safer", ("model 0", "model 2")), ("more_helpful", ("model 1", "model 2")),
])  # fmt: skip
def test_the_best_and_the_worst_answer_of_vlfeedback_are_a_pair(tmp_path, prefer, models):
    (pair,) = read_pairs(lines(tmp_path / "a.jsonl", [vlfeedback(0, RATINGS)]), Reading(prefer=prefer))
    assert (pair.about["chosen_source"], pair.about["rejected_source"]) == models
    assert (pair.question, pair.chosen) == ("request 0", models[0].replace("model", "answer"))


def test_vlfeedback_is_the_same_as_lists_in_objects_and_as_json(tmp_path):
    row = vlfeedback(0, RATINGS)
    columns = {name: [one[name] for one in row["completions"]] for name in ("annotations", "model", "response")}
    pq.write_table(pa.Table.from_pylist([{**row, "completions": columns}]), tmp_path / "a.parquet")
    lines(tmp_path / "b.jsonl", [{**row, "completions": json.dumps(row["completions"])}])
    lines(tmp_path / "c.jsonl", [row])
    (first,), (second,), (third,) = (read_pairs(tmp_path / name) for name in ("a.parquet", "b.jsonl", "c.jsonl"))
    assert first == second == third and first.about == second.about == third.about


@pytest.mark.parametrize(("ratings", "reason"), [
    ([("3", "3", "3"), ("3", "3", "3")], "all its answers are rated alike"),
    ([("3", "3", "3"), ("?", "3", "3")], "fewer than two of its answers have readable ratings"),
    ([("3", "3", "3"), (None, None, None)], "fewer than two of its answers have readable ratings"),
])  # fmt: skip
def test_answers_that_nobody_can_rank_are_no_pair(tmp_path, ratings, reason):
    assert [one.malformed for one in read_pairs(lines(tmp_path / "a.jsonl", [vlfeedback(0, ratings)]))] == [reason]


@pytest.mark.parametrize("completions", [
    "{", [1], {"model": ["a"], "response": ["b"]}, {"model": ["a"], "response": ["b"], "annotations": []}, 7,
])  # fmt: skip
def test_completions_of_another_structure_are_found_in_later_rows(tmp_path, completions):
    rows = [vlfeedback(0, RATINGS), {**vlfeedback(1, RATINGS), "completions": completions}]
    first, second = read_pairs(lines(tmp_path / "a.jsonl", rows))
    assert not first.malformed and "completions" in second.malformed


@given(st.lists(st.tuples(*[st.integers(1, 5)] * 3), min_size=2, max_size=5), st.sampled_from([None, "safer"]))
def test_no_answer_is_rated_above_the_chosen_or_below_the_rejected(ratings, prefer):
    row = vlfeedback(0, ratings)
    means = [sum(one) if prefer is None else one[2] for one in ratings]
    if len(set(means)) == 1:
        return
    _, chosen, rejected = rated_answers.read(row, prefer)
    place = {f"answer {n}": mean for n, mean in enumerate(means)}
    assert (place[chosen.text], place[rejected.text]) == (max(means), min(means))
    assert FAITHFUL in ASPECTS[None]
