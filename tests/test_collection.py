"""The alarm rings: every test file in the tree is collected by the command that CI runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import LONG

ROOT = Path(__file__).parents[1]
VISIT = """
import fnmatch, sys
import pytest

class Visited:
    def pytest_collect_file(self, file_path, parent):
        if any(fnmatch.fnmatch(file_path.name, form) for form in parent.config.getini("python_files")):
            print("visited", file_path)

    def pytest_addoption(self, parser):
        parser.addini("python_files", "as pytest has it", type="args", default=["test_*.py", "*_test.py"])

sys.exit(pytest.main(sys.argv[1:], plugins=[Visited()]))
"""
"""Walks the tree as pytest does, with the project's settings, and imports no test file."""


def collected() -> set[str]:
    """Files that `pytest` visits from the root of the repository with no path named."""
    words = ["--collect-only", "-qq", "--noconftest", "-p", "no:python", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run([sys.executable, "-c", VISIT, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stdout[-2000:] + done.stderr[-2000:]  # "no tests collected"
    lines = [line.removeprefix("visited ") for line in done.stdout.splitlines() if line.startswith("visited ")]
    return {Path(line).relative_to(ROOT).as_posix() for line in lines}


def test_every_test_file_in_the_tree_is_collected_and_has_a_test() -> None:
    there = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(there) > 60
    assert there.keys() - collected() == set()
    assert [name for name, text in there.items() if "\ndef test_" not in text] == []


def test_no_test_stands_in_a_file_that_is_not_collected() -> None:
    other = [path for path in (ROOT / "tests").rglob("*.py") if not path.name.startswith("test_")]
    assert [path.name for path in other if "\ndef test_" in path.read_text("utf-8")] == []


def test_the_files_that_are_begun_first_are_there() -> None:
    assert [file for file in LONG if not (ROOT / "tests" / file).is_file()] == []
