"""The alarm rings: every test file in the tree is collected by the command that CI runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def collected() -> set[str]:
    """Files with at least one test, as `pytest` finds them from the root of the repository with no path named."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-qq",
        "-m",
        "slow or not slow",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return {line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("tests/")}


def test_every_test_file_in_the_tree_is_collected() -> None:
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(there) > 60
    assert there - collected() == set()


def test_no_test_stands_in_a_file_that_is_not_collected() -> None:
    other = [path for path in (ROOT / "tests").rglob("*.py") if not path.name.startswith("test_")]
    assert [path.name for path in other if "\ndef test_" in path.read_text("utf-8")] == []
