"""Write what the commands of the tutorial print onto its page: `python -m tests.generate_tutorial`.

The page is docs/tutorial.md. Blocks behind `<!-- run -->` are run in order, in one folder that begins as a copy of
`examples/tutorial`; of a long output `<!-- run: first 3, last 5 -->` keeps so many lines, and
`from WORDS` leaves out what stands before a line that begins so. Blocks behind
`<!-- file: NAME -->` show a file of that folder.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.doc_pages import FENCE, ROOT, Block, blocks

PAGE = ROOT / "docs" / "tutorial.md"
FILES = ROOT / "examples" / "tutorial"
Run = Callable[[list[str], Path], str]
"""Runs a program in a folder and gives what it prints on standard output."""


def in_a_process(words: list[str], folder: Path) -> str:
    """What a program prints, in a process of its own.

    Args:
        words: of the command line; `spavl` and `python` are this Python's.
        folder: where it runs.

    Raises:
        RuntimeError: it did not end with 0.
    """
    python = [sys.executable]
    start = {"spavl": [*python, "-m", "spavl"], "python": python, "ls": ["ls"]}[words[0]]
    done = subprocess.run([*start, *words[1:]], cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def environment() -> Mapping[str, str]:
    """What the commands of the page run with: a terminal of 100 columns, no network for libraries of the Hub."""
    return {**os.environ, "COLUMNS": "100", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


def outputs(folder: Path, run: Run = in_a_process) -> dict[int, list[tuple[str, str]]]:
    """(command, output) of the blocks that are run, by the line that the block stands on.

    Args:
        folder: an empty one, in which all of it is done.
        run: runs one command.
    """
    shutil.copytree(FILES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return {
        block.line: [(command, run(shlex.split(command, comments=True), folder)) for command in block.commands()]
        for block in blocks(PAGE)
        if block.mark.startswith("run")
    }


def page(found: Mapping[int, list[tuple[str, str]]], seconds: float) -> str:
    """The page with these outputs in place of its own.

    Args:
        found: of `outputs`.
        seconds: of processor time that all of it took.
    """
    at = {block.line: block for block in blocks(PAGE)}
    text = PAGE.read_text("utf-8")

    def changed(match: re.Match[str]) -> str:
        block = at[text.count("\n", 0, match.start("fence")) + 1]
        start = match.start("text") - match.start()
        return f"{match[0][:start]}{_inside(block, found)}```"

    minutes = f"<!-- time -->{seconds / 60:.0f} minutes<!-- /time -->"
    return re.sub(r"<!-- time -->.*?<!-- /time -->", minutes, FENCE.sub(changed, text))


def _inside(block: Block, found: Mapping[int, list[tuple[str, str]]]) -> str:
    if block.mark.startswith("file: "):
        return (FILES / block.mark.removeprefix("file: ")).read_text("utf-8")
    if not block.mark.startswith("run"):
        return block.text
    return "".join(f"$ {command}\n{shortened(output, block.mark)}" for command, output in found[block.line])


def shortened(output: str, mark: str) -> str:
    """The lines of an output that stand on the page.

    Args:
        output: what a command prints.
        mark: of its block, which may say how many of the first and last lines are shown.
    """
    lines = [line.rstrip() for line in output.strip("\n").splitlines()]
    if begin := re.search(r"from ([^,]+)", mark):
        lines = lines[next((n for n, line in enumerate(lines) if line.startswith(begin[1])), 0) :]
    asked = re.search(r"first (\d+), last (\d+)", mark)
    if asked and len(lines) > int(asked[1]) + int(asked[2]) + 1:
        first, last = int(asked[1]), int(asked[2])
        lines = [*lines[:first], "…", *lines[len(lines) - last :]]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        made = outputs(Path(place))
    PAGE.write_text(page(made, sum(os.times()[2:4])), "utf-8")
    print("wrote the outputs in docs/tutorial.md")
