"""Scaling laws: the curve, its intervals, and when a knee is not identifiable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from spavl.statistics.scaling import REASONS, fit_rates, fit_scaling
from spavl.statistics.scaling_errors import SizeRates, rates_of_tables, size_rates
from spavl.statistics.scaling_grid import Curves, allowed_curves, closer, fit_grid, grid, remaining

SIZES = (100, 1_000, 5_000, 10_000, 30_000, 90_000)


def curve(size: np.ndarray, floor: float, top: float, knee: float, exponent: float) -> np.ndarray:
    return floor + (top - floor) / (1 + 9 * (size / knee) ** exponent)


def tables(rates: np.ndarray, seeds: int = 3, items: int = 300, seed: int = 1) -> list[np.ndarray]:
    """Outcomes at each size whose items are equally hard at all of them."""
    random = np.random.default_rng(seed)
    own = random.random(items)
    mixed = [np.where(random.random((seeds, items)) < 0.5, own, random.random((seeds, items))) for _ in rates]
    return [(value < rate).astype(float) for value, rate in zip(mixed, rates, strict=True)]


def law(rates: np.ndarray, sizes: tuple[int, ...] = SIZES, **given: int):
    made = tables(rates, **given)
    return fit_rates(rates_of_tables(sizes, made, np.arange(made[0].shape[1])))


TRUE = curve(np.array(SIZES, dtype=float), 0.02, 0.6, 8_000, 1.8)


def test_a_knee_is_found_with_the_gains_of_each_step() -> None:
    found = law(TRUE)
    assert found.identifiable and found.why == "" and found.reason == ""
    assert found.knee[1] < 8_000 < found.knee[2] < 90_000
    assert found.floor[1] <= 0.02 <= found.floor[2] and found.amplitude[1] <= 0.58 <= found.amplitude[2]
    assert found.exponent[1] <= 1.8 <= found.exponent[2]
    value, low, high = found.gain(1_000, 10_000)
    assert low < TRUE[3] - TRUE[1] < high < 0 and low <= value <= high
    assert found.gain(10_000, 1_000)[0] == pytest.approx(-value)
    assert found.at(10_000)[0] - found.at(1_000)[0] == pytest.approx(value)


def test_at_the_knee_nine_tenths_of_the_gain_have_been_had() -> None:
    left = remaining(np.array([0.0, 500.0, 1e12]), np.array([500.0, 500.0]), np.array([1.0, 3.0]))
    assert (
        left[:, 0] == pytest.approx(1) and left[:, 1] == pytest.approx(0.1) and left[:, 2] == pytest.approx(0, abs=1e-6)
    )


def test_a_rate_that_rises_is_fitted_as_one_that_falls() -> None:
    falls, rises = law(TRUE), fit_rates(rates_of_tables(SIZES, [1 - t for t in tables(TRUE)], np.arange(300)))
    assert rises.identifiable and rises.knee[0] == pytest.approx(falls.knee[0], rel=0.05)
    assert rises.amplitude[0] == pytest.approx(-falls.amplitude[0], abs=0.01) and rises.gain(1_000, 10_000)[1] > 0


def test_the_width_grows_beyond_the_data() -> None:
    found = law(curve(np.array(SIZES, dtype=float), 0.02, 0.6, 60_000, 0.9))
    widths = [found.at(size)[2] - found.at(size)[1] for size in (30_000, 300_000, 3_000_000)]
    assert widths[0] < widths[1] <= widths[2]
    assert found.why == "beyond" or not found.identifiable or found.knee[2] <= 90_000
    assert found.gain(90_000, 3_000_000)[1] < 0


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        (np.full(6, 0.2), "no change"),
        (np.zeros(6), "no change"),
        (0.7 * (np.array(SIZES) / 100) ** -0.25, "no bend"),
        (np.array([0.6, 0.1, 0.6, 0.1, 0.6, 0.1]), "misfit"),
        (curve(np.array(SIZES, dtype=float), 0.0, 0.7, 300_000, 2.5), "beyond"),
    ],
)  # fmt: skip
def test_where_the_points_cannot_say_where_the_knee_is_that_is_said_with_its_reason(
    rates: np.ndarray, why: str
) -> None:
    found = law(rates)
    assert not found.identifiable and found.why == why and found.reason == REASONS[found.why]


def test_a_knee_beyond_the_largest_size_has_no_upper_bound_and_one_before_the_smallest_no_lower() -> None:
    late = law(curve(np.array(SIZES, dtype=float), 0.0, 0.7, 300_000, 2.5))
    assert late.knee[2] == float("inf") and late.knee[1] > 10_000
    sizes = (0, *SIZES)
    early = law(curve(np.array(sizes, dtype=float), 0.1, 0.7, 30, 2.0), sizes)
    assert early.why in ("before", "no bend") and early.knee[1] == 0.0


def test_one_seed_few_sizes_and_many_unread_verdicts_name_no_knee() -> None:
    assert law(TRUE, seeds=1).why == "seeds"
    assert law(TRUE[:3], SIZES[:3]).why == "sizes"
    holed = tables(TRUE)
    holed[0][:, :150] = np.nan
    found = fit_rates(rates_of_tables(SIZES, holed, np.arange(300)))
    assert found.why == "unread" and found.measured.unreadable == 0.5
    whole = law(TRUE)
    assert found.at(5_000)[2] > whole.at(5_000)[2] and found.gain(100, 90_000)[1] < whole.gain(100, 90_000)[1]


def test_two_sizes_are_enough_for_a_curve_but_not_for_a_knee() -> None:
    found = law(np.array([0.6, 0.2]), (100, 1_000))
    assert found.why == "sizes" and found.at(1_000)[1] < 0.2 < found.at(1_000)[2]
    assert found.gain(100, 1_000)[1] < -0.4 < found.gain(100, 1_000)[2]


def test_the_best_curve_is_the_one_that_an_optimiser_finds() -> None:
    measured = rates_of_tables(SIZES, tables(TRUE), np.arange(300))
    covariance = measured.covariance(TRUE)
    weights = np.linalg.inv(covariance)

    def misfit(given: np.ndarray) -> float:
        rest = measured.rates - curve(measured.sizes, given[0], given[1], np.exp(given[2]), np.exp(given[3]))
        return float(rest @ weights @ rest)

    bounds = [(0, 1), (0, 1), (3, 14), (-2, 2)]
    best = minimize(misfit, [0.05, 0.6, 9.0, 0.5], bounds=bounds, method="L-BFGS-B")
    knees, exponents = grid(measured.sizes)
    fit = fit_grid(measured.sizes, measured.rates, covariance, knees, exponents)
    for _ in range(2):
        knees, exponents = closer(fit, knees, exponents, 4.0)
        fit = fit_grid(measured.sizes, measured.rates, covariance, knees, exponents)
    assert fit.misfit.min() == pytest.approx(best.fun, abs=0.03)
    assert np.log(fit.curves.knee[fit.best]) == pytest.approx(best.x[2], abs=0.05)


def test_every_allowed_curve_lies_inside_the_square_and_fits_within_the_threshold() -> None:
    measured = rates_of_tables(SIZES, tables(TRUE), np.arange(300))
    covariance = measured.covariance(TRUE)
    fit = fit_grid(measured.sizes, measured.rates, covariance, *grid(measured.sizes))
    allowed: Curves = allowed_curves(fit, 4.0)
    rates = np.stack([allowed.at(size) for size in SIZES], axis=1)
    rest = measured.rates - rates
    misfit = ((rest @ np.linalg.inv(covariance)) * rest).sum(axis=1)
    assert misfit.max() <= fit.misfit.min() + 4.0 + 1e-6
    assert allowed.floor.min() >= 0 and allowed.top.max() <= 1
    on_the_edge = misfit > fit.misfit.min() + 3.999
    assert on_the_edge.mean() > 0.3 or (allowed.floor == 0).any()


def test_outcomes_by_id_give_the_same_rates_as_tables_and_items_that_some_lack_are_left_out() -> None:
    made = tables(TRUE, items=40)
    named = {
        size: [{str(n): float(v) for n, v in enumerate(row)} for row in table]
        for size, table in zip(SIZES, made, strict=True)
    }
    one, other = size_rates(named, {}), rates_of_tables(SIZES, made, np.arange(40))
    assert (
        isinstance(one, SizeRates) and (one.rates == other.rates).all() and (one.correlation == other.correlation).all()
    )
    del named[100][0]["0"]
    assert size_rates(named, {}).items == 39
    assert fit_scaling(named, {}).knee == fit_rates(size_rates(named, {})).knee
    with pytest.raises(ValueError, match="items that every training was asked"):
        size_rates({100: [{"a": 1.0}], 200: [{"b": 1.0}]}, {})
    with pytest.raises(ValueError, match="items that every training was asked"):
        size_rates({}, {})


def test_items_that_are_hard_at_every_size_make_differences_more_certain_and_clusters_less() -> None:
    same, other = (
        tables(TRUE, items=600),
        [t[:, np.random.default_rng(n).permutation(600)] for n, t in enumerate(tables(TRUE, items=600))],
    )
    widths = [fit_rates(rates_of_tables(SIZES, each, np.arange(600))).gain(1_000, 5_000) for each in (same, other)]
    assert widths[0][2] - widths[0][1] < widths[1][2] - widths[1][1]
    copies = [np.repeat(table, 5, axis=1) for table in tables(TRUE, items=100)]
    apart, together = (
        rates_of_tables(SIZES, copies, member) for member in (np.arange(500), np.repeat(np.arange(100), 5))
    )
    assert np.trace(together.covariance(TRUE)) > 3 * np.trace(apart.covariance(TRUE))


def test_items_of_one_picture_show_no_change_at_all() -> None:
    made = tables(TRUE)
    found = fit_rates(rates_of_tables(SIZES, made, np.zeros(made[0].shape[1], dtype=int)))
    assert not found.identifiable and found.p_no_change > 0.3
    assert (found.measured.design == found.measured.items).all()


def test_seeds_that_differ_leave_few_degrees_of_freedom() -> None:
    random = np.random.default_rng(2)
    shifted = [(random.random((3, 300)) < (rate + shift)[:, None]).astype(float)
               for rate, shift in zip(np.full(6, 0.4), random.normal(0, 0.1, (6, 3)), strict=True)]  # fmt: skip
    alike = rates_of_tables(SIZES, tables(np.full(6, 0.4)), np.arange(300))
    apart = rates_of_tables(SIZES, shifted, np.arange(300))
    assert apart.degrees(np.full(6, 0.4)) < 20 < alike.degrees(np.full(6, 0.4)) and apart.excess > alike.excess


def test_named_knees_are_covered() -> None:
    random = np.random.default_rng(3)
    named = covered = 0
    for n in range(40):
        knee = float(np.exp(random.uniform(np.log(2_000), np.log(20_000))))
        found = law(curve(np.array(SIZES, dtype=float), 0.03, 0.6, knee, 1.8), seed=100 + n)
        named += found.identifiable
        covered += found.identifiable and found.knee[1] <= knee <= found.knee[2]
    assert named >= 30 and covered >= named - 4
