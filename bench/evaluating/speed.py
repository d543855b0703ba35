"""The speed of an evaluation: overhead, local answers against lmms-eval's own runner, and what a kill costs.

python -m bench.evaluating.speed [--json FILE]

lmms-eval runs in an environment of its own, which `bench/evaluating/bridging/lmms_environment.sh FOLDER` makes; its
Python is named by the variable SPAVL_BENCH_LMMS, such as `FOLDER/bin/python`. Five minutes on two quiet cores.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.evaluating.bridging.interruption import interruption
from bench.evaluating.bridging.overhead import overhead
from bench.evaluating.bridging.runner_race import runner_race
from bench.measures import Measure, run


def measures() -> list[Measure]:
    """All three parts."""
    found: list[Measure] = []
    for part in (overhead, runner_race, interruption):
        with tempfile.TemporaryDirectory() as folder:
            found += part(Path(folder))
    return found


if __name__ == "__main__":
    run(measures)
