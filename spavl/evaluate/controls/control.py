"""What a control is: the items of a benchmark asked in another way, under the same ids, so that answers pair up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, counted
from spavl.evaluate.item import Item
from spavl.evaluate.spread import spread
from spavl.records import ImageRef

PictureShown = Literal["own", "removed", "blank", "unrelated", "described"]
"""What a controlled item shows: its own picture in whatever form, none, a grey one, another item's, or its caption."""
Change = Callable[[Sequence[Item], Sequence[Item]], Sequence[Item | str]]
"""(items, all items of the benchmark) → every item changed, or why it cannot be, in order."""


UNREADABLE = "picture that cannot be read"
"""Why an item is left out whose picture's file is damaged behind its header, or is there no more."""
TOO_MANY_TOGETHER = "scored together with more items than `control_items`"
"""Why items are left out of which no whole unit fits the limit."""


def always_fit(item: Item) -> str:
    """Of a control that any item can have.

    Args:
        item: of a benchmark.
    """
    return ""


def has_picture(item: Item) -> str:
    """Of a control that needs a picture: why an item cannot have it; empty where it can.

    Args:
        item: of a benchmark.
    """
    return "" if item.pictures else "no picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One way in which items are asked once more."""

    name: str
    """Name in tables and reports, unique in the settings."""
    what: str
    """What is done to an item, such as "JPEG of quality 20"."""
    change: Change
    """Changes items; what a picture is made of is made here, and not before."""
    unfit: Callable[[Item], str] = has_picture
    """Why an item cannot have the control; empty where it can. Looks at no picture's file."""
    seen: PictureShown = "own"
    """What of its picture a changed item shows."""
    resampled: bool = False
    """Whether the items stay as they are and the seed changes; nothing is gained where answers are greedy."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """A benchmark under a control."""

    benchmark: Benchmark | None
    """The changed items with the metrics in which they count, called `<benchmark>@<control>`; None where no item can
    have the control."""
    originals: tuple[Item, ...] = ()
    """The same items as they were, in order."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Items of the whole benchmark that cannot have the control, by reason."""


def choose(benchmark: Benchmark, control: Control, limit: int | None) -> tuple[tuple[Item, ...], Counter[str]]:
    """The items that get a control, from all subsets alike; and how many cannot have it, by reason.

    The items of a unit are taken together or not at all. Controls that fit the same items get the same ones.

    Args:
        benchmark: the whole benchmark.
        control: what is to be done to them.
        limit: most items; None for all.
    """
    if control.resampled and benchmark.sampling.temperature == 0:
        return (), Counter({"greedy answers": len(benchmark.items)})
    reasons = {item.item_id: "missing picture" if item.missing else control.unfit(item) for item in benchmark.items}
    fitting, left_out = _whole_units(benchmark.items, reasons)
    chosen = tuple(spread(fitting, limit, lambda item: item.subset))
    if fitting and not chosen:
        left_out[TOO_MANY_TOGETHER] = len(fitting)
    return chosen, left_out


def controlled(benchmark: Benchmark, control: Control, limit: int | None) -> Controlled:
    """A benchmark under a control.

    Args:
        benchmark: the whole benchmark.
        control: what is done to its items.
        limit: most items; None for all.

    Raises:
        RunError: a picture cannot be written.
    """
    chosen, left_out = choose(benchmark, control, limit)
    changed = control.change(chosen, benchmark.items)
    reasons = {
        item.item_id: now if isinstance(now, str) else "" for item, now in zip(chosen, changed, strict=True)
    }  # fmt: skip
    originals, failed = _whole_units(chosen, reasons)
    kept = {item.item_id for item in originals}
    items = tuple(item for item in changed if isinstance(item, Item) and item.item_id in kept)
    if not items:
        return Controlled(None, (), dict(left_out + failed))
    sampling = benchmark.sampling
    if control.resampled:
        sampling = replace(sampling, seed=sampling.seed + 1)
    made = replace(
        benchmark, name=f"{benchmark.name}@{control.name}", items=items, metrics=counted(benchmark.metrics, items),
        sampling=sampling, standard="",
    )  # fmt: skip
    return Controlled(made, tuple(originals), dict(left_out + failed))


def planned(benchmark: Benchmark, control: Control, limit: int | None) -> Benchmark | None:
    """As many items as a control will ask, as they are, so that calls can be counted and no picture is made.

    Args:
        benchmark: the whole benchmark.
        control: what would be done to its items.
        limit: most items; None for all.
    """
    chosen, _ = choose(benchmark, control, limit)
    return replace(benchmark, items=chosen, metrics=counted(benchmark.metrics, chosen)) if chosen else None


def one_by_one(change: Callable[[Item], Item | str]) -> Change:
    """The change of items of which each is changed alone; one whose picture cannot be read is left out.

    Args:
        change: changes an item, or says why it cannot be.
    """
    return lambda items, everything: [_or_unreadable(change, item) for item in items]


def _or_unreadable(change: Callable[[Item], Item | str], item: Item) -> Item | str:
    try:
        return change(item)
    except DataError:
        return UNREADABLE


def with_each_picture(item: Item, change: Callable[[ImageRef], ImageRef]) -> Item:
    """The item with every picture changed.

    Args:
        item: the item as it is.
        change: makes a picture of a picture.
    """
    earlier = tuple(replace(turn, images=tuple(map(change, turn.images))) for turn in item.earlier)
    return replace(item, images=tuple(map(change, item.images)), earlier=earlier)


def _whole_units(items: Sequence[Item], reasons: Mapping[str, str]) -> tuple[list[Item], Counter[str]]:
    """The items of units of which none is left out, and how many are left out by reason."""
    lost: dict[str, str] = {}
    for item in items:
        if reasons[item.item_id]:
            lost.setdefault(item.unit or item.item_id, reasons[item.item_id])
    kept = [item for item in items if (item.unit or item.item_id) not in lost]
    return kept, Counter(lost[item.unit or item.item_id] for item in items if (item.unit or item.item_id) in lost)
