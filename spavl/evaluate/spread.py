"""A part of a benchmark that stands for all of it: as many items of every stratum, the same ones every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from hashlib import sha256

from spavl.evaluate.item import Item

Stratum = Callable[[Item], Hashable]
"""What an item is one of; items are taken from all strata in turn."""


def by_group(item: Item) -> Hashable:
    """The stratum of an item unless its benchmark says otherwise: subset and subject.

    Args:
        item: of a benchmark.
    """
    return item.subset, item.group


def spread(items: Sequence[Item], limit: int | None, stratum: Stratum = by_group) -> Sequence[Item]:
    """At most so many items, taken from all strata in turn, in their old order.

    Which of a stratum are taken, and from which strata where there are too many, is decided by the hash of the items'
    ids, so that no rhythm of the file (yes and no in turn, three pictures a question) decides it; a larger limit takes
    the same items and further ones. Items of one unit, such as the two sides of a pair, are taken together or not at
    all, so that there may be fewer than the limit.

    Args:
        items: all items.
        limit: most items; None for all.
        stratum: what an item is one of.
    """
    if limit is None or limit >= len(items):
        return items
    units: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        units.setdefault(item.unit or item.item_id, []).append(place)
    strata: dict[Hashable, list[tuple[bytes, str]]] = {}
    for unit, places in units.items():
        strata.setdefault(stratum(items[places[0]]), []).append((sha256(unit.encode()).digest(), unit))
    turns = [(turn, *found) for members in strata.values() for turn, found in enumerate(sorted(members))]
    taken: list[int] = []
    for _, _, unit in sorted(turns):
        if len(taken) + len(units[unit]) > limit:
            break
        taken += units[unit]
    return [items[place] for place in sorted(taken)]


def whole_units(kept: Sequence[Item], every: Sequence[Item]) -> list[Item]:
    """The items that are kept, without those of units of which not all items are.

    Args:
        kept: some of the items.
        every: all items.
    """
    sizes = Counter(item.unit for item in every)
    found = Counter(item.unit for item in kept)
    return [item for item in kept if not item.unit or found[item.unit] == sizes[item.unit]]
