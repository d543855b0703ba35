"""Text and tables as Markdown that shows what it is given and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from spavl.visible_text import visible

ESCAPED = {"\\": "\\\\", "|": "\\|", "&": "&amp;", "<": "&lt;", "](": "]\\(", "`": "\\`", "*": "\\*", "@": "&#64;"}
"""How Markdown writes signs that mean something to it; the first before those that are written with it."""


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table.

    Args:
        head: names of the columns.
        rows: cells of every row.
    """
    lines = [f"| {' | '.join(map(cell, one))} |" for one in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def cell(text: str) -> str:
    """A text as Markdown holds it in a cell: no pipe ends it, and no tag, picture or line break is in it.

    No link has words of its own either; of a bare address a reader may make one.

    Args:
        text: any text.
    """
    text = visible(" ".join(text.splitlines()))
    for sign, written in ESCAPED.items():
        text = text.replace(sign, written)
    return text
