"""Published rules give the verdicts of the published code, answer for answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.judging.readers.mathvista import MathVistaQuestion, edit_distance, mathvista_right
from spavl.judging.readers.mmbench import mmbench_static_option
from spavl.judging.readers.mmmu import mmmu_open_right, mmmu_option
from spavl.judging.readers.science_qa import llava_science_qa_option, lmms_eval_science_qa_option
from spavl.judging.readers.vqa import evalai_accuracy, evalai_normalised, soft_accuracy, vqa_accuracy, vqa_normalised
from tests.judging.official_rules import FOLDER, RULES, answers, other_verdicts

OPTIONS = {"A": "cup", "B": "mug", "C": "bowl"}
ANY = st.text(max_size=60) | st.from_regex(r"[A-E().:, ]{0,12}(the answer is )?[A-E][.)]?", fullmatch=True)


def test_every_file_has_a_rule() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_our_rule_gives_the_official_verdict(rule: str) -> None:
    wrong = other_verdicts(rule)
    assert not wrong, "\n".join(f"{row} → {ours!r}" for row, ours in wrong[:10])


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "mmbench_circular"])
def test_the_answers_are_many_and_of_more_than_one_verdict(rule: str) -> None:
    assert len(answers(rule)) >= 40
    assert len({json.dumps(row["right"]) for row in answers(rule)}) > 1
    assert json.loads((FOLDER / f"{rule}.json").read_text("utf-8"))["verdicts_from"]


@given(ANY)
def test_no_rule_fails_on_any_answer(text: str) -> None:
    assert mmbench_static_option(text, OPTIONS) in (*"ABCDE", None)
    assert mmmu_option(text, OPTIONS) in (*OPTIONS, None)
    assert llava_science_qa_option(text) in (*"ABCDE", None)
    assert lmms_eval_science_qa_option(text, "ABC") in (*"ABC", None)
    assert isinstance(mmmu_open_right(text, ["5", "cup"]), bool)
    for kind in ("integer", "float", "list"):
        assert mathvista_right(text, MathVistaQuestion(answer="5", type=kind, precision=1)) in (True, False, None)
    chosen = mathvista_right(text, MathVistaQuestion(answer="cup", type="text", choices=("cup", "mug")))
    assert chosen in (True, False, None)


@given(st.text(alphabet="ab c.,'-1", max_size=12))
def test_what_is_normalised_has_no_article_and_no_blank_to_spare(text: str) -> None:
    for normalised in (vqa_normalised(text), evalai_normalised(text)):
        words = normalised.split()
        assert normalised == " ".join(words) and not {"a", "an", "the"} & set(words)


@given(st.lists(st.booleans(), max_size=12))
def test_soft_accuracy_grows_with_those_who_agree(agrees: list[bool]) -> None:
    found = soft_accuracy(agrees)
    assert 0 <= found <= 1 and (found > 0) == (sum(agrees) > 1 or (sum(agrees) == 1 and len(agrees) > 1))
    assert not sum(agrees) > 3 or found == 1


def test_three_of_ten_are_nine_tenths_by_hand() -> None:
    people = ["cup"] * 3 + ["mug"] * 7
    assert vqa_accuracy("cup", people) == pytest.approx(0.9) and evalai_accuracy("The cup?", people) == pytest.approx(0.9)


@given(st.text(alphabet="abc", max_size=6), st.text(alphabet="abc", max_size=6))
def test_the_edit_distance_is_one(one: str, other: str) -> None:
    found = edit_distance(one, other)
    assert found == edit_distance(other, one) and (found == 0) == (one == other)
    assert abs(len(one) - len(other)) <= found <= max(len(one), len(other))
