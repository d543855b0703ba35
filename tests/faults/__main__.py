"""Serve in this process: python -m tests.faults PLANS LOG PORT

It prints its port, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from tests.faults.plan import read_plans
from tests.faults.server import FaultServer, serve

if __name__ == "__main__":
    server = FaultServer(read_plans(Path(sys.argv[1])), Path(sys.argv[2]))
    asyncio.run(serve(server, int(sys.argv[3]), partial(print, flush=True), asyncio.Event()))
