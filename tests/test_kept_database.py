"""A database that is derived from tables: made whole or not at all, asked by several threads, never written by them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spavl.errors import RunError
from spavl.tables.kept import KeptDatabase, make_database

NUMBERS = "CREATE TABLE numbers AS SELECT range AS number FROM range($most)"


def test_many_threads_ask_one_database_and_none_can_write_it(tmp_path: Path) -> None:
    make_database(tmp_path / "kept.duckdb", [NUMBERS], {"most": 5_000, "unused": "x"})
    with KeptDatabase(tmp_path / "kept.duckdb") as kept, ThreadPoolExecutor(4) as pool:
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
        KeptDatabase(tmp_path / "kept.duckdb")
