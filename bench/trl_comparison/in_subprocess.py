"""Runs of either side in a process of their own, so that neither sees the other's settings of threads and memory.

spavl waits for threads as its command line does, TRL as torch does unless set otherwise: as a user would run either.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch

from bench.trl_comparison.run_spec import RunSpec, Timing
from bench.trl_comparison.workload import ModelShape
from spavl.preferences.pairs import Pair

THREAD_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Environment variables that a child does not inherit."""
SCRIPT = """
import sys
if sys.argv[1] == "spavl_dpo":
    from spavl.threads import let_waiting_threads_sleep
    let_waiting_threads_sleep()
from bench.trl_comparison.in_subprocess import run_and_save
run_and_save(*sys.argv[1:])
"""


def spavl_dpo(shape: ModelShape, pairs: Sequence[Pair], spec: RunSpec) -> Timing:
    """A run of spavl.

    Args:
        shape: of the model.
        pairs: in training order.
        spec: of the run.
    """
    return _in_subprocess("spavl_dpo", shape, pairs, spec)


def trl_dpo(shape: ModelShape, pairs: Sequence[Pair], spec: RunSpec) -> Timing:
    """A run of TRL.

    Args:
        shape: of the model.
        pairs: in training order.
        spec: of the run.
    """
    return _in_subprocess("trl_dpo", shape, pairs, spec)


def _in_subprocess(module: str, *arguments: object) -> Timing:
    with tempfile.TemporaryDirectory() as folder:
        request, result = Path(folder) / "arguments", Path(folder) / "timing"
        request.write_bytes(pickle.dumps(arguments))
        environment = {name: value for name, value in os.environ.items() if name not in THREAD_SETTINGS}
        command = [sys.executable, "-W", "ignore", "-c", SCRIPT, module, str(request), str(result)]
        done = subprocess.run(command, check=False, env=environment, stdout=sys.stderr)
        if done.returncode == -signal.SIGKILL:
            raise torch.OutOfMemoryError(f"{module} was killed, as Linux does where memory ends")
        done.check_returncode()
        timing: Timing = pickle.loads(result.read_bytes())
        return timing


def run_and_save(module: str, request: str, result: str) -> None:
    """In the child process: run one side and pickle its timing.

    Args:
        module: `spavl_dpo` or `trl_dpo`.
        request: file with the pickled arguments of its `run`.
        result: file for the pickled timing.
    """
    run = import_module(f"bench.trl_comparison.{module}").run
    Path(result).write_bytes(pickle.dumps(run(*pickle.loads(Path(request).read_bytes()))))
