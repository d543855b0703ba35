"""What makes a dataset trustworthy against its floors, each part in a process of its own; an hour and a half.

python -m bench.trust [PART …] [--keep] [--json FILE]

Each part can be run alone, as `python -m bench.trusting.audit --json FILE`. `bench/results/trust.json` is measured part
after part: with `--keep` the parts that are named are measured anew, and the rows of all others stay, each with the
machine that measured it.

python -m bench.trust audit contamination --keep --json bench/results/trust.json
python -m bench.trust --take audit=audit.json --keep --json bench/results/trust.json
make docs
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.table import main

PARTS = Path(__file__).resolve().parent / "trusting"
"""Folder of the parts."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], PARTS))
