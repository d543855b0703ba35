"""The GPU benchmark: its rows are rehearsed, saved as they come, and survive each other."""

import json
import time
from types import SimpleNamespace

import pytest
import torch

from bench import dpo, gpu
from bench.measures import Measure
from bench.trl_comparison import attention, setups
from bench.trl_comparison.experiments import Experiment, Results, measure_one

REHEARSED = ("machine", "trees", "attention", "pairs")
"""The others are the same runs with other settings, or a profiler: the slow test runs them too."""


def planned():
    return [Measure("first", None, 2.0, "×", "higher", ""), Measure("second", None, None, "×", "higher", "")]


def experiment(measures, seconds=0.0):
    return Experiment(seconds, planned, measures)


def saved(path):
    return {row["name"]: row for row in json.loads(path.read_text("utf-8"))["measures"]}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_rehearsal_measures_its_rows_on_a_tiny_model(tmp_path, capsys):
    out = tmp_path / "gpu.json"
    assert gpu.main(["--rehearse", "--json", str(out), "--sizes", "2", "3", "--only", *REHEARSED]) == 0, (
        capsys.readouterr().err
    )
    rows = saved(out)
    unmeasured = [row["name"] for row in rows.values() if row["value"] is None]
    assert unmeasured == []
    correct = [
        row for row in rows.values() if row["name"].startswith(("tree against", "tree attention")) and row["floor"]
    ]
    assert len(correct) == 5 and all(row["holds"] for row in correct)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_whole_rehearsal_measures_every_row(tmp_path, capsys):
    assert gpu.main(["--rehearse", "--json", str(tmp_path / "gpu.json")]) == 0, capsys.readouterr().err
    rows = saved(tmp_path / "gpu.json")
    assert [name for name, row in rows.items() if row["value"] is None and "memory" not in name] == []
    assert all(row["value"] < 1e-3 for name, row in rows.items() if "step's loss" in name)


def test_a_file_keeps_rows_that_are_not_measured_again(tmp_path):
    out = tmp_path / "gpu.json"
    old = [row.replace(value=1.0, how="before").row() for row in (*planned(), planned()[0].replace(name="third"))]
    out.write_text(json.dumps({"machine": {}, "measures": old}), "utf-8")
    results = Results({"one": experiment(None)}, out)
    assert [row["value"] for row in saved(out).values()] == [1.0, 1.0, 1.0]
    results.missing("one", "broke")
    results.found("one", [planned()[1].replace(value=2.0, how="now")])
    assert {name: (row["value"], row["how"].partition(";")[0]) for name, row in saved(out).items()} == {
        "first": (1.0, "before"),
        "second": (2.0, "now"),
        "third": (1.0, "before"),
    }
    Results({"one": experiment(None)}, out, fresh=True)
    assert [row["value"] for row in saved(out).values()] == [None, None]


def test_a_file_names_the_machine_that_measured_it_until_another_one_has_measured_something(tmp_path):
    out = tmp_path / "gpu.json"
    out.write_text(json.dumps({"machine": {"gpu": "a card"}, "measures": [planned()[0].replace(value=1.0).row()]}))
    results = Results({"one": experiment(None)}, out)
    results.missing("one", "there is no GPU")
    assert json.loads(out.read_text("utf-8"))["machine"] == {"gpu": "a card"}
    results.found("one", [planned()[1].replace(value=2.0)])
    assert "cores" in json.loads(out.read_text("utf-8"))["machine"]


@pytest.mark.parametrize("benchmark", [gpu, dpo])
def test_a_rehearsal_is_not_written_over_what_was_measured(benchmark, tmp_path, capsys):
    out = tmp_path / "measured.json"
    out.write_text("measured")
    with pytest.raises(SystemExit):
        benchmark.main(["--rehearse", "--json", str(out)])
    assert out.read_text() == "measured" and "name another file" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_every_row_has_no_value_and_names_the_command(tmp_path):
    assert gpu.main(["--json", str(tmp_path / "gpu.json")]) == 0
    rows = saved(tmp_path / "gpu.json").values()
    assert {4.2, 2.8, 2.2, 1.5, 3.8, 3.6, 1.0, 5.0, None} <= {row["floor"] for row in rows}
    for row in rows:
        assert row["value"] is None and row["holds"] is None
        assert "python -m bench.gpu" in row["how"]


def test_an_experiment_that_breaks_keeps_what_it_measured_and_lets_the_next_one_run(tmp_path, capsys):
    def breaks(setup, deadline):
        yield [planned()[0].replace(value=3.0)]
        raise RuntimeError("no more memory")

    def works(setup, deadline):
        yield [row.replace(value=1.0) for row in planned()]

    one, other = experiment(breaks), experiment(works)
    results = Results({"one": one, "other": other}, tmp_path / "gpu.json")
    deadline = setups.Deadline(time.monotonic() + 60)
    assert not measure_one("one", one, results, SimpleNamespace(), deadline)
    found = saved(tmp_path / "gpu.json")
    assert found["first"]["value"] == 3.0  # the other experiment has a row of that name, without a value so far
    assert [row["value"] for row in results.rows()] == [3.0, None, None, None]
    assert "no more memory" in results.rows()[1]["how"] and "RuntimeError" in capsys.readouterr().err
    assert measure_one("other", other, results, SimpleNamespace(), deadline)
    assert [row["value"] for row in results.rows()] == [3.0, None, 1.0, 1.0]


def test_what_no_longer_fits_is_a_row_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(setups, "of_a_gpu", SimpleNamespace)
    wanted = {"long": experiment(lambda setup, deadline: iter(()), seconds=90.0)}
    results = Results(wanted, None)
    assert not gpu._measure(wanted, results, time.monotonic() + 30, rehearse=False)
    assert all(row["value"] is None and "takes 90 s" in row["how"] for row in results.rows())


def test_an_unknown_experiment_and_a_size_below_one_are_refused_by_name(capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--only", "weather"])
    assert "no experiment weather; there is machine, trees, attention" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        gpu.main(["--sizes", "4", "0"])
    assert "1 or more" in capsys.readouterr().err


def test_gathered_keys_have_every_token_once_among_the_queries_and_its_path_among_the_keys():
    setup = setups.of_a_rehearsal()
    trees, batch = attention.packed_batch(setup.shape, setup.spec)
    where = attention.gather(trees, batch.ids.shape[1], "cpu")
    width = batch.ids.shape[1]
    assert where.queries.tolist() == sorted(where.queries.tolist()) and len(where.queries) == int(batch.lengths.sum())
    attends = batch.mask("tree", torch.float32)[:, 0]
    ends = zip(
        where.query_starts[1:].tolist(), where.key_starts[:-1].tolist(), where.key_starts[1:].tolist(), strict=True
    )
    for end, first, last in ends:
        row, place = divmod(int(where.queries[end - 1]), width)
        seen = attends[row, place].nonzero()[:, 0] + row * width
        assert where.keys[first:last].tolist() == seen.tolist()
