"""Who labels in a review: names, tokens, and subjects that somebody does not want to see."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from spavl.errors import DataError
from spavl.labels.database import Database
from spavl.labels.record import Annotator
from spavl.rows import brief

MOST_LETTERS: Final = 80
"""Letters of an annotator's name."""


class Annotators(Database):
    """The annotators of a review that is open.

    Args:
        path: the database.

    Raises:
        DataError: it is missing, of another program or version, or damaged.
        RunError: it cannot be opened.
    """

    def claim(self, name: str, token_hash: str) -> bool:
        """Let somebody label under a name that nobody has a token for; whether it is theirs now, or was already.

        Args:
            name: of the person.
            token_hash: hash of the person's own token.

        Raises:
            DataError: that is no name.
        """
        with self._writing():
            self._join(name)
            self._db.execute(
                "UPDATE annotators SET token_hash = ? WHERE name = ? AND token_hash = ''", (token_hash, name)
            )
            return self._row("SELECT 1 FROM annotators WHERE name = ? AND token_hash = ?", name, token_hash) is not None

    def set_token(self, name: str, token_hash: str) -> None:
        """Give somebody a token of their own, in place of the one before.

        Args:
            name: of the annotator.
            token_hash: hash of the token.

        Raises:
            DataError: that is no name.
        """
        with self._writing():
            self._join(name)
            self._db.execute("UPDATE annotators SET token_hash = ? WHERE name = ?", (token_hash, name))

    def annotator_of(self, token_hash: str) -> Annotator | None:
        """Whose token that is; None where it is nobody's.

        Args:
            token_hash: hash of a token.
        """
        row = self._row("SELECT name FROM annotators WHERE token_hash = ? AND token_hash <> ''", token_hash)
        return None if row is None else self.annotator(row[0])

    def opt_out(self, name: str, categories: Iterable[str]) -> None:
        """Set the subjects whose items an annotator is not shown.

        Args:
            name: of the annotator.
            categories: subjects of any level, in place of those before.
        """
        with self._writing():
            self._join(name)
            self._opt_out(name, categories)

    def annotator(self, name: str) -> Annotator | None:
        """Somebody who has joined; None for a stranger.

        Args:
            name: of the person.
        """
        if self._row("SELECT 1 FROM annotators WHERE name = ?", name) is None:
            return None
        out = self._rows("SELECT category FROM opted_out WHERE annotator = ? ORDER BY category", name)
        return Annotator(name=name, opted_out=tuple(one for (one,) in out))

    def annotators(self) -> list[str]:
        """Names of all who have joined, by alphabet."""
        return [name for (name,) in self._rows("SELECT name FROM annotators ORDER BY name")]

    def _join(self, name: str) -> None:
        """Let somebody label who has not joined before."""
        if self._row("SELECT 1 FROM annotators WHERE name = ?", name):
            return
        if not name.strip() or len(name) > MOST_LETTERS or not name.isprintable():
            raise DataError(f"{brief(name)} is no name of an annotator",
                            try_=f"letters, digits and blanks, {MOST_LETTERS} at most")  # fmt: skip
        self._db.execute("INSERT INTO annotators (name, created) VALUES (?, ?)", (name, now_text()))

    def _opt_out(self, name: str, categories: Iterable[str]) -> None:
        self._db.execute("DELETE FROM opted_out WHERE annotator = ?", (name,))
        wanted = sorted({one for one in categories if one})
        self._db.executemany("INSERT INTO opted_out VALUES (?, ?)", [(name, one) for one in wanted])
        self._db.execute("UPDATE annotators SET start = 0 WHERE name = ?", (name,))


def now_text() -> str:
    """The time: ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
