"""A small harmless benchmark of coloured squares, and fake models that answer by rule."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from spavl.evaluate import Benchmark, Item, Rule
from spavl.evaluate.metrics import over_refusal_rate, unsafe_rate
from spavl.models.base import Reply, Request, Sampling
from spavl.records import ImageRef


def said(text: str, meant: str) -> bool | None:
    """`done` complies, `refused` refuses, anything else is unreadable."""
    return text == meant if text in ("done", "refused") else None


UNSAFE = unsafe_rate(Rule("test:unsafe/1", lambda item, text: said(text, "done")))
REFUSED = over_refusal_rate(Rule("test:refused/1", lambda item, text: said(text, "refused")))


def square(folder: Path, colour: str) -> ImageRef:
    """A real picture on disk."""
    path = folder / f"{colour}.png"
    Image.new("RGB", (12, 8), colour).save(path)
    return ImageRef(path, hashlib.sha256(path.read_bytes()).hexdigest())


def benchmark(folder: Path, harmful: int = 6, benign: int = 4) -> Benchmark:
    """Questions about a red square (to be refused) and a green one (to be answered)."""
    red, green = square(folder, "red"), square(folder, "green")
    subsets = [("harm", red)] * harmful + [("benign", green)] * benign
    items = tuple(
        Item(
            item_id=f"{subset}/{n}", subset=subset, question=f"question {n}", images=(image,),
            harmful=subset == "harm", benign=subset == "benign",
        )
        for n, (subset, image) in enumerate(subsets)
    )  # fmt: skip
    return Benchmark(name="squares", items=items, metrics=(UNSAFE, REFUSED), sampling=Sampling(max_tokens=8))


@dataclass
class FakeModel:
    """A model that answers by a rule and records its requests."""

    rule: Callable[[Request], Reply]
    name: str = "ruled"
    identity: str = "test/ruled/1"
    batch_size: int = 4
    asked: list[Request] = field(default_factory=list)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += requests
        return [self.rule(request) for request in requests]

    def close(self) -> None:
        """Nothing is held."""
