"""A lock that one process holds at a time, on a call store or a run folder; who is refused is told who holds it."""

from __future__ import annotations

import os
import shlex
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from spavl.errors import RunError

LONGEST_COMMAND = 120
"""Most characters of the holder's command in a message."""


class HeldError(RunError):
    """Another process holds the lock."""


class Lock:
    """An exclusive lock, held until `release` or the end of the process, however it ends.

    The lock is on `<path>.lock`; `<path>.holder` says who took it last (a file that is locked cannot be read on
    Windows). Both stay behind: removing the first would let two processes lock two files of one name.

    Args:
        path: what is locked, or a name in the folder that is; it need not be there.
        where: what is locked, for the message; `path` unless given.
        what: the sentence without its end, to which the holder is added: `The call store is being written by`.
        try_: what the error suggests.

    Raises:
        HeldError: another process holds the lock.
        RunError: the disk knows no locks, or nothing can be written there.
    """

    def __init__(self, path: Path, *, what: str, try_: str, where: str = "") -> None:
        # Not one lock a thread: whoever opens what is locked may close it on another.
        self._lock = FileLock(f"{path}.lock", blocking=False, thread_local=False)
        holder = Path(f"{path}.holder")
        try:
            self._lock.acquire()
        except Timeout as taken:
            by = _read(holder) or "another process"
            raise HeldError(f"{what} {by}.", where=where or str(path), try_=try_) from taken
        except (OSError, NotImplementedError) as error:
            raise RunError(f"No lock can be taken: {error}", where=f"{path}.lock",
                           try_="use a folder of a disk of this machine that can be written") from error  # fmt: skip
        with suppress(OSError):  # the name of the holder is for the message only; the lock holds without it
            holder.write_text(f"{_this_process()}\n", "utf-8")

    def release(self) -> None:
        """Let another process have it. Harmless when called again."""
        self._lock.release()


def _this_process() -> str:
    words = [Path(sys.argv[0]).name or "python", *sys.argv[1:]]
    command = shlex.join(words).replace("`", "'")
    if len(command) > LONGEST_COMMAND:
        command = f"{command[:LONGEST_COMMAND]}…"
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()} (`{' '.join(command.split())}`, since {since})"


def _read(holder: Path) -> str:
    try:
        return holder.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
