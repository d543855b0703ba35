"""The construction of a dataset against its floors, each part in a process of its own; about an hour.

python -m bench.build [PART …] [--json FILE]

Each part can be run alone, as `python -m bench.building.duplicates --json FILE`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.table import main

PARTS = Path(__file__).resolve().parent / "building"
"""Folder of the parts: search, pictures, duplicates, OCR, guards, pairs, `check`."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], PARTS))
