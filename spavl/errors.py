"""Everything that can go wrong in a way the user can mend.

    SpavlError               exit 2, printed as prose: what, where, try
    ├── SettingsError        a settings file or a `key.path=value` word is wrong
    ├── MissingExtra         an optional dependency is not installed
    ├── DataError            an input (picture, pairs, taxonomy, table, checkpoint) is unusable
    ├── ModelError           a model cannot be reached, opened or trusted
    ├── RunError             a run folder, the call store or the disk is in the way
    └── GateFailed           exit 4, a limit the user set is broken

Anything that is not a `SpavlError` is a bug of ours and keeps its stack trace (exit 1).
"""

from __future__ import annotations


class SpavlError(Exception):
    """A user's slip, in three parts: what is wrong, where it is, what to try."""

    exit_status = 2

    def __init__(self, what: str, *, where: str = "", try_: str = "") -> None:
        self.what = what
        self.where = where
        self.try_ = try_
        super().__init__(self.render())

    def render(self) -> str:
        """The message as a person reads it: one line for each part that is there."""
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.try_:
            lines.append(f"  try:   {self.try_}")
        return "\n".join(lines)


class SettingsError(SpavlError):
    """A settings file or an override word is wrong."""


class MissingExtra(SpavlError):
    """A part of spavl was asked for whose optional dependencies are not installed."""


class DataError(SpavlError):
    """An input file or row cannot be used."""


class ModelError(SpavlError):
    """A model cannot be reached, opened or trusted."""


class RunError(SpavlError):
    """The run folder, the call store or the disk is in the way."""


class GateFailed(SpavlError):
    """A limit that the user set is broken."""

    exit_status = 4
