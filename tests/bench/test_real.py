"""Results of the benchmark in real language: what a stop leaves, and rows of metrics that nothing was read for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.real import Results
from bench.real_demo import _shown
from spavl.statistics import compare_paired, rate


def test_time_before_a_stop_counts_and_a_part_that_is_found_again_keeps_its_first_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 50.0, 100.0, 130.0, 200.0, 201.0])
    monkeypatch.setattr("bench.real.time.perf_counter", lambda: next(clock))
    file = tmp_path / "real.json"
    with pytest.raises(KeyboardInterrupt), Results(file).timed("build"):
        raise KeyboardInterrupt
    assert json.loads(file.read_text("utf-8"))["stopped"] == {"build": 50.0}
    for _ in range(2):
        with Results(file).timed("build"):
            pass
        found = json.loads(file.read_text("utf-8"))
        assert found["seconds"] == {"build": 80.0} and found["stopped"] == {}


def test_a_metric_that_nothing_was_read_for_is_a_row_of_the_demo_without_a_value() -> None:
    nothing = asdict(rate([]))
    scores = {
        "metrics": {"unsafe_rate": {"label": "Unsafe", "better": "lower"}},
        "models": {name: {"rates": {"unsafe_rate": nothing}} for name in ("base", "dpo")},
        "paired": {"dpo": {"unsafe_rate": asdict(compare_paired({}, {}, better="lower"))}},
    }
    (row,) = _shown(scores)
    assert row.value is None and row.holds is None and "0 of 0" in row.how
