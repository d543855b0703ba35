"""Queries print nothing, see every table as it is now, and keep no table in mind."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.errors import RunError
from spavl.tables import query as module
from spavl.tables.query import query


def table(path: Path, *numbers: int) -> Path:
    new = path.with_name("new.parquet")
    pq.write_table(pa.table({"number": list(numbers)}), new)
    new.replace(path)
    return path


def test_a_query_has_no_progress_bar_of_its_own() -> None:
    assert query("SELECT current_setting('enable_progress_bar')") == [(False,)]


@pytest.mark.parametrize("small", [module.SMALL, 0], ids=["database kept open", "database of its own"])
def test_a_table_that_was_replaced_is_read_as_it_is_now(
    small: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL", small)
    for number in range(1, 6):
        found = table(tmp_path / "what? [1].parquet", number, number)
        assert query("SELECT sum(number) FROM t WHERE number < ?", [9], t=found) == [(2 * number,)]
    with pytest.raises(RunError, match="cannot be read"):
        query("SELECT * FROM t")
