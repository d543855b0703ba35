"""Everything at size: build, engine, training data, local generation, Ray; each in a process of its own, about an hour.

    python -m bench.scale --json bench/results/scale.json

Each part can be run alone, as `python -m bench.engine --json FILE`.
"""

from __future__ import annotations

import sys

from bench.table import main

PARTS = ("build_scale", "engine", "align_data", "local_generation", "ray_scale")
"""Benchmarks of what must hold at size."""

if __name__ == "__main__":
    sys.exit(main([*PARTS, *sys.argv[1:]]))
