"""What the disk must be like for the call store: local, and written by one process at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from spavl.errors import RunError
from spavl.locks import Lock

# fmt: off
NETWORK_FILE_SYSTEMS = frozenset([
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "lustre", "beegfs", "gpfs", "ceph", "glusterfs", "ocfs2",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs", "remote",
])
# fmt: on
"""Types, as the kernel names them, whose locks SQLite cannot rely on: https://www.sqlite.org/wal.html, "must be on the
same host computer". `remote` is any network drive of Windows."""


class Mount(NamedTuple):
    """A mounted file system."""

    folder: str
    """Where it is mounted."""
    kind: str
    """Type of the file system, such as `ext4` or `nfs4`."""


def mounted() -> list[Mount]:
    """Every mounted file system, in the order of mounting; empty where the operating system does not list them."""
    try:
        partitions = psutil.disk_partitions(all=True)
    except OSError:
        return []
    # Windows gives a network drive the type that the server's disk has, and says `remote` among the options.
    return [Mount(one.mountpoint, "remote" if "remote" in one.opts.split(",") else one.fstype) for one in partitions]


def refuse_network_disk(path: Path, mounts: Sequence[Mount] | None = None) -> None:
    """Check that a file lies on a local disk, as far as the operating system tells.

    Args:
        path: the file, which need not exist yet.
        mounts: mounted file systems in the order of mounting. None: those of this machine.

    Raises:
        RunError: `path` lies on a network file system.
    """
    kind = file_system(path, mounted() if mounts is None else mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise RunError(
            f"The call store lies on a network file system ({kind}), where its rows would not be safe.",
            where=str(path),
            try_="Put it on a disk of this machine: `store=/a/local/folder/calls.sqlite`.",
        )


def file_system(path: Path, mounts: Sequence[Mount]) -> str:
    """Type of the file system that a file lies on: that of the deepest mount above it; empty if none is above it.

    Args:
        path: the file, which need not exist yet.
        mounts: mounted file systems in the order of mounting.
    """
    place, deepest, kind = path.absolute().resolve(), -1, ""
    for mount in mounts:
        folder = Path(mount.folder)
        # A later mount on the same folder hides the earlier one, hence >=.
        if place.is_relative_to(folder) and len(folder.parts) >= deepest:
            deepest, kind = len(folder.parts), mount.kind
    return kind


def lock_store(path: Path) -> Lock:
    """The lock of a call store, which one process at a time may write.

    Args:
        path: the call store.

    Raises:
        RunError: another process writes into it, or the disk knows no locks.
    """
    return Lock(
        path, what="The call store is being written by",
        try_="Wait until that run has ended, or give this one a store of its own: `store=FILE` (of a study: "
        "`changed.store=FILE`).",
    )  # fmt: skip
