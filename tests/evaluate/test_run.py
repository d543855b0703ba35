"""From a benchmark and a model to answers, outcomes, rates, comparisons and tables."""

from __future__ import annotations

from dataclasses import replace

import pandas
import pyarrow.parquet as pq
import pytest

from spavl.errors import DataError, RunError
from spavl.evaluate import (
    Answer,
    Benchmark,
    Rule,
    Scored,
    answer,
    by_group,
    changed,
    compare,
    score,
    summarise,
    write_scores,
)
from spavl.evaluate.benchmark import Metric
from spavl.evaluate.item import Item
from spavl.evaluate.metrics import over_refusal_rate, pope_accuracy, skill_accuracy, unsafe_rate
from spavl.evaluate.score_table import check_scores
from spavl.evaluate.scorer import DECLINED, FAILED
from spavl.models.base import Reply, Request, Sampling
from spavl.models.calls.store import CallStore
from spavl.records import Status, Turn
from spavl.statistics import wilson
from tests.evaluate.world import REFUSED, UNSAFE, FakeModel, benchmark


def answers_of(made: Benchmark, replies: list[tuple[str, Status]], model: str = "m") -> list[Answer]:
    return [
        Answer(item=item, benchmark=made.name, model=model, text=text, status=status, call=f"k{n}", tokens=1)
        for n, (item, (text, status)) in enumerate(zip(made.items, replies, strict=True))
    ]


def scored_as(made: Benchmark, texts: list[str], model: str = "m") -> list[Scored]:
    return score(made, answers_of(made, [(text, "ok") for text in texts], model))


def test_a_model_answers_in_order_and_is_called_once(tmp_path):
    made = benchmark(tmp_path)
    model = FakeModel(lambda request: Reply("done" if "3" in request.prompt.text else "refused", completion_tokens=2))
    seen: list[tuple[int, int]] = []
    with CallStore(tmp_path / "calls.sqlite") as store:
        first = answer(made, model, store=store, on_progress=lambda done, total: seen.append((done, total)))
        calls = len(model.asked)
        assert answer(made, model, store=store) == first
    assert [a.item for a in first] == list(made.items)
    assert [a.text for a in first].count("done") == 1 and first[3].text == "done"
    assert len(model.asked) == calls == 10
    assert seen[-1] == (10, 10)
    assert all(a.call and a.tokens == 2 for a in first)


def test_the_expected_answer_never_reaches_the_model(tmp_path):
    made = benchmark(tmp_path)
    secret = Benchmark(
        name="s",
        items=tuple(replace(item, expected="XYZZY") for item in made.items),
        metrics=made.metrics,
        sampling=made.sampling,
        prompt="{question} In one word.",
    )
    model = FakeModel(lambda request: Reply("done"))
    with CallStore(tmp_path / "calls.sqlite") as store:
        answer(secret, model, store=store)
    assert all("XYZZY" not in repr(request) for request in model.asked)
    assert model.asked[0].prompt.text == "question 0 In one word."


def test_braces_in_a_question_stay_braces(tmp_path):
    made = benchmark(tmp_path)
    item = replace(made.items[0], question="what is {question} {0}?")
    assert made.prompt_for(item).text == "what is {question} {0}?"


def test_rates_are_over_the_subsets_of_the_metric(tmp_path):
    rates = summarise(scored_as(benchmark(tmp_path), ["done"] * 2 + ["refused"] * 4 + ["refused"] + ["done"] * 3))
    assert (rates["unsafe_rate"].value, rates["unsafe_rate"].n) == (2 / 6, 6)
    assert (rates["over_refusal_rate"].value, rates["over_refusal_rate"].n) == (1 / 4, 4)
    assert (rates["unsafe_rate"].low, rates["unsafe_rate"].high) == wilson(2, 6)


def test_a_failed_call_has_no_outcome_and_a_declined_one_has_the_declared(tmp_path):
    made = benchmark(tmp_path, harmful=3, benign=3)
    replies: list[tuple[str, Status]] = [("done", "ok"), ("", "failed"), ("", "refused")] * 2
    outcomes = [s.outcomes for s in score(made, answers_of(made, replies))]
    assert [o.get("unsafe_rate") for o in outcomes[:3]] == [True, None, False]
    assert [o.get("over_refusal_rate") for o in outcomes[3:]] == [False, None, True]


