"""The rows for a CPU: a small LLaVA with all the image tokens of a large one."""

from __future__ import annotations

from bench.measures import Measure
from bench.trl_comparison import flops
from bench.trl_comparison.comparison import Contestant, alternate, run, steps_of, try_sizes
from bench.trl_comparison.in_subprocess import spavl_dpo, trl_dpo
from bench.trl_comparison.ratios import TRL, speed_up
from bench.trl_comparison.run_spec import RunSpec, Timing
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
TRIAL = RunSpec(step=8, batch=1)
"""While the best size of a forward pass is looked for."""
CURVE = RunSpec(step=2, batch=2, timed=49, grouping="pair", reference="live", rate=5e-4, beta=0.3)
SPAN = 5
"""Steps at either end of the curve that are averaged to say how far it falls."""


def measures() -> list[Measure]:
    """All of them."""
    trial = try_sizes(trl_dpo, SMALL, TRIAL, SIZES, times=2)
    our_trial = try_sizes(spavl_dpo, SMALL, TRIAL.of(reference="cached"), OUR_SIZES, times=2)
    trl = RunSpec(step=steps_of(LEAST, trial.best), batch=trial.best, timed=2)
    live = trl.of(batch=our_trial.best)
    cached = live.of(reference="cached")
    timings = alternate(
        SMALL,
        {
            "trl": Contestant(trl_dpo, trl),
            "cached": Contestant(spavl_dpo, cached),
            "live": Contestant(spavl_dpo, live),
            "trl, helped": Contestant(trl_dpo, trl.of(answers_only=True)),
            "cached, pairs only": Contestant(spavl_dpo, cached, questions=1),
            "live, pairs only": Contestant(spavl_dpo, live, questions=1),
        },
    )
    return [
        *_speed_ups(timings, f"TRL with {trial}; spavl with {our_trial}; {SHAPE}"),
        *_breakdown(timings),
        *_flop_ratios(),
        *curve(),
    ]


def _speed_ups(timings: dict[str, list[Timing]], how: str) -> list[Measure]:
    trl = timings["trl"]
    return [
        speed_up(f"{NAME}, cached reference", trl, timings["cached"], 9.0, f"{how}; the cache is there already"),
        speed_up(f"{NAME}, live reference", trl, timings["live"], 6.0, how),
    ]


def _breakdown(timings: dict[str, list[Timing]]) -> list[Measure]:
    """Without a floor: where the gain comes from, and what other uses get."""
    trl, helped, cached = timings["trl"], timings["trl, helped"], timings["cached"]
    pair = "one question a picture; TRL's time is that of the row with three, whose work is the same to it"
    help_ = f"{TRL} made to leave out of its head what is not scored, which by itself it does on a GPU only"
    return [
        speed_up(f"{NAME}, cached reference, cache building counted, one epoch", trl, cached, None, SHAPE, uses=1),
        speed_up(f"{NAME}, β sweep of 5, cache building counted", trl, cached, None, "five runs of either", uses=5),
        speed_up(f"{NAME}, pair-only data, cached reference", trl, timings["cached, pairs only"], None, pair),
        speed_up(f"{NAME}, pair-only data, live reference", trl, timings["live, pairs only"], None, pair),
        speed_up(f"{NAME}, TRL's head helped, cached reference", helped, cached, None, help_),
        speed_up(f"{NAME}, TRL's head helped, live reference", helped, timings["live"], None, help_),
    ]


def _flop_ratios() -> list[Measure]:
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
    trl, our = (run(Contestant(side, CURVE), SMALL).losses for side in (trl_dpo, spavl_dpo))
    gap = max(abs(one - other) for one, other in zip(trl, our, strict=True))
    fall = (sum(trl[:SPAN]) - sum(trl[-SPAN:])) / SPAN
    how = f"{len(our)} steps of {CURVE.step} pairs, grouping off, rate {CURVE.rate:g}, β {CURVE.beta:g}"
    spans = f"{how}; mean of the first {SPAN} steps less that of the last"
    return [
        Measure(f"loss curve against {TRL}, largest difference", gap, 1e-3, "", "lower", how),
        Measure(f"loss curve against {TRL}, fall of the loss", fall, 0.2, "", "higher", spans),
    ]
