"""The benchmark of an evaluation's speed, and of the bridges, where no other environment is there."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.evaluating import bridges
from bench.evaluating.bridging import runner_race
from bench.evaluating.bridging.lmms_task import NAME, write_task


def test_without_lmms_eval_nothing_is_claimed_and_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_race, "PYTHON", "")
    for variable in bridges.BRIDGES.values():
        monkeypatch.delenv(variable, raising=False)
    found = [*runner_race.runner_race(tmp_path), *bridges.measures()]
    assert len(found) == 4
    assert [(one.value, one.holds) for one in found] == [(None, None)] * 4
    assert all("environment of its own" in one.how for one in found)


def test_a_task_for_lmms_eval_has_popes_prompts_and_pictures_that_datasets_reads(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "tasks", pictures=2, questions=3, words=["a", "b"], tokens=8, size=8)
    rows = pq.read_table(folder / "test.parquet")
    assert rows["answer"].to_pylist() == ["yes", "no", "yes"] * 2
    assert len(set(map(str, rows["image"].to_pylist()))) == 2
    assert json.loads(rows.schema.metadata[b"huggingface"])["info"]["features"]["image"] == {"_type": "Image"}
    assert "pope_process_results" in (folder / f"{NAME}.yaml").read_text("utf-8")
