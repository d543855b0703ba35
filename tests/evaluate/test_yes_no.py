"""POPE's report by hand, with refusals and failed calls."""

from __future__ import annotations

import pytest

from spavl.evaluate import Answer, Item
from spavl.evaluate.yes_no import yes_no_report
from spavl.records import Status


def answers(rows: list[tuple[str, str]], *, status: Status = "ok", per_picture: int = 1) -> list[Answer]:
    return [
        Answer(
            item=Item(
                item_id=str(n),
                subset="yes-no",
                question="?",
                shown="none",
                expected=want,
                cluster=f"p{n // per_picture}",
            ),
            benchmark="pope",
            model="m",
            text=text,
            status=status,
            call="",
            tokens=1,
        )
        for n, (want, text) in enumerate(rows)
    ]


def test_precision_recall_and_f1_by_hand():
    # expected yes 5: answered yes 3, no 1, refused 1. expected no 5: answered yes 1, no 4
    rows = [("yes", "Yes.")] * 3 + [("yes", "No.")] + [("yes", "I'm sorry, I cannot say.")]
    rows += [("no", "Yes")] + [("no", "No")] * 4
    found = yes_no_report(answers(rows))
    assert (found.precision, found.recall) == (3 / 4, 3 / 5)
    assert found.f1 == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))
    assert found.f1_low < found.f1 < found.f1_high
    assert (found.accuracy.value, found.yes.value, found.neither.value) == (0.7, 0.4, 0.1)
    assert found.official.value == 0.8, "the published parser takes the refusal for yes"


def test_refusing_everything_scores_nothing_here_and_half_there():
    found = yes_no_report(answers([("yes", "I'm sorry, I cannot help."), ("no", "I'm sorry, I cannot help.")] * 10))
    assert found.accuracy.value == 0.0 and found.neither.value == 1.0 and found.recall == 0.0
    assert found.precision is None
    assert found.official.value == 0.5


def test_failed_calls_are_unread_not_wrong():
    found = yes_no_report(answers([("yes", "")] * 4, status="failed"))
    assert found.accuracy.value is None and found.accuracy.unreadable == 4


def test_questions_of_one_picture_are_not_independent():
    rows = ([("yes", "yes")] * 6 + [("no", "yes")] * 6) * 10
    alone, shared = yes_no_report(answers(rows)), yes_no_report(answers(rows, per_picture=6))
    assert shared.accuracy.value == alone.accuracy.value == 0.5
    assert shared.accuracy.high - shared.accuracy.low > 2 * (alone.accuracy.high - alone.accuracy.low)
    assert shared.f1_high - shared.f1_low > alone.f1_high - alone.f1_low
