"""DPO against TRL on a CPU: a small LLaVA with all the image tokens of a large one."""

from __future__ import annotations

from bench.measures import Measure
from bench.trl_comparison import flops
from bench.trl_comparison.comparison import Side, alternate, pairs_of_step, run, try_sizes
from bench.trl_comparison.in_subprocess import spavl_dpo, trl_dpo
from bench.trl_comparison.ratios import TRL, speed_up
from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.workload import SMALL

NAME = f"DPO against {TRL} on a CPU"
SETTING = (
    "float32, language model 256 × 6, vocabulary 8,000, vision 128 × 4, 576 image tokens, 3 questions × 2 answers a "
    "picture; LoRA 16; medians of 3 alternating runs, each in a process of its own, with the "
    "threads of `spavl` on one side and torch's defaults on the other"
)
TRL_SIZES, SPAVL_SIZES = (1, 2, 4, 6, 8, 12), (3, 6, 12)
"""Pairs of a forward pass that are tried."""
PAIRS_PER_STEP = 12
"""Fewest pairs of an optimiser step."""
TRIAL = RunSpec(pairs_per_step=8, forward_pairs=1)
"""Runs that try sizes of a forward pass."""
CURVE = RunSpec(
    pairs_per_step=2, forward_pairs=2, timed_steps=49, grouping="pair", reference="live", learning_rate=5e-4, beta=0.3
)
"""Runs whose losses are compared step by step."""
SPAN = 5
"""Steps at either end of the loss curve that are averaged to say how far it falls."""


def measures() -> list[Measure]:
    """Every row for a CPU."""
    trl_trial = try_sizes(trl_dpo, SMALL, TRIAL, TRL_SIZES, repeats=2)
    spavl_trial = try_sizes(spavl_dpo, SMALL, TRIAL.replace(reference="cached"), SPAVL_SIZES, repeats=2)
    pairs = pairs_of_step(PAIRS_PER_STEP, trl_trial.best)
    trl = RunSpec(pairs_per_step=pairs, forward_pairs=trl_trial.best, timed_steps=2)
    live = trl.replace(forward_pairs=spavl_trial.best)
    cached = live.replace(reference="cached")
    timings = alternate(
        SMALL,
        {
            "trl": Side(trl_dpo, trl),
            "cached": Side(spavl_dpo, cached),
            "live": Side(spavl_dpo, live),
            "trl, answers only": Side(trl_dpo, trl.replace(answers_only=True)),
            "cached, pairs only": Side(spavl_dpo, cached, questions=1),
            "live, pairs only": Side(spavl_dpo, live, questions=1),
        },
    )
    return [
        *_speed_ups(timings, f"TRL with {trl_trial}; spavl with {spavl_trial}; {SETTING}"),
        *_breakdown(timings),
        *_flop_ratios(),
        *loss_curve(),
    ]


def _speed_ups(timings: dict[str, list[Timing]], how: str) -> list[Measure]:
    trl = timings["trl"]
    return [
        speed_up(f"{NAME}, cached reference", trl, timings["cached"], 9.0, f"{how}; the cache is there already"),
        speed_up(f"{NAME}, live reference", trl, timings["live"], 6.0, how),
    ]


def _breakdown(timings: dict[str, list[Timing]]) -> list[Measure]:
    """Rows without a floor: where the speed-up comes from, and what other uses get."""
    trl, helped, cached = timings["trl"], timings["trl, answers only"], timings["cached"]
    pair = "one question a picture; TRL's time is that of the row with three, whose work is the same to it"
    answers_only = f"{TRL} made to leave out of its head what is not scored, which by itself it does on a GPU only"
    return [
        speed_up(
            f"{NAME}, cached reference, cache building counted, one epoch", trl, cached, None, SETTING, cache_uses=1
        ),
        speed_up(
            f"{NAME}, β sweep of 5, cache building counted", trl, cached, None, "five runs of either", cache_uses=5
        ),
        speed_up(f"{NAME}, pair-only data, cached reference", trl, timings["cached, pairs only"], None, pair),
        speed_up(f"{NAME}, pair-only data, live reference", trl, timings["live, pairs only"], None, pair),
        speed_up(f"{NAME}, TRL's head helped, cached reference", helped, cached, None, answers_only),
        speed_up(f"{NAME}, TRL's head helped, live reference", helped, timings["live"], None, answers_only),
    ]


def _flop_ratios() -> list[Measure]:
    """The speed-up that arithmetic alone would give."""
    how = "paper arithmetic, bench/trl_comparison/flops.py; TRL's head scores"
    return [
        _flop_ratio("cached reference", f"{how} every position, as on a CPU", live=False, score_all=True),
        _flop_ratio("live reference", f"{how} every position, as on a CPU", live=True, score_all=True),
        _flop_ratio("TRL's head helped, cached reference", f"{how} answers only", live=False, score_all=False),
        _flop_ratio("TRL's head helped, live reference", f"{how} answers only", live=True, score_all=False),
    ]


def _flop_ratio(name: str, how: str, *, live: bool, score_all: bool) -> Measure:
    value = flops.ratio(SMALL, questions=3, live=live, score_all=score_all)
    return Measure(f"FLOP ratio of that shape, {name}", value, None, "×", "higher", how)


def loss_curve() -> list[Measure]:
    """Whether both sides have the same loss in every step, on the same pairs in the same order."""
    trl, spavl = (run(Side(side, CURVE), SMALL).losses for side in (trl_dpo, spavl_dpo))
    gap = max(abs(one - other) for one, other in zip(trl, spavl, strict=True))
    fall = (sum(trl[:SPAN]) - sum(trl[-SPAN:])) / SPAN
    rate, beta = CURVE.learning_rate, CURVE.beta
    how = f"{len(spavl)} steps of {CURVE.pairs_per_step} pairs, grouping off, rate {rate:g}, β {beta:g}"
    spans = f"{how}; mean of the first {SPAN} steps less that of the last"
    return [
        Measure(f"loss curve against {TRL}, largest difference", gap, 1e-3, "", "lower", how),
        Measure(f"loss curve against {TRL}, fall of the loss", fall, 0.2, "", "higher", spans),
    ]
