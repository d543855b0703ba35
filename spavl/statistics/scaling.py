"""A scaling law of rates: what more pairs are worth, where the curve has its knee, and whether the data can say so."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import fdtrc, stdtrit

from spavl.statistics.intervals import LEVEL, Outcome
from spavl.statistics.scaling_errors import SizeRates, size_rates
from spavl.statistics.scaling_grid import Curves, GridFit, allowed_curves, closer, fit_grid, grid

LEAST_SIZES = 4
"""Fewest sizes for the four parameters of the curve."""
ROUNDS = 3
"""Times that the errors are computed anew from the fitted rates."""
ZOOMS = 2
"""Times that the grid is drawn closer around what the data allow."""
WIDER = 1.08
"""Factor of all half-widths: a knee is named only where a curve is seen to bend, and such curves err a little more."""
SLOPES = np.geomspace(0.003, 4, 120)
"""Exponents of the pure power law that are tried."""
MISFIT = 0.01
"""P-value below which rates do not lie on a saturating curve at all."""
UNREAD = 0.25
"""Largest share of unread verdicts, as a share of the whole gain, with which a knee is still named."""

Interval = tuple[float, float, float]
"""(estimate, lower bound, upper bound)."""
Why = Literal["", "sizes", "no change", "seeds", "unread", "misfit", "no bend", "beyond", "before", "correction"]
"""Why a knee is not identifiable; empty: it is."""
REASONS: dict[Why, str] = {
    "": "",
    "sizes": f"fewer than {LEAST_SIZES} sizes were measured",
    "seeds": "one seed a size says nothing about what training again would show",
    "no change": "rates that are the same at all sizes fit as well",
    "unread": "too many verdicts could not be read",
    "misfit": "the rates do not lie on a curve that falls or rises to an end",
    "no bend": "a pure power law, which has no knee, fits as well",
    "beyond": "it may lie beyond the largest size",
    "before": "it may lie before the smallest size",
    "correction": "what tells it is not shown any more after correction for all claims of the study",
}
"""Each reason in words."""


@dataclass(frozen=True, slots=True)
class ScalingFit:
    """A saturating power law of a rate: floor + amplitude / (1 + 9 (n / knee)^exponent) at n pairs.

    The knee is the number of pairs at which 90 % of the whole gain has been had: that from no pairs at all to pairs
    without end. A bound of the knee beyond the sizes that were measured is given as 0 or infinity.
    """

    floor: Interval
    """Rate without end of pairs."""
    amplitude: Interval
    """Rate without a pair minus the floor; negative for a rate that rises."""
    exponent: Interval
    """How fast what is left of the gain falls beyond the knee: by n^-exponent."""
    knee: Interval
    """Number of pairs at which 90 % of the gain has been had."""
    identifiable: bool
    """Whether the data say where the knee is."""
    why: Why
    """Why not; empty where it is."""
    p_no_change: float
    """P-value of rates that are the same at all sizes (chi-square test of homogeneity, as F)."""
    p_no_bend: float
    """P-value of a pure power law towards 0 or 1 (likelihood ratio on two degrees of freedom, as F)."""
    p_misfit: float
    """P-value of the curve itself; 1 where there are no more sizes than parameters."""
    measured: SizeRates
    """The rates that it was fitted to."""
    fitted: Curves
    """The curve, as the only one."""
    allowed: Curves
    """Curves on the edge of what the data allow at the level of the intervals."""

    def at(self, size: float) -> Interval:
        """Rate at a number of pairs, also beyond those measured: there by what all allowed curves do.

        Args:
            size: number of pairs.
        """
        value, low, high = _span(self.fitted.at(size), self.allowed.at(size))
        unread = self.measured.unreadable
        return value, low * (1 - unread), high * (1 - unread) + unread

    def gain(self, fewer: float, more: float) -> Interval:
        """Change of the rate from one number of pairs to another; below 0 it falls.

        Args:
            fewer: number of pairs before.
            more: number of pairs after.
        """
        value, low, high = _span(
            self.fitted.at(more) - self.fitted.at(fewer), self.allowed.at(more) - self.allowed.at(fewer)
        )
        unread = self.measured.unreadable
        return value, max(-1.0, low * (1 - unread) - unread), min(1.0, high * (1 - unread) + unread)

    @property
    def reason(self) -> str:
        """Why the knee is not identifiable, in words; empty where it is."""
        return REASONS[self.why]


def fit_scaling(
    outcomes: Mapping[int, Sequence[Mapping[str, Outcome]]], clusters: Mapping[str, Hashable], *, level: float = LEVEL
) -> ScalingFit:
    """Fit a saturating power law to the outcomes of items at several sizes of a training set.

    Rates are fitted by generalised least squares with the errors that the fitted rates have (quasi-likelihood): the
    same items are asked at every size, and a seed's sets are nested, so that errors go together. Intervals are those of
    the profile likelihood with the t distribution: the values that some curve takes whose misfit exceeds the smallest
    by less than t². They stay honest where a bootstrap does not: at edges, and where the data allow any large knee.

    Args:
        outcomes: by number of pairs, 0 for the model before training, and by seed: outcomes of items by id.
        clusters: cluster by item id, such as its picture; an item left out is its own cluster.
        level: confidence level.

    Raises:
        ValueError: there is no size, or no item that all trainings were asked.

    Source: curve of Hill 1910, which is estimator M4 of Alabdulmohsin, Neyshabur & Zhai 2022 (arXiv 2209.06640) with
    its exponent at 1; profile intervals of Venzon & Moolgavkar 1988; identifiability as in Raue et al. 2009.
    """
    return fit_rates(size_rates(outcomes, clusters), level=level)


def fit_rates(measured: SizeRates, *, level: float = LEVEL) -> ScalingFit:
    """`fit_scaling` from rates with their errors.

    Args:
        measured: the rates.
        level: confidence level.
    """
    knees, exponents = grid(measured.sizes)
    trials = measured.items * measured.seeds
    rates = (measured.rates * trials + 0.5) / (trials + 1)
    for _ in range(ROUNDS):
        covariance = measured.covariance(rates)
        fit = fit_grid(measured.sizes, measured.rates, covariance, knees, exponents)
        rates = _rates(fit, measured.sizes)
    degrees = measured.degrees(rates)
    threshold = (WIDER * float(stdtrit(degrees, (1 + level) / 2))) ** 2
    for _ in range(ZOOMS):
        knees, exponents = closer(fit, knees, exponents, threshold)
        fit = fit_grid(measured.sizes, measured.rates, covariance, knees, exponents)
    return _described(measured, fit, covariance, degrees=degrees, threshold=threshold, level=level)


def _described(
    measured: SizeRates, fit: GridFit, covariance: np.ndarray, *, degrees: float, threshold: float, level: float
) -> ScalingFit:
    """The fit with its intervals and tests."""
    best, allowed, curves = _only(fit.curves, fit.best), allowed_curves(fit, threshold), fit.curves
    kept = fit.misfit <= fit.misfit.min() + threshold
    sizes, count = measured.sizes, len(measured.sizes)
    knee = _span(best.knee, curves.knee[kept])
    amplitude = _span(best.top - best.floor, allowed.top - allowed.floor)
    no_change = _misfit(measured.rates, np.ones((1, count)), covariance)
    same = float(fdtrc(max(1, count - 1), degrees, max(0.0, no_change) / max(1, count - 1)))
    bend = float(fdtrc(2, degrees, max(0.0, _no_bend(measured, covariance, rising=amplitude[0] < 0)) / 2))
    rest = float(fdtrc(count - 4, degrees, max(0.0, float(fit.misfit.min())) / (count - 4))) if count > 4 else 1.0
    why = _why(measured, knee, amplitude[0], changes=same <= 1 - level, bends=bend <= 1 - level, fits=rest)
    least, most = sizes[sizes > 0].min(), sizes.max()
    bounds = (knee[0], knee[1] if knee[1] >= least else 0.0, knee[2] if knee[2] <= most else float("inf"))
    return ScalingFit(
        _span(best.floor, allowed.floor), amplitude, _span(best.exponent, curves.exponent[kept]), bounds, why == "",
        why, same, bend, rest, measured, best, allowed,
    )  # fmt: skip


def _why(measured: SizeRates, knee: Interval, amplitude: float, *, changes: bool, bends: bool, fits: float) -> Why:
    """What keeps the knee from being identifiable: the first reason of all."""
    positive = measured.sizes[measured.sizes > 0]
    reasons: list[tuple[Why, bool]] = [
        ("sizes", len(measured.sizes) < LEAST_SIZES),
        ("no change", not changes),
        ("seeds", bool((measured.seeds[measured.sizes > 0] < 2).all())),
        ("unread", measured.unreadable > UNREAD * abs(amplitude)),
        ("misfit", fits < MISFIT),
        ("no bend", not bends),
        ("beyond", knee[2] > positive.max()),
        ("before", knee[1] < positive.min()),
    ]
    return next((why for why, holds in reasons if holds), "")


def _no_bend(measured: SizeRates, covariance: np.ndarray, *, rising: bool) -> float:
    """How much worse a pure power law fits than the saturating one, both to the sizes above 0."""
    kept = measured.sizes > 0
    sizes, rates, errors = measured.sizes[kept], measured.rates[kept], covariance[np.ix_(kept, kept)]
    target = 1 - rates if rising else rates
    laws = (sizes / sizes.min())[None, :] ** -SLOPES[:, None]
    saturating = fit_grid(sizes, rates, errors, *grid(sizes)).misfit.min()
    return _misfit(target, laws, errors) - float(saturating)


def _misfit(rates: np.ndarray, shapes: np.ndarray, covariance: np.ndarray) -> float:
    """Least misfit of rates to multiples of any of some shapes, [shapes, sizes]."""
    weights = np.linalg.inv(covariance)
    weighted = shapes @ weights
    scale = (weighted @ rates) / (weighted * shapes).sum(axis=1)
    rest = rates - scale[:, None] * shapes
    return float(((rest @ weights) * rest).sum(axis=1).min())


def _rates(fit: GridFit, sizes: np.ndarray) -> np.ndarray:
    best = _only(fit.curves, fit.best)
    return np.array([float(best.at(float(size))[0]) for size in sizes])


def _only(curves: Curves, place: int) -> Curves:
    own = slice(place, place + 1)
    return Curves(curves.knee[own], curves.exponent[own], curves.floor[own], curves.top[own])


def _span(best: np.ndarray, allowed: np.ndarray) -> Interval:
    value = float(best[0])
    return value, min(value, float(allowed.min())), max(value, float(allowed.max()))
