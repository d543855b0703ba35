"""Thought and answer apart: only a leading block is a thought, for every backend alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.models.base import Prompt, Reply, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.models.thought import split_thought
from spavl.records import Status
from tests.models.calls.test_surrogates import Constant


@pytest.mark.parametrize(
    ("text", "status", "thought", "answer"),
    [
        ("<think>It is a cup.</think>A cup.", "ok", "It is a cup.", "A cup."),
        ("\n <think>\nIt is a cup.\n</think>\n\nA cup.\n", "ok", "It is a cup.", "A cup.\n"),
        ("<think></think>A cup.", "ok", "", "A cup."),
        ("<think>It is a cup.</think>", "ok", "It is a cup.", ""),
        ("<think>It is", "truncated", "It is", ""),
        ("<think>It is", "filtered", "It is", ""),
        ("<think>It is", "ok", "", "<think>It is"),
        ("A cup. <think>Or not?</think>", "ok", "", "A cup. <think>Or not?</think>"),
        ("<think>One.</think>A <think>two</think>", "ok", "One.", "A <think>two</think>"),
        ("A cup.", "ok", "", "A cup."),
        ("", "ok", "", ""),
    ],
)
def test_a_leading_block_is_the_thought(text: str, status: Status, thought: str, answer: str) -> None:
    assert split_thought(text, status) == (thought, answer)


def test_every_model_s_thought_is_stored_beside_its_answer(tmp_path: Path) -> None:
    with CallStore(tmp_path / "calls.sqlite") as store:
        (reply,) = complete(Constant("<think>Hm.</think>Yes."), [Prompt("?")], sampling=Sampling(), store=store)
    assert (reply.thought, reply.text, reply.status) == ("Hm.", "Yes.", "ok")
    with CallStore(tmp_path / "calls.sqlite") as store:
        (again,) = complete(Constant("another"), [Prompt("?")], sampling=Sampling(), store=store)
    assert again == reply
    assert isinstance(reply, Reply)
