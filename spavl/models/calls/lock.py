"""What the disk must be like for the call store: local, and written by one process at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from spavl.errors import RunError

# fmt: off
NETWORK_FILE_SYSTEMS = frozenset([
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "lustre", "beegfs", "gpfs", "ceph", "glusterfs", "ocfs2",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs",
])
# fmt: on
"""Types, as the kernel names them, whose locks SQLite cannot rely on: https://www.sqlite.org/wal.html, "must be on the
same host computer"."""


def refuse_network_disk(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Raise RunError if `path`, which need not exist, lies on a network file system. Without `mounts` nobody knows."""
    kind = file_system(path, mounts.read_text(errors="replace")) if mounts.exists() else ""
    if kind in NETWORK_FILE_SYSTEMS:
        raise RunError(
            f"The call store lies on a network file system ({kind}), where its rows would not be safe.",
            where=str(path),
            try_="Put it on a disk of this machine: `store=/a/local/folder/calls.sqlite`.",
        )


def file_system(path: Path, mounts: str) -> str:
    """Type of the file system that `path` lies on, by the text of `/proc/mounts`; empty if none of its lines fits."""
    place, best, kind = path.absolute().resolve(), -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = Path(fields[1].replace("\\040", " "))
        # A later mount on the same folder hides the earlier one, hence >=.
        if place.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), fields[2]
    return kind


class Lock:
    """An exclusive lock on a side file, held until `release` or the end of the process, however it ends.

    The file says who holds it and stays behind: removing it would let two processes lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise RunError(
                f"The call store is being written by {holder}.",
                where=str(path.with_suffix("")),
                try_="Wait until that run has ended, or give this one a store of its own: `store=FILE`.",
            ) from taken
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let another process write. Harmless when called again."""
        self._file.close()
