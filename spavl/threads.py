"""How threads wait for each other; decided before torch is first imported, so it may import nothing."""

from __future__ import annotations

import os

TURNS = "2000"


def let_waiting_threads_sleep() -> None:
    """Tell OpenMP to wait for another thread only briefly before it sleeps; must be called before torch is imported.

    Measured on two cores with layers of a small model. Sleeping at once takes twice as long where nothing else runs.
    Waiting long takes two to four times as long (the default) where three such programs share the cores, and up to
    twenty times (100,000 turns after PASSIVE), because a thread that waits keeps the one it waits for off its core.
    2,000 turns cost a tenth in the first case and a third in the second. Whoever has set OMP_WAIT_POLICY keeps it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", TURNS)
