"""A part of a benchmark that stands for all of it: as many items of every stratum, the same ones every time."""

from __future__ import annotations

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
    the same items and further ones.

    Args:
        items: all items.
        limit: most items; None for all.
        stratum: what an item is one of.
    """
    if limit is None or limit >= len(items):
        return items
    strata: dict[Hashable, list[tuple[bytes, int]]] = {}
    for place, item in enumerate(items):
        strata.setdefault(stratum(item), []).append((_hash(item), place))
    turns = [(turn, *found) for members in strata.values() for turn, found in enumerate(sorted(members))]
    return [items[place] for place in sorted(place for _, _, place in sorted(turns)[:limit])]


def _hash(item: Item) -> bytes:
    return sha256(item.item_id.encode()).digest()
