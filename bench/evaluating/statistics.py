"""Intervals, corrected rates and limits against simulated truth: what covers, what is biased, what passes by luck.

    python -m bench.evaluating.statistics --json FILE

Every number is of the functions that a run calls, on outcomes drawn from a known truth. Constants were chosen on seeds
7 to 23; the seed that is reported is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from bench.measures import Floor, Measure, run
from spavl.statistics.gate import ALPHA, p_below, under_limit
from spavl.statistics.intervals import clustered_rate, rule_of_three, wilson
from spavl.statistics.judge_error import Calibration, Corrected, prediction_powered, rogan_gladen
from spavl.statistics.paired import compare_paired, mcnemar_exact
from spavl.statistics.power import detectable_difference
from spavl.statistics.sequential import confidence_sequence

SEED = 20_261
"""The seed that is reported."""
SIMULATIONS = 10_000
"""Draws a setting."""
PREVALENCES = (0.05, 0.1, 0.2, 0.3, 0.5)
"""True unsafe rates."""
CORRELATIONS = (0.0, 0.05, 0.2, 0.5)
"""Within clusters."""
JUDGES = ((0.98, 0.99), (0.9, 0.95), (0.9, 0.8), (0.8, 0.9))
"""Sensitivity and specificity."""
WEAK_JUDGE = (0.7, 0.8)
"""One whose corrected rate is often below 0 where few answers are unsafe, and is then cut off there."""
SIZES = (30, 50, 100, 168, 265, 520, 1680)
"""Numbers of items whose Wilson intervals are enumerated."""


LOOKS = 1000
"""Items after each of which an interval is looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """One setting's share of draws, and which setting it was."""

    share: float
    """Covered, or passed."""
    setting: str
    """In words."""


def measures(simulations: int = SIMULATIONS, seed: int = SEED) -> list[Measure]:
    """Coverage, bias and false passes.

    Args:
        simulations: draws a setting.
        seed: of the draws.
    """
    return [row for part in PARTS for row in part_of(part, simulations, seed)]


def part_of(part: str, simulations: int = SIMULATIONS, seed: int = SEED) -> list[Measure]:
    """The measures of one part, which draws from a generator of its own.

    Args:
        part: a key of `PARTS`.
        simulations: draws a setting.
        seed: of the draws.
    """
    return list(PARTS[part](simulations, np.random.default_rng([seed, list(PARTS).index(part)])))


def wilson_coverage(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """Wilson's interval, by enumeration of all counts."""
    cells = [Found(_covered(n, p), f"{n} items, {p:.0%}") for n in SIZES for p in np.arange(0.05, 0.951, 0.01)]
    how = f"all counts of {', '.join(map(str, SIZES))} items, rates from 5 to 95 % by steps of 1"
    mean = float(np.mean([cell.share for cell in cells]))
    worst = min(cells, key=_share)
    yield _percent("Wilson, nominal 95 %: mean coverage", mean, (94.5, 95.5), how)
    yield _percent("Wilson, nominal 95 %: lowest cell", worst.share, 92.0, f"{how}; it is {worst.setting}")


def _covered(n: int, rate: float) -> float:
    counts = np.arange(n + 1)
    ends = np.array([wilson(int(k), n) for k in counts])
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(n, 0, -1)) - np.log(np.arange(1, n + 1)))))
    chances = np.exp(logs + counts * np.log(rate) + (n - counts) * np.log1p(-rate))
    return float(chances[(ends[:, 0] <= rate) & (rate <= ends[:, 1])].sum())


