"""How threads wait for each other; decided before torch is first imported, so it may import nothing."""

from __future__ import annotations

import os

TURNS = "2000"
"""Of GNU OpenMP's waiting loop: some microseconds."""


def let_waiting_threads_sleep() -> None:
    """Tell OpenMP to wait for another thread only briefly before it sleeps; must be called before torch is imported.

    Sleeping at once makes layers of a small model take about twice as long where nothing else runs. Waiting long makes
    them take several times as long where programs share the cores, because a thread that waits keeps the one it waits
    for off its core. So many turns lose little either way. Whoever has set OMP_WAIT_POLICY keeps it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", TURNS)
