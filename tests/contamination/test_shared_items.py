"""How many items of a benchmark a dataset shares: none counts twice, however it is shared."""

from __future__ import annotations

from pathlib import Path

from spavl.contamination.table import SCHEMA, Shared, counted, tables_of
from spavl.tables import write_batches


def test_an_item_that_is_shared_by_text_and_by_picture_counts_once(tmp_path: Path) -> None:
    found = [Shared(0, "p0", "b", "first", "exact", 1.0, 3), Shared(0, "p0", "b", "second", "picture_same", 1.0, 2),
             Shared(1, "p1", "b", "first", "near", 0.9, 3)]  # fmt: skip
    path = tmp_path / "shared.parquet"
    write_batches(path, SCHEMA, tables_of(found))
    assert counted(path, "b")["items"] == 3
    assert counted(path, "another")["items"] == 0