def none_seen(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """The bound that is printed where nothing was seen."""
    least = min(1 - (1 - rule_of_three(n)) ** n for n in range(1, 5001))
    how = "exact, 1 to 5,000 items; a rate above the bound shows none with the remaining probability"
    yield _percent("0 of n, one-sided 95 % bound: lowest coverage", least + 1e-12, 95.0, how)


def thirty_clusters(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """`clustered_rate` with 30 clusters of 10, and Wilson's interval on the same items."""
    cells = _clustered_cells(((30, 10),), CORRELATIONS, simulations, random)
    yield from _range("clustered rate, 30 clusters of 10", cells, (93.5, 96.5), simulations)
    naive = _naive(simulations, random)
    yield _percent("the same without clusters, 30 of 10, correlation 0.5, 30 %", naive, None, "Wilson on all items")


def more_clusters(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """`clustered_rate` with 40 clusters and more."""
    cells = _clustered_cells(((40, 10), (100, 10)), CORRELATIONS, simulations, random)
    yield from _range("clustered rate, 40 and 100 clusters of 10", cells, (93.5, 96.5), simulations)


def odd_clusters(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """`clustered_rate` where it is hardest: items that are almost copies, and clusters that are small."""
    cells = _clustered_cells(((40, 3), (30, 10)), (0.9,), simulations, random)
    cells += _clustered_cells(((40, 3), (60, 5)), (0.0, 0.3), simulations, random)
    yield from _range("clustered rate, almost copies and small clusters", cells, None, simulations)


def _clustered_cells(
    shapes: Iterable[tuple[int, int]], correlations: Iterable[float], simulations: int, random: np.random.Generator
) -> list[Found]:
    settings = list(product(shapes, correlations, PREVALENCES))
    return [
        Found(
            _clustered_covers(shape, alike, rate, simulations, own),
            f"{shape[0]} × {shape[1]}, correlation {alike}, {rate:.0%}",
        )
        for (shape, alike, rate), own in zip(settings, random.spawn(len(settings)), strict=True)
    ]


def _clustered_covers(
    shape: tuple[int, int], alike: float, rate: float, simulations: int, random: np.random.Generator
) -> float:
    groups = [c for c in range(shape[0]) for _ in range(shape[1])]
    covered = 0
    for outcomes in _alike(shape, alike, rate, simulations, random):
        found = clustered_rate(outcomes.ravel().tolist(), groups)
        covered += found.low <= rate <= found.high
    return covered / simulations


def _naive(simulations: int, random: np.random.Generator) -> float:
    drawn = _alike((30, 10), 0.5, 0.3, simulations, random).reshape(simulations, -1).sum(axis=1)
    ends = {k: wilson(k, 300) for k in set(drawn.tolist())}
    return float(np.mean([ends[k][0] <= 0.3 <= ends[k][1] for k in drawn.tolist()]))


def _alike(
    shape: tuple[int, int], alike: float, rate: float, simulations: int, random: np.random.Generator
) -> np.ndarray:
    """Outcomes by simulation, cluster and item, from a beta-binomial with this correlation."""
    clusters, items = shape
    if alike:
        scale = (1 - alike) / alike
        own = random.beta(rate * scale, (1 - rate) * scale, size=(simulations, clusters, 1))
    else:
        own = np.full((simulations, clusters, 1), rate)
    return random.random((simulations, clusters, items)) < own


def paired(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """`compare_paired`: coverage of the difference, and false findings of its test, items alone and in clusters."""
    cells, wrong = [], []
    for shape, (up, down) in product(((300, 1), (30, 10), (60, 5)), ((0.1, 0.1), (0.05, 0.15), (0.02, 0.1))):
        covered = found = 0
        for base, aligned in _pairs(shape, up, down, simulations // 10, random):
            names = {f"{c}/{i}": c for c in range(shape[0]) for i in range(shape[1])}
            before = dict(zip(names, base.tolist(), strict=True))
            after = dict(zip(names, aligned.tolist(), strict=True))
            result = compare_paired(before, after, better="lower", clusters=names)
            covered += result.low <= up - down <= result.high
            found += result.p <= 0.05
        setting = f"{shape[0]} × {shape[1]}, {up:.0%} up, {down:.0%} down"
        cells.append(Found(covered / (simulations // 10), setting))
        if up == down:
            wrong.append(Found(found / (simulations // 10), setting))
    yield from _range("paired difference", cells, (93.0, 97.5), simulations // 10)
    worst = max(wrong, key=_share)
    how = f"{simulations // 10:,} draws a setting; two-sided 5 %; {worst.setting}"
    yield _percent("paired test, no difference: most false findings", worst.share, 5.5, how, "lower")


def _pairs(
    shape: tuple[int, int], up: float, down: float, simulations: int, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Outcomes of two models; items of a cluster change together with correlation 0.3."""
    clusters, items = shape
    shares = np.array([up, down, 1 - up - down]) * (0.7 / 0.3)
    for _ in range(simulations):
        chances = random.dirichlet(shares, clusters) if items > 1 else np.tile([up, down, 1 - up - down], (clusters, 1))
        draw = random.random((clusters, items))
        rises, falls = draw < chances[:, :1], draw > 1 - chances[:, 1:2]
        base = np.where(rises, False, np.where(falls, True, random.random((clusters, items)) < 0.5))
        yield base.ravel(), (rises | (base & ~falls)).ravel()


def corrected(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """`rogan_gladen` with 1,000 items and 200 + 200 labels."""
    for name, judges, floors in (("imperfect judge", JUDGES, (93.5, 0.5)), ("weak judge", (WEAK_JUDGE,), (None, None))):
        covers, biases = [], []
        for (sensitivity, specificity), rate in product(judges, PREVALENCES):
            judged = rate * sensitivity + (1 - rate) * (1 - specificity)
            drawn = zip(
                random.binomial(1000, judged, simulations).tolist(),
                random.binomial(200, sensitivity, simulations).tolist(),
                random.binomial(200, specificity, simulations).tolist(),
                strict=True,
            )
            found = [rogan_gladen(k, 1000, Calibration(caught, 200, cleared, 200)) for k, caught, cleared in drawn]
            _note(found, rate, (sensitivity, specificity), covers, biases)
        how = f"1,000 items, 200 + 200 labels, {simulations:,} draws of each of {len(covers)} settings; it is "
        yield from _corrected_rows(f"{name}, corrected rate", covers, biases, how, floors)


def _note(
    found: list[Corrected], rate: float, judge: tuple[float, float], covers: list[Found], biases: list[Found]
) -> None:
    """Add coverage and bias of one setting."""
    setting = f"{rate:.0%}, sensitivity {judge[0]}, specificity {judge[1]}"
    covers.append(Found(float(np.mean([one.low <= rate <= one.high for one in found])), setting))
    biases.append(Found(abs(float(np.mean([one.value for one in found if one.value is not None])) - rate), setting))


def _corrected_rows(
    name: str, covers: list[Found], biases: list[Found], how: str, floors: tuple[float | None, float | None]
) -> Iterator[Measure]:
    least, most = min(covers, key=_share), max(biases, key=_share)
    yield _percent(f"{name}: lowest coverage", least.share, floors[0], how + least.setting)
    yield Measure(f"{name}: largest bias", 100 * most.share, floors[1], "points", "lower", how + most.setting)


def powered(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """`prediction_powered` with 1,000 items of which 400 are labelled."""
    covers: list[Found] = []
    biases: list[Found] = []
    for judge, rate in product((*JUDGES[1::2], WEAK_JUDGE), PREVALENCES):
        found = []
        for _ in range(simulations):
            truth = random.random(1000) < rate
            said = random.random(1000) < np.where(truth, judge[0], 1 - judge[1])
            found.append(prediction_powered(said.tolist(), [*truth[:400].tolist(), *[None] * 600]))
        _note(found, rate, judge, covers, biases)
    how = f"1,000 items, 400 of them labelled, {simulations:,} draws of each of {len(covers)} settings; it is "
    yield from _corrected_rows("prediction-powered rate", covers, biases, how, (93.5, 0.5))


GATES = (
    (0.1, 0.9, 0.95, 20, 20, 265), (0.05, 0.8, 0.9, 50, 50, 500), (0.3, 0.7, 0.8, 30, 100, 168),
    (0.5, 0.9, 0.9, 20, 40, 265), (0.1, 0.9, 0.95, 200, 200, 1000), (0.05, 0.95, 0.98, 200, 200, 1000),
)  # fmt: skip
"""Limit, sensitivity, specificity, labels of unsafe and of safe answers, items."""


def gate(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """`passes_below` for a model exactly at the limit, and for one at half of it."""
    wrong = [Found(_passes(one, one[0], simulations, random), _gate_words(one)) for one in GATES]
    worst = max(wrong, key=_share)
    how = f"at the limit, {simulations:,} draws of each of {len(wrong)} settings: "
    how += "; ".join(f"{one.setting}: {one.share:.1%}" for one in wrong)
    yield _percent("limit at nominal 5 %, estimated judge: most false passes", worst.share, 5.5, how, "lower")
    for one in GATES:
        passed = _passes(one, one[0] / 2, simulations // 10, random)
        how = f"{_gate_words(one)}; {simulations // 10:,} draws"
        yield _percent(f"a model at half a limit of {one[0]:.0%} passes, {one[3]} + {one[4]} labels", passed, None, how)


def _gate_words(setting: tuple[float, float, float, int, int, int]) -> str:
    limit, sensitivity, specificity, unsafe, safe, n = setting
    return f"limit {limit:.0%}, {sensitivity} / {specificity}, {unsafe} + {safe} labels, {n} items"


def _passes(
    setting: tuple[float, float, float, int, int, int], rate: float, simulations: int, random: np.random.Generator
) -> float:
    """Share of draws that pass; p is computed where the statistic leaves it open."""
    limit, sensitivity, specificity, unsafe, safe, n = setting
    judged = rate * sensitivity + (1 - rate) * (1 - specificity)
    draws = zip(random.binomial(n, judged, simulations).tolist(),
                random.binomial(unsafe, sensitivity, simulations).tolist(),
                random.binomial(safe, specificity, simulations).tolist(), strict=True)  # fmt: skip
    known: dict[tuple[int, int, int], bool] = {}
    passed = 0
    for draw in draws:
        if draw not in known:
            judge = Calibration(draw[1], unsafe, draw[2], safe)
            expected, error = under_limit(limit, n, np.array(judge.caught), np.array(judge.cleared), judge)
            surely_not = bool(judge.refusal) or (draw[0] / n - expected) / error > -1.0
            known[draw] = not surely_not and p_below(limit, draw[0], n, judge) <= ALPHA
        passed += known[draw]
    return passed / simulations


def sequence(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """A confidence sequence looked at after each of 1,000 items, and Wilson's interval looked at so."""
    for name, interval, floor in (("anytime-valid", confidence_sequence, 5.0), ("Wilson's", wilson, None)):
        wrong = []
        for rate in PREVALENCES:
            low, high = _accepted(interval, rate).T
            counts = (random.random((simulations, LOOKS)) < rate).cumsum(axis=1)
            wrong.append(Found(float(((counts < low) | (counts > high)).any(axis=1).mean()), f"{rate:.0%}"))
        worst = max(wrong, key=_share)
        how = f"looked at after each of {LOOKS:,} items, {simulations:,} draws a rate; it is {worst.setting}"
        yield _percent(f"{name} 95 % interval looked at all the time: misses the truth once", worst.share, floor, how,
                       "lower")  # fmt: skip


def _accepted(interval: Callable[[int, int], tuple[float, float]], rate: float) -> np.ndarray:
    """The smallest and the largest count of each n whose interval holds a rate; both grow with n."""
    ends, low, high = [], 0, 0
    for n in range(1, LOOKS + 1):
        while low < n and interval(low, n)[1] < rate:
            low += 1
        while high < n and interval(high + 1, n)[0] <= rate:
            high += 1
        ends.append((low, high))
    return np.array(ends)


def power(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """The exact test's power at the difference that is said to be detectable at 80 %."""
    for n, discordance in ((265, 0.2), (1680, 0.2), (300, 0.15)):
        gap = detectable_difference(n, discordance)
        shares = [(discordance + gap) / 2, (discordance - gap) / 2, 1 - discordance]
        drawn = random.multinomial(n, shares, simulations)
        found = float(np.mean([mcnemar_exact(int(up), int(down)) <= 0.05 for up, down, _ in drawn]))
        how = f"exact McNemar, {n} items, {discordance:.0%} change, {100 * gap:.1f} points apart"
        yield _percent(f"power at the detectable difference, {n} items", found, (75.0, 85.0), how)


def _range(name: str, cells: list[Found], floor: tuple[float, float] | None, draws: int) -> Iterator[Measure]:
    for word, one in (("lowest", min(cells, key=_share)), ("highest", max(cells, key=_share))):
        how = f"{draws:,} draws of each of {len(cells)} settings; it is {one.setting}"
        yield _percent(f"{name}, nominal 95 %: {word} coverage", one.share, floor, how)


def _share(found: Found) -> float:
    return found.share


def _percent(name: str, share: float, floor: Floor, how: str,
             better: str = "higher") -> Measure:  # fmt: skip
    if isinstance(floor, tuple):
        return Measure(name, 100 * share, floor, "%", "between", how)
    return Measure(name, 100 * share, floor, "%", "lower" if better == "lower" else "higher", how)


PARTS: Mapping[str, Callable[[int, np.random.Generator], Iterator[Measure]]] = {
    "wilson": wilson_coverage, "none seen": none_seen, "thirty clusters": thirty_clusters,
    "more clusters": more_clusters, "odd clusters": odd_clusters, "paired": paired, "corrected": corrected,
    "powered": powered, "gate": gate, "sequence": sequence, "power": power,
}  # fmt: skip
"""What is measured, in the order of the table."""


if __name__ == "__main__":
    run(measures)
