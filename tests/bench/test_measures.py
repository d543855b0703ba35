from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measures import Measure, machine, write

FOLDER = Path(__file__).parents[2] / "bench"

BENCH = """
from bench.measures import Measure, run
def measures():
    return [Measure(*row) for row in {rows!r}]
if __name__ == "__main__":
    run(measures)
"""


def write_bench(folder: Path, name: str, rows: list[tuple]) -> Path:
    path = folder / f"{name}.py"
    path.write_text(BENCH.format(rows=rows))
    return path


def run(*words: object, at: Path = FOLDER.parent) -> subprocess.CompletedProcess[str]:
    """Run Python from `at`, with the repository importable as an editable install makes it."""
    where = {**os.environ, "PYTHONPATH": f"{at}{os.pathsep}{FOLDER.parent}"}
    words = (sys.executable, *map(str, words))
    return subprocess.run(words, cwd=at, env=where, capture_output=True, text=True, check=False)


GOOD = [
    ("least", 10, 5, "1/s", "higher", "counted"),
    ("most", 2.0, 2.0, "s", "lower", "timed"),
    ("between", 0.4, (0.35, 0.6), "", "between", "counted"),
    ("elsewhere", None, 3.4, "x", "higher", "needs a GPU: run this file on one"),
    ("free", 1.5, None, "MB", "lower", "weighed"),
]


def test_a_benchmark_writes_its_json_file_and_prints_a_table(tmp_path):
    out = tmp_path / "deep" / "out.json"
    done = run(write_bench(tmp_path, "one", GOOD), "--json", out)
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    assert set(content) == {"machine", "measures"}
    assert set(content["machine"]) >= {"system", "processor", "cores", "python", "versions"}
    assert content["measures"][0] == {
        "name": "least",
        "value": 10,
        "floor": 5,
        "unit": "1/s",
        "better": "higher",
        "holds": True,
        "how": "counted",
    }
    assert [m["holds"] for m in content["measures"]] == [True, True, True, None, None]
    assert "| elsewhere | —      | ≥ 3.4 x" in done.stdout


@pytest.mark.parametrize(
    "row",
    [
        ("low", 4, 5, "1/s", "higher", "counted"),
        ("slow", 2.1, 2.0, "s", "lower", "timed"),
        ("outside", 0.61, (0.35, 0.6), "", "between", "counted"),
    ],
)
def test_the_exit_status_is_1_if_a_floor_does_not_hold(tmp_path, row):
    out = tmp_path / "out.json"
    done = run(write_bench(tmp_path, "one", [row]), "--json", out)
    assert done.returncode == 1
    assert json.loads(out.read_text())["measures"][0]["holds"] is False
    assert "NO" in done.stdout


def test_a_floor_of_one_number_is_refused_for_between(tmp_path):
    done = run(write_bench(tmp_path, "one", [("x", 1, 2.0, "", "between", "")]))
    assert done.returncode != 0 and "two numbers" in done.stderr


def test_the_table_runs_every_benchmark_and_the_row_of_a_broken_one_does_not_hold(tmp_path):
    folder = tmp_path / "bench"
    folder.mkdir()
    for name in ("measures.py", "table.py"):
        (folder / name).write_text((FOLDER / name).read_text())
    write_bench(folder, "one", GOOD)
    (folder / "two.py").write_text("raise SystemExit('the disk is gone')")
    out = tmp_path / "all.json"
    done = run("-m", "bench.table", "--json", out, at=tmp_path)
    assert done.returncode == 1
    measures = json.loads(out.read_text())["measures"]
    assert [m["bench"] for m in measures] == ["one"] * 5 + ["two"]
    assert measures[-1]["holds"] is False and "status 1" in measures[-1]["how"]
    assert "two (broken)" in done.stdout
    assert run("-m", "bench.table", "one", at=tmp_path).returncode == 0
    assert "there is no benchmark three" in run("-m", "bench.table", "three", at=tmp_path).stderr


def test_a_benchmark_that_breaks_after_some_of_its_measures_is_a_row_that_does_not_hold(tmp_path):
    folder = tmp_path / "bench"
    folder.mkdir()
    for name in ("measures.py", "table.py"):
        (folder / name).write_text((FOLDER / name).read_text())
    half = "import sys\nfrom pathlib import Path\nfrom bench.measures import Measure, write\n"
    half += "write(Path(sys.argv[2]), [Measure('row', 1.0, 0.5, '', 'higher', '').row()])\nraise SystemExit({status})"
    for number, status in enumerate((1, -9, 3)):
        (folder / f"half{number}.py").write_text(half.format(status=status))
    out = tmp_path / "all.json"
    assert run("-m", "bench.table", "--json", out, at=tmp_path).returncode == 1
    broken = [row for row in json.loads(out.read_text())["measures"] if row["holds"] is False]
    assert [row["bench"] for row in broken] == ["half0", "half1", "half2"]
    assert all("only a part" in row["how"] for row in broken)


def test_a_file_of_measures_is_replaced_whole_and_names_its_machine(tmp_path):
    file, before = tmp_path / "out.json", tmp_path / "before.json"
    write(file, [], {"gpu": "another"})
    before.hardlink_to(file)
    write(file, [])
    assert json.loads(before.read_text())["machine"] == {"gpu": "another"}, "what was there is not written into"
    assert json.loads(file.read_text())["machine"]["cores"] > 0


def test_parts_that_are_measured_apart_become_one_file(tmp_path: Path) -> None:
    folder, out = tmp_path / "parts", tmp_path / "all.json"
    folder.mkdir()
    for name in ("one", "two", "three"):
        write_bench(folder, name, [(name, 1, 1, "", "higher", "counted")])
    at_first = tmp_path / "three.json"
    write(at_first, [Measure("three", 9, 1, "", "higher", "counted").row()], {**machine(), "cores": 99})

    def measured(*words: object) -> list[tuple[str, int]]:
        script = "from sys import argv, exit; from pathlib import Path; from bench.table import main\n"
        script += "exit(main(argv[2:], Path(argv[1])))"
        done = run("-c", script, folder, *words, "--json", out, at=tmp_path)
        assert done.returncode == 0, done.stderr
        return [(row["bench"], row["value"]) for row in json.loads(out.read_text())["measures"]]

    assert measured("two") == [("two", 1)]
    assert measured("one", "--keep") == [("one", 1), ("two", 1)]
    assert "machine" in json.loads(out.read_text()), "one machine measured all"
    assert measured("--take", f"three={at_first}", "--keep") == [("one", 1), ("three", 9), ("two", 1)]
    machines = json.loads(out.read_text())["machines"]
    assert {name: one["cores"] == 99 for name, one in machines.items()} == {"one": False, "three": True, "two": False}
    assert measured("three", "--keep") == [("one", 1), ("three", 1), ("two", 1)]
    write_bench(folder, "two", [])
    assert measured("two", "--keep") == [("one", 1), ("three", 1)], "a part that measures nothing now has no rows"
    assert measured("one") == [("one", 1)], "without --keep the file is written anew"
