"""Processes that do not import torch again: forked from a server that has imported what a training needs.

What runs is what `python WORDS …` runs, with its arguments, folder, environment, output and exit status; only the five
seconds of imports are shared, and the seed of `hash`. Where two processes are to order a set differently, or where it
matters when something is imported, `subprocess` is used.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import random
import runpy
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

ROOT = Path(__file__).parents[1]
CONTEXT = multiprocessing.get_context("forkserver")
IMPORTED = [
    "spavl.align.dpo.train", "spavl.align.ppo.train", "spavl.align.reward.train", "spavl.models.backends.local_vlm",
    "peft", "datasets", "duckdb", "pyarrow.parquet", "matplotlib.figure", "tests.frozen",
]  # fmt: skip
"""What the server imports; no module of ours that reads the environment while it is imported."""


@dataclass(frozen=True)
class Forked:
    """A running process."""

    words: tuple[str, ...]
    process: ForkServerProcess
    folder: Path
    """Holds what it prints, in `out` and `err`."""

    def wait(self, timeout: float = 240) -> CompletedProcess[str]:
        """Wait for its end, once; a process that takes longer is killed, and fails the test."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            raise AssertionError(f"{self.words} took more than {timeout} s\n{self.printed('err')[-3000:]}")
        done = CompletedProcess(self.words, self.process.exitcode or 0, self.printed("out"), self.printed("err"))
        shutil.rmtree(self.folder)
        return done

    def printed(self, stream: str) -> str:
        """What it has printed so far, to `out` or `err`."""
        return (self.folder / stream).read_text("utf-8", errors="replace")


def start(*words: str, cwd: Path, env: Mapping[str, str]) -> Forked:
    """Start `python WORDS …`, where the first word is `-m` or a file."""
    _ensure_server()
    folder = Path(tempfile.mkdtemp(prefix="printed-"))
    for stream in ("out", "err"):
        (folder / stream).touch()
    process = CONTEXT.Process(target=_python, args=(words, str(cwd), dict(env), folder))
    process.start()
    return Forked(words, process, folder)


def run(*words: str, cwd: Path, env: Mapping[str, str]) -> CompletedProcess[str]:
    """What `subprocess.run` gives of `python WORDS …`."""
    return start(*words, cwd=cwd, env=env).wait()


def launch(*words: str) -> None:
    """Run `python WORDS …` as two ranks of one group, with the environment that torchrun gives them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    group = {"PATH": os.environ["PATH"], "ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
             "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}  # fmt: skip
    started = [start(*words, cwd=ROOT, env={**group, "RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1")]
    for rank in started:
        done = rank.wait()
        assert done.returncode == 0, done.stderr[-3000:]


def _ensure_server() -> None:
    """Start the server where there is none, with an environment that Hub libraries read while they are imported."""
    CONTEXT.set_forkserver_preload(IMPORTED)
    before = dict(os.environ)
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", PYTHONPATH=str(ROOT))
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _python(words: tuple[str, ...], cwd: str, env: dict[str, str], printed: Path) -> None:
    """Be `python WORDS …`, in a process that was just forked."""
    for stream, descriptor in (("out", 1), ("err", 2)):
        with (printed / stream).open("ab") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    random.seed()
    first = cwd if words[0] == "-m" else str(Path(words[0]).parent)
    sys.path[:0] = [first, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    importlib.invalidate_caches()
    named: Any = words[1:] if words[0] == "-m" else words
    sys.argv[:] = named
    if words[0] == "-m":
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")
