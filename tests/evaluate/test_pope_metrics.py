"""POPE's metrics by hand, with refusals and failed calls."""

from __future__ import annotations

import pytest

from spavl.evaluate import Answer, Benchmark, Item, score, summarise
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.skill_metrics import pope_metrics
from spavl.models.base import Sampling
from spavl.records import Status
from spavl.statistics.intervals import Rate

Row = tuple[str, str]
SORRY = "I'm sorry, I cannot say."


def rates(rows: list[Row], *, status: Status = "ok", per_picture: int = 1, splits: int = 1) -> dict[str, Rate]:
    """Every metric of answers to questions: (expected, answer) each."""
    items = tuple(
        Item(
            item_id=str(n), subset=f"split{n % splits}", question="Is there a cup in the image?", shown="none",
            expected=want, cluster=f"p{n // per_picture}",
        )
        for n, (want, _) in enumerate(rows)
    )  # fmt: skip
    names = sorted({item.subset for item in items})
    made = Benchmark(
        name="pope", items=items, metrics=pope_metrics(names, REFUSES), sampling=Sampling(max_tokens=8)
    )  # fmt: skip
    answers = [
        Answer(item=item, benchmark="pope", model="m", text=text, status=status, call="", tokens=1)
        for item, (_, text) in zip(items, rows, strict=True)
    ]
    return summarise(score(made, answers))


def values(rows: list[Row], **how: int) -> dict[str, float | None]:
    return {name: rate.value for name, rate in rates(rows, **how).items()}  # type: ignore[arg-type]


def test_precision_recall_and_f1_by_hand() -> None:
    # expected yes 5: answered yes 3, no 1, refused 1. expected no 5: answered yes 1, no 4
    rows = [("yes", "Yes.")] * 3 + [("yes", "No.")] + [("yes", SORRY)] + [("no", "Yes")] + [("no", "No")] * 4
    found = values(rows)
    assert found["pope_accuracy"] == pytest.approx(0.7)
    assert found["pope_precision"] == pytest.approx(3 / 4) and found["pope_recall"] == pytest.approx(3 / 5)
    assert found["pope_f1"] == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))
    assert found["pope_yes_rate"] == pytest.approx(0.4) and found["pope_neither_rate"] == pytest.approx(0.1)
    assert found["pope_refusal_rate"] == pytest.approx(0.1)
    assert found["pope_accuracy_official"] == pytest.approx(0.8), "the published parser takes the refusal for yes"
    assert found["pope_f1_official"] == pytest.approx(2 * 4 / (5 + 5))


def test_lmms_eval_takes_the_bare_word_alone_and_leaves_the_others_out_of_its_f1() -> None:
    rows = [("yes", "yes"), ("yes", "Yes."), ("yes", "no"), ("no", "YES "), ("no", "No"), ("no", "no, none")]
    found = values(rows)
    assert found["pope_accuracy"] == pytest.approx(4 / 6)
    assert found["pope_accuracy_lmms_eval"] == pytest.approx(2 / 6)
    precision, recall = 1 / 2, 1 / 2
    assert found["pope_f1_lmms_eval"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_refusing_everything_scores_nothing_here_and_half_there() -> None:
    found = values([("yes", SORRY), ("no", SORRY)] * 10)
    assert found["pope_accuracy"] == found["pope_recall"] == found["pope_f1"] == 0.0
    assert found["pope_neither_rate"] == found["pope_refusal_rate"] == 1.0
    assert found["pope_precision"] is None
    assert found["pope_accuracy_official"] == 0.5


def test_every_split_has_an_accuracy_and_an_f1_where_there_are_several() -> None:
    found = values([("yes", "yes"), ("yes", "no")] * 4, splits=2)
    assert (found["pope_accuracy_split0"], found["pope_accuracy_split1"]) == (1.0, 0.0)
    assert (found["pope_f1_split0"], found["pope_f1_split1"]) == (1.0, 0.0)
    assert not any(name.endswith("_split0") for name in values([("yes", "yes")] * 2))


def test_failed_calls_are_unread_not_wrong() -> None:
    found = rates([("yes", "")] * 4, status="failed")
    assert found["pope_accuracy"].value is None and found["pope_accuracy"].unreadable == 4
    assert found["pope_f1"].value is None


def test_a_call_that_the_service_declined_is_wrong_and_a_refusal() -> None:
    found = rates([("yes", "")] * 4, status="filtered")
    assert found["pope_accuracy"].value == found["pope_f1"].value == 0.0 and found["pope_refusal_rate"].value == 1.0


def test_questions_of_one_picture_are_not_independent() -> None:
    rows = ([("yes", "yes")] * 6 + [("no", "yes")] * 6) * 10
    alone, shared = rates(rows), rates(rows, per_picture=6)
    for name in ("pope_accuracy", "pope_f1"):
        assert shared[name].value == pytest.approx(alone[name].value)
        assert shared[name].high - shared[name].low > 1.5 * (alone[name].high - alone[name].low)
