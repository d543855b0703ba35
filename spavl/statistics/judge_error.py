"""Rates corrected for a judge that errs, its errors known from answers that people have labelled.

The judge is calibrated on answers of the same model and manner: an aligned model's soft refusals are read worse than a
base model's plain ones, so that errors differ between the two and do not cancel in the difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, ndtri

from spavl.statistics.clusters import (
    degrees_of_freedom,
    effective_size,
    excess_kurtosis,
    mean_square_error,
    members,
    widening,
)
from spavl.statistics.intervals import LEVEL, Outcome, wilson

LEAST_INFORMATION = 0.2
"""Least sensitivity + specificity − 1 with which a rate is corrected, as counted, and with one right and one wrong
verdict added to either, which is what few labels may be worth; a coin has 0."""
INSIDE = 0.5
"""Unsafe labels, or safe ones, that a rate is taken to have at least where the number of labels it is worth is told."""
LEAST_CHANCE = 0.001
"""Labelled items that differ so much from the others, as random ones do with less than this probability, are none."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge's verdicts on answers that people have labelled."""

    caught: int
    """Unsafe answers that the judge called unsafe."""
    unsafe: int
    """All answers that people called unsafe."""
    cleared: int
    """Safe answers that the judge called safe."""
    safe: int
    """All answers that people called safe."""

    def __post_init__(self) -> None:
        if not (0 <= self.caught <= self.unsafe and 0 <= self.cleared <= self.safe):
            raise ValueError(f"{self.caught} of {self.unsafe} and {self.cleared} of {self.safe} are no counts")

    @classmethod
    def of(cls, labelled: Iterable[tuple[bool, Outcome]]) -> Calibration:
        """Count pairs of a label and a verdict; True is unsafe, and an unread verdict is an error of the judge.

        Args:
            labelled: label of a person and verdict of the judge, answer by answer.
        """
        seen = [(label, None if verdict is None else bool(verdict)) for label, verdict in labelled]
        unsafe = sum(label for label, _ in seen)
        return cls(seen.count((True, True)), unsafe, seen.count((False, False)), len(seen) - unsafe)

    @property
    def sensitivity(self) -> float:
        """Share of unsafe answers that the judge calls unsafe; 0 without labels."""
        return self.caught / self.unsafe if self.unsafe else 0.0

    @property
    def specificity(self) -> float:
        """Share of safe answers that the judge calls safe; 0 without labels."""
        return self.cleared / self.safe if self.safe else 0.0

    @property
    def refusal(self) -> str:
        """Why no rate can be corrected with this judge, in a sentence; empty if one can."""
        if not self.unsafe or not self.safe:
            return f"a judge needs labelled answers of both kinds, there are {self.unsafe} unsafe and {self.safe} safe"
        cautious = (self.caught + 1) / (self.unsafe + 2) + (self.cleared + 1) / (self.safe + 2)
        if min(self.sensitivity + self.specificity, cautious) - 1 < LEAST_INFORMATION:
            return (
                f"the judge finds {self.sensitivity:.0%} of unsafe and clears {self.specificity:.0%} of safe answers; "
                "that is too near to guessing for its rate to be corrected"
            )
        return ""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A rate corrected for the errors of its judge."""

    value: float | None
    """The corrected rate; None where it was refused, or no verdict was read."""
    low: float
    """Lower bound, uncertainty of the judge's errors included; every unread verdict taken as safe."""
    high: float
    """Upper bound, likewise; every unread verdict taken as unsafe."""
    refusal: str = ""
    """Why it was not corrected, in a sentence; the bounds are then 0 and 1."""


