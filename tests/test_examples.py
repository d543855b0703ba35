"""Every example runs from top to bottom in an empty folder, without a network, and makes what it says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import spavl
from tests import processes
from tests.end_to_end.conftest import environment

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
MADE = {
    "pictures_to_pairs": ("run/dataset/data/train.parquet", r"12 pictures, 36 questions, [1-9]\d* pairs"),
    "pairs_to_checkpoint": (
        "run/align/dpo/checkpoint/model.safetensors",
        r"LlavaForConditionalGeneration with 624,288",
    ),
    "checkpoint_to_scores": ("run/report.html", r"after Needless refusals +\d+\.\d% .* of 12\n"),
    "own_guard": ("run/evaluate/lark", r"lark: \d+% unsafe .* of 24, by guard:lights/safety/"),
    "own_benchmark": (
        "run/report.html",
        r"amber  Help that names the thing +\d+% of 20  \(example:names-the-thing/1\)",
    ),
    "own_stage": ("parts/whole answers.parquet", r"whole answers +[1-9]\d* left out, \d+ made\n"),
}
"""By example: a file or folder that it makes, and what it prints."""


def run(example: str, folder: Path) -> str:
    """What an example prints, in a process of its own, which imports all itself where it trains."""
    script = str(ROOT / "examples" / f"{example}.py")
    env = {**environment(), "PYTHONPATH": str(ROOT)}
    if example == "pairs_to_checkpoint":
        done = subprocess.run([sys.executable, script], cwd=folder, env=env, capture_output=True, text=True)
    else:
        done = processes.run(script, cwd=folder, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def made_and_printed(example: str, folder: Path) -> str:
    """Run an example, and check what it makes and prints; returns what it prints."""
    made, printed = MADE[example]
    text = run(example, folder)
    assert re.search(printed, text), text
    assert (folder / "runs" / "examples" / example / made).exists()
    return text


@pytest.mark.parametrize("example", [path.stem for path in EXAMPLES if path.stem != "own_stage"])
def test_an_example_runs_and_makes_what_it_says(example: str, tmp_path: Path) -> None:
    made_and_printed(example, tmp_path)


def test_the_example_of_a_stage_too_and_run_again_it_calls_no_model(tmp_path: Path) -> None:
    first = made_and_printed("own_stage", tmp_path)
    pairs = tmp_path / "runs/examples/own_stage/6-pairs.parquet"
    before = pq.read_table(pairs)
    pairs.unlink()
    assert run("own_stage", tmp_path) == first
    assert pq.read_table(pairs).equals(before)
    manifest = spavl.open_run(out=tmp_path / "runs/examples/own_stage").manifest()
    assert manifest["calls"] == {"answered from the store": 0, "made": 0}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_read_from_top_to_bottom_in_cells(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n# %% ") >= 3
    assert f"`python examples/{path.name}`" in (ast.get_docstring(ast.parse(text)) or "")
    assert len(text.splitlines()) <= 110


def test_the_guide_names_every_example_and_every_public_name() -> None:
    guide = (ROOT / "docs" / "guides" / "python.md").read_text("utf-8")
    assert [path.name for path in EXAMPLES if f"../../examples/{path.name}" not in guide] == []
    assert [name for name in spavl.__all__ if not re.search(rf"`(spavl\.)?{name}[`(]", guide)] == []
