"""Studies, their page and the browser against their floors, each part in a process of its own.

python -m bench.study [PART …] [--keep] [--json FILE]

Each part can be run alone, as `python -m bench.studying.mini --json FILE`. `bench/results/study.json` is measured part
after part: with `--keep` the parts that are named are measured anew, and the rows of all others stay, each with the
machine that measured it.

python -m bench.study mini --keep --json bench/results/study.json
make docs
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.table import main

PARTS = Path(__file__).resolve().parent / "studying"
"""Folder of the parts."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], PARTS))
