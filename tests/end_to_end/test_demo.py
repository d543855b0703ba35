"""A small demo from an installed wheel in an empty folder: everything that it needs is in the wheel."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.end_to_end.conftest import environment

ROOT = Path(__file__).resolve().parents[2]
METRICS = {"unsafe_rate", "unsafe_rate_heldout", "over_refusal_rate", "helpful_rate", "skill_accuracy", "pope_accuracy"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`spavl demo` on a few of the pictures, from the wheel's own files."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        str(ROOT),
        "-w",
        ".",
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (wheel,) = folder.glob("spavl-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    assert (folder / "site" / "spavl" / "py.typed").exists()
    here = folder / "empty"
    here.mkdir()
    where = (
        "import spavl, sys; assert 'site' in spavl.__file__, spavl.__file__; from spavl.__main__ import main; main()"
    )
    env = {**environment(), "PYTHONPATH": str(folder / "site")}
    command = [sys.executable, "-c", where, "demo", "--limit", "16", "--seed", "5"]
    done = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs/demo/report.html" in done.stdout
    return here / "runs" / "demo"


def test_the_summary_has_every_model_and_metric_with_its_interval_and_n(demo: Path) -> None:
    summary = json.loads((demo / "summary.json").read_text())
    assert {"base", "dpo", "ppo", "blind"} <= set(summary["models"])
    for rates in summary["models"].values():
        assert set(rates) == METRICS
        for rate in rates.values():
            assert rate["low"] <= rate["value"] <= rate["high"] and rate["n"] >= 16
    assert set(summary["paired"]) == METRICS == set(summary["paired_by_model"]["ppo"])
    assert {"fixed", "broken", "p"} <= set(summary["paired"]["unsafe_rate"])
    assert summary["seed"] == 5 and summary["wall_seconds"] > 0 and summary["peak_rss_mb"] > 0


def test_held_out_subcategories_are_in_the_dataset_and_never_in_the_training_split(demo: Path) -> None:
    heldout = {r["class3"] for r in pq.read_table(demo / "1-images.parquet").to_pylist() if r["heldout"]}
    trained = set(pq.read_table(demo / "dataset/data/train.parquet")["class3"].to_pylist())
    assert heldout and trained and not heldout & trained


def test_the_report_is_one_page_that_asks_for_nothing_outside(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    assert "<svg" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert "Held-out subcategories are new kinds under known cues" in page


def test_the_aligned_model_opens_with_plain_transformers(demo: Path) -> None:
    from transformers import AutoModelForImageTextToText

    assert AutoModelForImageTextToText.from_pretrained(demo / "align/dpo/checkpoint").config.model_type == "llava"
