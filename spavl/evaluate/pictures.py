"""Pictures that an evaluation makes or unpacks, kept in a folder under the hash of their bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from spavl.atomic import atomic_write
from spavl.records import ImageRef


def store_picture(data: bytes, folder: Path, suffix: str = "") -> ImageRef:
    """Write a picture's bytes to a file named by their SHA-256, unless it is there already.

    Args:
        data: the picture's file.
        folder: where it is kept; made if missing.
        suffix: end of the file name.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"{digest}{suffix}"
    if not (path.is_file() and path.stat().st_size == len(data)):
        with atomic_write(path, what="The picture") as tmp:
            tmp.write_bytes(data)
    return ImageRef(path, digest)
