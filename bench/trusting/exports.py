"""Exports: read back unchanged, loaded by the trainers that they are for, and how long 100,000 pairs take.

python -m bench.trusting.exports [--json FILE]

LLaMA-Factory and ms-swift run in environments of their own: SPAVL_BENCH_LLAMA_FACTORY and SPAVL_BENCH_SWIFT name their
Pythons (`pip install torch llamafactory`, `pip install torch ms-swift`; a torchvision of another build than torch is
uninstalled, or transformers does not start). Without them these rows are empty. Five minutes on two quiet cores.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.measures import Measure, run
from bench.trusting.exporting.loaders import loaders
from bench.trusting.exporting.round_trips import round_trips
from bench.trusting.exporting.speed import speed


def measures() -> list[Measure]:
    """All three parts."""
    found: list[Measure] = []
    for part in (round_trips, loaders, speed):
        with tempfile.TemporaryDirectory() as folder:
            found += part(Path(folder))
    return found


if __name__ == "__main__":
    run(measures)
