"""Run every benchmark and print one table; `make bench` runs it.

python -m bench.table [NAME …] [--json FILE]

Each benchmark runs in a process of its own; those that take hours only where they are named. One that breaks is a row
that does not hold; the others still run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.measures import table, write

FOLDER = Path(__file__).resolve().parent
NOT_BENCHMARKS = (
    "__init__", "instant_model", "measures", "real_answers", "real_readings", "refusal_files", "scale", "server",
    "table",
)  # fmt: skip
"""Modules of the folder that measure nothing."""
LONG = ("build", "evaluate", "real", "real_demo", "trust")
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
    options = parser.parse_args(arguments)
    known = benchmarks(folder)
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there is {', '.join(known) or 'none'}")
    rows = [row for name in options.names or [n for n in known if n not in LONG] for row in measured(folder, name)]
    if options.json:
        write(options.json, rows)
    print(table(rows))
    return int(any(row["holds"] is False for row in rows))


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
