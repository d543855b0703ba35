"""The page of protocols is what the program says of them."""

from __future__ import annotations

from pathlib import Path

from spavl.cli.protocols import protocols_page

PAGE = Path(__file__).resolve().parent.parent / "docs/methods/protocols.md"


def test_the_page_s_table_is_the_program_s() -> None:
    table = PAGE.read_text("utf-8").partition("<!-- table: spavl protocols -->\n")[2].partition("\n<!-- end -->")[0]
    assert table == protocols_page(), "put `protocols_page()` between the markers"
