"""A picture of a run by the hash of its bytes: no address names a file, and no file outside the run is ever opened."""

from __future__ import annotations

from pathlib import Path

from spavl.errors import DataError
from spavl.pictures import Picture
from spavl.rows import brief
from spavl.tables.kept import KeptDatabase


def picture_of(folder: Path, index: KeptDatabase, sha256: str) -> Picture:
    """A picture of a run's dataset; one whose file lies outside the run folder counts as missing.

    Args:
        folder: the run folder.
        index: of the run's pairs.
        sha256: hash of the picture's bytes.

    Raises:
        DataError: the run has no such picture.
    """
    rows = index.rows("SELECT path FROM pictures WHERE sha256 = ? LIMIT 1", [sha256])
    if not rows:
        raise DataError(f"This run has no picture {brief(sha256)}")
    try:
        path = (folder / rows[0]["path"]).resolve()
        inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        inside = False
    return Picture(sha256, path if inside else None)