def test_a_truncated_answer_is_still_scored(tmp_path):
    made = benchmark(tmp_path, harmful=1, benign=1)
    scored = score(made, answers_of(made, [("done", "truncated"), ("refused", "truncated")]))
    assert [s.outcomes for s in scored] == [{"unsafe_rate": True}, {"over_refusal_rate": True}]


@pytest.mark.parametrize("metric", [unsafe_rate(UNSAFE.scorer), over_refusal_rate(), skill_accuracy(), pope_accuracy()])
@pytest.mark.parametrize("status", [*FAILED, "truncated", *DECLINED])
def test_a_call_without_a_word_is_unread_in_every_metric_unless_the_service_declined(metric: Metric, status: Status):
    subset = (*metric.subsets, "any")[0]
    item = Item(item_id="1", subset=subset, question="?", shown="none", expected="no", harmful=bool(metric.harmful),
                benign=bool(metric.benign))  # fmt: skip
    made = Benchmark(name="b", items=(item,), metrics=(metric,), sampling=Sampling())
    (scored,) = score(made, answers_of(made, [(" ", status)]))
    declined = metric.axis == "over-refusal"
    assert scored.outcomes == {metric.name: declined if status in DECLINED else None}


def test_a_garbage_scorer_cannot_make_a_model_look_safer(tmp_path):
    """As ever fewer of the unsafe answers can be read, the upper bound never falls, and the rate is flagged."""
    made = benchmark(tmp_path, harmful=20, benign=1)
    honest = ["done"] * 8 + ["refused"] * 12 + ["done"]
    bounds = []
    for garbled in range(9):  # ever more of the *unsafe* answers become unreadable
        rates = summarise(scored_as(made, ["?"] * garbled + honest[garbled:]))
        bounds.append(rates["unsafe_rate"].high)
        assert rates["unsafe_rate"].flagged == (garbled > 0)
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(bounds[-1])  # unread counts as unsafe, which it was

    silent = summarise(scored_as(made, ["?"] * 21))["unsafe_rate"]
    assert silent.value is None and silent.high == 1.0


def test_a_garbage_scorer_on_the_aligned_side_proves_no_improvement(tmp_path):
    made = benchmark(tmp_path, harmful=20, benign=1)
    base = scored_as(made, ["done"] * 21)
    honest = compare(made, base, scored_as(made, ["refused"] * 20 + ["done"]))["unsafe_rate"]
    garbled = compare(made, base, scored_as(made, ["?"] * 20 + ["done"]))["unsafe_rate"]
    assert (honest.fixed, honest.broken) == (20, 0) and honest.p < 1e-5
    assert (garbled.fixed, garbled.broken, garbled.unreadable) == (0, 0, 20)
    assert garbled.p == 1.0 and garbled.difference is None and garbled.high > 0.5


def test_a_scorer_that_returns_something_else_is_a_bug(tmp_path):
    made = benchmark(tmp_path)
    wrong = replace(UNSAFE, scorer=Rule("test:wrong/1", lambda item, text: 0.7))  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"True, False or None.*0\.7"):
        score(replace(made, metrics=(wrong,)), answers_of(made, [("done", "ok")] * 10))


def test_models_asked_different_items_are_not_compared(tmp_path):
    made = benchmark(tmp_path)
    base = scored_as(made, ["done"] * 10)
    with pytest.raises(DataError, match="same items"):
        compare(made, base, base[:-1])


def test_fixed_and_broken_items_are_named(tmp_path):
    made = benchmark(tmp_path, harmful=4, benign=3)
    base = scored_as(made, ["done", "done", "refused", "?", "done", "done", "refused"])
    after = scored_as(made, ["refused", "done", "done", "refused", "refused", "done", "done"])
    found, counted = changed(made, base, after), compare(made, base, after)
    assert (found["unsafe_rate"].fixed, found["unsafe_rate"].broken) == (("harm/0",), ("harm/2",))
    assert (found["over_refusal_rate"].fixed, found["over_refusal_rate"].broken) == (("benign/6",), ("benign/4",))
    for metric, paired in counted.items():
        assert (paired.fixed, paired.broken) == (len(found[metric].fixed), len(found[metric].broken))


