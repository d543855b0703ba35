"""Image necessity: the items without their pictures, with blank ones, with unrelated ones, or with captions.

Text-only alignment passes most published safety benchmarks of vision-language models (arXiv 2411.19939), so a safety
rate without such controls says little about vision.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from spavl.evaluate.blind_control import blanked_item
from spavl.evaluate.controls.control import Control, has_picture, one_by_one
from spavl.evaluate.item import Item, with_pictures
from spavl.records import ImageRef

CAPTION = "caption"
"""The note of an item that describes its picture."""
BLOCK = 500
"""Items among whose pictures unrelated ones are chosen at once; the time grows with its third power."""
ITS_OWN = 1000.0
"""Cost of an item's own picture, which nothing outweighs."""


def _safety(item: Item) -> str:
    return str(item.harmful)


def _cluster(item: Item) -> str:
    return f"cluster {item.cluster}" if item.cluster else f"item {item.item_id}"


def _group(item: Item) -> str:
    return f"group {item.group}" if item.group else f"item {item.item_id}"


ALIKE: tuple[tuple[Callable[[Item], str], float], ...] = ((_safety, 16.0), (_cluster, 8.0), (_group, 4.0))
"""(what of two items is compared, cost of a picture whose item is alike in it)."""


def without_picture(name: str) -> Control:
    """The items as text alone; some models cannot be asked so, and every such call then fails.

    Args:
        name: of the control.
    """
    return Control(
        name=name, what="no picture", seen="removed",
        change=one_by_one(lambda item: with_pictures(item, (), "none")),
    )  # fmt: skip


def blank_picture(name: str, folder: Path) -> Control:
    """The items with a grey picture of the same size.

    Args:
        name: of the control.
        folder: where the grey pictures are written.
    """
    made: dict[tuple[int, int], ImageRef] = {}
    return Control(
        name=name, what="a grey picture", seen="blank",
        change=one_by_one(lambda item: blanked_item(item, folder, made)),
    )  # fmt: skip


def with_caption(name: str) -> Control:
    """The items with the caption of their picture as text in its place.

    Args:
        name: of the control.
    """
    return Control(
        name=name, what="a caption in place of the picture", unfit=_captionless, change=one_by_one(_captioned),
        seen="described",
    )  # fmt: skip


def shuffled_pictures(name: str, seed: int) -> Control:
    """The items with pictures of other items, each used once.

    Never an item's own picture; of the other safety, another cluster and another group, in this order of weight, as far
    as the benchmark has such pictures.

    Args:
        name: of the control.
        seed: of the choice among pictures that do alike.
    """
    return Control(
        name=name, what="the picture of another item", seen="unrelated",
        change=lambda items, everything: _shuffled(items, everything, seed),
    )  # fmt: skip


def _captionless(item: Item) -> str:
    return has_picture(item) or ("" if item.notes.get(CAPTION, "").strip() else "no caption")


def _captioned(item: Item) -> Item:
    bare = with_pictures(item, (), "none")
    return replace(bare, question=f"The picture shows: {item.notes[CAPTION].strip()}\n\n{item.question}")


def _shuffled(items: Sequence[Item], everything: Sequence[Item], seed: int) -> list[Item | str]:
    """The items with pictures of others of as many pictures."""
    givers = {count: _shuffle(_with(everything, count), seed) for count in {len(item.pictures) for item in items}}
    changed: dict[str, Item | str] = {}
    for count, pool in givers.items():
        takers = _with(items, count)
        blocks = -(-len(takers) // BLOCK)
        for block in range(blocks):
            changed |= _exchanged(takers[block::blocks], pool[block::blocks], seed)
    return [changed[item.item_id] for item in items]


def _with(items: Iterable[Item], count: int) -> list[Item]:
    """The items of so many pictures, all of which can be read."""
    return [item for item in items if len(item.pictures) == count and not item.missing]


def _shuffle(items: list[Item], seed: int) -> list[Item]:
    random.Random(seed).shuffle(items)
    return items


def _exchanged(takers: Sequence[Item], givers: Sequence[Item], seed: int) -> dict[str, Item | str]:
    """Every taker with the pictures of a giver of its own, such that they have least in common altogether."""
    costs = np.random.default_rng(seed).random((len(takers), len(givers)))
    for alike, cost in ALIKE:
        costs += cost * (_codes(takers, alike)[:, None] == _codes(givers, alike)[None, :])
    costs += ITS_OWN * _sharing(takers, givers)
    rows, columns = linear_sum_assignment(costs)
    found: dict[str, Item | str] = {item.item_id: "no unrelated picture" for item in takers}
    for row, column in zip(rows, columns, strict=True):
        if costs[row, column] < ITS_OWN:
            found[takers[row].item_id] = with_pictures(takers[row], givers[column].pictures, "picture")
    return found


def _codes(items: Sequence[Item], alike: Callable[[Item], str]) -> np.ndarray[Any, Any]:
    """What of each item is compared, as objects."""
    return np.array([alike(item) for item in items], dtype=object)


def _sharing(takers: Sequence[Item], givers: Sequence[Item]) -> np.ndarray[Any, Any]:
    """Whether two items have a picture in common, for every taker and giver."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(givers):
        for image in item.pictures:
            places[image.sha256].append(place)
    found = np.zeros((len(takers), len(givers)))
    for row, item in enumerate(takers):
        for image in item.pictures:
            found[row, places[image.sha256]] = 1.0
    return found
