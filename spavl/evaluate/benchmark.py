"""What a benchmark is: items, metrics with their scorers and words, and how answers are sampled."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spavl.errors import DataError
from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Scorer
from spavl.models.base import Prompt, Sampling
from spavl.records import ImageRef
from spavl.statistics.intervals import Outcome
from spavl.statistics.paired import Better

Axis = Literal["safety", "over-refusal", "helpfulness", "skill"]
"""What a metric measures. The report shows all four, for a gain on one is often paid with a loss on another."""
AXES: tuple[Axis, ...] = ("safety", "over-refusal", "helpfulness", "skill")
"""All axes, in the order in which they are shown; the first metric of the first axis is the headline."""
Together = Literal["all", "any", "majority", "mean"]
"""How the outcomes of a unit's items become one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A rate: the share of some items for which the scorer says True, or the mean of what it scores from 0 to 1.

    Which items, is declared: those of some subsets, and those with some flags; with nothing declared, all.
    """

    name: str
    """Name in tables; unique in its benchmark."""
    axis: Axis
    """What it measures."""
    better: Better
    """Direction of an improvement; `neither` for a rate that is only looked at."""
    label: str
    """What is counted, a plural that can fall or rise, such as "Unsafe answers"."""
    what: str
    """What True means, in words that finish "share of answers …"."""
    scorer: Scorer
    """What gives the outcomes."""
    subsets: tuple[str, ...] = ()
    """Subsets over which it is computed; none: all."""
    harmful: bool | None = None
    """Only harmful items, or only those that are not; None: both."""
    benign: bool | None = None
    """Only benign items, or only those that are not; None: both."""
    heldout: bool | None = None
    """Only held-out items, or only those that are not; None: both."""
    when_declined: Outcome | Literal["as-wanted"] = None
    """The outcome where the service itself refused or filtered the call, so that there is no answer to score: such a
    response is safe, unhelpful and wrong. `as-wanted`: True of a harmful item, which is to be declined, and False of
    any other. None: no verdict."""
    graded: bool = False
    """Whether outcomes are scores from 0 to 1, and not only True and False."""
    weight: Scorer | None = None
    """How much every answer counts: its outcomes are weights from 0 to 2, and the rate is the weighted mean. Precision
    counts the answers that say yes; F1 gives a right yes the weight 2, a wrong answer 1 and a right no 0. None: all
    count alike."""
    together: Together | None = None
    """How the outcomes of the items of one `unit` become one, which then stands with the first of them. `all`: True
    where all are (rotations of a question, both sides of a pair). `any`: True where one is (samples of an answer).
    None: every item counts for itself."""
    by_item: bool = False
    """Whether `together` joins the several answers to an item alone, and not the items of its unit."""
    paired: bool = False
    """Only items that are of a unit, such as the sides of pairs; one that stands alone does not count."""
    macro: bool = False
    """Whether every group counts alike, however many items it has: the unweighted mean over scenarios or splits."""

    def counts(self, item: Item) -> bool:
        """Whether an item counts in the metric.

        Args:
            item: an item of its benchmark.
        """
        flags = ((self.harmful, item.harmful), (self.benign, item.benign), (self.heldout, item.heldout))
        of_subset = not self.subsets or item.subset in self.subsets
        of_unit = not self.paired or bool(item.unit)
        return of_subset and of_unit and all(want in (None, has) for want, has in flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Items, metrics and how the model is asked.

    Raises:
        DataError: there is no item, two share an id, the prompt lacks the question, an item's pictures contradict
            `shown`, two metrics share a name, or a metric has no items.
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
    samples: int = 1
    """Answers to each item; with several, each is an item of its own in the scores, and they are one cluster."""
    standard: str = ""
    """Name and hash of the published protocol that it follows to the letter; empty: none."""
    standard_metrics: tuple[str, ...] = ()
    """Names of the metrics that carry the number of that protocol."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def asked(self) -> list[Item]:
        """The items that models are asked: all but those that lack a picture."""
        return [item for item in self.items if not item.missing]

    def prompt_for(self, item: Item) -> Prompt:
        """What is sent to the model for an item; the expected answer is not part of it.

        Args:
            item: an item of this benchmark.
        """
        return Prompt(
            self.prompt.replace("{question}", item.question), images=item.images, system=item.system,
            earlier=item.earlier, item=item.picture or item.item_id, fields={"question": item.question},
        )  # fmt: skip

    def protocol(self) -> str:
        """Hash of all that decides a score but the model: items, prompt, sampling, scorers and metrics.

        Rates are comparable where this is equal. Paths, names and words are no part of it.
        """
        found = hashlib.sha256()
        sampling = asdict(self.sampling)
        if self.sampling.temperature == 0:
            del sampling["seed"]
        asked = [sampling, self.samples]
        for form in (self.prompt, asked, [_metric_form(m) for m in self.metrics], *map(_item_form, self.items)):
            found.update(json.dumps(form, sort_keys=True).encode() + b"\n")
        return found.hexdigest()[:16]


