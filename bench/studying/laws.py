"""Scaling laws and rates over seeds against simulated truth: what covers, and what is called not identifiable.

    python -m bench.studying.laws --json FILE

Every number is of the functions that a study calls. Outcomes are drawn so that their expected rates are exactly the
curve's: of each item a latent value is compared with the rate's quantile, and items, seeds and trainings add to it.
Constants were chosen on other seeds than the one that is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from scipy.special import ndtri

from bench.measures import Measure, run
from spavl.statistics.intervals import LEVEL
from spavl.statistics.over_seeds import difference_table, pooled_table
from spavl.statistics.scaling import ScalingFit, fit_rates
from spavl.statistics.scaling_errors import rates_of_tables
from spavl.statistics.scaling_grid import fit_grid, grid

SEED = 20_271
"""The seed that is reported."""
CURVES = 2_000
"""Simulated curves of known knee."""
FLAT = 500
"""Simulated curves of each kind that has no knee to be found."""
SIZES = (100, 1_000, 5_000, 10_000, 30_000, 90_000)
"""Numbers of pairs."""
SEEDS = 3
"""Trainings of each size."""
ITEMS = (265, 480)
"""Fewest and most items."""
BY_ITEM = 0.3
"""Share of the latent variance that is the item's own: the same items are hard at every size."""
BY_SEED = (0.0, 0.01, 0.04)
"""Shares that are the seed's: at a rate of 30 % no, 3.5 and 7 points of standard deviation between seeds."""
MUCH = 0.15
"""The same of noise: 13 points."""
TOGETHER = 0.5
"""Part of that which a seed has at every size, for its subsets are nested."""
BOOTSTRAPPED, RESAMPLES = 150, 199
"""Curves and resamples of the bootstrap that is compared."""
DRAWS = 1_500
"""Draws of each setting of rates and differences over seeds."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A saturating power law."""

    top: float
    """Rate without a pair."""
    floor: float
    """Rate without end of pairs."""
    knee: float
    """Pairs at which 90 % of the gain has been had."""
    exponent: float
    """How fast what is left falls."""

    def at(self, size: float | np.ndarray) -> np.ndarray:
        """Rate at numbers of pairs.

        Args:
            size: numbers of pairs.
        """
        rates: np.ndarray = self.floor + (self.top - self.floor) / (1 + 9 * (size / self.knee) ** self.exponent)
        return rates


@dataclass(slots=True)
class Tally:
    """Shares of what was counted."""

    hits: Counter[str] = field(default_factory=Counter)
    """How often something held."""
    tries: Counter[str] = field(default_factory=Counter)
    """How often it was looked at."""

    def add(self, what: str, holds: bool) -> None:
        """Count one.

        Args:
            what: that is counted.
            holds: whether it holds.
        """
        self.tries[what] += 1
        self.hits[what] += bool(holds)

    def percent(self, what: str) -> float:
        """Share in percent.

        Args:
            what: that was counted.
        """
        return round(100 * self.hits[what] / max(1, self.tries[what]), 2)


def steep(random: np.random.Generator) -> Truth:
    """A curve with its knee well inside the sizes.

    Args:
        random: what it is drawn from.
    """
    top, floor = random.uniform(0.3, 0.95), random.choice([0.0, random.uniform(0, 0.15)])
    return Truth(top, floor, np.exp(random.uniform(np.log(1_000), np.log(20_000))), random.uniform(1.2, 3))


def shallow(random: np.random.Generator) -> Truth:
    """A curve that falls slowly, with its knee anywhere up to near the largest size.

    Args:
        random: what it is drawn from.
    """
    top, floor = random.uniform(0.3, 0.95), random.choice([0.0, random.uniform(0, 0.15)])
    return Truth(top, floor, np.exp(random.uniform(np.log(3_000), np.log(60_000))), random.uniform(0.5, 1.2))


def outcomes(rates: np.ndarray, items: int, by_seed: float, random: np.random.Generator) -> np.ndarray:
    """True and false of trainings, [sizes, seeds, items].

    Args:
        rates: expected rates, [sizes].
        items: number of items.
        by_seed: share of the latent variance that is the seed's.
        random: what they are drawn from.
    """
    sizes = len(rates)
    latent = np.sqrt(BY_ITEM) * random.standard_normal((1, 1, items))
    latent = latent + np.sqrt(by_seed * TOGETHER) * random.standard_normal((1, SEEDS, 1))
    latent = latent + np.sqrt(by_seed * (1 - TOGETHER)) * random.standard_normal((sizes, SEEDS, 1))
    latent = latent + np.sqrt(1 - BY_ITEM - by_seed) * random.standard_normal((sizes, SEEDS, items))
    drawn: np.ndarray = latent < ndtri(np.clip(rates, 1e-6, 1 - 1e-6))[:, None, None]
    return drawn.astype(float)


