"""The rows for a CPU: a small LLaVA with all the image tokens of a large one."""

from __future__ import annotations

from bench.measures import Measure
from bench.trl_comparison import flops
from bench.trl_comparison.comparison import Entry, run, steps_of, try_sizes, turns
from bench.trl_comparison.protocol import Lap, Terms
from bench.trl_comparison.ratios import TRL, gain
from bench.trl_comparison.subprocess_laps import ours, theirs
from bench.trl_comparison.workload import SMALL

NAME = f"DPO against {TRL} on a CPU"
SHAPE = (
    "float32, language model 256 × 6, vocabulary 8,000, vision 128 × 4, 576 image tokens, 3 questions × 2 answers a "
    "picture; LoRA 16; medians of 3 alternating runs, each in a process of its own, with the "
    "threads of `spavl` on one side and torch's defaults on the other"
)
SIZES, OUR_SIZES = (1, 2, 4, 6, 8, 12), (3, 6, 12)
LEAST = 12
"""Pairs of an optimiser step, at least."""
TRIAL = Terms(step=8, batch=1)
"""While the best size of a forward pass is looked for."""
CURVE = Terms(step=2, batch=2, timed=49, grouping="pair", reference="live", rate=5e-4, beta=0.3)
SPAN = 5
"""Steps at either end of the curve that are averaged to say how far it falls."""


def measures() -> list[Measure]:
    """All of them."""
    tried = try_sizes(theirs, SMALL, TRIAL, SIZES, times=2)
    our_tried = try_sizes(ours, SMALL, TRIAL.of(reference="cached"), OUR_SIZES, times=2)
    trl = Terms(step=steps_of(LEAST, tried.best), batch=tried.best, timed=2)
    live = trl.of(batch=our_tried.best)
    cached = live.of(reference="cached")
    laps = turns(
        SMALL,
        {
            "trl": Entry(theirs, trl),
            "cached": Entry(ours, cached),
            "live": Entry(ours, live),
            "trl, helped": Entry(theirs, trl.of(answers_only=True)),
            "cached, pairs only": Entry(ours, cached, questions=1),
            "live, pairs only": Entry(ours, live, questions=1),
        },
    )
    return [*_gains(laps, f"TRL with {tried}; spavl with {our_tried}; {SHAPE}"), *_others(laps), *_paper(), *curve()]


def _gains(laps: dict[str, list[Lap]], how: str) -> list[Measure]:
    trl = laps["trl"]
    return [
        gain(f"{NAME}, cached reference", trl, laps["cached"], 9.0, f"{how}; the cache is there already"),
        gain(f"{NAME}, live reference", trl, laps["live"], 6.0, how),
    ]


def _others(laps: dict[str, list[Lap]]) -> list[Measure]:
    """Without a floor: where the gain comes from, and what other uses get."""
    trl, helped, cached = laps["trl"], laps["trl, helped"], laps["cached"]
    pair = "one question a picture; TRL's time is that of the row with three, whose work is the same to it"
    help_ = f"{TRL} made to leave out of its head what is not scored, which by itself it does on a GPU only"
    return [
        gain(f"{NAME}, cached reference, cache building counted, one epoch", trl, cached, None, SHAPE, uses=1),
        gain(f"{NAME}, β sweep of 5, cache building counted", trl, cached, None, "five runs of either", uses=5),
        gain(f"{NAME}, pair-only data, cached reference", trl, laps["cached, pairs only"], None, pair),
        gain(f"{NAME}, pair-only data, live reference", trl, laps["live, pairs only"], None, pair),
        gain(f"{NAME}, TRL's head helped, cached reference", helped, cached, None, help_),
        gain(f"{NAME}, TRL's head helped, live reference", helped, laps["live"], None, help_),
    ]


def _paper() -> list[Measure]:
    """What the arithmetic alone would give."""
    how = "paper arithmetic, bench/trl_comparison/flops.py; TRL's head scores"
    return [
        _ratio("cached reference", f"{how} every position, as on a CPU", live=False, score_all=True),
        _ratio("live reference", f"{how} every position, as on a CPU", live=True, score_all=True),
        _ratio("TRL's head helped, cached reference", f"{how} answers only", live=False, score_all=False),
        _ratio("TRL's head helped, live reference", f"{how} answers only", live=True, score_all=False),
    ]


def _ratio(name: str, how: str, *, live: bool, score_all: bool) -> Measure:
    value = flops.ratio(SMALL, questions=3, live=live, score_all=score_all)
    return Measure(f"FLOP ratio of that shape, {name}", value, None, "×", "higher", how)


def curve() -> list[Measure]:
    """The same loss, step by step, on the same pairs in the same order."""
    trl, our = (run(Entry(side, CURVE), SMALL).losses for side in (theirs, ours))
    apart = max(abs(one - other) for one, other in zip(trl, our, strict=True))
    fall = (sum(trl[:SPAN]) - sum(trl[-SPAN:])) / SPAN
    how = f"{len(our)} steps of {CURVE.step} pairs, grouping off, rate {CURVE.rate:g}, β {CURVE.beta:g}"
    spans = f"{how}; mean of the first {SPAN} steps less that of the last"
    return [
        Measure(f"loss curve against {TRL}, largest difference", apart, 1e-3, "", "lower", how),
        Measure(f"loss curve against {TRL}, fall of the loss", fall, 0.2, "", "higher", spans),
    ]
