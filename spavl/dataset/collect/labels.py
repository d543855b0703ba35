"""What a row of a manifest or a dataset says of its picture: topic, licence, origin, caption, and two flags."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn, final

from spavl.config.build import CollectSettings
from spavl.dataset.collect.candidate import Candidate
from spavl.errors import DataError
from spavl.plural import plural
from spavl.records import Topic
from spavl.rows import brief, listed
from spavl.taxonomy import Taxonomy

TOPICS = ("class3", "topic", "subcategory")
"""Columns of which one names the subcategory."""
FLAGS = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}
"""Words of a cell that says whether something holds."""
MOST_NAMED = 20
"""Most unknown subcategories that one message names."""
MOST_KEPT = 1000
"""Most that are kept: a wrong column may hold a sentence in every row."""
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(slots=True)
class _Unknown:
    """A name that is no subcategory: how often it stands, and where first."""

    first: str
    times: int = 0


@final
class Labels:
    """Reads what rows say of their pictures, and collects the topics that are not known.

    Args:
        settings: what holds where a row says nothing.
        taxonomy: the subcategories.
        columns: the column by what it says: `topic`, `license`, `source`, `caption`, `benign`, `heldout`. What has none
            is not read.
    """

    def __init__(self, settings: CollectSettings, taxonomy: Taxonomy, columns: Mapping[str, str]) -> None:
        self._taxonomy = taxonomy
        self._license = settings.license
        self._heldout = {taxonomy.topic(name).class3 for name in settings.heldout}
        self._otherwise = None if settings.topic is None else taxonomy.topic(settings.topic)
        self._columns = columns
        self._unknown: dict[str, _Unknown] = {}
        self._nameless = 0
        self._further = 0

    def candidate(
        self, row: Mapping[str, Any], where: str, *, name: str, stamp: str, stem: str, read: Callable[[int], bytes],
        source: str,
    ) -> Candidate | None:  # fmt: skip
        """The candidate of a row; None where its topic is not known.

        Args:
            row: cells by columns.
            where: file and place of the row, for messages.
            name: what messages call the picture.
            stamp: changes when the picture may have changed.
            stem: the last part of its id, unique in the file.
            read: its bytes.
            source: where it comes from, where the row does not say.

        Raises:
            DataError: a cell of a flag says neither yes nor no.
        """
        topic = self._topic(row, where)
        if topic is None or self._unknown:
            return None
        benign = self._flag(row, "benign", where)
        return Candidate(
            name=name, stamp=stamp, read=read, topic=topic, benign=benign,
            image_id=f"{topic.class3}/{'benign/' if benign else ''}{stem}",
            heldout=topic.class3 in self._heldout or self._flag(row, "heldout", where),
            source=self._text(row, "source") or source, license=self._text(row, "license") or self._license,
            caption=self._text(row, "caption"),
        )  # fmt: skip

    def refuse_unknown(self, file: str) -> None:
        """Refuse the file where rows have no topic, or one that is none of the taxonomy.

        Args:
            file: the file, for the message.

        Raises:
            DataError: it names all of them, with the rows where they stand first, and the nearest names.
        """
        if self._nameless:
            raise DataError(
                f"{plural(self._nameless, 'row')} without a subcategory", where=file,
                try_="fill the column, or set `build.collect.topic` for those rows",
            )  # fmt: skip
        if not self._unknown:
            return
        some = list(self._unknown.items())[:MOST_NAMED]
        named = [f"{brief(name)} ({plural(one.times, 'row')}, first {one.first})" for name, one in some]
        more = f" and {len(self._unknown) - MOST_NAMED} more" if len(self._unknown) > MOST_NAMED else ""
        more += f" and others in {plural(self._further, 'row')}" if self._further else ""
        near = [f"for {brief(name)}: {hint}" for name, _ in some if (hint := self._taxonomy.near(name))]
        raise DataError(
            f"These are no subcategories of {self._taxonomy.source}: {', '.join(named)}{more}", where=file,
            try_="; ".join(near) or "correct them, or name your own taxonomy in `build.collect.taxonomy`",
        )  # fmt: skip

    def _topic(self, row: Mapping[str, Any], where: str) -> Topic | None:
        text = self._text(row, "topic")
        topic = self._taxonomy.find(text) if text else self._otherwise
        if topic is None and text:
            self._note_unknown(text, where)
        elif topic is None:
            self._nameless += 1
        return topic

    def _note_unknown(self, name: str, where: str) -> None:
        if name in self._unknown or len(self._unknown) < MOST_KEPT:
            self._unknown.setdefault(name, _Unknown(where)).times += 1
        else:
            self._further += 1

    def _text(self, row: Mapping[str, Any], what: str) -> str:
        cell = row.get(self._columns.get(what, ""))
        return "" if cell is None else text_of(cell)

    def _flag(self, row: Mapping[str, Any], what: str, where: str) -> bool:
        text = self._text(row, what)
        if text and text.lower() not in FLAGS:
            raise DataError(f"`{self._columns[what]}` is yes or no, not {brief(text)}", where=where,
                            try_="true, false, yes, no, 1, 0, or an empty cell for no")  # fmt: skip
        return FLAGS.get(text.lower(), False)


def text_of(cell: object) -> str:
    """A cell as text that can be written as UTF-8, without blanks at its ends.

    Args:
        cell: a text or a number.
    """
    return str(cell).encode("utf-8", "backslashreplace").decode().replace("\0", " ").strip()


def stem_of(name: str, key: str) -> str:
    """The last part of a picture's id: a readable name without separators, made unique by a hash.

    Args:
        name: a path or an address.
        key: what differs from that of any other picture.
    """
    last = re.split(r"[/\\]", name.partition("?")[0].rstrip("/"))[-1].rpartition(".")
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in last[0] or last[2])[:40]
    return f"{safe}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"


def stem_of_id(given: str) -> str:
    """The last part of a picture's id, where a row names the id: as it is, where it can be part of a path.

    Args:
        given: the id.
    """
    return given if _SAFE.fullmatch(given) else stem_of(given, given)


def refuse_columns(missing: str, found: list[str], wanted: tuple[str, ...], file: str, try_: str = "") -> NoReturn:
    """The error that columns are missing, with those that may be meant.

    Args:
        missing: the sentence.
        found: columns that there are.
        wanted: columns of which one is looked for.
        file: the file.
        try_: what else helps.

    Raises:
        DataError: always.
    """
    near = [
        f"is {brief(one)} meant as `{hit[0]}`?" for one in found if (hit := get_close_matches(one.lower(), wanted, 1))
    ]
    has = listed(found[:MOST_NAMED], "`") or "no column"
    raise DataError(f"{missing}; it has {has}", where=file, try_="; ".join([*near, *([try_] if try_ else [])]))


class FirstPlaces:
    """What was seen before, and where, on disk: a context manager."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID")
        self._database.execute("BEGIN")  # and never ended: a transaction for each row would be slower

    def before(self, key: str, place: str) -> str:
        """Where a key was seen first; empty where never before.

        Args:
            key: what is looked for.
            place: where it stands now.
        """
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        done = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, place))
        if done.rowcount:
            return ""
        return str(self._database.execute("SELECT place FROM seen WHERE key = ?", (digest,)).fetchone()[0])

    def __enter__(self) -> FirstPlaces:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()
