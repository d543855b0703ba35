"""Options of a user's own file as the model is shown them: in the file's order, shuffled by a seed, or in every turn.

A model may choose by place. Asked in every rotation of the options (`circular`), a question is right where it is right
in all, and luck is small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

from spavl.evaluate.item import Item
from spavl.evaluate.loaders.choices import with_options
from spavl.judging.readers.options import LETTERS


def options_shown(items: Iterable[Item], *, shuffle: int | None, circular: bool) -> Iterator[Item]:
    """The items, options written under their questions, a line `A. text` each.

    Args:
        items: as the file has them.
        shuffle: seed of a new order of every question's options; None: the file's.
        circular: ask every question once for each of its options, each time moved on by one, as one unit.
    """
    for item in items:
        if not item.options:
            yield item
            continue
        first = item if shuffle is None else _shuffled(item, shuffle)
        if not circular:
            yield _written(first)
            continue
        for moved in range(len(item.options)):
            yield replace(_written(_turned(first, moved)), unit=item.item_id)


def _shuffled(item: Item, seed: int) -> Item:
    """The item with its options in an order that its id and the seed decide alone."""
    places = list(range(len(item.options)))
    Random(f"{seed}/{item.item_id}").shuffle(places)
    return _in_order(item, places)


def _turned(item: Item, moved: int) -> Item:
    count = len(item.options)
    turned = _in_order(item, [(place + moved) % count for place in range(count)])
    return replace(turned, item_id=f"{item.item_id}/turn-{moved}") if moved else turned


def _in_order(item: Item, places: list[int]) -> Item:
    """The item with the options of these places, one after the other."""
    right = places.index(LETTERS.index(item.expected))
    return replace(item, options=tuple(item.options[place] for place in places), expected=LETTERS[right])


def _written(item: Item) -> Item:
    return replace(item, question=with_options(item.question, item.options))
