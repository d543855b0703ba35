"""What a benchmark of a given size can show, to be said before it is run."""

from __future__ import annotations

import math

from scipy.special import ndtri

from spavl.statistics.intervals import LEVEL, wilson

POWER = 0.8
"""Default probability of finding a difference that is there."""


def detectable_difference(
    n: int, discordance: float, *, level: float = LEVEL, power: float = POWER, design_effect: float = 1.0
) -> float:
    """Smallest difference of two models' rates on the same items that a two-sided test finds with the given power.

    (z₁ + z₂) · √(discordance / n), which takes the variance where the models do not differ and so errs to the safe side
    by little. A difference cannot exceed the share of items that change; where that share is too small for n, all
    changes are taken to go one way. 1 where not even that would be found.

    Args:
        n: number of items that both models are asked.
        discordance: expected share of items on which the models differ.
        level: confidence level of the test.
        power: probability of finding the difference.
        design_effect: by how much clusters multiply the variance; 1: items are independent.

    Raises:
        ValueError: there are no items, the discordance is not between 0 and 1, or the design effect is below 1.

    Source: Connor 1987, Biometrics 43:207–211 (McNemar's test); the large-sample form of arXiv 2411.00640 §5.
    """
    _check(n, discordance, design_effect)
    quantiles, items = _quantiles(level, power), n / design_effect
    found = quantiles * math.sqrt(discordance / items)
    return min(1.0, found if found <= discordance else quantiles**2 / items)


def detectable_mean_difference(
    n: int, deviation: float, *, level: float = LEVEL, power: float = POWER, design_effect: float = 1.0
) -> float:
    """`detectable_difference` of graded scores, from the standard deviation of the change of an item.

    Args:
        n: number of items that both models are asked.
        deviation: standard deviation of an item's change.
        level: confidence level of the test.
        power: probability of finding the difference.
        design_effect: by how much clusters multiply the variance; 1: items are independent.

    Raises:
        ValueError: there are no items, or the design effect is below 1.

    Source: arXiv 2411.00640 §5.
    """
    _check(n, 0.0, design_effect)
    return _quantiles(level, power) * deviation * math.sqrt(design_effect / n)


def half_width(n: int, rate: float, *, level: float = LEVEL, design_effect: float = 1.0) -> float:
    """Half the width that Wilson's interval of an expected rate will have.

    Args:
        n: number of items.
        rate: expected rate, from 0 to 1.
        level: confidence level.
        design_effect: by how much clusters multiply the variance; 1: items are independent.

    Raises:
        ValueError: there are no items, the rate is not between 0 and 1, or the design effect is below 1.
    """
    _check(n, rate, design_effect)
    items = n / design_effect
    low, high = wilson(rate * items, items, level=level)
    return (high - low) / 2


def _quantiles(level: float, power: float) -> float:
    return float(ndtri((1 + level) / 2) + ndtri(power))


def _check(n: int, share: float, design_effect: float) -> None:
    if n < 1 or not 0 <= share <= 1 or design_effect < 1:
        raise ValueError(f"{n} items, a share of {share} and a design effect of {design_effect} are not possible")
