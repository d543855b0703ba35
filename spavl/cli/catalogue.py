"""What `spavl benchmarks` prints: the published benchmarks, and the table of them in the guide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spavl.cli.terminal import print_json, say, table

if TYPE_CHECKING:
    from spavl.evaluate.loaders.catalogue import CatalogueEntry

COMMERCIAL = {True: "yes", False: "no", None: "not known"}
"""Whether a licence allows commercial use, in a word."""
HEAD = ("kind", "axis", "title", "paper", "items", "licence", "commercial use", "layout", "where to get it")
"""Columns of the guide's table."""


def print_catalogue(entries: Sequence[CatalogueEntry], *, as_json: bool) -> None:
    """Print the published benchmarks: a table, and where each is got.

    Args:
        entries: those that are listed.
        as_json: print JSON in place of the table.
    """
    if as_json:
        print_json([entry.as_plain_data() for entry in entries])
        return
    rows = [[e.kind, e.axis, COMMERCIAL[e.source.commercial], e.source.sure, _items(e)] for e in entries]
    table("Benchmarks", ["kind", "axis", "commercial use", "layout", "items"], rows, right=4)
    for entry in entries:
        source = entry.source
        say(f"{entry.kind}: {source.title}, {source.paper}. Licence: {source.licence}. To get it: {source.get}.")
    say("Name one in `evaluate.benchmarks` by `kind` and `path`; `spavl check` counts what is there. Nothing is "
        "downloaded.")  # fmt: skip


def catalogue_page(entries: Sequence[CatalogueEntry]) -> str:
    """The table of the guide, in Markdown.

    Args:
        entries: all benchmarks.
    """
    lines = [HEAD, tuple("---" for _ in HEAD), *(tuple(_cells(entry)) for entry in entries)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _cells(entry: CatalogueEntry) -> list[str]:
    source = entry.source
    return [entry.kind, entry.axis, source.title, source.paper, _items(entry), source.licence,
            COMMERCIAL[source.commercial], source.sure, source.get]  # fmt: skip


def _items(entry: CatalogueEntry) -> str:
    return "not known" if entry.items is None else f"{entry.items:,}"
