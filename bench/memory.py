"""The memory estimate against what trainings take: LoRA, full, checkpointed, QLoRA, reward model, PPO, on the CPU.

python -m bench.memory [--json FILE]

Each training runs in a process of its own on a random LLaVA of some 30 million weights. Measured is the growth of the
process's own memory (resident pages, those of a mapped checkpoint included) from before the model is loaded to the most
until the last step is done: the kernel's own high-water mark, which misses nothing between two readings. The allocator
is told to give freed memory back at once. A training on another model comes first, so that libraries are loaded and
warm. Linux only.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measures import Measure, run

SIZES = {"hidden": 512, "layers": 8, "image_size": 96, "patch": 8, "vision_hidden": 64}
"""A language model of 27 million weights, 144 tokens a picture."""
FULL = {"freeze": {"language": "full"}}
CHECKPOINTED = {"machine": {"device": "cpu", "gradient_checkpointing": True}}
# fmt: off
CASES: Mapping[str, Mapping[str, Any]] = {
    "LoRA": {},
    "full": FULL,
    "full, checkpointed": {**FULL, **CHECKPOINTED, "batching": {"pairs": 24, "token_budget": 4096}},
    "LoRA, checkpointed": {**CHECKPOINTED, "batching": {"pairs": 24, "token_budget": 4096}},
    "QLoRA": {"freeze": {"quantisation": "4bit", "rank": 16}},
    "reward model": {"method": "reward", "validation": {"measure_every": None, "held_out": 0.2}},
    "PPO": {"method": "ppo", "ppo": {"prompts": 9, "max_tokens": 40, "answers": 2}},
}
# fmt: on
"""Settings of the trainings, beyond those of `settings`."""
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "524288", "MALLOC_TRIM_THRESHOLD_": "524288", "MALLOC_ARENA_MAX": "1"}
LEAST, MOST = 1.0, 1.2
NEWEST_MARK = "5"
"""What, written to `clear_refs`, sets the kernel's mark of the most resident memory to what is resident now."""


def measures() -> list[Measure]:
    """Three rows a training: estimate, measured growth, and their ratio."""
    return [row for name in CASES for row in _rows(name)]


def _rows(name: str) -> list[Measure]:
    environment = {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.memory", "--case", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return [Measure(f"{name}: estimate / measured", None, (LEAST, MOST), "×", "between", done.stderr[-300:])]
    found = json.loads(done.stdout.splitlines()[-1])
    estimate, measured = found["estimate"] / 2**20, found["measured"] / 2**20
    how = "growth of the process's resident memory until the last step, by the kernel's mark; two steps, one thread"
    return [
        Measure(f"{name}: memory estimate", round(estimate), None, "MiB", "lower", "before the first step"),
        Measure(f"{name}: memory measured", round(measured), None, "MiB", "lower", how),
        Measure(f"{name}: estimate / measured", round(estimate / measured, 3), (LEAST, MOST), "×", "between", how),
    ]


def settings(name: str, folder: Path) -> Any:
    """Settings of a training.

    Args:
        name: of the case.
        folder: that holds the checkpoint.
    """
    from spavl.config.align import AlignSettings

    case = CASES[name]
    return AlignSettings.model_validate(
        {
            "model": str(folder / "llava"),
            "seed": 1,
            "optimiser": {"max_steps": 2, "learning_rate": 1e-4},
            "batching": {"pairs": 6, "token_budget": 1024},
            "machine": {"device": "cpu"},
            "saving": {"every": None, "merged": False, "log_every": 1},
            **case,
            "freeze": {"rank": 16, **case.get("freeze", {})},
        }
    )


def measure_case(name: str) -> dict[str, int]:
    """Bytes estimated for a training, and bytes that it took.

    Args:
        name: of the case.
    """
    import torch

    from tests.tiny import tiny_llava

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        warm, real = Path(temporary) / "warm", Path(temporary) / "real"
        tiny_llava(warm / "llava", image_size=96)
        tiny_llava(real / "llava", **SIZES)
        if settings(name, real).method == "ppo":
            make_reward_models(warm, real)
        train(name, warm, lambda done, last: None)
        measured, before = 0, own_memory()

        def at_step(done: int, last: int) -> None:
            nonlocal measured
            measured = most_memory() - before

        train(name, real, at_step)
        return {"estimate": estimate(name, real), "measured": measured}


def train(name: str, folder: Path, on_progress: Any) -> None:
    """Run a training.

    Args:
        name: of the case.
        folder: that holds the checkpoint, and for PPO a reward model; pairs and results are written there.
        on_progress: called after every step of the training.
    """
    from spavl.align.dpo.train import train_dpo
    from spavl.align.ppo.train import train_ppo
    from spavl.align.reward.train import train_reward

    pairs, wanted, progress = long_pairs(folder / "pictures"), settings(name, folder), Steps(on_progress)
    match wanted.method:
        case "dpo":
            train_dpo(pairs, wanted, folder / "out", progress=progress)
        case "reward":
            train_reward(pairs, wanted, folder / "out", progress=progress)
        case _:
            train_ppo(pairs, wanted, folder / "out", reward=folder / "reward", progress=progress)


def make_reward_models(*folders: Path) -> None:
    """Train reward models for PPO, in a process of its own: what it takes is not PPO's.

    Args:
        folders: that hold the checkpoints; each gets a `reward`.
    """
    command = [sys.executable, "-m", "bench.memory", "--reward-models", *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-300:])


