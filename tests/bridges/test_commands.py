"""The commands of the bridges."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spavl.cli.commands import app
from spavl.errors import MissingExtra, RunError
from tests.bridges.test_inspect import evaluated
from tests.bridges.test_lmms import scored_task, write_log


def bridge(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["bridge", *map(str, words)])


def test_a_log_of_lmms_eval_is_compared_with_a_run_and_every_item_is_written(tmp_path: Path) -> None:
    from spavl.bridges.lmms.task_benchmark import task_benchmark
    from spavl.evaluate.run import score
    from spavl.evaluate.score_table import write_scores
    from tests.bridges.test_lmms import answers

    benchmark = task_benchmark(scored_task(), "skill")
    assert benchmark is not None
    write_scores(tmp_path / "run" / "evaluate", score(benchmark, answers(benchmark)), run=tmp_path / "run")
    given = ("--model", "base", "--benchmark", "pope", "--metric", "pope_accuracy", "--out", tmp_path / "both.csv")
    found = bridge("lmms-log", tmp_path / "run", write_log(tmp_path), *given)
    assert found.exit_code == 0, found.output
    assert "50.00% here" in found.output.replace("\n", " ")
    assert len((tmp_path / "both.csv").read_text("utf-8").splitlines()) == 5


def test_who_lacks_a_framework_is_told_which_extra_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for package in ("inspect_ai", "lmms_eval"):
        monkeypatch.setitem(sys.modules, package, None)
    for module in ("spavl.bridges.inspect.export", "spavl.bridges.lmms.model"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    found = bridge("inspect", evaluated(tmp_path), "--out", tmp_path / "logs")
    assert isinstance(found.exception, MissingExtra)
    assert "spavl[inspect]" in found.exception.render()
    (tmp_path / "my.yaml").write_text(f"out: {tmp_path / 'new'}\nstore: {tmp_path / 'new.sqlite'}\n", "utf-8")
    found = bridge("lmms", tmp_path / "my.yaml", "--task", "pope")
    assert isinstance(found.exception, MissingExtra)
    assert "spavl[lmms]" in found.exception.render()


def test_a_run_without_scores_has_no_logs(tmp_path: Path) -> None:
    assert isinstance(bridge("inspect", tmp_path).exception, RunError)
