"""Either side in a process of its own, so that each has its own settings of threads and memory and none of the other's.

spavl waits for threads as its command line does, TRL as torch does unless told otherwise: as a user would run either.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from bench.trl_comparison.protocol import Lap, Terms
from bench.trl_comparison.workload import Shape
from spavl.align.data.pairs import Pair

OF_THREADS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
START = """
import sys
if sys.argv[1] == "ours":
    from spavl.threads import let_waiting_threads_sleep
    let_waiting_threads_sleep()
from bench.trl_comparison.subprocess_laps import lap
lap(*sys.argv[1:])
"""


def ours(shape: Shape, pairs: Sequence[Pair], terms: Terms) -> Lap:
    """A lap of spavl."""
    return _apart("ours", shape, pairs, terms)


def theirs(shape: Shape, pairs: Sequence[Pair], terms: Terms) -> Lap:
    """A lap of TRL."""
    return _apart("theirs", shape, pairs, terms)


def _apart(side: str, *asked: object) -> Lap:
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "asked", Path(folder) / "lap"
        question.write_bytes(pickle.dumps(asked))
        environment = {name: value for name, value in os.environ.items() if name not in OF_THREADS}
        command = [sys.executable, "-W", "ignore", "-c", START, side, str(question), str(answer)]
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
        found: Lap = pickle.loads(answer.read_bytes())
        return found


def lap(side: str, asked: str, answer: str) -> None:
    """Inside the process: run what was asked for and leave the lap in a file."""
    run = import_module(f"bench.trl_comparison.{side}").run
    Path(answer).write_bytes(pickle.dumps(run(*pickle.loads(Path(asked).read_bytes()))))
