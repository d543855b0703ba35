"""Everything that can go wrong in a way the user can mend.

    SpavlError               exit 2, printed as prose: what, where, try
    ├── SettingsError        a settings file or a `key.path=value` override is wrong
    ├── MissingExtra         an optional dependency is not installed
    ├── DataError            an input (picture, pairs, taxonomy, table, checkpoint) is unusable
    ├── ModelError           a model cannot be reached, opened or trusted
    ├── RunError             a run folder, the call store or the disk is in the way
    └── CallsFailed          exit 3: nothing could be made, because calls of models failed

Anything that is not a `SpavlError` is a bug of ours and keeps its stack trace (exit 1).
"""

from __future__ import annotations


class SpavlError(Exception):
    """A user error, in three parts: what is wrong, where it is, what to try.

    Args:
        what: a sentence that says what is wrong.
        where: the file, setting or address it is about.
        try_: what mends it, such as a command.
    """

    exit_status = 2
    """Exit status of the command that ends with this error."""

    def __init__(self, what: str, *, where: str = "", try_: str = "") -> None:
        self.what = what
        self.where = where
        self.try_ = try_
        super().__init__(self.render())

    def render(self) -> str:
        """The message as it is printed: one line for each part that is there."""
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.try_:
            lines.append(f"  try:   {self.try_}")
        return "\n".join(lines)


class SettingsError(SpavlError):
    """A settings file or a `key.path=value` override is wrong."""


class MissingExtra(SpavlError):
    """A feature needs an optional package that is not installed; `try_` holds the `pip install` line."""


class DataError(SpavlError):
    """An input file or row cannot be used."""


class ModelError(SpavlError):
    """A model cannot be reached, opened or trusted."""


class RunError(SpavlError):
    """The run folder, the call store or the disk is in the way."""


class CallsFailed(SpavlError):
    """Nothing could be made, because calls of models failed; the same command, run again, makes them again."""

    exit_status = 3
