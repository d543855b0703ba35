"""Trainings side by side on this machine, in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from spavl.study.training import Made, TrainingTask, make_training, with_segment
from spavl.threads import prepare_process

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that decide how many threads a process computes with."""
DIED = "Its process died, as it does when memory runs out: fewer `at_once`, then the same command again"
"""Why a training was not made whose process is gone."""


def in_processes(tasks: Sequence[TrainingTask], at_once: int) -> Iterator[Made]:
    """What becomes of some trainings, as they end.

    Where the caller stops, so do the processes; a training that was stopped goes on the next time.

    Args:
        tasks: trainings that need nothing of each other.
        at_once: how many processes; they share the cores.
    """
    threads, others = max(1, cores() // at_once), set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(at_once, len(tasks)), mp_context=multiprocessing.get_context("spawn"), initializer=_begin
    )
    ended = False
    try:
        with _threads(threads):
            waiting = {pool.submit(make_training, with_segment(task)): task for task in tasks}
        for future in as_completed(waiting):
            yield _made(future, waiting[future])
        ended = True
    finally:
        pool.shutdown(wait=ended, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _made(future: Future[Made], task: TrainingTask) -> Made:
    try:
        return future.result()
    except BrokenProcessPool:
        return Made(id=task.id, status="failed", why=DIED)


def _begin() -> None:
    """Prepare a process; Ctrl-C is for the command, which ends its processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_command, name="end-with-command", daemon=True).start()
    prepare_process()


def _end_with_command() -> None:
    """End this process at once where the command that started it is killed: nothing half-made would be kept, and its
    locks would be in the way of the next command."""
    command = multiprocessing.parent_process()
    if command is not None:
        command.join()
        os._exit(1)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Processes that are started while the block runs compute with so many threads, unless the user has said how many.

    Args:
        number: of threads.
    """
    given = {name: str(number) for name in THREADS if name not in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]
