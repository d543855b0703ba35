"""Trees that a process keeps are those that it would pack again, and take no more room than they may."""

import numpy as np
import pytest
from transformers import AutoModelForImageTextToText

from spavl.align.data.packed_trees import PackedTrees
from spavl.models.families import family_of, load_processor
from spavl.models.trees import pack


@pytest.fixture(scope="module")
def family(checkpoint):
    return family_of(AutoModelForImageTextToText.from_pretrained(checkpoint), load_processor(checkpoint))


@pytest.fixture
def counted(monkeypatch):
    """The trees that are packed, and not read."""
    packed = []
    real = pack.pack_trees
    monkeypatch.setattr(
        "spavl.align.data.packed_trees.pack_trees", lambda trees, family: packed.extend(trees) or real(trees, family)
    )
    return packed


def rows_of(pairs):
    return [[pair.row() for pair in pairs[at : at + 3]] for at in range(0, 12, 3)]


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("ids", "depth", "end")) and (
        one.answers,
        one.rows,
        one.pictures,
    ) == (other.answers, other.rows, other.pictures)


def test_a_tree_is_packed_once_for_one_model_and_for_each_content(pairs, family, counted):
    kept, rows = PackedTrees(1 << 20), rows_of(pairs)
    first = kept.pack(rows, family, "model")
    again = kept.pack([*rows[::-1], rows[0][:2]], family, "model")
    assert len(counted) == 5, "part of a tree is another tree"
    assert all(same(one, other) for one, other in zip(first, again[3::-1], strict=True))
    kept.pack(rows, family, "another model")
    assert len(counted) == 9


def test_pictures_are_not_kept_with_their_trees(pairs, family):
    kept = PackedTrees(1 << 20)
    shown = [tree.pictures for tree in kept.pack(rows_of(pairs), family, "model")]
    assert all(shown) and not any(packed.pictures for packed in kept._kept.values())


def test_nothing_is_kept_without_a_name_of_the_model(pairs, family, counted):
    kept = PackedTrees(1 << 20)
    for _ in range(2):
        kept.pack(rows_of(pairs), family, "")
    assert len(counted) == 8 and not len(kept)


def test_the_least_recently_used_goes_when_there_is_no_room(pairs, family, counted):
    kept, rows = PackedTrees(0), rows_of(pairs)
    assert len(kept.pack(rows, family, "model")) == 4 and not len(kept)
    room = PackedTrees(3 * 6000)
    for tree in (*rows, rows[-1]):
        room.pack([tree], family, "model")
    assert 0 < len(room) < 4 and len(counted) == 8
    room.forget()
    assert not len(room)
    room.pack([rows[-1]], family, "model")
    assert len(room) == 1 and len(counted) == 9
