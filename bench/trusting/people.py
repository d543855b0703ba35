"""Agreement, tendencies and calibrated rates of simulated annotators, whose errors and leanings are known.

    python -m bench.trusting.people --json FILE

Every number is of the functions that `spavl agreement` and `spavl calibrate` call. Constants were chosen on seeds 7 to
11; the seed that is reported is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from bench.evaluating.statistics import Found
from bench.measures import Measure, run
from spavl.labels.record import Answer, Item, Label
from spavl.pipeline.agreement_biases import biases_of
from spavl.pipeline.corrected import by_labels
from spavl.pipeline.people import gathered
from spavl.statistics.by_verdict import (
    allocate,
    corrected_by_verdict,
    errors_by_verdict,
    labels_to_halve,
    verdict_groups,
)
from spavl.statistics.judge_error import Corrected
from spavl.statistics.reliability import Coefficient, Scale, disagreement, rater_tables, reliability
from spavl.statistics.tendency import tendency

SEED = 20_263
"""The seed that is reported."""
SIMULATIONS = 2_000
"""Draws a setting."""
FLOOR = 93.5
"""Least coverage of a 95 % interval, in percent."""
RATES = (0.05, 0.1, 0.2, 0.4, 0.6)
"""True unsafe rates."""
ANSWERS, LABELS = 1000, 200
"""Answers of a model, and those that people label."""
JUDGE = (0.8, 0.8)
"""Sensitivity and specificity."""


def measures(simulations: int = SIMULATIONS, seed: int = SEED) -> list[Measure]:
    """Coverage and bias of all that is printed of people's labels.

    Args:
        simulations: draws a setting.
        seed: of the draws.
    """
    parts: Sequence[Callable[[int, np.random.Generator], Iterator[Measure]]] = (
        agreement, tendencies, named, calibration, errors, halved,
    )  # fmt: skip
    streams = np.random.default_rng(seed).spawn(len(parts))
    return [row for part, random in zip(parts, streams, strict=True) for row in part(simulations, random)]


def agreement(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """κ and α of annotators of known error, items alone and in clusters of five."""
    kinds: tuple[tuple[str, Coefficient, Scale, int], ...] = (
        ("Cohen's κ, two annotators", "cohen", "nominal", 2), ("Fleiss' κ, three annotators", "fleiss", "nominal", 3),
        ("Krippendorff's α, three annotators", "alpha", "nominal", 3),
        ("Krippendorff's α of severity, three annotators", "alpha", "ordinal", 3),
    )  # fmt: skip
    for name, coefficient, scale, raters in kinds:
        shares = ((0.5, 0.5), (0.1, 0.9)) if scale == "nominal" else ((0.45, 0.3, 0.15, 0.1),)
        cells = [
            _agreed(coefficient, scale, raters, np.array(own), error, n, size, simulations, random)
            for own, error, (n, size) in product(shares, (0.02, 0.15), ((60, 1), (200, 1), (200, 5)))
        ]
        worst = min(cells, key=_share)
        how = f"{simulations:,} draws of each of {len(cells)} settings; it is {worst.setting}"
        yield Measure(f"{name}: lowest coverage of 95 %", 100 * worst.share, FLOOR, "%", "higher", how)


def _agreed(
    coefficient: Coefficient, scale: Scale, raters: int, shares: np.ndarray, error: float, n: int, size: int,
    simulations: int, random: np.random.Generator,
) -> Found:  # fmt: skip
    kinds = len(shares)
    said = np.full((kinds, kinds), error / (kinds - 1))
    np.fill_diagonal(said, 1 - error)
    observed, expected = disagreement(np.einsum("t,ta,tb->ab", shares, said, said) * 1e9, coefficient, scale)
    truth, held = 1 - float(observed / expected), 0
    clusters = np.repeat(np.arange(n // size), size).tolist()
    for _ in range(simulations):
        own = random.choice(kinds, size=n, p=shares)
        alike = np.repeat(random.choice(kinds, size=n // size, p=shares), size)
        true = np.where(random.random(n) < 0.5, alike, own) if size > 1 else own
        labels = (random.random((n, raters))[..., None] > said.cumsum(axis=1)[true][:, None]).sum(axis=-1)
        labels = labels.clip(max=kinds - 1)
        if coefficient == "cohen":
            tables = np.zeros((n, kinds, kinds))
            tables[np.arange(n), labels[:, 0], labels[:, 1]] = 1
        else:
            tables = rater_tables(labels.tolist(), kinds, coefficient)
        found = reliability(tables, coefficient, scale=scale, clusters=clusters)
        held += found.low <= truth <= found.high
    words = f"{n} items in clusters of {size}" if size > 1 else f"{n} items"
    return Found(held / simulations, f"{words}, rarest label {shares.min():.0%}, error {error:.0%}, truth {truth:.2f}")


def tendencies(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """A share of verdicts that follows position: coverage of its size, and false findings where there is none."""
    cells, wrong = [], []
    for size, (n, clusters), ties in product((0.0, 0.1, 0.5), ((60, 60), (500, 500), (500, 100)), (0.0, 0.3)):
        held = found = 0
        for _ in range(simulations):
            groups = np.repeat(np.arange(clusters), n // clusters)
            follows = random.random(n) < size
            values = np.where(follows, 1.0, random.choice([-1.0, 1.0], n) * (random.random(n) >= ties))
            own = tendency(values.tolist(), groups.tolist())
            held, found = held + (own.low <= size <= own.high), found + (own.p < 0.05)
        setting = f"{n} pairs, {clusters} pictures, {ties:.0%} ties, a share of {size:.0%}"
        cells.append(Found(held / simulations, setting))
        if not size:
            wrong.append(Found(found / simulations, setting))
    worst, most = min(cells, key=_share), max(wrong, key=_share)
    how = f"{simulations:,} draws of each of {len(cells)} settings; it is {worst.setting}"
    yield Measure("position bias: lowest coverage of 95 %", 100 * worst.share, FLOOR, "%", "higher", how)
    how = f"two-sided 5 %, {simulations:,} draws; {most.setting}"
    yield Measure("position bias, none there: most false findings", 100 * most.share, 6.5, "%", "lower", how)


def named(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """Whole reviews: of all tendencies tested together, how often any is wrongly named, and a planted one found."""
    draws = max(20, simulations // 10)
    for name, left, floor, better in (
        ("any tendency wrongly named in a review without one", 0.0, 8.5, "lower"),
        ("an annotator who follows the left in 30 % is named", 0.3, 90.0, "higher"),
    ):
        hits = 0
        for _ in range(draws):
            shown = [one for one in biases_of(_review(random, left), {}) if one.is_shown(0.95)]
            hits += any((one.leaning, one.who) == ("position", "ann") for one in shown) if left else bool(shown)
        how = f"300 pairs, 2 annotators, Holm over position, length, source and domain; {draws} reviews"
        yield Measure(name, 100 * hits / draws, floor, "%", "lower" if better == "lower" else "higher", how)


def _review(random: np.random.Generator, left: float) -> Any:
    items, labels = [], []
    for number in range(300):
        lengths, sources = random.permutation([20, 60]), random.permutation(["amber", "birch", "maple"])
        answers = tuple(Answer(text="x" * int(n), source=str(of)) for n, of in zip(lengths, sources[:2], strict=True))
        about = {"class1": f"domain {number % 4}", "winner": "first"}
        items.append(
            Item(item_id=str(number), kind="pair", stratum="", question="request", answers=answers, about=about)
        )
        for who in ("ann", "bob"):
            shown = "first" if random.random() < 0.5 else "second"
            said = "first" if random.random() < 0.85 else "second"
            said = shown if who == "ann" and random.random() < left else said
            labels.append(Label(item_id=str(number), annotator=who, preference=said, shown_first=shown))  # type: ignore[arg-type]
    return gathered(items, labels)


def calibration(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """The rate of a judge of 80 % sensitivity and specificity, corrected by 200 labels drawn in three ways."""
    for name in ("drawn at random", "half of them of either verdict", "drawn as `--next` says"):
        covers, biases = [], []
        for rate in RATES:
            found: list[Corrected] = []
            for _ in range(simulations):
                truth, said = _judged(rate, random)
                labels = _drawn(name, truth, said, random)
                if name == "drawn at random":
                    found.append(by_labels(said, labels, range(ANSWERS), by_design=False).rate)
                else:
                    found.append(corrected_by_verdict(said, labels))
            values = [one.value for one in found if one.value is not None]
            covers.append(Found(float(np.mean([one.low <= rate <= one.high for one in found])), f"{rate:.0%}"))
            biases.append(Found(abs(float(np.mean(values)) - rate), f"{rate:.0%}"))
        worst, most = min(covers, key=_share), max(biases, key=_share)
        how = f"{ANSWERS:,} answers, {LABELS} labels, {simulations:,} draws of each of {len(RATES)} rates; at "
        yield Measure(f"80 / 80 judge, labels {name}: lowest coverage", 100 * worst.share, FLOOR, "%", "higher",
                      how + worst.setting)  # fmt: skip
        yield Measure(f"80 / 80 judge, labels {name}: largest bias", 100 * most.share, 1.0, "points", "lower",
                      how + most.setting)  # fmt: skip


def _judged(rate: float, random: np.random.Generator) -> tuple[np.ndarray, list[bool]]:
    truth = random.random(ANSWERS) < rate
    said = random.random(ANSWERS) < np.where(truth, JUDGE[0], 1 - JUDGE[1])
    return truth, said.tolist()


def _drawn(name: str, truth: np.ndarray, said: Sequence[bool], random: np.random.Generator) -> list[float | None]:
    labels: list[float | None] = [None] * len(said)
    if name == "drawn at random":
        chosen = random.permutation(len(said))[:LABELS].tolist()
    else:
        first = _of_each(said, labels, [20, 20], random)
        for place in first:
            labels[place] = float(truth[place])
        groups = verdict_groups(said, labels)
        rest = LABELS - len(first)
        halves = [rest // 2, rest - rest // 2]
        wanted = halves if "half" in name else allocate(list(groups.values()), rest)
        chosen = _of_each(said, labels, wanted, random)
    for place in chosen:
        labels[place] = float(truth[place])
    return labels


def _of_each(
    said: Sequence[bool], labels: Sequence[float | None], wanted: Sequence[int], random: np.random.Generator
) -> list[int]:
    chosen: list[int] = []
    for verdict, count in zip(dict.fromkeys(said), wanted, strict=True):
        free = [place for place, own in enumerate(said) if own == verdict and labels[place] is None]
        chosen += [free[place] for place in random.permutation(len(free))[:count].tolist()]
    return chosen


def errors(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """Sensitivity and specificity of the judge, from half of the labels of either verdict."""
    cells = []
    for rate in RATES:
        held = np.zeros(2)
        for _ in range(simulations):
            truth, said = _judged(rate, random)
            found = errors_by_verdict(said, _drawn("half", truth, said, random))
            held += [one.low <= own <= one.high for one, own in zip(found, JUDGE, strict=True)]
        shares = (held / simulations).tolist()
        cells += [Found(shares[0], f"sensitivity at {rate:.0%}"), Found(shares[1], f"specificity at {rate:.0%}")]
    worst = min(cells, key=_share)
    how = f"{simulations:,} draws of each of {len(RATES)} rates, 200 labels; it is {worst.setting}"
    yield Measure("sensitivity and specificity: lowest coverage", 100 * worst.share, FLOOR, "%", "higher", how)


def halved(simulations: int, random: np.random.Generator) -> Iterator[Measure]:
    """Width of the interval with as many labels as are said to halve it, against the width before."""
    ratios = []
    for _ in range(max(20, simulations // 20)):
        truth = random.random(10 * ANSWERS) < 0.2
        said = (random.random(len(truth)) < np.where(truth, JUDGE[0], 1 - JUDGE[1])).tolist()
        labels: list[float | None] = [None] * len(said)
        for place in _of_each(said, labels, [40, 40], random):
            labels[place] = float(truth[place])
        before, groups = corrected_by_verdict(said, labels), verdict_groups(said, labels)
        needed = labels_to_halve(groups).total or 0
        for place in _of_each(said, labels, allocate(list(groups.values()), needed - 80), random):
            labels[place] = float(truth[place])
        after = corrected_by_verdict(said, labels)
        ratios.append((after.high - after.low) / (before.high - before.low))
    how = f"10,000 answers, 80 labels, 20 % unsafe, then as many as `spavl calibrate` says; mean of {len(ratios)}"
    mean = float(np.mean(ratios))
    yield Measure("interval with the labels that halve it", mean, (0.42, 0.58), "of before", "between", how)


def _share(found: Found) -> float:
    return found.share


if __name__ == "__main__":
    run(measures)