def declined(metric: Metric, item: Item) -> Outcome:
    """The outcome of a metric where the service declined an item.

    Args:
        metric: that the item counts in.
        item: of its benchmark.
    """
    return item.harmful if metric.when_declined == "as-wanted" else metric.when_declined


def counted(metrics: Iterable[Metric], items: Sequence[Item]) -> tuple[Metric, ...]:
    """The metrics in which at least one item counts.

    Args:
        metrics: all that a benchmark may have.
        items: its items.
    """
    return tuple(metric for metric in metrics if any(metric.counts(item) for item in items))


def _metric_form(metric: Metric) -> list[Any]:
    over = [metric.subsets, metric.harmful, metric.benign, metric.heldout]
    weight = metric.weight.id if metric.weight else None
    how = [metric.graded, weight, metric.together, metric.macro, *(["paired"] if metric.paired else [])]
    how += ["by item"] if metric.by_item else []
    return [metric.name, metric.axis, metric.better, metric.scorer.id, metric.when_declined, over, how]


def _item_form(item: Item) -> list[Any]:
    earlier = [[turn.role, turn.text, _hashes(turn.images)] for turn in item.earlier]
    known = [item.expected, item.cluster, item.harmful, item.benign, item.heldout, *item.also]
    known += [item.unit, list(item.options), dict(item.notes)]
    return [item.item_id, item.subset, item.system, earlier, item.question, _hashes(item.images), item.shown, known]


def _hashes(images: tuple[ImageRef, ...]) -> list[str]:
    return [image.sha256 for image in images]


def _check(benchmark: Benchmark) -> None:
    """Refuse a benchmark that would silently give wrong rates."""
    where = f"benchmark {benchmark.name}"
    if not benchmark.items:
        raise DataError(
            "The benchmark has no items", where=where,
            try_="raise its `limit`: sides of a pair, or rotations of a question, are taken together or not at all",
        )  # fmt: skip
    item_id, times = Counter(item.item_id for item in benchmark.items).most_common(1)[0]
    if times > 1:
        raise DataError(f"Two items have the id `{item_id}`; answers could not be paired", where=where)
    if "{question}" not in benchmark.prompt:
        raise DataError("The prompt never asks the question", where=where, try_="put {question} into `prompt`")
    for item in benchmark.items:
        if bool(item.pictures) == (item.shown == "none"):
            has = "a" if item.pictures else "no"
            raise DataError(f"Item `{item.item_id}` says it shows `{item.shown}` but has {has} picture", where=where)
    _check_metrics(benchmark, where)


def _check_metrics(benchmark: Benchmark, where: str) -> None:
    for place, metric in enumerate(benchmark.metrics):
        if any(metric.name == other.name for other in benchmark.metrics[:place]):
            raise DataError(f"Two metrics are called `{metric.name}`", where=where)
        if metric.together == "mean" and not metric.graded:
            raise DataError(f"Metric `{metric.name}` is a mean, and says not that it is graded", where=where)
        if not any(metric.counts(item) for item in benchmark.items):
            over = f" of its subsets ({', '.join(metric.subsets)})" if metric.subsets else ""
            raise DataError(f"No item{over} counts in metric `{metric.name}`", where=where)
