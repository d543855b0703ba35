"""What a process of spavl sets before torch is first imported: how threads wait for each other, and fewer warnings."""

from __future__ import annotations

import logging
import os
import warnings

SPIN_COUNT = "5000"
"""Turns of GNU OpenMP's waiting loop before a thread sleeps: some microseconds."""


def prepare_process() -> None:
    """Set what holds for the whole process; must be called before torch and transformers are imported."""
    let_waiting_threads_sleep()
    # transformers warns of deprecations inside itself, which the user cannot mend
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.")
    # bitsandbytes recommends another package whenever it is imported, also where nothing is quantised
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def let_waiting_threads_sleep() -> None:
    """Tell OpenMP to wait for another thread only briefly before it sleeps; must be called before torch is imported.

    Sleeping at once makes layers of a small model take about twice as long where nothing else runs. Waiting long makes
    them take several times as long where programs share the cores, because a thread that waits keeps the one it waits
    for off its core. `SPIN_COUNT` turns lose little either way. An OMP_WAIT_POLICY that is set already is kept.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
