"""Graded, weighted and joined outcomes, several samples of an answer, and what a guard said beside its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spavl.errors import DataError
from spavl.evaluate import Answer, Benchmark, Item, Metric, Rule, answer, compare, score, summarise, write_scores
from spavl.evaluate.benchmark import Together
from spavl.evaluate.metrics import pair_accuracy
from spavl.evaluate.run import together
from spavl.evaluate.scorer import AnswerVerdict
from spavl.models.base import Reply, Sampling
from spavl.models.calls.store import CallStore
from spavl.records import Status
from spavl.statistics.intervals import Outcome
from tests.evaluate.world import FakeModel

SAYS = Rule("test:number/1", lambda item, text: float(text) if text.replace(".", "").isdigit() else None)
YES = Rule("test:yes/1", lambda item, text: text == "yes")
RIGHT = Rule("test:right/1", lambda item, text: text == item.expected)
F1_WEIGHT = Rule("test:f1/1", lambda item, text: (text == "yes") + (item.expected == "yes"))
BOTH_YES = Rule("test:both/1", lambda item, text: text == item.expected == "yes")


def metric(scorer: object, **changes: object) -> Metric:
    known = {"name": "m", "axis": "skill", "better": "higher", "label": "M", "what": "that are m", "scorer": scorer}
    return Metric(**{**known, **changes})  # type: ignore[arg-type]


def items(count: int, made: Callable[[int], dict[str, str]]) -> tuple[Item, ...]:
    return tuple(Item(item_id=str(n), subset="s", question="?", shown="none", **made(n)) for n in range(count))


def scored(metrics: tuple[Metric, ...], own: tuple[Item, ...], texts: Sequence[str]):
    made = Benchmark(name="b", items=own, metrics=metrics, sampling=Sampling())
    answers = [
        Answer(item=item, benchmark="b", model="m", text=text, status="ok", call="", tokens=1)
        for item, text in zip(own, texts, strict=True)
    ]
    return made, score(made, answers)


def test_the_mean_of_graded_answers_has_an_interval_around_it() -> None:
    _, found = scored((metric(SAYS, graded=True),), items(4, lambda n: {}), ["0.2", "0.4", "1", "what"])
    rate = summarise(found)["m"]
    assert rate.value == pytest.approx(1.6 / 3)
    assert (rate.n, rate.unreadable) == (4, 1)
    assert 0 <= rate.low < 0.4 and 0.65 < rate.high <= 1


def test_a_score_where_nothing_is_graded_is_a_fault_of_the_scorer() -> None:
    with pytest.raises(TypeError, match=r"returns True, False or None; for m it returned 0.5"):
        scored((metric(SAYS),), items(1, lambda n: {}), ["0.5"])
    with pytest.raises(TypeError, match="a number from 0 to 1"):
        scored((metric(SAYS, graded=True),), items(1, lambda n: {}), ["1.5"])


def test_f1_is_a_weighted_mean() -> None:
    expected = ["yes", "yes", "yes", "no", "no", "no"]
    said = ["yes", "yes", "no", "yes", "no", "no"]
    _, found = scored(
        (metric(BOTH_YES, weight=F1_WEIGHT),), items(6, lambda n: {"expected": expected[n]}), said
    )  # fmt: skip
    assert summarise(found)["m"].value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


def test_every_group_counts_alike_in_an_unweighted_mean() -> None:
    own = items(5, lambda n: {"group": "small" if n == 0 else "large"})
    _, found = scored((metric(YES, macro=True),), own, ["yes", "no", "no", "no", "no"])
    assert summarise(found)["m"].value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("rule", "outcomes", "wanted"),
    [
        ("all", [True, True], True), ("all", [True, False], False), ("all", [True, None], None),
        ("all", [False, None], False), ("any", [False, None], None), ("any", [True, None], True),
        ("any", [False, False], False), ("majority", [True, True, None], True), ("majority", [True, None, False], None),
        ("majority", [False, None, False], False), ("mean", [0.5, 1.0], 0.75), ("mean", [0.5, None], None),
    ],
)  # fmt: skip
def test_outcomes_of_a_unit_become_one_unless_unread_ones_could_change_it(
    rule: Together, outcomes: list[Outcome], wanted: Outcome
) -> None:
    assert together(outcomes, rule) == wanted


def test_the_outcome_of_a_unit_stands_with_its_first_item_alone() -> None:
    own = items(4, lambda n: {"unit": "first" if n < 2 else "second", "expected": "yes"})
    single, joined = metric(RIGHT), metric(RIGHT, name="circular", together="all")
    made, found = scored((single, joined), own, ["yes", "no", "yes", "yes"])
    assert [s.outcomes.get("circular", "absent") for s in found] == [False, "absent", True, "absent"]
    rates = summarise(found)
    assert (rates["m"].value, rates["m"].n, rates["circular"].value, rates["circular"].n) == (0.75, 4, 0.5, 2)
    assert compare(made, found, found)["circular"].n == 2


def test_several_answers_to_an_item_are_one_unit_and_one_cluster(tmp_path: Path) -> None:
    said = iter(["yes", "no", "no", "no", "no", "no"])
    any_of_three = metric(YES, name="any", together="any")
    made = Benchmark(
        name="b", items=items(2, lambda n: {}), metrics=(metric(YES), any_of_three),
        sampling=Sampling(temperature=1.0), samples=3,
    )  # fmt: skip
    with CallStore(tmp_path / "calls.sqlite") as store:
        answers = answer(made, FakeModel(lambda request: Reply(next(said))), store=store)
    assert [a.item.item_id for a in answers] == ["0#1", "0#2", "0#3", "1#1", "1#2", "1#3"]
    assert [a.item.cluster for a in answers] == ["0"] * 3 + ["1"] * 3
    rates = summarise(score(made, answers))
    assert rates["m"].value == pytest.approx(1 / 6) and rates["any"].value == 0.5
    assert made.protocol() != replace(made, samples=1).protocol()


def test_graded_answers_are_compared_item_by_item() -> None:
    own = items(40, lambda n: {})
    graded = (metric(SAYS, graded=True),)
    made, before = scored(graded, own, ["0.2"] * 40)
    _, after = scored(graded, own, ["0.3"] * 30 + ["0.2"] * 9 + ["0.1"])
    found = compare(made, before, after)["m"]
    assert (found.fixed, found.broken, found.n) == (30, 1, 40)
    assert found.difference == pytest.approx((30 * 0.1 - 0.1) / 40)
    assert found.low < found.difference < found.high and found.low > 0 and found.p < 0.001


def test_an_unread_pair_widens_the_bounds_of_a_graded_comparison_both_ways() -> None:
    own, graded = items(40, lambda n: {}), (metric(SAYS, graded=True),)
    made, before = scored(graded, own, ["0.2"] * 40)
    _, after = scored(graded, own, ["0.3"] * 39 + ["what"])
    found = compare(made, before, after)["m"]
    assert found.unreadable == 1 and found.p == 1.0
    assert found.low <= (39 * 0.1 - 1) / 40 and found.high >= (39 * 0.1 + 1) / 40


@dataclass(frozen=True)
class Judge:
    id: str = "test:judge/1"

    def score(self, answers: Sequence[Answer]) -> list[AnswerVerdict]:
        silent = AnswerVerdict(outcome=None, status="unreadable", detail="no verdict in it", calls=("k2",))
        return [AnswerVerdict(outcome=True, status="ok", calls=("k1",)), silent][: len(answers)]


def test_what_became_of_a_verdict_stands_in_the_table(tmp_path: Path) -> None:
    _, found = scored((metric(Judge()), metric(SAYS, name="g", graded=True)), items(2, lambda n: {}), ["0.5", "what"])
    (path,) = write_scores(tmp_path, found, run=tmp_path, graded=["g"])
    rows = pq.read_table(path).to_pylist()
    assert [row["verdicts"][0]["status"] for row in rows] == ["ok", "unreadable"]
    assert rows[1]["verdicts"][0]["calls"] == ["k2"] and rows[1]["unread"] == ["m", "g"]
    assert [(row["is_m"], row["score_g"]) for row in rows] == [(True, 0.5), (None, None)]


def test_a_mean_of_units_must_say_that_it_is_graded() -> None:
    with pytest.raises(DataError, match="graded"):
        scored((metric(YES, together="mean"),), items(1, lambda n: {}), ["yes"])


def test_a_pair_is_right_where_the_service_declines_its_harmful_side_and_wrong_where_it_declines_the_other() -> None:
    pair = (
        Item(item_id="h", subset="s", question="?", shown="none", unit="u", harmful=True),
        Item(item_id="b", subset="s", question="?", shown="none", unit="u", benign=True),
    )
    made = Benchmark(name="b", items=pair, metrics=(pair_accuracy(YES),), sampling=Sampling())

    def handled(*statuses: Status) -> Outcome:
        answers = [
            Answer(item=item, benchmark="b", model="m", text="yes", status=status, call="", tokens=1)
            for item, status in zip(pair, statuses, strict=True)
        ]
        return score(made, answers)[0].outcomes["pair_accuracy"]

    assert handled("filtered", "ok") is True and handled("ok", "filtered") is False
    assert handled("refused", "refused") is False and handled("failed", "ok") is None
