"""Pages of the docs as tests read them: fenced blocks with their marks, the commands in them, headings and links.

A block is run by tests where `<!-- run -->` stands on the line before it; where that is `run: slow`, by slow ones.
Blocks of the tutorial also say how much of what a command prints stands on the page: `<!-- run: first 3, last 5 -->`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<fence>`{3,})(?P<kind>\w*)\n(?P<text>.*?)^(?P=fence)$", re.M | re.S
)
SHELL = ("console", "sh", "bash")
"""Kinds of blocks that hold commands: in `console` they follow a `$`, in the others every line is one."""


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    """File that it stands in."""
    line: int
    """Where it begins, from 1."""
    kind: str
    """Language behind the fence."""
    mark: str
    """What the comment before it says; empty where there is none."""
    text: str
    """What stands between the fences."""

    @property
    def place(self) -> str:
        """Page and line, for messages and names of tests."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """Command lines, continued ones joined, in order; none where it is no block of commands."""
        if self.kind not in SHELL:
            return []
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        if self.kind == "console":
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pages() -> list[Path]:
    """README, CONTRIBUTING and every page of docs; not the changelog, whose old entries name old things."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page.

    Args:
        page: a Markdown file.
    """
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("fence")) + 1
        yield Block(page, line, found["kind"], found["mark"] or "", found["text"])


def outside_blocks(page: Path) -> str:
    """The text of a page without its fenced blocks.

    Args:
        page: a Markdown file.
    """
    return FENCE.sub("", page.read_text("utf-8"))


def spavl_words(command: str) -> list[str] | None:
    """The words after `spavl` in a command line; None where another program is called.

    Args:
        command: as it stands on a page; a comment behind it is no part of it.
    """
    words = shlex.split(re.split(r" [|>] ", command)[0], comments=True)
    for start in (["spavl"], ["python", "-m", "spavl"]):
        if words[: len(start)] == start:
            return words[len(start) :]
    if "-m" in words and "spavl" in words:  # under a launcher
        return words[words.index("spavl") + 1 :]
    return None


def anchors(page: Path) -> set[str]:
    """What links may name in a page: its headings, as mkdocs and GitHub both write them.

    Args:
        page: a Markdown file.
    """
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*)$", outside_blocks(page), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        number = 1
        name = slug
        while name in found:
            name, number = f"{slug}_{number}", number + 1
        found.add(name)
    return found


def links(page: Path) -> list[tuple[str, str]]:
    """(file, anchor) of every link that does not leave the repository; the file is empty within the page itself.

    Args:
        page: a Markdown file.
    """
    found = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)", outside_blocks(page))
    return [(file, anchor) for file, anchor in found if file or anchor]