def rogan_gladen(
    judged_unsafe: int, n: int, calibration: Calibration, *,
    unread: int = 0, design_effect: float = 1.0, level: float = LEVEL,
) -> Corrected:  # fmt: skip
    """The rate that people would find, from a judge's rate and its sensitivity and specificity on other answers.

    (rate + specificity − 1) / (sensitivity + specificity − 1), from 0 to 1. The interval carries the uncertainty of all
    three, with counts adjusted so that it holds for few labels and rates near 0. Errors of the judge on the labelled
    answers must be those on the benchmark's; where a random part of the benchmark itself is labelled, use
    `prediction_powered`.

    Args:
        judged_unsafe: number of items that the judge called unsafe.
        n: number of items, unread ones among them.
        calibration: the judge on labelled answers.
        unread: number of items without a readable verdict.
        design_effect: by how much clusters multiply the variance of the judge's rate.
        level: confidence level.

    Raises:
        ValueError: the counts do not fit together.

    Source: Rogan & Gladen 1978; interval of Lang & Reiczigel 2014, Preventive Veterinary Medicine 113:13–22, brought to
    judges by Lee et al. 2025 (arXiv 2511.21140).
    """
    if min(judged_unsafe, unread) < 0 or judged_unsafe + unread > n:
        raise ValueError(f"{judged_unsafe} judged unsafe and {unread} unread do not fit into {n} items")
    if refusal := calibration.refusal:
        return Corrected(None, 0.0, 1.0, refusal)
    if n == 0:
        return Corrected(None, 0.0, 1.0)
    read = n - unread
    gain = calibration.sensitivity + calibration.specificity - 1
    value = (judged_unsafe / read + calibration.specificity - 1) / gain if read else None
    items = n / design_effect
    return Corrected(
        value=None if value is None else min(1.0, max(0.0, value)),
        low=_lang_reiczigel(judged_unsafe / n, items, calibration, level)[0],
        high=_lang_reiczigel((judged_unsafe + unread) / n, items, calibration, level)[1],
    )


def _lang_reiczigel(rate: float, n: float, judge: Calibration, level: float) -> tuple[float, float]:
    z = float(ndtri((1 + level) / 2))
    judged = (rate * n + z * z / 2) / (n + z * z)
    caught, cleared = (judge.caught + 1) / (judge.unsafe + 2), (judge.cleared + 1) / (judge.safe + 2)
    gain = caught + cleared - 1
    value = min(1.0, max(0.0, (judged + cleared - 1) / gain))
    of_caught = caught * (1 - caught) / (judge.unsafe + 2)
    of_cleared = cleared * (1 - cleared) / (judge.safe + 2)
    variance = judged * (1 - judged) / (n + z * z) + value**2 * of_caught + (1 - value) ** 2 * of_cleared
    shift = 2 * z * z * (value * of_caught - (1 - value) * of_cleared)
    centre, half = value + shift, z * math.sqrt(variance) / gain
    return min(1.0, max(0.0, centre - half)), min(1.0, max(0.0, centre + half))


def prediction_powered(
    verdicts: Sequence[Outcome], labels: Sequence[float | None], clusters: Sequence[Hashable] | None = None, *,
    level: float = LEVEL,
) -> Corrected:  # fmt: skip
    """The rate that people would find, from verdicts on all items and labels on a random part of the same items.

    The rate of the labels, plus λ times what the judge says of the other items against what it says of the labelled
    ones. λ is chosen from the data, so that a useless judge is not used, and a good one counts almost like labels.
    Nothing is assumed of the judge; only that the labelled items were drawn at random.

    Args:
        verdicts: the judge's outcome of each item, from 0 to 1; a labelled item without one counts as one half.
        labels: label of each item, True for unsafe, one half where people are divided; None: not labelled.
        clusters: cluster of each item; None: items are independent.
        level: confidence level.

    Raises:
        ValueError: the sequences differ in length.

    Source: Angelopoulos, Duchi & Zrnic 2023 (PPI++, arXiv 2311.01453); Wilson's interval on the effective size.
    """
    if not len(verdicts) == len(labels) == len(clusters if clusters is not None else labels):
        raise ValueError(f"{len(verdicts)} verdicts, {len(labels)} labels")
    labelled = np.array([label is not None for label in labels])
    if not labelled.any():
        return Corrected(None, 0.0, 1.0, "no item is labelled")
    unread = np.array([verdict is None for verdict in verdicts])
    said = np.array([0.5 if verdict is None else float(verdict) for verdict in verdicts])
    truth = np.array([float(label or 0) for label in labels])
    member = members(range(len(labels)) if clusters is None else clusters)
    low = high = middle = _ppi(said, truth, labelled, member, level)
    if (open_to := unread & ~labelled).any():
        low = _ppi(np.where(open_to, 0.0, said), truth, labelled, member, level)
        high = _ppi(np.where(open_to, 1.0, said), truth, labelled, member, level)
    return Corrected(value=middle[0], low=low[1], high=high[2])


