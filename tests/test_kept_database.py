"""A database that is derived from tables: made whole or not at all, asked by several threads, never written by them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spavl.errors import RunError
from spavl.tables.kept import KEPT, DamagedDatabase, KeptDatabase, make_database

NUMBERS = "CREATE TABLE numbers AS SELECT range AS number FROM range($most)"


def test_many_threads_ask_one_database_and_none_can_write_it(tmp_path: Path) -> None:
    make_database(tmp_path / "kept.duckdb", [NUMBERS], {"most": 5_000, "unused": "x"})
    with KeptDatabase(tmp_path / "kept.duckdb", spill=tmp_path / "spill") as kept, ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(kept.rows, "SELECT count(*) AS n FROM numbers WHERE number < ?", [most]) for most in range(40)
        ]
        assert [one.result() for one in asked] == [[{"n": most}] for most in range(40)]
        with pytest.raises(RunError, match="cannot be read"):
            kept.rows("DELETE FROM numbers")


def test_what_cannot_be_made_leaves_nothing_and_what_is_damaged_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="tables cannot be read"):
        make_database(tmp_path / "kept.duckdb", [NUMBERS, "SELECT * FROM nowhere"], {"most": 3})
    assert not list(tmp_path.iterdir())
    (tmp_path / "kept.duckdb").write_bytes(b"no database" * 1_000)
    with pytest.raises(RunError, match="delete it"):
        KeptDatabase(tmp_path / "kept.duckdb", spill=tmp_path / "spill")


def test_a_whole_database_that_is_open_otherwise_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "kept.duckdb"
    make_database(path, [NUMBERS], {"most": 3})
    with KeptDatabase(path, spill=tmp_path / "one"), KeptDatabase(path, spill=tmp_path / "one") as again:
        with pytest.raises(RunError, match="open in another way") as caught:
            KeptDatabase(path, spill=tmp_path / "other")
        assert not isinstance(caught.value, DamagedDatabase)
        assert again.rows("SELECT count(*) AS n FROM numbers") == [{"n": 3}]


def test_the_last_answers_of_columns_are_kept_and_no_more(tmp_path: Path) -> None:
    make_database(tmp_path / "kept.duckdb", [NUMBERS], {"most": 9})
    with KeptDatabase(tmp_path / "kept.duckdb", spill=tmp_path / "spill") as kept:

        def below(most: int) -> tuple[object, ...]:
            return kept.columns("SELECT number FROM numbers WHERE number < ?", (most,))

        first = below(0)
        assert all(below(most)[0].tolist() == list(range(most)) for most in range(1, KEPT))  # type: ignore[attr-defined]
        assert below(0) is first, "asked again it is the last"
        below(KEPT)
        assert below(0) is first
        for most in range(1, KEPT + 1):
            below(most)
        assert below(0) is not first
