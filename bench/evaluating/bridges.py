"""The bridges to lmms-eval and Inspect against the real packages, each in an environment of its own.

python -m bench.evaluating.bridges [--json FILE]

Their Pythons are named by the variables SPAVL_BENCH_LMMS and SPAVL_BENCH_INSPECT; the first environment is made by
`bench/evaluating/bridging/lmms_environment.sh FOLDER`, the second by pip: inspect_ai, pandas, spavl. A minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.measures import Measure, run

ROOT = Path(__file__).resolve().parents[2]
BRIDGES = {"lmms_bridge": "SPAVL_BENCH_LMMS", "inspect_bridge": "SPAVL_BENCH_INSPECT"}
"""Variable that names a Python, by module of `bench.evaluating.bridging`."""


def measures() -> list[Measure]:
    """What both find; a row without a value where there is no environment."""
    return [measure for module, variable in BRIDGES.items() for measure in _measured(module, variable)]


def _measured(module: str, variable: str) -> list[Measure]:
    python = os.environ.get(variable)
    if not python:
        how = f"needs an environment of its own: set {variable} to its Python, see docs/guides/bridges.md"
        return [Measure(f"{module.replace('_', ' ')} against the real package", None, 0, "", "lower", how)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measures.json"
        command = [python, "-m", f"bench.evaluating.bridging.{module}", "--json", str(out)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if not out.exists():
            raise RuntimeError(f"{module} ended with {done.returncode}: {done.stderr[-1500:]}")
        return [_measure(row) for row in json.loads(out.read_text("utf-8"))["measures"]]


def _measure(row: Mapping[str, Any]) -> Measure:
    floor = tuple(row["floor"]) if isinstance(row["floor"], list) else row["floor"]
    return Measure(row["name"], row["value"], floor, row["unit"], row["better"], row["how"])


if __name__ == "__main__":
    run(measures)
