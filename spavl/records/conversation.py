"""Pictures and turns, of which conversations are made."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from spavl.records.words import Role


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture on disk."""

    path: Path
    """The file; in a table relative to the run folder. It is read when a call is made."""
    sha256: str
    """SHA-256 of its bytes, in hexadecimal digits; part of the key of every call that shows it."""

    @classmethod
    def of(cls, path: str | Path) -> ImageRef:
        """The reference to a file as it is now.

        Args:
            path: the file.
        """
        return cls(Path(path), sha256(Path(path).read_bytes()).hexdigest())


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation."""

    role: Role
    """Who speaks."""
    text: str
    """What is said."""
    images: tuple[ImageRef, ...] = ()
    """Pictures of the turn, before its text."""
