"""Tables of vectors: exact search, what survives a kill, and the index beside them."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spavl.dataset.collect import index as indexing
from spavl.dataset.collect import vectors as tables
from spavl.dataset.collect.index import VectorIndex
from spavl.dataset.collect.vectors import Entry, VectorTable
from spavl.errors import DataError, RunError
from spavl.locks import HeldError


def directions(count: int, width: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Random vectors of length one."""
    made = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def entries(count: int, start: int = 0) -> list[Entry]:
    """What rows are of."""
    return [Entry(f"{number:06}.png", "1") for number in range(start, start + count)]


def filled(folder: Path, count: int, **more: object) -> VectorTable:
    """A table with so many rows."""
    table = VectorTable(folder, "encoder-a", **more)  # type: ignore[arg-type]
    table.append(entries(count), directions(count))
    return table


@given(
    count=st.integers(1, 60), block=st.integers(1, 70), k=st.integers(1, 8), seed=st.integers(0, 5),
    least=st.sampled_from([-1.0, 0.0, 0.4]), hidden=st.sets(st.integers(0, 59), max_size=20),
)  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_nearest_are_those_of_a_plain_sort_however_rows_fall_into_blocks(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, count: int, block: int, k: int,
    seed: int, least: float, hidden: set[int],
) -> None:  # fmt: skip
    monkeypatch.setattr(tables, "BLOCK_ROWS", block)
    vectors, queries = directions(count, 4, seed), directions(3, 4, seed + 100)
    vectors[count // 2] = vectors[0]  # two equal rows: the first is taken
    with VectorTable(tmp_path_factory.mktemp("table"), "e", dtype="float32") as table:
        table.append(entries(count), vectors)
        table.keep_only(one for number, one in enumerate(entries(count)) if number not in hidden)
        found = table.nearest(queries, k, threshold=least)
    for query, rows, similarities in zip(queries, found.rows, found.similarities, strict=True):
        products = np.einsum("nd,d->n", vectors, query)
        best = [n for n in np.lexsort((np.arange(count), -products)) if n not in hidden and products[n] >= least][:k]
        assert rows[rows >= 0].tolist() == best
        assert np.allclose(similarities[: len(best)], products[best], atol=1e-6)
        assert np.isneginf(similarities[len(best) :]).all()


def test_half_precision_moves_no_similarity_by_more_than_a_thousandth(tmp_path: Path) -> None:
    queries = directions(5, seed=3)
    with filled(tmp_path / "16", 300) as half, filled(tmp_path / "32", 300, dtype="float32") as whole:
        found = half.nearest(queries, 300), whole.nearest(queries, 300)
    assert np.abs(found[0].similarities - found[1].similarities).max() < 1e-3


def test_what_is_appended_in_batches_is_read_as_one_table_beside_the_writer(tmp_path: Path) -> None:
    vectors = directions(70)
    with VectorTable(tmp_path, "encoder-a", dtype="float32") as table:
        for start, stop in pairwise((0, 1, 30, 70)):
            table.append(entries(stop - start, start), vectors[start:stop])
            with VectorTable(tmp_path, "encoder-a", writes=False) as beside:
                assert len(beside) == stop
                assert np.array_equal(beside.vectors(), vectors[:stop])
    assert beside.writes is False


WRITER = """
import sys, numpy as np
from pathlib import Path
from spavl.dataset.collect.vectors import Entry, VectorTable
table = VectorTable(Path(sys.argv[1]), "encoder-a", dtype="float32")
while True:
    start = len(table)
    rows = np.repeat(np.arange(start, start + 50, dtype=np.float32)[:, None], 64, axis=1)
    table.append([Entry(str(n), "") for n in range(start, start + 50)], rows)
    print(len(table), flush=True)
"""


def test_a_killed_writer_leaves_a_table_of_whole_rows_that_is_appended_to(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(5)]
        writer.kill()
    with VectorTable(tmp_path, "encoder-a") as table:
        count = len(table)
        assert count >= said[-1]
        assert np.array_equal(table.vectors()[:, 0], np.arange(count))
        table.append([Entry("new", "")], np.full((1, 64), 7, np.float32))
        assert np.array_equal(table.vectors()[:, 5], [*range(count), 7])
        assert table.entries([count, 0]) == [Entry("new", ""), Entry("0", "")]


def test_bytes_that_were_not_noted_are_written_over(tmp_path: Path) -> None:
    filled(tmp_path, 10).close()
    with (tmp_path / "vectors.bin").open("ab") as file:
        file.write(b"half a batch")
    with VectorTable(tmp_path, "encoder-a") as table:
        table.append(entries(1, 10), directions(1, seed=9))
        assert np.allclose(table.vectors()[10], directions(1, seed=9), atol=1e-3)
        assert (tmp_path / "vectors.bin").stat().st_size == 11 * 16 * 2


def test_vectors_that_are_missing_are_noticed(tmp_path: Path) -> None:
    filled(tmp_path, 10).close()
    (tmp_path / "vectors.bin").write_bytes(b"short")
    with pytest.raises(RunError, match="damaged"):
        VectorTable(tmp_path, "encoder-a")


def test_a_damaged_database_is_said_to_be_one(tmp_path: Path) -> None:
    filled(tmp_path, 10).close()
    (tmp_path / "rows.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises(RunError, match="damaged"):
        VectorTable(tmp_path, "encoder-a")


def test_vectors_of_another_encoder_are_refused(tmp_path: Path) -> None:
    filled(tmp_path, 3).close()
    with pytest.raises(DataError, match="another encoder"):
        VectorTable(tmp_path, "encoder-b")
    with VectorTable(tmp_path, "encoder-a") as table, pytest.raises(DataError, match="8 numbers in a table of 16"):
        table.append(entries(1, 3), directions(1, 8))


def test_there_is_one_writer_at_a_time(tmp_path: Path) -> None:
    with filled(tmp_path, 3), pytest.raises(HeldError):
        VectorTable(tmp_path, "encoder-a")
    VectorTable(tmp_path, "encoder-a").close()


def test_what_is_gone_is_hidden_and_shown_again_when_it_comes_back(tmp_path: Path) -> None:
    with filled(tmp_path, 5) as table:
        query = directions(5)[:1]
        changed = [Entry("000000.png", "2"), *entries(3, 1)]
        table.keep_only(changed)
        assert table.hidden == 2
        assert [one for batch in table.missing(1) for one in batch] == changed[:1]
        assert 0 not in table.nearest(query, 5).rows
        table.keep_only(entries(5))
        assert table.hidden == table.missing_count() == 0
        assert table.nearest(query, 5).rows[0, 0] == 0


def test_what_is_refused_is_not_tried_again_until_it_changes(tmp_path: Path) -> None:
    with filled(tmp_path, 2) as table:
        table.keep_only(entries(3))
        table.refuse(Entry("000002.png", "1"), "it is broken")
        assert table.missing_count() == 0
        assert list(table.refused()) == [(Entry("000002.png", "1"), "it is broken")]
        table.keep_only([*entries(2), Entry("000002.png", "2")])
        assert table.missing_count() == 1
        assert list(table.refused()) == []


@given(name=st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name))
@settings(max_examples=25, deadline=None)
def test_names_of_any_bytes_are_kept(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    entry = Entry(name.decode("utf-8", "surrogateescape"), "")
    with VectorTable(tmp_path_factory.mktemp("table"), "e") as table:
        table.keep_only([entry])
        assert list(table.missing()) == [[entry]]
        table.append([entry], directions(1))
        assert table.entries([0]) == [entry]


# ---- the index


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of few rows, so that there are several."""
    monkeypatch.setattr(indexing, "PART_ROWS", 200)
    monkeypatch.setattr(indexing, "ADDED_ROWS", 64)


def test_the_index_finds_what_an_exact_search_finds_and_is_extended(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    queries = directions(20, seed=5)
    with filled(tmp_path, 500) as table:
        assert VectorIndex(table).extend() == 500
        assert VectorIndex(table).extend() == 0
        first = next(tmp_path.glob("index-*-0000.usearch")).stat().st_mtime_ns
        table.append(entries(300, 500), directions(300, seed=8))
        index = VectorIndex(table)
        assert index.extend() == 300
        assert next(tmp_path.glob("index-*-0000.usearch")).stat().st_mtime_ns == first
        exact, found = table.nearest(queries, 5), index.nearest(queries, 5)
        assert (exact.rows == found.rows).mean() > 0.99
        assert np.array_equal(
            exact.similarities[exact.rows == found.rows], found.similarities[exact.rows == found.rows]
        )
        assert (index.nearest(queries[:1], 5).rows == exact.rows[:1]).all()


def test_the_index_leaves_out_what_is_hidden_and_what_is_too_far(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    queries = directions(10, seed=5)
    with filled(tmp_path, 300) as table:
        index = VectorIndex(table)
        index.extend()
        nearest = set(table.nearest(queries, 30).rows.ravel().tolist())
        table.keep_only(one for number, one in enumerate(entries(300)) if number not in nearest)
        exact, found = table.nearest(queries, 10, threshold=0.3), index.nearest(queries, 10, threshold=0.3)
    assert np.array_equal(exact.rows, found.rows)
    assert not nearest & set(found.rows.ravel().tolist())


@pytest.mark.parametrize("damage", [b"nonsense" * 100, b""])
def test_a_damaged_index_is_said_to_be_one(tmp_path: Path, damage: bytes) -> None:
    pytest.importorskip("usearch")
    with filled(tmp_path, 100) as table:
        VectorIndex(table).extend()
        next(tmp_path.glob("index-*")).write_bytes(damage)
        with pytest.raises(RunError, match="index of the vectors is damaged"):
            VectorIndex(table).extend()