def test_items_of_one_picture_are_compared_as_one_cluster(tmp_path):
    made = benchmark(tmp_path, harmful=12, benign=1)
    shared = tuple(replace(item, cluster=f"picture {n // 6}") for n, item in enumerate(made.items))
    clustered = replace(made, items=shared)
    replies = [["done"] * 13, ["refused"] * 12 + ["done"]]
    alone, together = (
        compare(b, scored_as(b, replies[0]), scored_as(b, replies[1]))["unsafe_rate"] for b in (made, clustered)
    )
    assert alone.p == pytest.approx(2 / 2**12) and together.p == pytest.approx(2 / 2**2)
    assert (alone.fixed, together.fixed) == (12, 12)


def test_groups_have_rates_of_their_own(tmp_path):
    made = benchmark(tmp_path)
    made = replace(made, items=tuple(replace(i, group="odd" if n % 2 else "even") for n, i in enumerate(made.items)))
    rates = by_group(scored_as(made, ["done", "refused"] * 5), "unsafe_rate")
    assert {name: (r.value, r.n) for name, r in rates.items()} == {"even": (1.0, 3), "odd": (0.0, 3)}


def test_scores_are_a_table_that_pandas_reads(tmp_path):
    made = benchmark(tmp_path, harmful=2, benign=1)
    scored = scored_as(made, ["done", "?", "refused"], model="base") + scored_as(made, ["refused"] * 3, model="dpo")
    written = write_scores(tmp_path / "evaluate", scored, run=tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in written] == [
        "evaluate/base/squares.parquet",
        "evaluate/dpo/squares.parquet",
    ]
    frame = pandas.read_parquet(written[0])
    assert list(frame["is_unsafe_rate"]) == [True, None, None]
    assert list(frame["answer"]) == ["done", "?", "refused"]
    assert [list(unread) for unread in frame["unread"]] == [[], ["unsafe_rate"], []], "unread is not unasked"
    assert set(frame["shown"]) == {"picture"}
    assert list(frame["subset"]) == ["harm", "harm", "benign"]
    assert list(frame["harmful"]) == [True, True, False] and list(frame["benign"]) == [False, False, True]
    assert list(frame["images"][0]) == ["red.png"], "relative to the run folder, which may be moved"
    assert {"is_unsafe_rate", "thought"} <= check_scores(written[0])


def test_a_thought_is_kept_and_not_scored(tmp_path):
    made = benchmark(tmp_path, harmful=1, benign=1)
    answers = [replace(a, thought="done") for a in answers_of(made, [("refused", "ok")] * 2)]
    scored = score(made, answers)
    assert [s.outcomes for s in scored] == [{"unsafe_rate": False}, {"over_refusal_rate": True}]
    (path,) = write_scores(tmp_path / "evaluate", scored, run=tmp_path)
    assert pq.read_table(path)["thought"].to_pylist() == ["done", "done"]


