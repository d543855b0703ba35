"""Asking for the corpus of real answers: what is kept apart, and what is refused before anything is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import real_answers


def row(question: str, answer: str, **more: str) -> dict[str, Any]:
    return {"situation": "yes_no", "question": question, "status": "ok", "answer": answer, **more}


def test_equal_words_that_answer_one_question_and_not_another_are_two_answers() -> None:
    said = "It is cold."
    asked = [row("Is ice cold?", said), row("Is the thing cold?", said), row("Is a cat alive?", said)]
    kept = real_answers._different(asked)
    assert [(one["question"], one["times"]) for one in kept] == [("Is ice cold?", 2), ("Is a cat alive?", 1)]


def test_a_verdict_that_was_cut_off_is_another_answer_than_a_whole_one() -> None:
    rows = [row("", "unsafe", situation="grade", kind="rubric", status=status) for status in ("ok", "truncated", "ok")]
    assert [one["times"] for one in real_answers._different(rows)] == [2, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "either a server"), (["--url", "http://127.0.0.1:9"], "either a server"),
        (["--path", "folder", "--url", "http://127.0.0.1:9", "--model", "m"], "either a server"),
        (["--path", "folder", "--without", "missing.jsonl"], "no file missing.jsonl"),
    ],
)  # fmt: skip
def test_a_model_or_file_that_is_not_named_rightly_is_a_sentence_before_anything_is_asked(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        real_answers.main([*words, "--out", "out.jsonl"])
    assert said in capsys.readouterr().err and list(tmp_path.iterdir()) == []
