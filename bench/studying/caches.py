"""What caches save a study: six nested sizes and five values of beta, with caches and without them, in one run.

    python -m bench.studying.caches --json FILE

Both sides make the same eleven trainings in one process and on one thread, the largest first; they take turns, and
which begins changes. With caches: reference and features of the vision tower are kept on disk, pairs are converted
once, and what the process has tokenised, hashed or measured of the model before a training is kept; all of it is made
anew by each turn, and its making counts. Without: `align.reference.mode` and `align.features.mode` are `live`, and
every training begins with nothing kept.

Counted are CPU seconds of the process, so that other work on the machine does not count. Beside the ratio stands its
ceiling by arithmetic, where nothing but the language model and the tower takes time. `SPAVL_DEMO` names the run whose
pairs the miniature world is measured on, `SPAVL_BENCH_ROUNDS` how often both sides take a turn.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bench.measures import Measure, run
from bench.trl_comparison.flops import tree
from bench.trl_comparison.workload import LLAVA_7B, ModelShape, make_processor, random_model, random_pairs
from spavl.align.data.packed_trees import PROCESS
from spavl.align.dpo.train import train_dpo
from spavl.align.preflight.probes import PROBED
from spavl.config.align import AlignSettings
from spavl.config.models import LocalSpec
from spavl.models import identity
from spavl.models.identity import find_checkpoint
from spavl.preferences.pairs import Pair
from spavl.preferences.table import open_pairs, select

DEMO = Path(os.environ.get("SPAVL_DEMO", "runs/demo"))
ROUNDS = int(os.environ.get("SPAVL_BENCH_ROUNDS", "2"))
FLOOR = 2.0
BETAS = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Values of the sweep, each on all pairs; the second is that of all sizes."""
SHAPE = ModelShape("128 × 3 with 576 image tokens", 128, 344, 3, 4, 1_000, 32, 128, 2, 1)
"""LLaVA's shape for a CPU: the tower takes a few hundredths of a pass, as in LLaVA-1.5-7B."""
QUESTIONS = 3
"""Pairs of a picture."""


