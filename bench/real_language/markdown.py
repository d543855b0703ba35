"""Tables and cells in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table.

    Args:
        head: names of the columns.
        rows: cells.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """A text as a cell: one line, nothing of it read as Markdown or HTML.

    Args:
        text: of a model.
    """
    plain = " ".join(text.split())
    for sign in "\\`*_|<>[]#":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
