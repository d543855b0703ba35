"""Answers to other prompts: whose they are, and where they stand in trees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForImageTextToText

from spavl.align.data.batches import PairDataset, StepDataset
from spavl.align.data.mismatched import mismatched_pairs
from spavl.align.data.schedule import schedule_steps
from spavl.config.align import BatchingSettings, OptimiserSettings
from spavl.errors import DataError
from spavl.models.families import Family, family_of, load_processor
from spavl.preferences.pairs import Pair


def asked(*questions: str) -> list[Pair]:
    return [Pair(f"p{number}", (), question, "c", "r") for number, question in enumerate(questions)]


def test_of_different_prompts_it_is_the_pair_before() -> None:
    assert mismatched_pairs(asked("a", "b", "c")).tolist() == [2, 0, 1]


def test_of_equal_prompts_in_a_row_all_answers_are_used() -> None:
    assert mismatched_pairs(asked("a", "a", "b", "b")).tolist() == [2, 3, 0, 1]
    assert mismatched_pairs(asked("a", "b", "b", "b", "a")).tolist() == [3, 0, 4, 0, 2], (
        "the first `a` follows the last"
    )


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=12))
def test_it_always_has_another_prompt(questions: list[str]) -> None:
    if len(set(questions)) == 1:
        with pytest.raises(DataError, match="same prompt"):
            mismatched_pairs(asked(*questions))
    else:
        assert all(questions[n] != questions[m] for n, m in enumerate(mismatched_pairs(asked(*questions))))


@pytest.fixture(scope="module")
def family(checkpoint) -> Family:
    model = AutoModelForImageTextToText.from_pretrained(checkpoint)
    return family_of(model, load_processor(checkpoint))


@pytest.fixture(scope="module")
def dataset(family, pairs):
    """Three pairs, a wanted answer, an unwanted one, of five pictures."""
    rows = [*pairs[:3], replace(pairs[3], rejected="", unpaired=True), replace(pairs[6], chosen="", unpaired=True)]
    made = PairDataset(rows, family, packing="tree", answers="unpaired")
    made.measure([(0, 1, 2), (3,), (4,)])
    return made


def test_places_of_answers_that_are_there_and_of_answers_to_other_prompts(dataset) -> None:
    one = dataset.collate([(0, 1, 2), (3,), (4,)], weight=1.0, of=5, reference=None)
    assert one.rejected.tolist()[3] == -1 == one.chosen.tolist()[4]
    assert len({*one.chosen.tolist()[:4], *one.rejected.tolist()[:3], one.rejected.tolist()[4]}) == 8
    assert (one.totals.pairs, one.totals.answers) == (5, 8) and one.totals == dataset.totals(range(5))
    assert len(one.mismatched.answers) == 8, "as many as there are answers, those of the pairs before"
    texts = [text for number in range(5) for text in dataset.texts(int(dataset.mismatched[number])) if text]
    shown = [one.mismatched.batch.targets[one.mismatched.batch.owner == at] for at in one.mismatched.answers]
    decoded = ["".join(dataset.family.processor.tokenizer.decode(ids[:-1]).split()) for ids in shown]
    assert decoded == ["".join(text.split()) for text in texts]


def test_recorded_numbers_reach_their_answers(dataset) -> None:
    recorded = np.arange(20, dtype=np.float32).reshape(5, 4)
    one = dataset.collate([(0, 1, 2), (3,), (4,)], weight=1.0, of=5, reference=recorded)
    assert one.reference[one.chosen[:4]].tolist() == [0, 4, 8, 12]
    assert one.reference[one.rejected[[0, 1, 2, 4]]].tolist() == [1, 5, 9, 17]
    assert one.mismatched.reference[one.mismatched.answers].tolist() == [3, 6, 7, 10, 11, 14, 15, 18]


def test_sizes_of_the_trees_are_known_without_packing_them(dataset) -> None:
    for part in [(0,), (1, 2), (0, 1, 2), (3,), (4,)]:
        assert dataset.size(part) == int(dataset.batch([part])[0].lengths.sum())
        assert dataset.size_mismatched(part) == int(dataset.mismatched_batch([part])[0].lengths.sum())


def test_no_pass_is_beyond_the_token_budget_however_long_the_answers_to_other_prompts_are(family, pairs) -> None:
    long = [*pairs[:4], replace(pairs[4], chosen=" ".join([pairs[4].chosen] * 12)), *pairs[5:]]
    made, trees = PairDataset(long, family, packing="tree", answers="unpaired"), [(number,) for number in range(24)]
    made.measure(trees)
    budget = 2 * max(map(made.size, trees))
    batching, optimiser = BatchingSettings(pairs=24, token_budget=budget), OptimiserSettings(max_steps=1)
    (step,) = schedule_steps(trees, made.pass_size, batching, optimiser, seed=0)
    passes = [made.collate(trees, weight=1.0, of=24, reference=None) for trees in step.micro_batches[0]]
    assert max(len(one.pairs) for one in passes) > 4, "short ones share a pass"
    assert all(batch.ids.numel() <= budget for one in passes for batch in (one.batch, one.mismatched.batch))


def test_totals_are_those_of_the_step_on_all_devices(dataset) -> None:
    optimiser, batching = OptimiserSettings(max_steps=1), BatchingSettings(pairs=5, forward_pairs=1, shuffle=False)
    steps = schedule_steps([(0, 1, 2), (3,), (4,)], dataset.size, batching, optimiser, seed=0, ranks=2)
    ranks = [StepDataset(dataset, steps, rank, None)[0] for rank in (0, 1)]
    assert len(ranks[0]) == len(ranks[1]) == 3, "one of them is padding"
    assert {one.totals for own in ranks for one in own} == {dataset.totals(range(5))}


def test_a_dataset_of_chosen_answers_has_no_others(family, pairs) -> None:
    made = PairDataset(pairs[:3], family, packing="tree", answers="chosen")
    made.measure([(0, 1, 2)])
    one = made.collate([(0, 1, 2)], weight=1.0, of=3, reference=None)
    assert one.batch.answers == 3 and one.rejected.tolist() == [-1, -1, -1] and one.mismatched is None
    assert made.size((0, 1, 2)) == int(one.batch.lengths.sum())
    assert one.totals.chosen_tokens == len(one.batch.targets)
