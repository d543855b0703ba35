"""What `spavl check` says of every benchmark before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.evaluating import refusal_files as files
from spavl.cli.commands import app
from spavl.config.benchmarks import XsTestBenchmark
from spavl.errors import SettingsError
from spavl.evaluate import BenchmarkTools
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.metrics import over_refusal_rate
from spavl.evaluate.parse import REFUSES
from spavl.models.base import Sampling
from spavl.pipeline.benchmark_plan import plan_of
from spavl.pipeline.evaluate import limited


def said(tmp_path: Path, benchmark: str, *more: str) -> tuple[int, str]:
    """Exit status and output of `spavl check` of one benchmark."""
    file = tmp_path / "my.yaml"
    file.write_text(f"out: {tmp_path / 'run'}\nstore: {tmp_path / 'calls.sqlite'}\n"
                    f"evaluate: {{benchmarks: [{benchmark}]}}\n")  # fmt: skip
    done = CliRunner().invoke(app, ["check", str(file), *more], env={"COLUMNS": "250"})
    return done.exit_code, " ".join(done.output.split())


def test_a_benchmark_is_told_with_its_items_licence_and_detectable_change(tmp_path):
    files.write_csv(tmp_path / "xstest_prompts.csv", files.xstest_rows())
    _, told = said(tmp_path, f"{{kind: xstest, path: {tmp_path}}}")
    assert "xstest: 250 safe + 200 unsafe items;" in told and "Licence: CC BY 4.0." in told
    assert "a change of 5.6 points or more" in told and "80% power (assuming 10% of answers change)" in told
    _, part = said(tmp_path, f"{{kind: xstest, path: {tmp_path}, limit: 40}}")
    assert "items of 450 published" in part


def test_a_missing_folder_says_where_the_files_are_got(tmp_path):
    status, told = said(tmp_path, f"{{kind: xstest, path: {tmp_path / 'none'}}}")
    assert status == 2 and "github.com/paul-rottger/xstest" in told


def test_a_licence_that_forbids_commercial_use_is_a_problem_of_the_plan(tmp_path):
    folder = files.vlsu(tmp_path / "vlsu")
    status, told = said(tmp_path, f"{{kind: vlsu, path: {folder}}}", "evaluate.purpose=commercial")
    assert status == 2 and "forbids commercial use" in told and "evaluate.purpose" in told
    _, told = said(tmp_path, f"{{kind: vlsu, path: {folder}}}", "evaluate.purpose=research")
    assert "forbids" not in told


def test_pictures_that_are_missing_are_counted_with_where_they_are_got(tmp_path):
    folder = files.mossbench(tmp_path / "MOSSBench")
    (folder / "data" / "images" / "7.png").unlink()
    _, told = said(tmp_path, f"{{kind: mossbench, path: {folder}}}", "evaluate.missing_pictures=skip")
    assert "mossbench: 1 item without a picture would not be asked (take the folders data" in told
    assert "items share pictures" in told or "points or more of" in told


def plan(items, **metric):
    made = Metric(name="rate", axis="skill", better="higher", label="Right", what="right", scorer=REFUSES, **metric)
    benchmark = Benchmark(name="b", items=items, metrics=(made,), sampling=Sampling(max_tokens=8))
    return plan_of(XsTestBenchmark(path="x"), benchmark, 0.95)


def test_rotations_of_a_question_count_once():
    items = tuple(Item(item_id=f"{n}", subset="s", question="?", shown="none", unit=f"u{n % 50}") for n in range(200))
    assert plan(items, together="all").counted == 50 and plan(items).counted == 200
    assert plan(items).detectable == pytest.approx(2.8016 * (0.1 / 200) ** 0.5, abs=1e-3)
    assert not plan(items).clustered


def test_a_handful_of_items_shows_nothing(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"question": "?", "benign": true}\n')
    _, told = said(tmp_path, f"{{kind: file, name: mine, path: {tmp_path / 'mine.jsonl'}}}")
    assert "1 item cannot show any change" in told


def test_opening_for_the_plan_asks_nobody(tmp_path):
    files.write_csv(tmp_path / "xstest_prompts.csv", files.xstest_rows())
    tools = BenchmarkTools(
        name="x", sampling=Sampling(max_tokens=8), pictures=tmp_path, seed=0, unsafe=lambda: pytest.fail("asked"),
    )  # fmt: skip
    spec = XsTestBenchmark(path=str(tmp_path))
    assert plan_of(spec, open_benchmark(spec, tools), 0.95).licence == "CC BY 4.0"


def test_a_limit_below_a_unit_says_what_belongs_together(tmp_path: Path) -> None:
    items = tuple(
        Item(item_id=f"{n}", subset="s", question="?", shown="none", unit=f"u{n // 4}", benign=True) for n in range(8)
    )
    whole = Benchmark(
        name="squares", items=items, metrics=(over_refusal_rate(REFUSES),), sampling=Sampling(max_tokens=8)
    )
    with pytest.raises(SettingsError, match="no items of benchmark `squares` that are scored together"):
        limited(whole, 3)
    assert len(limited(whole, 4).items) == 4