def fitted(rates: np.ndarray, by_seed: float, random: np.random.Generator) -> tuple[ScalingFit, np.ndarray]:
    """The law of simulated trainings, and their outcomes.

    Args:
        rates: expected rates, [sizes].
        by_seed: share of the latent variance that is the seed's.
        random: what they are drawn from.
    """
    items = int(random.integers(ITEMS[0], ITEMS[1] + 1))
    drawn = outcomes(rates, items, by_seed, random)
    return fit_rates(rates_of_tables(SIZES, list(drawn), np.arange(items)), level=LEVEL), drawn


def known_knees(curves: int, random: np.random.Generator) -> Iterator[Measure]:
    """Curves with a knee: what their intervals cover, and how often the knee can be named."""
    tally, widths, kinds = Tally(), [], (steep, shallow)
    for number in range(curves):
        kind, by_seed = kinds[number % 2], BY_SEED[number // 2 % len(BY_SEED)]
        truth = kind(random)
        law, _ = fitted(truth.at(np.array(SIZES, dtype=float)), by_seed, random)
        _count(tally, truth, law, kind.__name__, by_seed)
        if law.identifiable:
            widths.append(law.knee[2] / law.knee[1])
    how = (
        f"{curves:,} curves, half steep, half shallow; {SEEDS} seeds, {ITEMS[0]}–{ITEMS[1]} items, sizes 100 to 90,000"
    )
    for what, name in (("knee", "knee, all curves"), ("named", "knee, where it is named")):
        yield Measure(f"scaling law, {name}: interval covers", tally.percent(what), 93.5, "%", "higher", how)
    for kind, by_seed in product(kinds, BY_SEED):
        own = f"{kind.__name__} {by_seed}"
        yield Measure(
            f"scaling law, {kind.__name__}, {100 * by_seed:g} % of latent variance by seed: knee named",
            tally.percent(f"identifiable {own}"), None, "%", "higher",
            f"covered where named: {tally.percent(f'named {own}')} %",
        )  # fmt: skip
    factor = round(float(np.median(widths or [0.0])), 2)
    yield Measure("scaling law: upper over lower bound of a named knee", factor, None, "", "lower", "median")
    for what in ("rate at 5,000", "gain 1,000 → 10,000", "gain 10,000 → 30,000"):
        yield Measure(f"scaling law, {what}: interval covers", tally.percent(what), 93.5, "%", "higher", how)
    for what in ("rate at 300,000", "gain 90,000 → 300,000"):
        yield Measure(f"scaling law beyond the data, {what}: interval covers", tally.percent(what), 93.5, "%", "higher",
                      how)  # fmt: skip


def _count(tally: Tally, truth: Truth, law: ScalingFit, kind: str, by_seed: float) -> None:
    covered = law.knee[1] <= truth.knee <= law.knee[2]
    tally.add("knee", covered)
    tally.add(f"identifiable {kind} {by_seed}", law.identifiable)
    if law.identifiable:
        tally.add("named", covered)
        tally.add(f"named {kind} {by_seed}", covered)
    for size in (5_000, 300_000):
        _, low, high = law.at(size)
        tally.add(f"rate at {size:,}", bool(low <= truth.at(size) <= high))
    for fewer, more in ((1_000, 10_000), (10_000, 30_000), (90_000, 300_000)):
        _, low, high = law.gain(fewer, more)
        tally.add(f"gain {fewer:,} → {more:,}", bool(low <= truth.at(more) - truth.at(fewer) <= high))


def no_knees(curves: int, random: np.random.Generator) -> Iterator[Measure]:
    """Curves that have no knee to be found: flat ones, ones that are noise, and pure power laws."""
    sizes = np.array(SIZES, dtype=float)
    shapes: dict[str, tuple[float, Callable[[], np.ndarray]]] = {
        "flat": (BY_SEED[1], lambda: np.full(len(sizes), random.uniform(0.02, 0.5))),
        "noise of the seeds": (MUCH, lambda: np.full(len(sizes), random.uniform(0.1, 0.4))),
        "pure power law": (BY_SEED[1], lambda: random.uniform(0.3, 0.9) * (sizes / 100) ** -random.uniform(0.05, 0.4)),
    }
    for name, (by_seed, shape) in shapes.items():
        why = Counter(fitted(shape(), by_seed, random)[0].why or "named" for _ in range(curves))
        share = round(100 * (1 - why["named"] / curves), 2)
        how = f"{curves} curves: " + ", ".join(f"{reason} {count}" for reason, count in why.most_common())
        yield Measure(f"scaling law, {name}: not identifiable", share, 95, "%", "higher", how)


def shifted(knee: float, random: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """What is left of the gain as (1 + n / n0)^-a.

    Args:
        knee: pairs at which a tenth is left.
        random: what a is drawn from.
    """
    power = random.uniform(1, 3)
    return lambda size: (1 + size * (10 ** (1 / power) - 1) / knee) ** -power


def exponential(knee: float, random: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """What is left of the gain as an exponential.

    Args:
        knee: pairs at which a tenth is left.
        random: not used.
    """
    del random
    return lambda size: np.exp(-np.log(10) * size / knee)


def other_forms(curves: int, random: np.random.Generator) -> Iterator[Measure]:
    """Curves of a form that is not the one that is fitted."""
    for name, form in (("(1 + n / n0)^-a", shifted), ("an exponential", exponential)):
        tally = Tally()
        for _ in range(curves):
            top, floor, knee = random.uniform(0.3, 0.95), random.uniform(0, 0.15), random.uniform(2_000, 20_000)
            left = form(knee, random)
            law, _ = fitted(floor + (top - floor) * left(np.array(SIZES, dtype=float)), BY_SEED[1], random)
            if law.identifiable:
                tally.add("knee", law.knee[1] <= knee <= law.knee[2])
            _, low, high = law.gain(10_000, 30_000)
            before, after = left(np.array([10_000.0, 30_000.0]))
            tally.add("gain", bool(low <= (top - floor) * (after - before) <= high))
        named, gain = tally.tries["knee"], tally.percent("gain")
        how = f"{curves} curves; knee named in {named}; gain 10,000 → 30,000 covered {gain} %"
        yield Measure(
            f"scaling law, truth is {name}: named knee covers", tally.percent("knee"), None, "%", "higher", how
        )


def bootstrap(curves: int, random: np.random.Generator) -> Iterator[Measure]:
    """The percentile bootstrap over seeds and items, of the same curve, for comparison."""
    tally = Tally()
    for number in range(curves):
        truth = steep(random)
        law, drawn = fitted(truth.at(np.array(SIZES, dtype=float)), BY_SEED[1 + number % 2], random)
        found = [_resampled(law, drawn, random) for _ in range(RESAMPLES)]
        low, high = np.quantile(found, [0.025, 0.975])
        tally.add("bootstrap", bool(low <= truth.knee <= high))
        tally.add("profile", law.knee[1] <= truth.knee <= law.knee[2])
    profile = tally.percent("profile")
    how = f"{curves} steep curves, {RESAMPLES} resamples of seeds and items; the profile covers {profile} %"
    yield Measure("scaling law, percentile bootstrap instead: knee covered", tally.percent("bootstrap"), None, "%",
                  "higher", how)  # fmt: skip


def _resampled(law: ScalingFit, drawn: np.ndarray, random: np.random.Generator) -> float:
    """The best knee of one resample of seeds and items."""
    _, seeds, items = drawn.shape
    chosen = drawn[:, :, random.integers(items, size=items)][:, random.integers(seeds, size=seeds)]
    rates = chosen.mean(axis=(1, 2))
    fit = fit_grid(law.measured.sizes, rates, law.measured.covariance(rates), *grid(law.measured.sizes))
    return float(fit.curves.knee[fit.best])


def over_seeds(draws: int, random: np.random.Generator) -> Iterator[Measure]:
    """Rates and differences over few seeds: coverage and mean width."""
    rates: dict[str, float] = {}
    lowest: dict[int, list[str]] = {}
    cells = product((2, 3, 5), ((265, 1), (60, 5)), (0.01, 0.3, 0.9), (0.0, 0.05))
    for seeds, (clusters, size), rate, by_seed in cells:
        covered, width = _rate_coverage(seeds, clusters, size, rate, by_seed, draws, random)
        setting = f"{seeds} seeds, {clusters} × {size} items, {rate:.0%}, {by_seed:.0%} by seed"
        rates[setting] = covered
        lowest.setdefault(seeds, []).append(
            f"{rate:.0%}, {by_seed:.0%} by seed, {clusters} × {size}: {100 * width:.1f}"
        )
    worst = min(rates, key=lambda setting: rates[setting])
    mean = 100 * np.mean(list(rates.values()))
    how = f"{draws:,} draws of each of {len(rates)} settings; it is {worst}; mean {mean:.1f} %"
    yield Measure("rate over seeds and items: lowest coverage", round(100 * rates[worst], 2), 93.5, "%", "higher", how)
    for seeds, said in lowest.items():
        width = float(np.mean([float(one.rpartition(" ")[2]) for one in said]))
        yield Measure(f"rate over {seeds} seeds: mean width", round(width, 1), None, "points", "lower", "; ".join(said))
    yield from _differences(draws, random)


def _rate_coverage(
    seeds: int, clusters: int, size: int, rate: float, by_seed: float, draws: int, random: np.random.Generator
) -> tuple[float, float]:
    member = np.repeat(np.arange(clusters), size)
    hits, width = 0, 0.0
    for _ in range(draws):
        drawn = (_latent(seeds, clusters, size, by_seed, random) < ndtri(rate)).astype(float)
        found = pooled_table(drawn, member, level=LEVEL)
        hits, width = hits + (found.low <= rate <= found.high), width + found.high - found.low
    return hits / draws, width / draws


def _latent(seeds: int, clusters: int, size: int, by_seed: float, random: np.random.Generator) -> np.ndarray:
    shared = 0.3 if size > 1 else 0.0
    items = clusters * size
    latent = np.sqrt(by_seed) * random.standard_normal((seeds, 1))
    latent = latent + np.sqrt(shared) * np.repeat(random.standard_normal((1, clusters)), size, axis=1)
    latent = latent + np.sqrt(0.15) * random.standard_normal((1, items))
    drawn: np.ndarray = latent + np.sqrt(0.85 - shared - by_seed) * random.standard_normal((seeds, items))
    return drawn


def _differences(draws: int, random: np.random.Generator) -> Iterator[Measure]:
    hits: dict[str, float] = {}
    false: dict[str, float] = {}
    for seeds, (clusters, size), pair, by_seed in product(
        (2, 3, 5), ((265, 1), (60, 5)), ((0.02, 0.02), (0.3, 0.3), (0.3, 0.2)), (0.0, 0.05)
    ):
        member = np.repeat(np.arange(clusters), size)
        covered = wrong = 0
        for _ in range(draws):
            item = np.sqrt(0.5) * random.standard_normal((1, clusters * size))
            one, two = (
                np.sqrt(0.5) * _latent(seeds, clusters, size, by_seed, random) + item < ndtri(rate) for rate in pair
            )
            found = difference_table(two.astype(float) - one, member, level=LEVEL)
            covered += found.low <= pair[1] - pair[0] <= found.high
            wrong += pair[0] == pair[1] and found.p <= 1 - LEVEL
        setting = f"{seeds} seeds, {clusters} × {size} items, {pair[0]:.0%} and {pair[1]:.0%}, {by_seed:.0%} by seed"
        hits[setting] = covered / draws
        if pair[0] == pair[1]:
            false[setting] = wrong / draws
    worst, most = min(hits, key=lambda one: hits[one]), max(false, key=lambda one: false[one])
    how = f"{draws:,} draws of each of {len(hits)} settings; it is {worst}"
    yield Measure(
        "difference over seeds and items: lowest coverage", round(100 * hits[worst], 2), 93.5, "%", "higher", how
    )
    yield Measure("difference over seeds and items: most false findings at 5 %", round(100 * false[most], 2), 6.5, "%",
                  "lower", f"{len(false)} settings without a difference; it is {most}")  # fmt: skip


PARTS: dict[str, tuple[Callable[[int, np.random.Generator], Iterator[Measure]], int]] = {
    "known knees": (known_knees, CURVES),
    "no knees": (no_knees, FLAT),
    "other forms": (other_forms, FLAT),
    "bootstrap": (bootstrap, BOOTSTRAPPED),
    "over seeds": (over_seeds, DRAWS),
}
"""Parts with how much each draws."""


def measures(share: float = 1.0, seed: int = SEED) -> list[Measure]:
    """Coverage of laws and rates.

    Args:
        share: of the draws that are made; less for a test.
        seed: of the draws; each part has a generator of its own.
    """
    return [
        measure
        for place, (part, draws) in enumerate(PARTS.values())
        for measure in part(max(2, round(share * draws)), np.random.default_rng([seed, place]))
    ]


if __name__ == "__main__":
    run(measures)
