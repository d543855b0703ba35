"""Pairs chosen so that neither source nor length tells chosen from rejected: limits hold, the fewest are left out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.dataset.cells import SLACK, Cell, CellLimits, kept_of_cells
from spavl.records import PreferencePair
from tests import samples
from tests.dataset.test_balance import balanced, longer_share

CELLS = st.dictionaries(
    st.builds(
        Cell, st.sampled_from(["harmful", "harmless"]), st.sampled_from("abcd"), st.sampled_from("abcd"),
        st.sampled_from(["longer", "shorter", "equal"]),
    ),
    st.integers(1, 40), max_size=24,
)  # fmt: skip


def settled(counts: Mapping[Cell, int], limits: CellLimits) -> dict[Cell, int]:
    """What stays when it is asked for until nothing changes."""
    kept = dict(counts)
    while (fewer := kept_of_cells(kept, limits)) != kept:
        assert all(0 <= fewer[cell] <= kept[cell] for cell in kept)
        kept = fewer
    return kept


def exceeded(counts: Mapping[Cell, int], limits: CellLimits) -> list[str]:
    """The limits that do not hold, counted one by one."""
    found = []
    groups = {cell.group for cell in counts} if limits.within else {None}
    for group in groups:
        own = {cell: n for cell, n in counts.items() if group in (None, cell.group)}
        for name in {one for cell in own for one in (cell.chosen, cell.rejected)}:
            chosen = sum(n for cell, n in own.items() if cell.chosen == name)
            rejected = sum(n for cell, n in own.items() if cell.rejected == name)
            if limits.source is not None:
                most = (0.5 + limits.source) * (chosen + rejected) + SLACK + 1e-6
                found += [f"{group} {name}"] if max(chosen, rejected) > most else []
        total, equal = sum(own.values()), sum(n for cell, n in own.items() if cell.length == "equal") / 2
        for side in ("longer", "shorter"):
            share = sum(n for cell, n in own.items() if cell.length == side) + equal
            if limits.length is not None and share > (0.5 + limits.length) * total + 1e-6:
                found.append(f"{group} {side}")
    return found


@settings(max_examples=60, deadline=None)
@given(CELLS, st.sampled_from([None, 0.05, 0.2]), st.sampled_from([None, 0.05]), st.booleans())
def test_all_limits_hold_of_what_stays(
    counts: dict[Cell, int], source: float | None, length: float | None, within: bool
) -> None:
    limits = CellLimits(source, length, within)
    kept = settled(counts, limits)
    assert not exceeded(kept, limits)
    if not exceeded(counts, limits):
        assert kept == counts, "nothing is left out where nothing is wrong"


def test_no_choice_of_whole_pairs_leaves_out_fewer() -> None:
    counts = {Cell("harmful", one, other, "equal"): n for (one, other), n in
              {("a", "b"): 6, ("b", "c"): 5, ("c", "a"): 2, ("b", "a"): 1}.items()}  # fmt: skip
    limits = CellLimits(0.1, None, True)
    choices = (dict(zip(counts, kept, strict=True)) for kept in product(*(range(n + 1) for n in counts.values())))
    best = max(sum(kept.values()) for kept in choices if not exceeded(kept, limits))
    assert sum(settled(counts, limits).values()) >= best - 1, "rounding costs a pair at most here"


def one_sided(count: int = 600) -> list[PreferencePair]:
    """Pairs of harmful questions in which `a` is mostly chosen, and of harmless ones in which it is mostly rejected."""
    rng = random.Random(0)
    found = []
    for n in range(count):
        harmful = n % 2 == 0
        better, worse = ("a", "b") if harmful == (rng.random() < 0.8) else ("b", "a")
        words = (rng.randint(5, 80), rng.randint(5, 80))
        longer = harmful == (rng.random() < 0.75)
        chosen, rejected = sorted(words, reverse=longer)
        query = replace(samples.query(samples.image(f"picture/{n}")), harmful=harmful)
        found.append(samples.pair(query, pair_id=f"{n}", chosen="x" * chosen, rejected="y" * rejected,
                                  chosen_source=better, rejected_source=worse))  # fmt: skip
    return found


def chosen_share(pairs: Sequence[PreferencePair], name: str) -> float:
    """Of a responder's answers the share that is chosen."""
    chosen, rejected = Counter(p.chosen_source for p in pairs)[name], Counter(p.rejected_source for p in pairs)[name]
    return chosen / (chosen + rejected)


def test_what_cancels_out_over_all_pairs_is_balanced_within_harmful_and_within_harmless_ones(tmp_path: Path) -> None:
    pairs = one_sided()
    assert chosen_share(pairs, "a") == pytest.approx(0.5, abs=0.05), "over all pairs nothing shows"
    assert balanced(tmp_path, pairs, source_balance=0.1, length_balance=0.1) == pairs
    kept = balanced(tmp_path, pairs, source_balance=0.1, length_balance=0.05, within_harmful=True)
    for harmful in (True, False):
        own = [p for p in kept if p.query.harmful is harmful]
        assert abs(chosen_share(own, "a") - 0.5) <= 0.11 and abs(longer_share(own) - 0.5) <= 0.05
    assert len(kept) > 0.4 * len(pairs)
    mixed = balanced(tmp_path, random.Random(1).sample(pairs, len(pairs)), source_balance=0.1, length_balance=0.05,
                     within_harmful=True)  # fmt: skip
    assert {p.pair_id for p in mixed} == {p.pair_id for p in kept}, "order and batches decide nothing"


def test_those_whose_lengths_differ_most_are_left_out_first(tmp_path: Path) -> None:
    pairs = one_sided()
    kept = {p.pair_id for p in balanced(tmp_path, pairs, source_balance=0.1, within_harmful=True)}

    def ratio(p: PreferencePair) -> float:
        return max(len(p.chosen), len(p.rejected)) / min(len(p.chosen), len(p.rejected))

    cell = [p for p in pairs if p.query.harmful and p.chosen_source == "a" and len(p.chosen) > len(p.rejected)]
    stay, go = ([ratio(p) for p in cell if (p.pair_id in kept) is there] for there in (True, False))
    assert stay and go and max(stay) <= min(go)
