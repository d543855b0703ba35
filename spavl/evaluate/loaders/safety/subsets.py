"""What loaders share whose items come in several subsets, such as kinds of attack, or are variants of one request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from spavl.evaluate.benchmark import Metric
from spavl.evaluate.item import Item


def with_each_subset(metrics: Sequence[Metric], items: Iterable[Item]) -> tuple[Metric, ...]:
    """The metrics over all items, and where these are of several subsets, over each subset too.

    Args:
        metrics: over all items.
        items: all items.
    """
    subsets = list(dict.fromkeys(item.subset for item in items))
    each = [_of_subset(metric, subset) for metric in metrics for subset in subsets]
    return (*metrics, *(each if len(subsets) > 1 else ()))


def _of_subset(metric: Metric, subset: str) -> Metric:
    ending = re.sub(r"\W+", "_", subset.lower()).strip("_")
    return replace(
        metric, name=f"{metric.name}_{ending}", label=f"{metric.label}, {subset}", subsets=(subset,),
        what=f"{metric.what} ({subset})",
    )  # fmt: skip


def text_cluster(*texts: str) -> str:
    """The cluster of items that share these texts, which may be harmful and stand in no id: a part of their hash.

    Args:
        texts: the texts.
    """
    return sha256("\0".join(texts).encode()).hexdigest()[:16]
