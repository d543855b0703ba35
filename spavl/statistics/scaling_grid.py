"""Saturating power laws over a grid of knees and exponents: the best of each, and all that the data allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARE = 0.9
"""Share of the whole gain that has been had at the knee."""
KNEES, EXPONENTS = 64, 32
"""Points of the grid."""
EXPONENT_RANGE = (0.15, 8.0)
"""Exponents that are tried."""
BEYOND = 100.0
"""How far beyond the smallest and the largest size knees are tried, as a factor."""
DIRECTIONS = 32
"""In which the region of floor and top is followed to its edge."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Saturating power laws, one an entry: floor + (top − floor) / (1 + 9 (n / knee)^exponent)."""

    knee: np.ndarray
    """Numbers of pairs at which 90 % of the gain has been had, [curves]."""
    exponent: np.ndarray
    """How fast what is left falls beyond the knee, [curves]."""
    floor: np.ndarray
    """Rates without end of pairs, [curves]."""
    top: np.ndarray
    """Rates without a pair, [curves]."""

    def at(self, size: float) -> np.ndarray:
        """Rates of all curves at a number of pairs, [curves].

        Args:
            size: number of pairs.
        """
        left = remaining(np.array([size]), self.knee, self.exponent)[:, 0]
        rates: np.ndarray = self.floor + (self.top - self.floor) * left
        return rates


@dataclass(frozen=True, slots=True)
class GridFit:
    """The best floor and top at each point of the grid."""

    curves: Curves
    """One for each point of the grid."""
    misfit: np.ndarray
    """Squared distance from the measured rates, in their errors, [curves]."""
    curvature: np.ndarray
    """Of the misfit in floor and top: the three different entries of a 2 × 2 matrix, [3, curves]."""
    gradient: np.ndarray
    """Half the derivative of the misfit in floor and top, at the best; not 0 at an edge, [2, curves]."""

    @property
    def best(self) -> int:
        """Which point fits best."""
        return int(self.misfit.argmin())


