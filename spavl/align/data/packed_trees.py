"""Packed trees that a process keeps: what one training has tokenised is not tokenised again, nor by the next training.

Lengths, reference, training and held-out pairs read the same trees, and so do all trainings of a study. They are kept
by their content, while there is room: the least recently used goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import final

from spavl.models.families import Family
from spavl.models.trees.pack import PackedTree, Row, build_tree, pack_trees

MEMORY = 64 << 20
"""Bytes of packed trees that a process keeps."""
OVERHEAD = 4096
"""Bytes that a tree takes beside its arrays, at a guess."""


@final
class PackedTrees:
    """Packed trees by model and content.

    Args:
        memory: bytes kept.
    """

    def __init__(self, memory: int) -> None:
        self._free = memory
        self._kept: OrderedDict[Hashable, PackedTree] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def forget(self) -> None:
        """Keep nothing of what was packed so far."""
        self._free += sum(map(_bytes, self._kept.values()))
        self._kept.clear()

    def pack(self, trees: Sequence[Sequence[Row]], family: Family, identity: str) -> list[PackedTree]:
        """The packed tree of each group of rows; those that are not kept are tokenised together.

        Args:
            trees: the rows of every tree, which start with the same conversation.
            family: tokenises them.
            identity: of the model; equal only where tokens are. Empty: nothing is kept.

        Raises:
            DataError: the family cannot read several pictures; names the rows.
        """
        built = [build_tree(rows) for rows in trees]
        if not identity:
            return pack_trees(built, family)
        keys = [(identity, *map(_content, rows)) for rows in trees]
        missing = [number for number, key in enumerate(keys) if key not in self._kept]
        fresh = dict(zip(missing, pack_trees([built[number] for number in missing], family), strict=True))
        found = []
        for number, key in enumerate(keys):
            packed = fresh[number] if number in fresh else self._kept[key]
            self._keep(key, packed)
            found.append(replace(packed, pictures=built[number].all_pictures))
        while self._free < 0:
            self._free += _bytes(self._kept.popitem(last=False)[1])
        return found

    def _keep(self, key: Hashable, packed: PackedTree) -> None:
        if key not in self._kept:
            self._kept[key] = replace(packed, pictures=())
            self._free -= _bytes(packed)
        self._kept.move_to_end(key)


PROCESS = PackedTrees(MEMORY)
"""Those of this process."""


def _content(row: Row) -> Hashable:
    """All of a row that its tokens depend on, and its id, which the tree names; pictures by their keys."""
    shown = tuple(picture.key for picture in row.pictures)
    earlier = tuple((turn.role, turn.text, tuple(picture.key for picture in turn.pictures)) for turn in row.earlier)
    return row.id, row.question, row.answers, row.system, earlier, shown


def _bytes(tree: PackedTree) -> int:
    return tree.ids.nbytes + tree.depth.nbytes + tree.end.nbytes + OVERHEAD
