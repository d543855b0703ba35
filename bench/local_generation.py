"""Answers of local weights: several questions to each picture, against transformers' own `generate`, in one process.

python -m bench.local_generation [--json FILE]

Both sides read the same PNG files and give the same words, greedy. transformers gets the questions as most scripts send
them, in padded batches of the size that was fastest in a first trial; spavl gets them as its pipeline sends them, 32
requests at once. Runs alternate. Five minutes on two cores.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench.measures import Measure, run
from bench.trl_comparison.workload import SMALL, make_processor, random_model
from spavl.config.models import LocalSpec
from spavl.models.backends.local import LocalModel, load_vlm
from spavl.models.base import Prompt, Request, Sampling
from spavl.records import ImageRef

PICTURES, QUESTIONS, WORDS = 12, 6, 18
"""Pictures, questions to each, words of a question."""
BATCH_SIZES = (1, 2, 4, 6, 8, 12, 24)
"""Batches of `generate` that are tried."""
REPEATS = 3
"""Alternating runs of each side; the median counts."""
FLOOR = 3.0
"""Least ratio of items a second at 8 new tokens."""

Answer = Callable[[Sequence[Request]], list[str]]
"""Texts of the answers to requests."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides on the same requests."""

    batch_size: int
    """The fastest batch of transformers' `generate`."""
    plain: float
    """Its items a second."""
    trees: float
    """Those of spavl."""
    equal: int
    """Answers with the same words on both sides."""
    items: int
    """Answers."""


def measures() -> list[Measure]:
    """Both ratios, and how many answers are equal."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, requests = prepare(Path(folder))
        short, long = (compare(checkpoint, [_limited(r, limit) for r in requests]) for limit in (8, 64))
    name = "local answers/s over transformers `generate`"
    return [
        Measure(f"{name}, ≤ 8 new tokens", short.trees / short.plain, FLOOR, "×", "higher", _how(short)),
        Measure(f"{name}, ≤ 64 new tokens", long.trees / long.plain, None, "×", "higher", _how(long)),
        Measure(
            "local answers with the words of transformers `generate`",
            (short.equal + long.equal) / (short.items + long.items), 1.0, "", "higher", "all of the two rows above",
        ),
    ]  # fmt: skip


def prepare(folder: Path) -> tuple[Path, list[Request]]:
    """A checkpoint with random weights, and requests in order of their pictures.

    Args:
        folder: where checkpoint and pictures are written.
    """
    random_model(SMALL, "cpu", torch.float32).save_pretrained(folder / "checkpoint")
    processor = make_processor(SMALL)
    processor.save_pretrained(folder / "checkpoint")
    words = [word for word in processor.tokenizer.get_vocab() if word not in processor.tokenizer.all_special_tokens]
    rng = random.Random(0)
    requests = []
    for number in range(PICTURES):
        noise = np.random.default_rng(number).integers(0, 256, (SMALL.image_size, SMALL.image_size, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(noise).save(path)
        for _ in range(QUESTIONS):
            prompt = Prompt(" ".join(rng.choices(sorted(words), k=WORDS)), (ImageRef(path, f"{number:064x}"),))
            requests.append(Request(prompt, Sampling(), key=str(len(requests))))
    return folder / "checkpoint", requests


def compare(checkpoint: Path, requests: Sequence[Request]) -> Comparison:
    """Both sides in turns, after a trial of batch sizes on a third of the requests.

    Args:
        checkpoint: the model.
        requests: what is asked of both.
    """
    model, processor = load_vlm(checkpoint, "float32", "cpu")
    local = LocalModel(LocalSpec(name="local", path=str(checkpoint), device="cpu"))
    trial = requests[: len(requests) // 3]
    rates = {size: _timed(plain(model, processor, size), trial)[1] for size in (1, *BATCH_SIZES)}
    best = max(rates, key=lambda size: rates[size])
    sides = {"plain": plain(model, processor, best), "trees": through(local)}
    through(local)(trial)
    runs = [{name: _timed(side, requests) for name, side in sides.items()} for _ in range(REPEATS)]
    rate = {name: statistics.median(one[name][1] for one in runs) for name in sides}
    texts = {name: runs[0][name][0] for name in sides}
    equal = sum(a == b for a, b in zip(texts["plain"], texts["trees"], strict=True))
    return Comparison(best, rate["plain"], rate["trees"], equal, len(requests))


def plain(model: Any, processor: Any, batch_size: int) -> Answer:
    """transformers' `generate` on padded batches.

    Args:
        model: the model.
        processor: its processor, padding on the left.
        batch_size: requests of a batch.
    """

    def answer(requests: Sequence[Request]) -> list[str]:
        starts = range(0, len(requests), batch_size)
        return [text for start in starts for text in _plain_batch(model, processor, requests[start:][:batch_size])]

    return answer


def _plain_batch(model: Any, processor: Any, requests: Sequence[Request]) -> list[str]:
    contents = [
        [{"type": "image", "image": Image.open(r.prompt.images[0].path)}, {"type": "text", "text": r.prompt.text}]
        for r in requests
    ]
    inputs = processor.apply_chat_template(
        [[{"role": "user", "content": content}] for content in contents],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )
    with torch.inference_mode():
        rows = model.generate(**inputs, max_new_tokens=requests[0].sampling.max_tokens, do_sample=False)
    texts = processor.batch_decode(rows[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [text.strip() for text in texts]


def through(local: LocalModel) -> Answer:
    """The local backend, with as many requests at once as the engine sends.

    Args:
        local: the model.
    """

    def answer(requests: Sequence[Request]) -> list[str]:
        starts = range(0, len(requests), local.batch_size)
        return [reply.text for start in starts for reply in local.generate(requests[start:][: local.batch_size])]

    return answer


def _timed(answer: Answer, requests: Sequence[Request]) -> tuple[list[str], float]:
    """The texts, and requests a second."""
    start = time.perf_counter()
    texts = answer(requests)
    return texts, len(requests) / (time.perf_counter() - start)


def _limited(request: Request, limit: int) -> Request:
    return Request(request.prompt, Sampling(max_tokens=limit), key=request.key)


def _how(found: Comparison) -> str:
    return (
        f"{found.trees:.1f} against {found.plain:.1f} answers/s, `generate` in batches of {found.batch_size}, the "
        f"fastest of {_listed(BATCH_SIZES)}; {QUESTIONS} questions a picture, {PICTURES} pictures, greedy, float32, "
        f"LLaVA with {SMALL.image_tokens} image tokens, language model 256 × 6, vocabulary 8,000, vision 128 × 4; "
        f"medians of {REPEATS} alternating runs"
    )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


if __name__ == "__main__":
    run(measures)
