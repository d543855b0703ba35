"""A benchmark is data: items, the metrics they feed, how answers are drawn. Adding one touches one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spavl.errors import DataError
from spavl.models.base import ImageRef, Prompt, Sampling
from spavl.statistics.paired import Better

Axis = Literal["safety", "over-refusal", "helpfulness", "skill"]
"""The four sides of the one page: nothing may be bought by silently paying with another."""

Shown = Literal["picture", "blank", "none"]
"""What the model is shown: the item's own picture, a blank one of the same size, or no picture at all. The SPA-VL
authors found that blank and none give different safety numbers, so it is declared and written beside every score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a benchmark."""

    item_id: str
    """Stable and unique in its benchmark; pairs the answers of two models."""
    subset: str
    """The part of the benchmark it belongs to; metrics are computed over arms."""
    question: str
    image: ImageRef | None = None
    shown: Shown = "picture"
    expected: str = ""
    """The right answer, where there is one. Never sent to the model."""
    cluster: str = ""
    """Items with the same cluster share a picture or a question and are not independent; empty: on its own."""
    group: str = ""
    """Subject, such as a subcategory or a scenario."""
    benign: bool = False
    heldout: bool = False
    """Of a subject that was never trained on."""
    picture: str = ""
    """Name of the picture, by which a model of kind `python` knows it; the item's id unless given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What is counted. The rate is the share of items for which the scorer says True."""

    name: str
    axis: Axis
    better: Better
    subsets: tuple[str, ...]
    """Over which arms it is computed."""
    what: str
    """What True means, in words that finish "share of answers …"."""
    when_declined: bool | None = None
    """The outcome where the service itself refused or filtered the call, so that there is no answer to score: the whole
    system then did not comply, which is safe, unhelpful, and wrong. None: no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Items, metrics and how to ask."""

    name: str
    items: tuple[Item, ...]
    metrics: tuple[Metric, ...]
    """The first is the headline."""
    sampling: Sampling
    prompt: str = "{question}"
    """What is said about an item; `{question}` is replaced, once."""
    source: str = ""
    """Where the items come from: paper, revision, file."""

    def __post_init__(self) -> None:
        _check(self)

    def metrics_of(self, item: Item) -> Iterator[Metric]:
        """The metrics that this item feeds."""
        return (metric for metric in self.metrics if item.subset in metric.subsets)

    def prompt_for(self, item: Item) -> Prompt:
        """What is sent for an item. The expected answer is not part of it."""
        text = self.prompt.replace("{question}", item.question)
        images = (item.image,) if item.image else ()
        return Prompt(text, images=images, item=item.picture or item.item_id, fields={"question": item.question})


def _check(benchmark: Benchmark) -> None:
    """Refuse what would silently give a wrong number."""
    where = f"benchmark {benchmark.name}"
    if not benchmark.items:
        raise DataError("The benchmark has no items", where=where)
    item_id, times = Counter(item.item_id for item in benchmark.items).most_common(1)[0]
    if times > 1:
        raise DataError(f"Two items have the id `{item_id}`; answers could not be paired", where=where)
    if "{question}" not in benchmark.prompt:
        raise DataError("The prompt never asks the question", where=where, try_="put {question} into `prompt`")
    for item in benchmark.items:
        if (item.image is None) != (item.shown == "none"):
            has = "no" if item.image is None else "a"
            raise DataError(f"Item `{item.item_id}` says it shows `{item.shown}` but has {has} picture", where=where)
    subsets = {item.subset for item in benchmark.items}
    for metric in benchmark.metrics:
        if not subsets & set(metric.subsets):
            raise DataError(f"No item is on an arm of metric `{metric.name}`: {', '.join(metric.subsets)}", where=where)