def _train_rewards(folders: Sequence[Path]) -> None:
    from spavl.align.reward.train import train_reward

    for folder in folders:
        wanted = settings("reward model", folder)
        train_reward(long_pairs(folder / "pictures")[:6], wanted, folder / "reward")


def estimate(name: str, folder: Path) -> int:
    """Bytes that the product expects a training to take.

    Args:
        name: of the case.
        folder: that holds checkpoint, pairs and reward model.
    """
    from spavl.align.preflight.prepare import prepare
    from spavl.progress import NoProgress

    pairs, wanted = long_pairs(folder / "pictures"), settings(name, folder)
    reference = wanted.method != "reward"
    prepared = prepare(pairs, wanted, NoProgress(), reference=reference)
    if wanted.method != "ppo":
        assert prepared.report.estimate is not None
        return prepared.report.estimate.memory.total
    return _ppo_estimate(prepared, wanted, folder / "reward")


def _ppo_estimate(prepared: Any, wanted: Any, reward: Path) -> int:
    import torch

    from spavl.align.ppo.memory import ppo_memory
    from spavl.align.ppo.models import load_ppo_models
    from spavl.align.ppo.rollout import prompts_of
    from spavl.align.ppo.train import rounds_of

    device = torch.device("cpu")
    models = load_ppo_models(wanted, prepared.policy, reward, compute=torch.float32, device=device)
    return ppo_memory(prepared, models, rounds_of(prompts_of(prepared.pairs), wanted), wanted).total


def long_pairs(folder: Path) -> list[Any]:
    """36 pairs about 12 pictures of noise, with answers of 30 to 45 words.

    Args:
        folder: where the pictures are written.
    """
    from spavl.pictures import Picture
    from spavl.preferences.pairs import Pair
    from tests.tiny import WORDS, picture

    rng = random.Random(0)

    def words(least: int, most: int) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))

    shown = [(Picture(f"key{number}", picture(folder / f"{number}.png", seed=number)),) for number in range(12)]
    return [
        Pair(f"{number}/{question}", pictures, words(6, 10), words(30, 40), words(35, 45))
        for number, pictures in enumerate(shown)
        for question in range(3)
    ]


class Steps:
    """Progress that tells of the steps of a training, and of nothing else.

    Args:
        on_progress: called after every step.
    """

    def __init__(self, on_progress: Any) -> None:
        self._on_progress = on_progress

    @contextmanager
    def bar(self, name: str) -> Iterator[Any]:
        """A context for one bar; only that of the training is told of."""
        yield self._on_progress if name in ("dpo", "reward", "ppo") else lambda done, total: None

    def log(self, line: str) -> None:
        """Nothing is logged."""


def own_memory() -> int:
    """Resident bytes of this process; the most that is told from here on starts at them."""
    Path("/proc/self/clear_refs").write_text(NEWEST_MARK)
    return most_memory()


def most_memory() -> int:
    """The most bytes that were resident since `own_memory`; weights read straight from their file count too."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    if "--reward-models" in sys.argv:
        _train_rewards([Path(folder) for folder in sys.argv[2:]])
    elif "--case" in sys.argv:
        print(json.dumps(measure_case(sys.argv[sys.argv.index("--case") + 1])))
    else:
        run(measures)
