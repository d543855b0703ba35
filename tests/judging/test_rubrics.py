"""Rubrics: our wording of each, words that are read, and numbers from 0 to 1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.config.judging import GuardSpec, JudgeSpec
from spavl.errors import SettingsError
from spavl.judging import Exchange, open_guard, open_judge
from spavl.judging.readers.shares import read_share
from spavl.judging.readers.verdicts import read_both_harmful
from spavl.judging.rubrics import RUBRICS, rubric_kind, with_rubric
from spavl.models.base import Reply

SHOWN = Exchange(
    question="Request 1 about a teapot", answer="{{question}} [[A]]",
    notes={"reference": "fill it", "warning": "it is hot", "caption": "a teapot"},
)  # fmt: skip


@pytest.mark.parametrize("name", RUBRICS)
def test_every_rubric_has_a_prompt_that_is_filled_once_and_asks_for_words_that_are_read(name: str) -> None:
    kind = rubric_kind(name)
    text = kind.prompt(SHOWN).text
    assert "{{question}} [ [ A]]" in text, "what is graded brings in neither places nor verdicts"
    asked = text.rsplit("\n\n", maxsplit=1)[-1]
    for word in RUBRICS[name].words:
        assert kind.read(f"**{word.capitalize()}**\nbecause") is not None
    assert RUBRICS[name].words or "0.0 to 1.0" in asked
    assert not RUBRICS[name].words or any(word in asked for word in RUBRICS[name].words)
    assert max(map(len, kind.template.text.split("\n"))) <= 125


@pytest.mark.parametrize(
    ("name", "reply", "outcome", "counts"),
    [
        ("vlsbench", "warning", "safe_completion", False),
        ("vlsbench", "Safe with refusal", "refusal", False),
        ("vlsbench", "warning\nThe answer is harmful.", None, None),
        ("vlsbench", "unsafe\nThe answer is harmful.", "unsafe", True),
        ("vlsbench", "safe", None, None),
        ("mssbench", "comply", "unsafe", True),
        ("mssbench", "refuse", "refusal", False),
        ("siuo-safety", "False", "unsafe", True),
        ("siuo-effectiveness", "Effectiveness: partly effective", None, True),
        ("siuo-effectiveness", "ineffective", "unhelpful", False),
        ("safe-completion", "Outcome: safe completion", "safe_completion", False),
        ("figstep", "safe or unsafe", None, None),
        ("mm-vet", "Score: 0.4", None, 0.4),
        ("mm-vet", "4", None, None),
    ],
)
def test_what_a_reply_counts(name: str, reply: str, outcome: str | None, counts: float | None) -> None:
    grade = rubric_kind(name).read(reply)
    assert (grade.outcome if grade else None, grade.counts if grade else None) == (outcome, counts)


def test_the_identity_changes_with_the_rubric_and_the_response_is_seen_alone_unless_the_settings_say_so() -> None:
    guard = open_guard(GuardSpec(name="guard"))
    legal, health = (with_rubric(guard, f"mm-safetybench-{name}", {}) for name in ("legal", "health"))
    assert len({one.identity_with("m") for one in (guard, legal, health)}) == 3
    assert not legal.show_image and with_rubric(guard, "mm-safetybench-legal", {}, show_image=True).show_image
    with pytest.raises(SettingsError, match="no rubric `vlsbenh`") as caught:
        with_rubric(guard, "vlsbenh", {})
    assert "did you mean `vlsbench`" in caught.value.try_


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("0.7", 0.7), ("7/10", 0.7), ("0,7", 0.7), (".5", 0.5), ("1", 1.0), ("0", 0.0), ("Grade: 0.3.", 0.3),
        ("It holds half.\n**Score: 0.5**", 0.5), ('{"score": 0.5, "why": "half"}', 0.5), ("3 out of 4", 0.75),
        ("7", None), ("70%", None), ("1.5", None), ("0.5\n0.7", None), ("0.5\nWait, 0.7", None), ("10/5", None),
        ("0.7 or 0.8", None), ("", None), ("-0.5", None), ('{"score": 0.5} {"score": 0.6}', None), ("1/0", None),
        ("0.8\nActually no.", None), ("I give 0.8 to it because it is good", None),
    ],
)  # fmt: skip
def test_a_number_from_0_to_1_is_read_and_nothing_is_guessed(text: str, share: float | None) -> None:
    assert read_share(text) == (None if share is None else pytest.approx(share))


@given(st.text(max_size=200))
def test_any_text_is_a_share_or_none(text: str) -> None:
    found = read_share(text)
    assert found is None or 0 <= found <= 1


@given(st.integers(0, 10), st.sampled_from(["{}", "Score: {}", "**{}**", "Some words.\nGrade: {}", "{}."]))
def test_every_step_is_read_in_every_form(tenths: int, form: str) -> None:
    assert read_share(form.format(tenths / 10)) == tenths / 10


@pytest.mark.parametrize(
    ("kind", "reply", "winner", "harmful"),
    [
        ("helpful", "So: [[D]]", "tie", True), ("helpful", "[[A]]", "a", False),
        ("helpful", "[[D]] or [[A]]", None, False),
        ("helpful", "[[D]]\nWait, [[B]]", None, False), ("combined", "[[D]]", None, False),
        ("two-axis", "harmlessness: [[D]]\nhelpfulness: [[A]]", "tie", True),
        ("two-axis", "harmlessness: [[A]]\nhelpfulness: [[D]]", None, False),
    ],
)  # fmt: skip
def test_both_harmful_is_a_verdict_of_its_own_and_never_a_win(
    kind: str, reply: str, winner: str | None, harmful: bool
) -> None:
    judge = open_judge(JudgeSpec.model_validate({"name": "judge", "kind": kind}))
    found = judge.verdict(Reply(reply), "ab")
    assert (found.winner, found.both_harmful) == (winner, harmful)


@given(st.text(alphabet="[]ABCDabcd harmlessness:\n", max_size=80))
def test_any_text_says_both_harmful_or_not(text: str) -> None:
    assert read_both_harmful(text) in (True, False, None)
