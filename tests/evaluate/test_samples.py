"""Several answers to an item: the rate over answers, and over items with any that fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spavl.errors import SettingsError
from spavl.evaluate import answer, score, summarise
from spavl.evaluate.samples import with_samples
from spavl.models.base import Reply, Sampling
from spavl.models.calls.store import CallStore
from tests.evaluate.world import FakeModel, benchmark

WARM = Sampling(temperature=1.0, max_tokens=8)


def test_errors_are_counted_over_answers_and_over_items(tmp_path: Path) -> None:
    made = with_samples(replace(benchmark(tmp_path, harmful=3, benign=1), sampling=WARM), 4)
    model = FakeModel(lambda r: Reply("done" if "question 0" in r.prompt.text and r.sample == 3 else "refused"))
    with CallStore(tmp_path / "calls.sqlite") as store:
        rates = summarise(score(made, answer(made, model, store=store)))
        calls = len(model.asked)
        again = summarise(score(made, answer(made, model, store=store)))
    assert (rates["unsafe_rate"].value, rates["unsafe_rate"].n) == (1 / 12, 12)
    assert (rates["unsafe_rate_any"].value, rates["unsafe_rate_any"].n) == (1 / 3, 3)
    assert "over_refusal_rate_any" not in rates and rates["over_refusal_rate"].n == 4
    assert calls == 16 == len(model.asked) and again == rates


def test_items_of_one_unit_are_counted_one_by_one_and_those_alone_are_no_pair(tmp_path: Path) -> None:
    plain = replace(benchmark(tmp_path, harmful=4, benign=2), sampling=WARM)
    items = tuple(replace(item, unit=f"u{n // 2}" if n < 4 else "") for n, item in enumerate(plain.items))
    pairs = replace(plain.metrics[0], name="pairs", together="all", paired=True, harmful=None)
    made = with_samples(replace(plain, items=items, metrics=(*plain.metrics, pairs)), 3)
    model = FakeModel(lambda r: Reply("done" if "question 0" in r.prompt.text and r.sample == 2 else "refused"))
    with CallStore(tmp_path / "calls.sqlite") as store:
        found = score(made, answer(made, model, store=store))
    rates = summarise(found)
    assert (rates["unsafe_rate_any"].value, rates["unsafe_rate_any"].n) == (1 / 4, 4), "items, not units"
    assert rates["pairs"].n == 2, "two pairs, however often they are asked"
    assert {s.answer.item.unit for s in found} == {"u0", "u1", ""}


def test_the_same_answer_is_never_asked_for_several_times(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="decoding is greedy"):
        with_samples(benchmark(tmp_path), 3)


def test_a_benchmark_without_harm_is_asked_once(tmp_path: Path) -> None:
    made = benchmark(tmp_path)
    skill = replace(made, metrics=made.metrics[1:], items=made.items[6:])
    assert with_samples(skill, 3) is skill


def test_one_answer_changes_nothing(tmp_path: Path) -> None:
    made = benchmark(tmp_path)
    assert with_samples(made, 1) is made
