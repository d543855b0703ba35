"""Gaps to kinds of harm that were not trained on, domains left out in turn, and drift over dates."""

from __future__ import annotations

import numpy as np
import pytest

from spavl.statistics.transfer import drift, gap, leave_one_out


def runs(random: np.random.Generator, rate: float, seeds: int, names: list[str]) -> list[dict[str, float | None]]:
    """By seed, outcomes of items by id."""
    return [{name: float(random.random() < rate) for name in names} for _ in range(seeds)]


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def test_a_gap_is_found_and_no_gap_is_not() -> None:
    random = np.random.default_rng(1)
    seen = runs(random, 0.05, 3, names("s", 300))
    wide = gap(seen, runs(random, 0.3, 3, names("h", 200)), {})
    assert wide.low < 0.25 < wide.high and wide.low > 0.1 and wide.p < 0.01
    none = gap(seen, runs(random, 0.05, 3, names("h", 200)), {})
    assert none.low < 0 < none.high and none.p > 0.05
    assert none.difference == pytest.approx(none.heldout.value - none.seen.value)


def test_no_failure_on_either_side_leaves_room_for_a_gap_and_unread_verdicts_leave_more() -> None:
    seen, heldout = ([dict.fromkeys(names(side, 60), 0.0) for _ in range(3)] for side in ("s", "h"))
    found = gap(seen, heldout, {})
    assert found.difference == 0 and found.low < -0.01 and found.high > 0.01 and found.p == 1.0
    heldout[0] = dict.fromkeys(heldout[0], None)
    holed = gap(seen, heldout, {})
    assert holed.difference == 0 and holed.high > 0.33 and holed.p == 1.0
    nothing = gap(seen, [dict.fromkeys(run, None) for run in heldout], {})
    assert nothing.difference is None and (nothing.low, nothing.high) == (-1.0, 1.0)
    with pytest.raises(ValueError, match="no pairs"):
        gap(seen, heldout[:1], {})


def test_gaps_hold_their_level_where_seeds_differ() -> None:
    random = np.random.default_rng(2)
    held = 0
    for _ in range(60):
        rates = np.clip(0.2 + 0.05 * random.standard_normal(3), 0, 1)
        sides = [[runs(random, rate, 1, names(side, 120))[0] for rate in rates] for side in ("s", "h")]
        found = gap(*sides, {})
        held += found.low <= 0 <= found.high
    assert held >= 53


def test_domains_left_out_give_their_mean_and_what_a_new_one_would_lose() -> None:
    random = np.random.default_rng(3)
    lost = (0.1, 0.2, 0.3, 0.15, 0.25)
    domains = {
        str(n): tuple(runs(random, rate, 3, names(f"{n}-", 150)) for rate in (0.1, 0.1 + loss))
        for n, loss in enumerate(lost)
    }
    found = leave_one_out(domains, {})
    assert found.low < 0.2 < found.high and found.p < 0.01 and 0.02 < found.between < 0.15
    assert found.new_low < found.low and found.new_high > found.high
    assert set(found.domains) == set(domains) and all(one.difference is not None for one in found.domains.values())
    two = leave_one_out({key: domains[key] for key in ("0", "1")}, {})
    assert (two.new_low, two.new_high) == (-1.0, 1.0)
    assert leave_one_out({"0": domains["0"]}, {}) is None


def test_the_variance_between_domains_is_that_of_paule_and_mandel() -> None:
    from statsmodels.stats.meta_analysis import combine_effects

    random = np.random.default_rng(4)
    domains = {
        str(n): tuple(runs(random, rate, 1, names(f"{n}-", 400)) for rate in (0.1, 0.1 + loss))
        for n, loss in enumerate((0.05, 0.25, 0.45, 0.1))
    }
    found = leave_one_out(domains, {})
    effects = np.array([one.difference for one in found.domains.values()])
    oracle = combine_effects(effects, np.array([one.error**2 for one in found.domains.values()]), method_re="iterated",
                             use_t=True)  # fmt: skip
    assert found.between**2 == pytest.approx(oracle.tau2, rel=1e-3)
    assert found.mean == pytest.approx(oracle.mean_effect_re, rel=1e-3)


def test_trainings_that_all_domains_share_widen_the_mean() -> None:
    """A seed that is unlucky on all domains together is not five lucky domains."""
    random = np.random.default_rng(5)
    lucky = (0.0, 0.2, 0.4)
    domains = {}
    for n in range(5):
        before = [runs(random, 0.3, 1, names(f"{n}-", 200))[0] for _ in lucky]
        after = [runs(random, 0.3 + shift, 1, names(f"{n}-", 200))[0] for shift in lucky]
        domains[str(n)] = (before, after)
    found = leave_one_out(domains, {})
    assert found.high - found.low > 0.3


def test_a_drift_is_found_over_dates_and_needs_three_of_them() -> None:
    random = np.random.default_rng(6)
    times = [2024.0, 2024.5, 2025.0, 2025.5, 2026.0, 2026.5]
    suites = [runs(random, 0.1 + 0.1 * (time - 2024), 1, names(f"{time}-", 250)) for time in times]
    found = drift(times, suites, {})
    assert found is not None and found.low < 0.1 < found.high and found.low > 0 and found.p < 0.05 and found.dates == 6
    flat = drift(times, [runs(random, 0.2, 1, names(f"{time}-", 250)) for time in times], {})
    assert flat is not None and flat.low < 0 < flat.high and flat.p > 0.05
    assert drift(times[:2], suites[:2], {}) is None
    with pytest.raises(ValueError, match="suites"):
        drift(times, suites[:3], {})
