"""Pairs left out for balance: limits hold, no more are left out than needed, and every one is accounted for."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from spavl.config.build import BalanceSettings
from spavl.dataset.balance import balance, find_cuts
from spavl.dataset.shortcuts import short_of, shortcuts
from spavl.errors import SettingsError
from spavl.records import ImageRecord, PreferencePair
from spavl.tables import write_table
from tests import samples

SUBJECTS = ("weapon", "theft", "insult")


def made_pairs(count: int = 300, longer: float = 0.8, seed: int = 0) -> list[PreferencePair]:
    """Pairs of three subcategories and four responders, one of which is chosen most often."""
    rng = random.Random(seed)
    found = []
    for n in range(count):
        topic = replace(samples.WEAPON, class3=rng.choice(SUBJECTS))
        words = sorted((rng.randint(5, 80), rng.randint(5, 80)))
        chosen, rejected = words[::-1] if rng.random() < longer else words
        sources = rng.choice(("ab", "ac", "ad", "ab", "ba", "cd", "dc"))
        found.append(
            samples.pair(
                samples.query(samples.image(f"picture/{n}", topic=topic)), pair_id=f"picture/{n}/é~{n}",
                chosen="é" * chosen, rejected="x" * rejected, chosen_source=sources[0], rejected_source=sources[1],
            )
        )  # fmt: skip
    return found


def balanced(folder: Path, pairs: Sequence[PreferencePair], seed: int = 0, **limits: float) -> list[PreferencePair]:
    """The pairs that stay, by way of their table, in batches of seven."""
    path = folder / "6-pairs.parquet"
    write_table(path, pairs, PreferencePair)
    cuts = find_cuts(path, settings=BalanceSettings.model_validate(limits), seed=seed)
    parts = [balance(pairs[n : n + 7], cuts=cuts, seed=seed) for n in range(0, len(pairs), 7)]
    counts = sum((counts for _, counts in parts), Counter[str]())
    kept = [p for part, _ in parts for p in part]
    assert counts.total() == len(pairs) and counts["kept"] == len(kept)
    return kept


def longer_share(pairs: Sequence[PreferencePair]) -> float:
    """Share of pairs whose chosen answer is the longer one, equal ones counted half."""
    score = [(len(p.chosen) > len(p.rejected)) + (len(p.chosen) == len(p.rejected)) / 2 for p in pairs]
    return sum(score) / len(score)


def largest(names: Sequence[str]) -> float:
    """Share of the commonest name."""
    return max(Counter(names).values()) / len(names)


@pytest.mark.parametrize("longer", [0.8, 0.2])
def test_the_fewest_pairs_are_left_out_for_length_those_that_differ_most_first(tmp_path: Path, longer: float) -> None:
    pairs = made_pairs(longer=longer)
    kept = balanced(tmp_path, pairs, length_balance=0.05)
    assert abs(longer_share(kept) - 0.5) <= 0.05
    dropped = [p for p in pairs if p not in kept]
    assert abs(longer_share([*kept, dropped[0]]) - 0.5) > 0.05, "one more would be too many"

    def ratio(p: PreferencePair) -> float:
        return max(len(p.chosen), len(p.rejected)) / min(len(p.chosen), len(p.rejected))

    side = longer > 0.5
    assert {len(p.chosen) > len(p.rejected) for p in dropped} == {side}
    stayed = [p for p in kept if len(p.chosen) != len(p.rejected) and (len(p.chosen) > len(p.rejected)) == side]
    assert max(map(ratio, stayed)) <= min(map(ratio, dropped))


def test_at_most_so_many_pairs_of_a_subcategory_and_all_where_there_are_fewer(tmp_path: Path) -> None:
    pairs = [p for p in made_pairs() if p.query.image.topic.class3 != "theft"] + made_pairs(400)[300:]
    before = Counter(p.query.image.topic.class3 for p in pairs)
    kept = Counter(p.query.image.topic.class3 for p in balanced(tmp_path, pairs, per_subcategory=60))
    assert kept == {name: min(count, 60) for name, count in before.items()}
    assert before["theft"] < 60 < before["weapon"]


def test_no_responder_has_more_than_its_share_of_chosen_or_of_rejected_answers(tmp_path: Path) -> None:
    pairs = made_pairs()
    assert largest([p.chosen_source for p in pairs]) > 0.5
    kept = balanced(tmp_path, pairs, max_source_share=0.4)
    assert largest([p.chosen_source for p in kept]) <= 0.4
    assert largest([p.rejected_source for p in kept]) <= 0.4
    assert len(kept) > 50


def test_all_limits_hold_together(tmp_path: Path) -> None:
    kept = balanced(tmp_path, made_pairs(600), per_subcategory=60, length_balance=0.02, max_source_share=0.45)
    assert abs(longer_share(kept) - 0.5) <= 0.02
    assert largest([p.chosen_source for p in kept]) <= 0.45
    assert max(Counter(p.query.image.topic.class3 for p in kept).values()) <= 60
    assert len(kept) > 100


def test_what_stays_depends_on_the_pairs_and_the_seed_alone(tmp_path: Path) -> None:
    pairs = made_pairs()
    limits = {"per_subcategory": 40, "max_source_share": 0.45}
    first = balanced(tmp_path, pairs, **limits)
    mixed = balanced(tmp_path, random.Random(1).sample(pairs, len(pairs)), **limits)
    assert {p.pair_id for p in first} == {p.pair_id for p in mixed}
    assert {p.pair_id for p in balanced(tmp_path, pairs, seed=1, **limits)} != {p.pair_id for p in first}


def test_a_share_that_too_few_responders_could_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the chosen answers come from 4 alone") as error:
        balanced(tmp_path, made_pairs(), max_source_share=0.2)
    assert error.value.try_ == "set it to 0.25 or more, or leave it out"


def test_nothing_is_left_out_where_all_limits_hold(tmp_path: Path) -> None:
    pairs = made_pairs(longer=0.5)
    assert balanced(tmp_path, pairs, per_subcategory=300, max_source_share=0.9) == pairs
    assert balanced(tmp_path, [], per_subcategory=1, length_balance=0.1, max_source_share=0.5) == []


# --- what is measured of pairs ----------------------------------------------------------------------------------------


def test_length_and_source_tell_chosen_from_rejected_as_counted_one_by_one(tmp_path: Path) -> None:
    pairs = made_pairs(120)
    write_table(tmp_path / "pairs.parquet", pairs, PreferencePair)
    found = shortcuts(tmp_path / "pairs.parquet")
    wins = [(len(p.chosen) > len(q.rejected)) + (len(p.chosen) == len(q.rejected)) / 2 for p in pairs for q in pairs]
    assert found["length_auc"] == pytest.approx(sum(wins) / len(wins))
    assert found["chosen_longer"] == pytest.approx(longer_share(pairs))
    assert found["source_auc"] > 0.6, "`a` is chosen more often"
    assert found["largest_source"]["chosen"] == {"name": "a", "share": largest([p.chosen_source for p in pairs])}
    assert found["subcategories"] == Counter(p.query.image.topic.class3 for p in pairs)
    assert (found["chosen_unsafe"], found["rejected_unsafe"]) == (0.0, 1.0)


def test_a_source_that_is_chosen_by_chance_tells_nothing(tmp_path: Path) -> None:
    """Each of forty responders is in few pairs: learnt on the pairs that it is measured on, it would seem to tell."""
    rng = random.Random(0)
    pairs = [
        replace(p, chosen_source=one, rejected_source=other)
        for p in made_pairs(200) for one, other in [rng.sample([f"m{n}" for n in range(40)], 2)]
    ]  # fmt: skip
    write_table(tmp_path / "pairs.parquet", pairs, PreferencePair)
    assert 0.4 < shortcuts(tmp_path / "pairs.parquet")["source_auc"] < 0.6


def test_refusals_are_counted_where_the_guard_tells_them(tmp_path: Path) -> None:
    pairs = made_pairs(4)
    write_table(tmp_path / "pairs.parquet", pairs, PreferencePair)
    assert shortcuts(tmp_path / "pairs.parquet")["chosen_refusal"] is None
    told = [replace(pairs[0], chosen_outcome="refusal"), *pairs[1:]]
    write_table(tmp_path / "pairs.parquet", told, PreferencePair)
    found = shortcuts(tmp_path / "pairs.parquet")
    assert (found["chosen_refusal"], found["rejected_refusal"]) == (0.25, 0.0)
    told = [*told[:2], *(replace(one, chosen_outcome=None) for one in told[2:])]
    write_table(tmp_path / "pairs.parquet", told, PreferencePair)
    assert shortcuts(tmp_path / "pairs.parquet")["chosen_refusal"] == 0.5, "what was not graded is no answer to that"


def test_no_pairs_tell_nothing(tmp_path: Path) -> None:
    write_table(tmp_path / "pairs.parquet", [], PreferencePair)
    found = shortcuts(tmp_path / "pairs.parquet")
    assert (found["pairs"], found["length_auc"], found["source_auc"], found["chosen_longer"]) == (0, None, None, None)


def test_subcategories_that_fall_short_are_named_those_without_a_pair_too(tmp_path: Path) -> None:
    images = [samples.image(f"{name}/1", topic=replace(samples.WEAPON, class3=name)) for name in SUBJECTS]
    write_table(tmp_path / "images.parquet", images, ImageRecord)
    assert short_of(5, tmp_path / "images.parquet", {"weapon": 7, "theft": 2}) == {"insult": 0, "theft": 2}
