"""Two processes against one: {dpo, reward, ppo} × {lora, full, vision lora}, and each method once in bfloat16.

python -m bench.launches [--json FILE]

A tiny LLaVA with a head of its own (nothing tied), four optimiser steps of each, two processes (gloo) on the CPU.
Measured is the largest difference of a loss in any step; a training that does not finish is infinitely far off.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import torch

from bench.measures import Measure, run
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair
from tests.align.launches import MATRIX, TOLERANCE, Case, difference, launch, train
from tests.tiny import WORDS, picture, tiny_llava

REWARD = Case("reward", "lora")
"""The training whose reward model PPO uses."""


def measures() -> list[Measure]:
    """One row a training of the matrix."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkpoint, pairs = tiny_llava(folder / "llava"), noise_pairs(folder / "pictures")
        one, two = folder / "one", folder / "two"
        for case in sorted(MATRIX, key=lambda case: case != REWARD):
            train(case, pairs, checkpoint, one / REWARD.name, one)
        launch(MATRIX, pairs, checkpoint, one / REWARD.name, two)
        return [_measure(case, one, two) for case in MATRIX]


def noise_pairs(folder: Path) -> list[Pair]:
    """24 pairs about 8 pictures of noise; answers of unequal length.

    Args:
        folder: where the pictures are written.
    """
    rng = random.Random(0)

    def words(least: int, most: int) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))

    shown = [(Picture(f"key{number}", picture(folder / f"{number}.png", seed=number)),) for number in range(8)]
    return [
        Pair(f"{number}/{question}", pictures, words(4, 8), words(2, 6), words(7, 9))
        for number, pictures in enumerate(shown)
        for question in range(3)
    ]


def _measure(case: Case, one: Path, two: Path) -> Measure:
    error = next((path.read_text("utf-8") for path in two.glob(f"{case.name}-*.error")), "")
    name = f"{case.method}, {case.freeze}, {case.dtype}: loss of two processes − of one"
    how = error or "largest difference over four steps, 2 processes (gloo) on the CPU"
    return Measure(name, difference(case, one, two), TOLERANCE[case.dtype], "", "lower", how)


if __name__ == "__main__":
    run(measures)