@dataclass(frozen=True, slots=True)
class Training:
    """One of the trainings of both studies."""

    pairs: int
    """The first so many pairs."""
    beta: float
    """Of the loss."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is trained."""

    name: str
    """For people."""
    settings: dict[str, Any]
    """Of alignment, without caches and beta."""
    sizes: Sequence[int]
    """Pairs of the nested subsets, the largest last."""
    pairs: Callable[[Path], Sequence[Pair]]
    """Opens the pairs, given the folder of converted ones."""
    words: str
    """What the table says of it."""

    def trainings(self) -> list[Training]:
        """All trainings, the largest first; that of all pairs at the common beta is in both studies."""
        most = self.sizes[-1]
        scale = [Training(pairs, BETAS[1]) for pairs in reversed(self.sizes)]
        return [*scale, *(Training(most, beta) for beta in BETAS)]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side took for all trainings."""

    cpu: tuple[float, ...]
    """CPU seconds of each."""
    wall: float
    """Seconds by the clock for all."""


def turn(workload: Workload, *, cached: bool) -> Turn:
    """One side makes all trainings.

    Args:
        workload: what is trained.
        cached: with caches.
    """
    cpu, began = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        _forget()
        for number, training in enumerate(workload.trainings()):
            kept = Path(folder) / ("kept" if cached else f"kept-{number}")
            if not cached:
                _forget()
            before = time.process_time()
            train(workload, training, kept, Path(folder) / f"out-{number}", mode="cached" if cached else "live")
            cpu.append(time.process_time() - before)
    return Turn(tuple(cpu), time.perf_counter() - began)


def train(workload: Workload, training: Training, kept: Path, out: Path, *, mode: str) -> None:
    """One training.

    Args:
        workload: what is trained.
        training: on how many pairs, with which beta.
        kept: folder of all caches on disk.
        out: of the training.
        mode: of reference and features.
    """
    settings = AlignSettings.model_validate(
        {
            **workload.settings,
            "seed": 1,
            "loss": {**workload.settings.get("loss", {}), "beta": training.beta},
            "reference": {"mode": mode, "cache": str(kept / "reference")},
            "features": {"mode": mode, "cache": str(kept / "features")},
        }
    )
    pairs = workload.pairs(kept / "pairs")
    train_dpo(select(pairs, range(training.pairs)), settings, out)


def _forget() -> None:
    """Let the process forget what it has tokenised, measured and hashed."""
    PROCESS.forget()
    PROBED.forget()
    identity._hash_of_stamped.cache_clear()


def llava(folder: Path, sizes: Sequence[int] = (6, 12, 18, 24, 36, 48)) -> Workload:
    """Random words about noise, as SPA-VL's pairs are long, with a small model of LLaVA's shape.

    Args:
        folder: where the model is written.
        sizes: of the subsets.
    """
    random_model(SHAPE, "cpu", torch.float32).save_pretrained(folder)
    make_processor(SHAPE).save_pretrained(folder)
    pairs = random_pairs(SHAPE, sizes[-1], questions=QUESTIONS)
    settings = {
        "model": str(folder),
        "freeze": {"rank": 16, "alpha": 32},
        "batching": {"pairs": 6, "token_budget": 4096},
        "saving": {"every": None},
    }
    words = f"{SHAPE.name}, LoRA 16 and projector trained, tower frozen, {QUESTIONS} pairs a picture, one epoch"
    return Workload("LLaVA's shape", settings, sizes, lambda _: pairs, words)


def miniworld(sizes: Sequence[int] = (20, 40, 80, 160, 240, 320)) -> Workload:
    """The demo's pairs, model and settings.

    Args:
        sizes: of the subsets.
    """
    base = find_checkpoint(LocalSpec(name="base", path="miniworld:base"))
    settings = {
        "model": str(base.folder),
        "loss": {"kind": "sigmoid", "sft_anchor": 2.0},
        "freeze": {"vision": "frozen", "projector": "train", "language": "full"},
        "optimiser": {"learning_rate": 1.5e-4, "epochs": 1, "warmup": 0.1},
        "batching": {"pairs": 16, "token_budget": 16384},
        "saving": {"keep": 1},
    }
    words = "pairs and settings of `spavl demo`, the language model trained in full, one epoch"

    def pairs(cache: Path) -> Sequence[Pair]:
        return open_pairs(DEMO / "dataset", cache=cache, limit=sizes[-1])

    return Workload("miniature world", settings, sizes, pairs, words)


def ceiling(shape: ModelShape, workload: Workload, *, once: bool) -> float:
    """Operations without caches over those with them, if language model and tower were all that takes time.

    A training step of a pair takes a forward and a backward pass of the language model; a live reference one more
    forward pass, and with a projector in training each of the two its own pass of the tower.

    Args:
        shape: of the model; its language model is trained through LoRA.
        workload: its trainings.
        once: with caches the training that both studies have in common is made once.
    """
    of_pair = tree(shape, QUESTIONS)
    seen = sum(training.pairs for training in workload.trainings())
    live = seen * (3 * of_pair.forward + 2 * of_pair.pictures)
    filled = workload.sizes[-1] * (of_pair.forward + of_pair.pictures)
    return live / ((seen - once * workload.sizes[-1]) * 2 * of_pair.forward + filled)


def measured(workload: Workload, about: str) -> list[Measure]:
    """Ratios of a workload over all rounds, their medians and ranges.

    Args:
        workload: what is trained.
        about: what is to be said beside.
    """
    rounds: list[tuple[Turn, Turn]] = []
    for number in range(ROUNDS):
        order = (True, False) if number % 2 else (False, True)
        turns = {cached: turn(workload, cached=cached) for cached in order}
        rounds.append((turns[False], turns[True]))
    same = [sum(live.cpu) / sum(cached.cpu) for live, cached in rounds]
    common = len(workload.sizes) + BETAS.index(BETAS[1])
    once = [sum(live.cpu) / (sum(cached.cpu) - cached.cpu[common]) for live, cached in rounds]
    beta = [sum(live.cpu[len(workload.sizes) :]) / sum(cached.cpu[len(workload.sizes) :]) for live, cached in rounds]
    seconds = f"{median(sum(live.cpu) for live, _ in rounds):.0f} → {median(sum(one.cpu) for _, one in rounds):.0f}"
    how = (
        f"{workload.words}; sizes {', '.join(map(str, workload.sizes))}, beta {', '.join(map(str, BETAS))}; "
        f"{seconds} CPU seconds, {len(rounds)} alternating rounds; {about}"
    )
    name = f"{workload.name}: scale and beta sweep, without caches over with them"
    return [
        _ratio(name, same, FLOOR, how),
        _ratio(f"{name}, the training that both have in common made once", once, None, "the same rounds"),
        _ratio(f"{workload.name}: the beta sweep alone, after scale", beta, None, "the same rounds"),
    ]


def _ratio(name: str, found: Sequence[float], floor: float | None, how: str) -> Measure:
    spread = f"; {min(found):.2f}–{max(found):.2f} over rounds" if len(found) > 1 else ""
    return Measure(name, round(median(found), 2), floor, "×", "higher", how + spread)


def measures() -> list[Measure]:
    """The ratios on both workloads, and their ceilings."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = llava(Path(folder))
        shapes = [(SHAPE, "this shape"), (LLAVA_7B, "LLaVA-1.5-7B's")]
        about = "ceiling by arithmetic " + ", ".join(
            f"{ceiling(shape, work, once=False):.2f} ({ceiling(shape, work, once=True):.2f} with the common training "
            f"once) for {words}"
            for shape, words in shapes
        )
        found = measured(work, about)
    if not (DEMO / "dataset").is_dir():
        return [*found, Measure("miniature world: scale and beta sweep", None, FLOOR, "×", "higher",
                                f"{DEMO} is not there: run `make demo` first")]  # fmt: skip
    return [*found, *measured(miniworld(), "the model is so small that Python takes most of the time")]


if __name__ == "__main__":
    run(measures)
