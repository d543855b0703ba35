"""The pictures that were used so far, kept on disk: a picture that one of them resembles is not used again."""

from __future__ import annotations

import sqlite3


class SeenPictures:
    """The pictures that were used so far, by their bytes, on disk: a context manager."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE seen (sha256 TEXT PRIMARY KEY, file TEXT NOT NULL) WITHOUT ROWID")

    def first(self, sha256: str, file: str) -> str:
        """The file that had these bytes first; this one, unless there was another.

        Args:
            sha256: hash of the bytes.
            file: name of a file that has them.
        """
        self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (sha256, file))
        found: str = self._database.execute("SELECT file FROM seen WHERE sha256 = ?", (sha256,)).fetchone()[0]
        return found

    def __enter__(self) -> SeenPictures:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()
