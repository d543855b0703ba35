"""Either side in a process of its own, so that each has its own settings of threads and memory and none of the other's.

spavl waits for threads as its command line does, TRL as torch does by default: as a user would run either.
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

from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.workload import ModelShape
from spavl.align.data.pairs import Pair

OF_THREADS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
START = """
import sys
if sys.argv[1] == "spavl_dpo":
    from spavl.threads import let_waiting_threads_sleep
    let_waiting_threads_sleep()
from bench.trl_comparison.in_subprocess import timing
timing(*sys.argv[1:])
"""


def spavl_dpo(shape: ModelShape, pairs: Sequence[Pair], spec: RunSpec) -> Timing:
    """A timed run of spavl."""
    return _in_subprocess("spavl_dpo", shape, pairs, spec)


def trl_dpo(shape: ModelShape, pairs: Sequence[Pair], spec: RunSpec) -> Timing:
    """A timed run of TRL."""
    return _in_subprocess("trl_dpo", shape, pairs, spec)


def _in_subprocess(side: str, *asked: object) -> Timing:
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "asked", Path(folder) / "timing"
        question.write_bytes(pickle.dumps(asked))
        environment = {name: value for name, value in os.environ.items() if name not in OF_THREADS}
        command = [sys.executable, "-W", "ignore", "-c", START, side, str(question), str(answer)]
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
        found: Timing = pickle.loads(answer.read_bytes())
        return found


def timing(side: str, asked: str, answer: str) -> None:
    """Inside the process: run what was asked for and leave its timing in a file."""
    run = import_module(f"bench.trl_comparison.{side}").run
    Path(answer).write_bytes(pickle.dumps(run(*pickle.loads(Path(asked).read_bytes()))))
