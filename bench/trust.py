"""What makes a dataset trustworthy against its floors, each part in a process of its own.

python -m bench.trust [PART …] [--json FILE]

Each part can be run alone, as `python -m bench.trusting.audit --json FILE`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.table import main

PARTS = Path(__file__).resolve().parent / "trusting"
"""Folder of the parts."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], PARTS))
