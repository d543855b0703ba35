"""Thought and answer apart: a leading block is a thought, for every backend alike, and no reader ever sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spavl.config.judging import GuardSpec
from spavl.judging import open_guard
from spavl.judging.readers.refusal import refuses
from spavl.judging.readers.yes_no import read_yes_no
from spavl.models.base import Prompt, Reply, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.models.thought import MARKS, split_thought
from tests.models.calls.test_surrogates import Constant


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>It is a cup.</think>A cup.", "It is a cup.", "A cup."),
        ("\n <think>\nIt is a cup.\n</think>\n\nA cup.\n", "It is a cup.", "A cup.\n"),
        ("<think></think>A cup.", "", "A cup."),
        ("<think>It is a cup.</think>", "It is a cup.", ""),
        ("<think>It is", "It is", ""),
        ("<Think>It is a cup.</THINK>A cup.", "It is a cup.", "A cup."),
        ("<think>One.</think><think>Two.</think>A cup.", "One.\n\nTwo.", "A cup."),
        ("It is a cup.\n</think>\n\nA cup.", "It is a cup.", "A cup."),
        ("</think>A cup.", "", "A cup."),
        (
            "<|channel|>analysis<|message|>It is a cup.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>A cup.<|return|>",
            "It is a cup.", "A cup.",
        ),
        ("A cup. <think>Or not?</think>", "", "A cup. <think>Or not?</think>"),
        ("<think>One.</think>A <think>two</think>", "One.", "A <think>two</think>"),
        ("A cup.", "", "A cup."),
        ("  A cup. ", "", "  A cup. "),
        ("", "", ""),
    ],
)  # fmt: skip
def test_a_leading_block_is_the_thought(text: str, thought: str, answer: str) -> None:
    assert split_thought(text) == (thought, answer)


@pytest.mark.parametrize(("start", "end"), MARKS)
def test_thoughts_of_every_family_are_apart(start: str, end: str) -> None:
    assert split_thought(f"{start}It is a cup.{end}\nA cup.") == ("It is a cup.", "A cup.")
    assert split_thought(f"It is a cup.{end}\nA cup.") == ("It is a cup.", "A cup.")
    assert split_thought(f"{start}It is a cup.") == ("It is a cup.", "")


@given(st.text("<think>/ ab\n", max_size=60))
def test_no_answer_begins_with_a_thought(text: str) -> None:
    _, answer = split_thought(text)
    assert not answer.lstrip().startswith("<think>") and len(answer) <= len(text)


def test_every_model_s_thought_is_stored_beside_its_answer(tmp_path: Path) -> None:
    with CallStore(tmp_path / "calls.sqlite") as store:
        (reply,) = complete(Constant("<think>Hm.</think>Yes."), [Prompt("?")], sampling=Sampling(), store=store)
    assert (reply.thought, reply.text, reply.status) == ("Hm.", "Yes.", "ok")
    with CallStore(tmp_path / "calls.sqlite") as store:
        (again,) = complete(Constant("another"), [Prompt("?")], sampling=Sampling(), store=store)
    assert again == reply
    assert isinstance(reply, Reply)


@pytest.mark.parametrize(
    "said",
    ["<think>Is it there? I see no dog. I cannot help.</think>\n\nYes.", "I see no dog. I cannot help.</think>Yes."],
)
def test_what_is_thought_is_neither_a_refusal_nor_an_answer_nor_a_verdict(tmp_path: Path, said: str) -> None:
    with CallStore(tmp_path / "calls.sqlite") as store:
        (answer,) = complete(Constant(said), [Prompt("?")], sampling=Sampling(), store=store)
        guard = Constant(said.replace("Yes.", "unsafe\nS1").replace("I cannot help.", "safe"))
        (grade,) = complete(guard, [Prompt("Grade it.")], sampling=Sampling(), store=store)
    assert read_yes_no(answer.text) == "yes" and not refuses(answer.text)
    found, status = open_guard(GuardSpec(name="guard")).grade(grade)
    assert status == "ok" and found is not None and found.outcome == "unsafe"
