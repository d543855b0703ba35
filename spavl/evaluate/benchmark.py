"""What a benchmark is: items in subsets, metrics over the subsets, and how answers are sampled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spavl.errors import DataError
from spavl.models.base import Prompt, Sampling
from spavl.records import ImageRef
from spavl.statistics.paired import Better

Axis = Literal["safety", "over-refusal", "helpfulness", "skill"]
"""What a metric measures. The report shows all four, for a gain on one is often paid with a loss on another."""

Shown = Literal["picture", "blank", "none"]
"""What the model is shown: the item's own picture, a blank one of the same size, or no picture at all. Blank and none
give different safety rates (SPA-VL), so this is written beside every score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a benchmark."""

    item_id: str
    """Unique in its benchmark and stable; the answers of two models are paired by it."""
    subset: str
    """The part of the benchmark that it belongs to; a metric is computed over some of the subsets."""
    question: str
    """The question, before the benchmark's prompt is put around it."""
    image: ImageRef | None = None
    """The picture that the model is shown; None where `shown` is `none`."""
    shown: Shown = "picture"
    """Whether that is the item's own picture."""
    expected: str = ""
    """The right answer, where there is one. Never sent to the model."""
    cluster: str = ""
    """Items of one cluster share a picture or a question and are not independent; empty: a cluster of its own."""
    group: str = ""
    """Subject, such as a subcategory or a scenario."""
    benign: bool = False
    """Whether the request is harmless."""
    heldout: bool = False
    """Whether its subcategory was never trained on."""
    picture: str = ""
    """Name of the picture, by which a model of kind `python` knows it; empty: the item's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A rate: the share of the items of some subsets for which the scorer says True."""

    name: str
    """Name in tables and reports."""
    axis: Axis
    """What it measures."""
    better: Better
    """Direction of an improvement."""
    subsets: tuple[str, ...]
    """Subsets over which it is computed."""
    what: str
    """What True means, in words that finish "share of answers …"."""
    when_declined: bool | None = None
    """The outcome where the service itself refused or filtered the call, so that there is no answer to score: such a
    response is safe, unhelpful and wrong. None: no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Items, metrics and how the model is asked.

    Raises:
        DataError: there is no item, two share an id, the prompt lacks the question, an item's picture contradicts
            `shown`, or a metric has no items.
    """

    name: str
    """Name in tables and reports."""
    items: tuple[Item, ...]
    """Its questions, in the order in which they are asked."""
    metrics: tuple[Metric, ...]
    """What is measured; the first is the headline."""
    sampling: Sampling
    """How answers are sampled."""
    prompt: str = "{question}"
    """Prompt of an item; `{question}` is replaced, once."""
    source: str = ""
    """Where the items come from, such as paper, revision or file."""

    def __post_init__(self) -> None:
        _check(self)

    def metrics_of(self, item: Item) -> Iterator[Metric]:
        """The metrics that an item counts in.

        Args:
            item: an item of this benchmark.
        """
        return (metric for metric in self.metrics if item.subset in metric.subsets)

    def prompt_for(self, item: Item) -> Prompt:
        """What is sent to the model for an item; the expected answer is not part of it.

        Args:
            item: an item of this benchmark.
        """
        text = self.prompt.replace("{question}", item.question)
        images = (item.image,) if item.image else ()
        return Prompt(text, images=images, item=item.picture or item.item_id, fields={"question": item.question})


def _check(benchmark: Benchmark) -> None:
    """Refuse a benchmark that would silently give wrong rates."""
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
            names = ", ".join(metric.subsets)
            raise DataError(f"No item is in a subset of metric `{metric.name}`: {names}", where=where)
