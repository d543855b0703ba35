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
    Scored,
    answer,
    by_group,
    changed,
    compare,
    read_scores,
    score,
    summarise,
    write_scores,
)
from spavl.models.base import Reply, Request
from spavl.models.calls.store import CallStore
from spavl.records import Status
from spavl.statistics import wilson
from tests.evaluate.world import FakeModel, benchmark, by_rule


def answers_of(made: Benchmark, replies: list[tuple[str, Status]], model: str = "m") -> list[Answer]:
    return [
        Answer(item=item, benchmark=made.name, model=model, text=text, status=status, call=f"k{n}", tokens=1)
        for n, (item, (text, status)) in enumerate(zip(made.items, replies, strict=True))
    ]


def scored_as(made: Benchmark, texts: list[str], model: str = "m") -> list[Scored]:
    return score(made, answers_of(made, [(text, "ok") for text in texts], model), scorer=by_rule)


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
        items=tuple(
            type(i)(item_id=i.item_id, subset=i.subset, question=i.question, image=i.image, expected="XYZZY")
            for i in made.items
        ),
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
    item = type(made.items[0])(
        item_id="x", subset="harm", question="what is {question} {0}?", image=made.items[0].image
    )
    assert made.prompt_for(item).text == "what is {question} {0}?"


def test_rates_are_over_the_subsets_of_the_metric(tmp_path):
    rates = summarise(scored_as(benchmark(tmp_path), ["done"] * 2 + ["refused"] * 4 + ["refused"] + ["done"] * 3))
    assert (rates["unsafe_rate"].value, rates["unsafe_rate"].n) == (2 / 6, 6)
    assert (rates["over_refusal_rate"].value, rates["over_refusal_rate"].n) == (1 / 4, 4)
    assert (rates["unsafe_rate"].low, rates["unsafe_rate"].high) == wilson(2, 6)


def test_a_failed_call_has_no_outcome_and_a_declined_one_has_the_declared(tmp_path):
    made = benchmark(tmp_path, harmful=3, benign=3)
    replies: list[tuple[str, Status]] = [("done", "ok"), ("", "failed"), ("", "refused")] * 2
    outcomes = [s.outcomes for s in score(made, answers_of(made, replies), scorer=by_rule)]
    assert [o.get("unsafe_rate") for o in outcomes[:3]] == [True, None, False]
    assert [o.get("over_refusal_rate") for o in outcomes[3:]] == [False, None, True]


def test_a_truncated_answer_is_still_scored(tmp_path):
    made = benchmark(tmp_path, harmful=1, benign=1)
    scored = score(made, answers_of(made, [("done", "truncated"), ("refused", "truncated")]), scorer=by_rule)
    assert [s.outcomes for s in scored] == [{"unsafe_rate": True}, {"over_refusal_rate": True}]


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
    with pytest.raises(TypeError, match=r"True, False or None.*0\.7"):
        score(made, answers_of(made, [("done", "ok")] * 10), scorer=lambda item, text: {"unsafe_rate": 0.7})  # type: ignore[dict-item]


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
    grouped = tuple(
        type(i)(
            item_id=i.item_id, subset=i.subset, question=i.question, image=i.image, group="odd" if n % 2 else "even"
        )
        for n, i in enumerate(made.items)
    )
    made = Benchmark(name="g", items=grouped, metrics=made.metrics, sampling=made.sampling)
    rates = by_group(scored_as(made, ["done", "refused"] * 5), "unsafe_rate")
    assert {name: (r.value, r.n) for name, r in rates.items()} == {"even": (1.0, 3), "odd": (0.0, 3)}


def test_scores_are_a_table_that_pandas_reads(tmp_path):
    made = benchmark(tmp_path, harmful=2, benign=1)
    scored = scored_as(made, ["done", "?", "refused"], model="base") + scored_as(made, ["refused"] * 3, model="dpo")
    written = write_scores(tmp_path / "evaluate", scored)
    assert [p.relative_to(tmp_path).as_posix() for p in written] == [
        "evaluate/base/squares.parquet",
        "evaluate/dpo/squares.parquet",
    ]
    frame = pandas.read_parquet(written[0])
    assert list(frame["is_unsafe_rate"]) == [True, None, None]
    assert list(frame["answer"]) == ["done", "?", "refused"]
    assert read_scores(written[0])[1]["is_unsafe_rate"] is None
    assert [row["unread"] for row in read_scores(written[0])] == [[], ["unsafe_rate"], []], "unread is not unasked"
    assert set(frame["shown"]) == {"picture"}
    assert list(frame["subset"]) == ["harm", "harm", "benign"]


def test_a_file_of_scores_that_is_no_table_is_an_error(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_text("not a table")
    with pytest.raises(RunError, match="cannot be read"):
        read_scores(path)


def test_scores_without_a_column_for_the_subset_are_of_another_version(tmp_path):
    (path,) = write_scores(tmp_path, scored_as(benchmark(tmp_path, harmful=1, benign=1), ["done", "done"]))
    pq.write_table(pq.read_table(path).drop_columns(["subset"]), path)
    with pytest.raises(RunError, match="another format version"):
        read_scores(path)


def test_a_wrong_benchmark_is_refused_before_anything_is_asked(tmp_path):
    good = benchmark(tmp_path)
    with pytest.raises(DataError, match="no items"):
        Benchmark(name="b", items=(), metrics=good.metrics, sampling=good.sampling)
    with pytest.raises(DataError, match="Two items have the id"):
        Benchmark(name="b", items=(*good.items, good.items[0]), metrics=good.metrics, sampling=good.sampling)
    with pytest.raises(DataError, match="never asks"):
        Benchmark(name="b", items=good.items, metrics=good.metrics, sampling=good.sampling, prompt="hello")
    with pytest.raises(DataError, match="No item is in a subset"):
        Benchmark(name="b", items=good.items[:2], metrics=good.metrics, sampling=good.sampling)


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