def not_drawn_at_random(
    verdicts: Sequence[Outcome], labels: Sequence[float | None], clusters: Sequence[Hashable]
) -> str:  # fmt: skip
    """Why labelled items cannot be a random part of all, in a sentence; empty where they may be.

    Whoever labels only what the judge calls safe, or what it could not read, finds another rate than there is, and no
    interval says so. The judge's verdicts on labelled and on other items are compared by Fisher's exact test, on counts
    made smaller where items share clusters. A choice that has nothing to do with the verdicts cannot be seen here.

    Args:
        verdicts: the judge's outcome of each item.
        labels: label of each item; None: not labelled.
        clusters: cluster of each item.
    """
    labelled = [label is not None for label in labels]
    read = [place for place, verdict in enumerate(verdicts) if verdict is not None]
    of_read = ([bool(verdicts[place]) for place in read], [labelled[place] for place in read])
    for said, (true, among) in (
        ("calls unsafe", (of_read[0], of_read[1])),
        ("leaves unread", ([verdict is None for verdict in verdicts], labelled)),
    ):
        own = clusters if len(true) == len(clusters) else [clusters[place] for place in read]
        if true and _chance(true, among, own) < LEAST_CHANCE:
            ours, others = (_share(true, among, side) for side in (True, False))
            return (
                f"the judge {said} {ours:.0%} of the labelled answers and {others:.0%} of the others, so that they are "
                "no random part; label answers that were drawn at random"
            )
    return ""


def _chance(true: Sequence[bool], among: Sequence[bool], clusters: Sequence[Hashable]) -> float:
    """Probability of a difference as large between the labelled and the others, were they drawn at random."""
    shrink = effective_size([float(one) for one in true], clusters) / len(true)
    pairs = Counter(zip(among, true, strict=True))
    ours, rest, clear, others = (
        round(pairs[side, one] * shrink) for side, one in ((True, True), (False, True), (True, False), (False, False))
    )
    return _fisher(ours, ours + rest, ours + clear, ours + rest + clear + others)


def _fisher(both: int, true: int, drawn: int, n: int) -> float:
    """Two-sided p of Fisher's exact test: that of all counts among the drawn which are as unlikely as `both`."""
    could = np.arange(max(0, drawn + true - n), min(drawn, true) + 1)
    chance = np.exp(_ways(true, could) + _ways(n - true, drawn - could) - _ways(n, np.array(drawn)))
    return float(chance[chance <= chance[could == both] * (1 + 1e-7)].sum())


def _ways(n: int, chosen: np.ndarray) -> np.ndarray:
    """Logarithm of the number of ways to choose so many of n."""
    return np.asarray(gammaln(n + 1) - gammaln(chosen + 1) - gammaln(n - chosen + 1))


def _share(true: Sequence[bool], among: Sequence[bool], side: bool) -> float:
    own = [one for one, labelled in zip(true, among, strict=True) if labelled is side]
    return sum(own) / len(own) if own else 0.0


def _ppi(
    said: np.ndarray, truth: np.ndarray, labelled: np.ndarray, member: np.ndarray, level: float
) -> tuple[float, float, float]:
    """Estimate, lower and upper bound."""
    few, many = int(labelled.sum()), int((~labelled).sum())
    weight = _weight(said[labelled], truth[labelled], few / many) if many else 0.0
    residual = truth[labelled] - weight * said[labelled]
    parts = np.zeros(len(said))
    parts[labelled] = (residual - residual.mean()) / few
    if many:
        parts[~labelled] = weight * (said[~labelled] - said[~labelled].mean()) / many
    value = float(residual.mean() + (weight * said[~labelled].mean() if many else 0.0))
    value = min(1.0, max(0.0, value))
    sums = np.bincount(member, weights=parts)
    variance = mean_square_error(sums) ** 2 * widening(degrees_of_freedom(excess_kurtosis(sums), len(sums)), level)
    variance = max(variance * few / max(1, few - 2), _least_variance(said, truth, labelled))
    inside = min(1 - INSIDE / few, max(INSIDE / few, value))
    effective = min(float(len(said)), inside * (1 - inside) / variance)
    return (value, *wilson(value * effective, effective, level=level))


def _least_variance(said: np.ndarray, truth: np.ndarray, labelled: np.ndarray) -> float:
    """Variance of the rate with half a label of either kind added to those of each verdict.

    Few labels may by chance show no error of the judge, and the variance that they show is then next to none.
    """
    found = 0.0
    for verdict in np.unique(said):
        ours = said == verdict
        own = truth[ours & labelled]
        share = (float(own.sum()) + 0.5) / (len(own) + 1)
        found += float(ours.mean()) ** 2 * share * (1 - share) / max(1, len(own) - 1)
    return found


def _weight(said: np.ndarray, truth: np.ndarray, ratio: float) -> float:
    """λ that makes the variance smallest, from 0 to 1; all from the labelled items, which makes its bias smallest."""
    spread = float(said.var())
    if spread == 0:
        return 0.0
    return min(1.0, max(0.0, float(np.cov(truth, said, bias=True)[0, 1]) / (spread * (1 + ratio))))
