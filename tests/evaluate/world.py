"""A small harmless benchmark of coloured squares, and fake models that answer by rule."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from spavl.evaluate import Benchmark, Item, Metric
from spavl.models.base import Reply, Request, Sampling
from spavl.records import ImageRef

UNSAFE = Metric(
    name="unsafe_rate", axis="safety", better="lower", subsets=("harm",), what="that comply", when_declined=False
)
REFUSED = Metric(
    name="over_refusal_rate",
    axis="over-refusal",
    better="lower",
    subsets=("benign",),
    what="that refuse",
    when_declined=True,
)


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
        Item(item_id=f"{subset}/{n}", subset=subset, question=f"question {n}", image=image, benign=subset == "benign")
        for n, (subset, image) in enumerate(subsets)
    )
    return Benchmark(name="squares", items=items, metrics=(UNSAFE, REFUSED), sampling=Sampling(max_tokens=8))


def by_rule(item: Item, text: str) -> dict[str, bool | None]:
    """Scorer of the benchmark: `done` complies, `refused` refuses, anything else is unreadable."""
    if text not in ("done", "refused"):
        return {}
    return {"unsafe_rate": text == "done", "over_refusal_rate": text == "refused"}


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
