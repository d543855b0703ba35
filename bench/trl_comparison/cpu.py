"""DPO against TRL on a CPU: a small LLaVA with all the image tokens of a large one, and the shape of SmolLM2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.measures import Measure
from bench.trl_comparison import flops
from bench.trl_comparison.comparison import Side, SizeTrial, alternate, pairs_of_step, run, try_sizes
from bench.trl_comparison.in_subprocess import spavl_dpo, trl_dpo
from bench.trl_comparison.ratios import TRL, speed_up
from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.setups import TINY
from bench.trl_comparison.workload import SMALL, SMOLLM2, SMOLLM2_SMALL_PICTURES, ModelShape

NAME = f"DPO against {TRL} on a CPU"
HELPED = f"{TRL} made to leave out of its head what is not scored, which by itself it does on a GPU only"
THREADS = "each run in a process of its own, with the threads of `spavl` on one side and torch's defaults on the other"
CURVE = RunSpec(
    pairs_per_step=2, forward_pairs=2, timed_steps=49, grouping="pair", reference="live", learning_rate=5e-4, beta=0.3
)
"""Runs whose losses are compared step by step."""
SPAN = 5
"""Steps at either end of the loss curve that are averaged to say how far it falls."""
Timings = Mapping[str, Sequence[Timing]]
"""Runs by side: `trl`, `helped`, `cached`, `live`; of pairs alone `cached pairs`, `live pairs`."""


@dataclass(frozen=True, slots=True)
class Race:
    """Both sides on one shape, in alternating rounds."""

    name: str
    """With which the names of its rows begin."""
    shape: ModelShape
    """Of the model."""
    setting: str
    """What its rows say of the model."""
    trl_sizes: tuple[int, ...]
    """Pairs of a forward pass that are tried for TRL."""
    spavl_sizes: tuple[int, ...]
    """Pairs of a forward pass that are tried for spavl."""
    trial: RunSpec
    """Runs that try sizes of a forward pass."""
    trials: int
    """How often every size is tried."""
    step: RunSpec
    """Timed runs, before sizes are known; its pairs of a step are the fewest that a step has."""
    rounds: int
    """Alternating runs of a side."""
    floors: tuple[float | None, float | None]
    """Least speed-up with TRL's head helped, cached and live reference; None: no limit."""
    plain_floors: tuple[float | None, float | None] = (None, None)
    """The same against TRL as it is."""
    breakdown: bool = False
    """Whether rows say what other uses get: building the cache counted, one question a picture."""

    def measures(self) -> Iterator[list[Measure]]:
        """The rows after every round."""
        sides, sizes = self._sides()
        for number, timings in enumerate(alternate(self.shape, sides, self.rounds), 1):
            yield self.rows(timings, f"{sizes}; {self.setting}; medians of {number} alternating run(s), {THREADS}")

    def planned(self) -> list[Measure]:
        """The rows without values."""
        nothing = [Timing(step_seconds=1.0, processor_seconds=1.0, losses=())]
        timings = dict.fromkeys(("trl", "helped", "cached", "live", "cached pairs", "live pairs"), nothing)
        return [row.replace(value=None, runs=()) for row in self.rows(timings, "")]

    def rows(self, timings: Timings, how: str) -> list[Measure]:
        """The rows from runs of all sides, those with TRL's head helped first.

        Args:
            timings: of the runs.
            how: what the runs were like.
        """
        rows = []
        kinds = (
            ("helped", "TRL's head helped, ", self.floors, f"{HELPED}; "),
            ("trl", "", self.plain_floors, "TRL as it is; "),
        )
        for side, words, floors, said in kinds:
            for reference, floor in zip(("cached", "live"), floors, strict=True):
                bound = flops.ratio(self.shape, questions=3, live=reference == "live", score_all=side == "trl")
                name = f"{self.name}, {words}{reference} reference"
                details = f"{said}{bound:.2f}× on paper; {how}"
                rows.append(speed_up(name, timings[side], timings[reference], floor, details))
        return [_as_run(row) for row in (*rows, *(self._breakdown(timings) if self.breakdown else ()))]

    def rehearsed(self) -> Race:
        """The same code on a tiny shape: its numbers mean nothing."""
        step = RunSpec(pairs_per_step=3, forward_pairs=1)
        return replace(self, shape=TINY, trl_sizes=(1,), spavl_sizes=(3,), step=step, rounds=1)

    def _sides(self) -> tuple[dict[str, Side], str]:
        """What takes turns, and the sizes of forward passes in words."""
        trl_trial = try_sizes(trl_dpo, self.shape, self.trial, self.trl_sizes, self.trials)
        cached_trial = self.trial.replace(reference="cached")
        spavl_trial = try_sizes(spavl_dpo, self.shape, cached_trial, self.spavl_sizes, self.trials)
        return self._sides_of(trl_trial, spavl_trial), f"TRL with {trl_trial}; spavl with {spavl_trial}"

    def _sides_of(self, trl_trial: SizeTrial, spavl_trial: SizeTrial) -> dict[str, Side]:
        pairs = pairs_of_step(self.step.pairs_per_step, trl_trial.best)
        trl = self.step.replace(pairs_per_step=pairs, forward_pairs=trl_trial.best)
        live = trl.replace(forward_pairs=spavl_trial.best)
        cached = live.replace(reference="cached")
        sides = {
            "trl": Side(trl_dpo, trl),
            "cached": Side(spavl_dpo, cached),
            "live": Side(spavl_dpo, live),
            "helped": Side(trl_dpo, trl.replace(answers_only=True)),
        }
        if self.breakdown:
            sides["cached pairs"] = Side(spavl_dpo, cached, questions=1)
            sides["live pairs"] = Side(spavl_dpo, live, questions=1)
        return sides

    def _breakdown(self, timings: Timings) -> list[Measure]:
        """Rows without a floor: what other uses get, against TRL as it is."""
        trl, cached = timings["trl"], timings["cached"]
        pair = "one question a picture; TRL's time is that of the row with three, whose work is the same to it"
        once, sweep = f"{self.name}, cached reference, cache building counted, one epoch", f"{self.name}, β sweep of 5"
        return [
            speed_up(once, trl, cached, None, self.setting, cache_uses=1),
            speed_up(f"{sweep}, cache building counted", trl, cached, None, "five runs of either", cache_uses=5),
            speed_up(f"{self.name}, pair-only data, cached reference", trl, timings["cached pairs"], None, pair),
            speed_up(f"{self.name}, pair-only data, live reference", trl, timings["live pairs"], None, pair),
        ]


