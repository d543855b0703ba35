"""Downloads of a run and what became of them, so that a picture that is stored is never asked for again.

`downloads.sqlite` in the run folder holds, for each address, the SHA-256 of the picture that was stored, or the reason
why it was not had, and in how many runs. It holds nothing of a picture that came and was not stored: whether it may be
kept is decided after it has been read. It may be deleted: then everything is downloaded once more.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, final

from spavl.config.sources import DownloadSettings
from spavl.dataset.collect.candidate import Unusable
from spavl.dataset.collect.inspect import SUFFIXES
from spavl.errors import RunError

if TYPE_CHECKING:
    from spavl.dataset.collect.download import Downloader, Trouble

FILE = "downloads.sqlite"
TABLE = """CREATE TABLE IF NOT EXISTS downloads (
    address TEXT PRIMARY KEY, sha256 TEXT, reason TEXT, runs INTEGER NOT NULL, rules TEXT NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID"""
RUNS = 3
"""Runs in which a picture is asked for in vain before it is given up; one that is gone is given up at once."""
EVERY = 16
"""Reads after which it is noted which pictures have been stored since."""
PATIENCE = 512
"""Reads after which a picture that has not been stored will not be."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A picture that was read, and may be stored soon."""

    address: str
    sha256: str
    number: int


@final
class Downloads:
    """Pictures by their addresses: from the run folder where it has them, else from the web; a context manager.

    Nothing is opened before the first picture is read. Several threads may read at once.

    Args:
        folder: the run folder.
        settings: limits.
    """

    def __init__(self, folder: Path, settings: DownloadSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._rules = f"{settings.max_bytes} {settings.redirects} {sorted(settings.allow_hosts)}"
        self._lock = Lock()
        self._read: list[_Read] = []
        self._reads = 0
        self._answered = False
        self._stopped = False
        self.unfinished = 0
        """Pictures that did not come, and are asked for again by the next run."""
        self._database: sqlite3.Connection | None = None
        self._downloader: Downloader | None = None

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.note_stored()
        finally:
            self.stop()
            if self._database is not None:
                self._database.close()

    def stop(self) -> None:
        """End all requests: whoever waits for a picture is told that it does not come. Harmless when called again."""
        with self._lock:
            self._stopped = True
            downloader, self._downloader = self._downloader, None
        if downloader is not None:
            downloader.close()

    def note_stored(self) -> None:
        """Note which of the pictures that were read are stored by now.

        Raises:
            RunError: the list of downloads cannot be used.
        """
        with self._lock:
            if self._read:
                with self._sentences() as database:
                    self._note_stored(database)

    def read(self, address: str, most: int) -> bytes:
        """The bytes of a picture.

        Args:
            address: http or https.
            most: bytes that there may be.

        Raises:
            Unusable: they cannot be had.
            RunError: the list of downloads cannot be used.
        """
        data = self._known(address)
        if data is None:
            data = self._download(address)
        if len(data) > most:
            raise Unusable("too many pixels", "more bytes than a picture of `collect.max_pixels` can have")
        return data

    def _known(self, address: str) -> bytes | None:
        """The bytes, where they are stored; None where they must be asked for."""
        with self._lock, self._sentences() as database:
            self._reads += 1
            if self._reads % EVERY == 0:
                self._note_stored(database)
            sha256, reason, runs = self._noted(database, address)
        if runs >= RUNS:
            raise Unusable("download", reason)
        file = self._stored(sha256) if sha256 else None
        data = file.read_bytes() if file else b""
        return data if sha256 and hashlib.sha256(data).hexdigest() == sha256 else None

    def _noted(self, database: sqlite3.Connection, address: str) -> tuple[str, str, int]:
        """SHA-256, or reason and in how many runs of the same rules; empty and 0 where nothing is noted."""
        query = "SELECT sha256, reason, runs, rules FROM downloads WHERE address = ?"
        sha256, reason, runs, rules = database.execute(query, (address,)).fetchone() or ("", "", 0, "")
        return sha256 or "", reason or "", runs if rules == self._rules else 0

    def _download(self, address: str) -> bytes:
        """The bytes, from the web."""
        from spavl.dataset.collect.download import Trouble

        try:
            data = self._open().read(address)
        except Trouble as trouble:
            self._note_trouble(address, trouble)
            raise Unusable("download", trouble.what) from trouble
        with self._lock:
            self._answered = True
            self._read.append(_Read(address, hashlib.sha256(data).hexdigest(), self._reads))
        return data

    def _note_trouble(self, address: str, trouble: Trouble) -> None:
        """Note why a picture did not come; where none has come so far, it may be this machine's network."""
        with self._lock, self._sentences() as database:
            runs = RUNS if trouble.lasting else self._noted(database, address)[2] + self._answered
            self.unfinished += runs < RUNS
            self._note(database, address, reason=trouble.what, runs=runs)

    def _open(self) -> Downloader:
        from spavl.dataset.collect.download import Downloader

        with self._lock:
            if self._stopped:
                raise Unusable("download", "it was not asked for any more")
            if self._downloader is None:
                self._downloader = Downloader(self._settings)
            return self._downloader

    def _stored(self, sha256: str) -> Path | None:
        """The file of a picture in the run folder; None where it has none."""
        folder = self._folder / "images" / sha256[:2]
        files = (folder / f"{sha256}{suffix}" for suffix in dict.fromkeys(SUFFIXES.values()))
        return next((file for file in files if file.is_file()), None)

    def _note_stored(self, database: sqlite3.Connection) -> None:
        """Note those of the pictures read that are stored by now, and forget those that will not be."""
        stored = {one for one in self._read if self._stored(one.sha256)}
        for one in stored:
            self._note(database, one.address, sha256=one.sha256)
        self._read = [one for one in self._read if one not in stored and self._reads - one.number < PATIENCE]

    def _note(
        self, database: sqlite3.Connection, address: str, *, sha256: str = "", reason: str = "", runs: int = 0
    ) -> None:
        row = (address, sha256 or None, reason or None, runs, self._rules, time.time())
        database.execute("INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?, ?, ?)", row)

    @contextmanager
    def _sentences(self) -> Iterator[sqlite3.Connection]:
        """The open list; what SQLite raises becomes a sentence."""
        path = self._folder / FILE
        try:
            if self._database is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=NORMAL")
                self._database.execute(TABLE)
            yield self._database
        except (sqlite3.Error, OSError) as error:
            what = f"The list of downloads cannot be used: {error}"
            raise RunError(what, where=str(path), try_="delete it; pictures are then asked for once more") from error
