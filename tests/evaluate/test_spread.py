"""A part of a benchmark is of all strata alike, the same every time, and grows by adding."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from spavl.evaluate import Item
from spavl.evaluate.spread import by_group, spread, whole_units

ITEMS = st.lists(st.sampled_from("abc"), max_size=40).map(
    lambda groups: [Item(item_id=f"{n}", subset="s", question="?", shown="none", group=g) for n, g in enumerate(groups)]
)


@given(items=ITEMS, limit=st.integers(1, 50))
def test_a_part_has_as_many_of_every_stratum_as_there_are_and_as_fit(items: list[Item], limit: int) -> None:
    kept = spread(items, limit)
    assert len(kept) == min(limit, len(items))
    counts, all_counts = Counter(map(by_group, kept)), Counter(map(by_group, items))
    most = max(counts.values(), default=0)
    assert all(count >= min(most - 1, all_counts[stratum]) for stratum, count in counts.items())
    assert all(counts[stratum] >= min(most - 1, number) for stratum, number in all_counts.items())


@given(items=ITEMS, limit=st.integers(1, 50))
def test_a_larger_part_holds_the_smaller_one_and_both_are_in_the_items_order(items: list[Item], limit: int) -> None:
    smaller, larger = spread(items, limit), spread(items, limit + 1)
    assert {item.item_id for item in smaller} <= {item.item_id for item in larger}
    assert [int(item.item_id) for item in larger] == sorted(int(item.item_id) for item in larger)


def test_without_a_limit_all_are_kept() -> None:
    items = [Item(item_id="1", subset="s", question="?", shown="none")]
    assert spread(items, None) is items


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=15), limit=st.integers(1, 40))
def test_items_of_one_unit_are_taken_together_or_not_at_all(sizes: list[int], limit: int) -> None:
    items = [
        Item(item_id=f"{unit}/{n}", subset="s", question="?", shown="none", unit=f"u{unit}", group=str(unit % 3))
        for unit, size in enumerate(sizes) for n in range(size)
    ]  # fmt: skip
    kept = Counter(item.unit for item in spread(items, limit))
    assert kept.total() <= limit
    assert all(count == sizes[int(unit[1:])] for unit, count in kept.items())
    if max(sizes) <= limit:
        assert kept


def test_units_that_lie_across_two_parts_are_kept_whole() -> None:
    items = [
        Item(item_id=f"{s}{n}", subset=s, question="?", shown="none", unit=f"u{n}") for s in "ab" for n in range(4)
    ]
    assert [item.item_id for item in whole_units(items[:5], items)] == ["a0", "b0"]
    alone = [Item(item_id="x", subset="a", question="?", shown="none")]
    assert whole_units(alone, [*items, *alone]) == alone
