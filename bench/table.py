"""Run every benchmark and print one table; `make bench` runs it.

python -m bench.table [NAME …] [--json FILE]

Each benchmark runs in a process of its own; those that take hours only where they are named. One that breaks is a row
that does not hold; the others still run. What was measured apart becomes one file:

python -m bench.trust people probes --keep --json FILE         # measures these; the file's other rows stay
python -m bench.trust --take audit=A.json --keep --json FILE   # takes what `python -m bench.trusting.audit` wrote
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measures import machine, table, write

FOLDER = Path(__file__).resolve().parent
NOT_BENCHMARKS = (
    "__init__", "instant_model", "measures", "real_answers", "real_readings", "refusal_files", "scale", "server",
    "table",
)  # fmt: skip
"""Modules of the folder that measure nothing."""
LONG = ("build", "evaluate", "real", "real_demo", "study", "trust")
"""Benchmarks that take hours: run only where they are named."""


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Run benchmarks and print their table; the exit status is 1 where a measured floor does not hold, else 0.

    Args:
        arguments: of the command line; None: those of this process.
        folder: that holds the benchmarks.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which benchmarks; all but {', '.join(LONG)} unless named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measures there")
    parser.add_argument("--keep", action="store_true", help="leave rows of other benchmarks in FILE as they are")
    parser.add_argument("--take", action="append", default=[], metavar="NAME=FILE",
                        help="take what a benchmark wrote with a --json of its own; repeatable")  # fmt: skip
    options = parser.parse_args(arguments)
    known = benchmarks(folder)
    taken = dict(one.partition("=")[::2] for one in options.take)
    unknown = [name for name in (*options.names, *taken) if name not in known]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there is {', '.join(known) or 'none'}")
    parts = {name: read(Path(file), name) for name, file in taken.items()}
    for name in options.names or ([] if taken else [n for n in known if n not in LONG]):
        parts[name] = Part(measured(folder, name), machine())
    if options.json:
        there = parts_of(options.json, known) if options.keep else {}
        merged = {name: part for name, part in sorted({**there, **parts}.items()) if part.rows}
        rows = [row for part in merged.values() for row in part.rows]
        write(options.json, rows, on_each={name: part.machine for name, part in merged.items()})
    rows = [row for part in parts.values() for row in part.rows]
    print(table(rows))
    return int(any(row["holds"] is False for row in rows))


@dataclass(frozen=True, slots=True)
class Part:
    """What one benchmark measured."""

    rows: list[dict[str, Any]]
    """Its rows, each with its name."""
    machine: dict[str, Any]
    """Where it was measured."""


def read(file: Path, name: str) -> Part:
    """What a benchmark wrote with a `--json` of its own.

    Args:
        file: that it wrote.
        name: of the benchmark.
    """
    tree = json.loads(file.read_text("utf-8"))
    return Part([{**row, "bench": name} for row in tree["measures"]], tree["machine"])


def parts_of(file: Path, known: Sequence[str]) -> dict[str, Part]:
    """The parts of a file of several benchmarks; none where there is no file.

    Args:
        file: the file.
        known: benchmarks that there are; rows of others are dropped.
    """
    if not file.exists():
        return {}
    tree = json.loads(file.read_text("utf-8"))
    rows = {name: [row for row in tree["measures"] if row["bench"] == name] for name in known}
    return {name: Part(own, tree.get("machines", {}).get(name, tree.get("machine", {}))) for name, own in rows.items()}


def benchmarks(folder: Path) -> list[str]:
    """Names of the benchmarks in a folder.

    Args:
        folder: that holds the benchmarks.
    """
    return sorted(path.stem for path in folder.glob("*.py") if path.stem not in NOT_BENCHMARKS)


def measured(folder: Path, name: str) -> list[dict[str, Any]]:
    """Rows of one benchmark, run in a process of its own, each with the benchmark's name.

    Args:
        folder: that holds the benchmarks.
        name: of the benchmark.
    """
    print(f"· {name}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "measures.json"
        packages = folder.relative_to(FOLDER.parent).parts if folder.is_relative_to(FOLDER) else (folder.name,)
        command = [sys.executable, "-m", ".".join((*packages, name)), "--json", str(out)]
        done = subprocess.run(command, cwd=folder.parents[len(packages) - 1], stdout=sys.stderr, check=False)
        if not out.exists():
            return [broken(name, done.returncode)]
        rows: list[dict[str, Any]] = json.loads(out.read_text("utf-8"))["measures"]
    failed = done.returncode not in (0, 1) or (done.returncode == 1 and not any(row["holds"] is False for row in rows))
    return [*({**row, "bench": name} for row in rows), *([broken(name, done.returncode, part=True)] if failed else ())]


def broken(name: str, status: int, *, part: bool = False) -> dict[str, Any]:
    """The row of a benchmark that broke; it does not hold.

    Args:
        name: of the benchmark.
        status: its exit status.
        part: it wrote some of its measures before.
    """
    how = f"bench/{name}.py ended with status {status} and wrote {'only a part of its' if part else 'no'} measures"
    return {
        "name": f"{name} (broken)",
        "value": None,
        "floor": None,
        "unit": "",
        "better": "higher",
        "holds": False,
        "how": how,
        "bench": name,
    }


if __name__ == "__main__":
    sys.exit(main())