def test_a_file_of_scores_that_is_no_table_is_an_error(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_text("not a table")
    with pytest.raises(RunError, match="cannot be read"):
        check_scores(path)


def test_scores_without_a_column_for_harmful_are_of_another_version(tmp_path):
    made = benchmark(tmp_path, harmful=1, benign=1)
    (path,) = write_scores(tmp_path, scored_as(made, ["done", "done"]), run=tmp_path)
    pq.write_table(pq.read_table(path).drop_columns(["harmful"]), path)
    with pytest.raises(RunError, match="another format version"):
        check_scores(path)


def test_a_wrong_benchmark_is_refused_before_anything_is_asked(tmp_path):
    good = benchmark(tmp_path)
    with pytest.raises(DataError, match="no items"):
        Benchmark(name="b", items=(), metrics=good.metrics, sampling=good.sampling)
    with pytest.raises(DataError, match="Two items have the id"):
        Benchmark(name="b", items=(*good.items, good.items[0]), metrics=good.metrics, sampling=good.sampling)
    with pytest.raises(DataError, match="never asks"):
        Benchmark(name="b", items=good.items, metrics=good.metrics, sampling=good.sampling, prompt="hello")
    with pytest.raises(DataError, match="No item counts in metric `over_refusal_rate`"):
        Benchmark(name="b", items=good.items[:2], metrics=good.metrics, sampling=good.sampling)
    with pytest.raises(DataError, match="Two metrics are called `unsafe_rate`"):
        Benchmark(name="b", items=good.items, metrics=(UNSAFE, UNSAFE), sampling=good.sampling)


def test_a_picture_that_is_not_declared_is_refused(tmp_path):
    good = benchmark(tmp_path)
    first = good.items[0]
    bare = type(first)(item_id="x", subset="harm", question="?")
    with pytest.raises(DataError, match="says it shows `picture` but has no picture"):
        Benchmark(name="b", items=(bare, *good.items), metrics=good.metrics, sampling=good.sampling)


def test_a_request_names_the_picture_for_models_of_kind_python(tmp_path):
    made = benchmark(tmp_path)
    seen: list[str] = []

    def rule(request: Request) -> Reply:
        seen.append(request.prompt.item)
        return Reply("done")

    with CallStore(tmp_path / "c.sqlite") as store:
        answer(made, FakeModel(rule), store=store)
    assert seen[0] == "harm/0"


def test_a_metric_counts_the_items_that_it_declares(tmp_path):
    made = benchmark(tmp_path)
    held_out = [replace(item, heldout=n % 2 == 0) for n, item in enumerate(made.items)]
    for changes, counted in [({}, 6), ({"heldout": True}, 3), ({"harmful": None}, 10), ({"subsets": ("benign",)}, 0)]:
        assert sum(replace(UNSAFE, **changes).counts(item) for item in held_out) == counted


def test_a_conversation_with_several_pictures_is_asked_as_it_is(tmp_path):
    made = benchmark(tmp_path)
    red, green = made.items[0].images[0], made.items[-1].images[0]
    talk = (Turn("user", "first", (red,)), Turn("assistant", "reply"))
    prompt = made.prompt_for(replace(made.items[0], images=(green, red), earlier=talk, system="be brief"))
    assert [(t.role, len(t.images)) for t in prompt.turns] == [("user", 1), ("assistant", 0), ("user", 2)]
    assert (prompt.system, prompt.pictures) == ("be brief", (red, green, red))


def test_the_protocol_changes_with_all_that_decides_a_score_and_with_nothing_else(tmp_path):
    made = benchmark(tmp_path)
    items, first = made.items, made.items[0]
    same = [
        replace(made, name="other"), replace(made, source="elsewhere"),
        replace(made, metrics=(replace(UNSAFE, label="In other words"), REFUSED)),
        replace(made, sampling=replace(made.sampling, seed=7)),
    ]  # fmt: skip
    others = [
        replace(made, prompt="{question}!"), replace(made, sampling=Sampling(max_tokens=9)),
        replace(made, sampling=Sampling(max_tokens=8, temperature=1.0)), replace(made, items=items[:-1]),
        replace(made, items=(replace(first, question="another"), *items[1:])),
        replace(made, items=(replace(first, images=items[-1].images), *items[1:])),
        replace(made, items=(replace(first, harmful=False), *items[1:])),
        replace(made, metrics=(replace(UNSAFE, scorer=Rule("test:unsafe/2", UNSAFE.scorer.outcome)), REFUSED)),
        replace(made, metrics=(REFUSED,)),
    ]  # fmt: skip
    assert {other.protocol() for other in same} == {made.protocol()}
    assert len({made.protocol(), *(other.protocol() for other in others)}) == 1 + len(others)


def test_where_neither_is_better_changes_are_counted_by_their_direction(tmp_path):
    made = replace(benchmark(tmp_path, harmful=3, benign=1), metrics=(replace(UNSAFE, better="neither"),))
    base, after = (scored_as(made, said) for said in (["done", "refused", "refused", "done"], ["done"] * 4))
    found = compare(made, base, after)["unsafe_rate"]
    assert (found.fixed, found.broken) == (2, 0)
    assert changed(made, base, after)["unsafe_rate"].fixed == ("harm/1", "harm/2")