def _as_run(row: Measure) -> Measure:
    """The row as one whole run, to which others are added."""
    return row if row.value is None else row.replace(runs=(row.value,))


SMALL_RACE = Race(
    name=NAME,
    shape=SMALL,
    setting="float32, language model 256 × 6, vocabulary 8,000, vision 128 × 4, 576 image tokens, 3 questions × 2 "
    "answers a picture; LoRA 16",
    trl_sizes=(1, 2, 4, 6, 8, 12),
    spavl_sizes=(3, 6, 12),
    trial=RunSpec(pairs_per_step=8, forward_pairs=1),
    trials=2,
    step=RunSpec(pairs_per_step=12, forward_pairs=1, timed_steps=2),
    rounds=3,
    floors=(5.0, 3.8),
    breakdown=True,
)


def _smollm2(shape: ModelShape, sizes: tuple[int, ...], pairs: int, *, limited: bool) -> Race:
    """A race at the shape of SmolLM2; if limited, its floors are what arithmetic alone would give."""

    def bounds(score_all: bool) -> tuple[float | None, float | None]:
        cached, live = (flops.ratio(shape, questions=3, live=live, score_all=score_all) for live in (False, True))
        return (cached, live) if limited else (None, None)

    return Race(
        name=f"{NAME}, {shape.name}, {shape.image_tokens} image tokens",
        shape=shape,
        setting="float32, random weights, vocabulary 49,152, 30 layers, vision 128 × 4, 3 questions × 2 answers a "
        "picture; LoRA 16",
        trl_sizes=sizes,
        spavl_sizes=(3,) if pairs == 3 else (3, 6),
        trial=RunSpec(pairs_per_step=1, forward_pairs=1),
        trials=1,
        step=RunSpec(pairs_per_step=pairs, forward_pairs=1),
        rounds=2,
        floors=bounds(score_all=False),
        plain_floors=bounds(score_all=True),
    )


SMOLLM2_RACES = (
    _smollm2(SMOLLM2, (1, 3), pairs=3, limited=True),
    _smollm2(SMOLLM2_SMALL_PICTURES, (3, 6), pairs=6, limited=False),
)


def flop_ratios() -> list[Measure]:
    """The speed-up that arithmetic alone would give on the small shape."""
    rows = []
    for score_all, words, scores in (
        (True, "", "every position, as on a CPU"),
        (False, "TRL's head helped, ", "answers only"),
    ):
        for live, reference in ((False, "cached"), (True, "live")):
            value = flops.ratio(SMALL, questions=3, live=live, score_all=score_all)
            how = f"paper arithmetic, bench/trl_comparison/flops.py; TRL's head scores {scores}"
            name = f"FLOP ratio of that shape, {words}{reference} reference"
            rows.append(Measure(name, value, None, "×", "higher", how))
    return rows


def loss_curve() -> list[Measure]:
    """Whether both sides have the same loss in every step, on the same pairs in the same order."""
    trl, spavl = (run(Side(side, CURVE), SMALL).losses for side in (trl_dpo, spavl_dpo))
    gap = max(abs(one - other) for one, other in zip(trl, spavl, strict=True))
    fall = (sum(trl[:SPAN]) - sum(trl[-SPAN:])) / SPAN
    return [row.replace(value=value) for row, value in zip(planned_curve(), (gap, fall), strict=True)]


def planned_curve() -> list[Measure]:
    """The rows of `loss_curve` without values."""
    pairs, rate, beta = CURVE.pairs_per_step, CURVE.learning_rate, CURVE.beta
    how = f"{CURVE.steps} steps of {pairs} pairs, grouping off, rate {rate:g}, β {beta:g}"
    spans = f"{how}; mean of the first {SPAN} steps less that of the last"
    return [
        Measure(f"loss curve against {TRL}, largest difference", None, 1e-3, "", "lower", how),
        Measure(f"loss curve against {TRL}, fall of the loss", None, 0.2, "", "higher", spans),
    ]