def remaining(sizes: np.ndarray, knee: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Share of the gain that is still to be had at sizes, [curves, sizes].

    Args:
        sizes: numbers of pairs, [sizes].
        knee: of each curve, [curves].
        exponent: of each curve, [curves].
    """
    with np.errstate(over="ignore"):
        had = SHARE / (1 - SHARE) * (sizes / knee[:, None]) ** exponent[:, None]
        shares: np.ndarray = 1 / (1 + had)
    return shares


def grid(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knees and exponents that are tried first, each rising.

    Args:
        sizes: numbers of pairs that were measured.
    """
    positive = sizes[sizes > 0]
    knees = np.geomspace(positive.min() / BEYOND, positive.max() * BEYOND, KNEES)
    return knees, np.geomspace(*EXPONENT_RANGE, EXPONENTS)


def closer(fit: GridFit, knees: np.ndarray, exponents: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Knees and exponents of a grid of as many points over the part of another one that the data allow.

    Args:
        fit: of the other grid.
        knees: of the other grid.
        exponents: of the other grid.
        threshold: how much larger than the smallest misfit one may be.
    """
    allowed = (fit.misfit <= fit.misfit.min() + threshold).reshape(len(knees), len(exponents))
    found = []
    for axis, values in ((1, knees), (0, exponents)):
        places = np.flatnonzero(allowed.any(axis=axis))
        first, last = max(0, places[0] - 1), min(len(values) - 1, places[-1] + 1)
        found.append(np.geomspace(values[first], values[last], len(values)))
    return found[0], found[1]


def fit_grid(
    sizes: np.ndarray, rates: np.ndarray, covariance: np.ndarray, knees: np.ndarray, exponents: np.ndarray
) -> GridFit:
    """The best curve at each point of a grid of knees and exponents, by generalised least squares.

    Given knee and exponent a curve is linear in floor and top, which both lie between 0 and 1: the best are found in
    closed form, inside or on an edge.

    Args:
        sizes: numbers of pairs, [sizes].
        rates: measured there, [sizes].
        covariance: of the measured rates, [sizes, sizes].
        knees: that are tried.
        exponents: that are tried with each.

    Source: Golub & Pereyra 1973 (variable projection).
    """
    knee, exponent = (each.ravel() for each in np.meshgrid(knees, exponents, indexing="ij"))
    left = remaining(sizes, knee, exponent)
    weights = np.linalg.inv(covariance)
    to_floor, to_top = 1 - left, left
    weighted_floor, weighted_top = to_floor @ weights, to_top @ weights
    aa, ab = (weighted_floor * to_floor).sum(axis=1), (weighted_floor * to_top).sum(axis=1)
    bb = (weighted_top * to_top).sum(axis=1) + 1e-12
    az, bz, zz = weighted_floor @ rates, weighted_top @ rates, float(rates @ weights @ rates)
    aa = aa + 1e-12

    def misfit(floor: np.ndarray, top: np.ndarray) -> np.ndarray:
        found: np.ndarray = zz - 2 * (az * floor + bz * top) + aa * floor**2 + 2 * ab * floor * top + bb * top**2
        return found

    determinant = np.maximum(aa * bb - ab**2, 1e-300)
    inside = (az * bb - bz * ab) / determinant, (bz * aa - az * ab) / determinant
    candidates = [(np.clip((az - ab * top) / aa, 0, 1), np.full_like(az, top)) for top in (0.0, 1.0)]
    candidates += [(np.full_like(az, floor), np.clip((bz - ab * floor) / bb, 0, 1)) for floor in (0.0, 1.0)]
    allowed = (inside[0] >= 0) & (inside[0] <= 1) & (inside[1] >= 0) & (inside[1] <= 1)
    misfits = np.stack([np.where(allowed, misfit(*inside), np.inf), *(misfit(*one) for one in candidates)])
    chosen = misfits.argmin(axis=0)
    places = np.arange(len(chosen))
    floor = np.stack([inside[0], *(one[0] for one in candidates)])[chosen, places]
    top = np.stack([inside[1], *(one[1] for one in candidates)])[chosen, places]
    gradient = np.stack([aa * floor + ab * top - az, ab * floor + bb * top - bz])
    found = misfits[chosen, places]
    return GridFit(Curves(knee, exponent, floor, top), found, np.stack([aa, ab, bb]), gradient)


def allowed_curves(fit: GridFit, threshold: float) -> Curves:
    """Curves on the edge of what the data allow: of each point of the grid floor and top in many directions.

    The allowed floors and tops of a point are those of an ellipse inside the square from 0 to 1, a convex set; the
    least and the largest value of whatever is linear in them lies on its edge.

    Args:
        fit: of the grid.
        threshold: how much larger than the smallest misfit one may be.
    """
    spare = fit.misfit.min() + threshold - fit.misfit
    kept = spare >= 0
    aa, ab, bb = fit.curvature[:, kept]
    floor, top = fit.curves.floor[kept], fit.curves.top[kept]
    gradient = fit.gradient[:, kept]
    angle = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    # Directions that are even in the ellipse's own measure: columns of the inverse Cholesky factor.
    root_a = np.sqrt(aa)
    root_b = np.sqrt(np.maximum(bb - ab**2 / aa, 1e-12 * bb))
    second = np.sin(angle) / root_b[:, None]
    first = np.cos(angle) / root_a[:, None] - (ab / aa)[:, None] * second
    slope = gradient[0][:, None] * first + gradient[1][:, None] * second
    bend = aa[:, None] * first**2 + 2 * ab[:, None] * first * second + bb[:, None] * second**2
    reach = (-slope + np.sqrt(slope**2 + bend * spare[kept][:, None])) / bend
    for start, step in ((floor, first), (top, second)):
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(step > 0, (1 - start[:, None]) / step, -start[:, None] / step)
        reach = np.minimum(reach, np.where(step == 0, np.inf, room))
    reach = np.maximum(reach, 0)
    ones = np.ones(DIRECTIONS)
    return Curves(
        np.outer(fit.curves.knee[kept], ones).ravel(), np.outer(fit.curves.exponent[kept], ones).ravel(),
        np.clip(floor[:, None] + reach * first, 0, 1).ravel(), np.clip(top[:, None] + reach * second, 0, 1).ravel(),
    )  # fmt: skip
