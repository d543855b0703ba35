"""Queries print nothing: commands have bars of their own."""

from __future__ import annotations

from spavl.tables.query import query


def test_a_query_has_no_progress_bar_of_its_own() -> None:
    assert query("SELECT current_setting('enable_progress_bar')") == [(False,)]
