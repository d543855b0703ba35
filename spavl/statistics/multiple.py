"""Several tests at once: p-values corrected for how many of them there are."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of a family of tests, each corrected by Holm's step-down method, in the order given.

    Calling those below 5 % findings is wrong about any of them in at most 5 % of families, however the tests depend on
    one another.

    Args:
        p_values: of all tests of the family, those included that found nothing.

    Raises:
        ValueError: a p-value is not between 0 and 1.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65–70.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("p-values lie between 0 and 1")
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected
