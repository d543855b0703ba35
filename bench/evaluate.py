"""The evaluation against its floors, each part in a process of its own; about an hour.

python -m bench.evaluate [PART …] [--json FILE]

Each part can be run alone, as `python -m bench.evaluating.statistics --json FILE`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.table import main

PARTS = Path(__file__).resolve().parent / "evaluating"
"""Folder of the parts: statistics, cells of the paper, loaders, official rules, judges, controls, gate, speed."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], PARTS))
