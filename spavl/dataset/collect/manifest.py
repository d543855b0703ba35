"""A manifest as a source of pictures: a table of paths or addresses, with what is known of each picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import final

from spavl.config.build import CollectSettings
from spavl.dataset.collect.addresses import LONGEST, is_address, shown
from spavl.dataset.collect.candidate import Candidate, FilterName, Unusable
from spavl.dataset.collect.folder import name_of, read_file
from spavl.dataset.collect.labels import TOPICS, FirstPlaces, Labels, refuse_columns, stem_of, stem_of_id, text_of
from spavl.errors import DataError
from spavl.rows import Row, brief, rows_of
from spavl.taxonomy import Taxonomy

PICTURES = ("image", "path", "url")
"""Columns of which one names the picture: a path or an address, a path, an address."""
OTHERS = ("id", "license", "source", "caption", "benign", "heldout")
"""Columns that may be there as well."""
COLUMNS = (*PICTURES, *TOPICS, *OTHERS)
NEAR = 0.85
"""How like a known column's name an unknown one is that is taken for a misspelling."""

Fetch = Callable[[str, int], bytes]
"""(address, most bytes) → the bytes of a picture."""


def find_in_manifest(settings: CollectSettings, taxonomy: Taxonomy, fetch: Fetch) -> Iterator[Candidate]:
    """The pictures that a manifest names, row by row.

    A row whose picture cannot be had (no name, a path that leads out of the folder, a picture that an earlier row
    names) is a candidate too, which says so when it is read: so it is counted, and stops no other.

    Args:
        settings: the manifest, and what holds where its rows say nothing. Paths are relative to `folder`, or else to
            the manifest's own folder.
        taxonomy: the subcategories that rows may name.
        fetch: gets a picture from the web; it is not called here.

    Raises:
        DataError: there is no manifest, it cannot be read, it lacks columns, or rows name no subcategory of the
            taxonomy; it names them all.
    """
    file = _file(settings)
    first = next(iter(rows_of(file)), None)
    if first is None:
        raise DataError("There are no rows in this manifest", where=str(file), try_="one picture in each row")
    _check_columns(first, file, has_topic=settings.topic is not None)
    topics = next((name for name in TOPICS if name in first.values), TOPICS[0])
    labels = Labels(settings, taxonomy, {"topic": topics, **{name: name for name in OTHERS}})
    with FirstPlaces() as pictures, FirstPlaces() as ids:
        rows = _Rows(file, _base(settings, file), fetch, pictures, ids)
        for row in rows_of(file, columns=COLUMNS):
            candidate = rows.candidate(row, labels)
            if candidate is not None:
                yield candidate
    labels.refuse_unknown(str(file))


def _file(settings: CollectSettings) -> Path:
    if not settings.manifest:
        raise DataError(
            "No manifest is named", where="build.collect.manifest",
            try_="`spavl build SETTINGS build.collect.manifest=pictures.csv`",
        )  # fmt: skip
    return Path(settings.manifest).expanduser()


def _base(settings: CollectSettings, file: Path) -> Path:
    """The folder that paths are relative to, and do not leave."""
    folder = Path(settings.folder).expanduser() if settings.folder else file.parent
    if not folder.is_dir():
        raise DataError("There is no such folder of pictures", where=str(folder), try_="check `build.collect.folder`")
    return folder.resolve()


def _check_columns(first: Row, file: Path, *, has_topic: bool) -> None:
    """Refuse a manifest whose columns do not say which pictures it names, and of what."""
    found = list(first.values)
    ways = [name for name in PICTURES if name in found]
    if not ways:
        refuse_columns("The manifest names no pictures: it has none of the columns `image`, `path`, `url`", found,
                       PICTURES, str(file))  # fmt: skip
    if len(ways) > 1:
        raise DataError(f"Pictures are named in several columns: {', '.join(f'`{name}`' for name in ways)}",
                        where=str(file), try_="keep one, and call the others otherwise")  # fmt: skip
    if not has_topic and not any(name in found for name in TOPICS):
        refuse_columns("The manifest names no subcategories: it has none of the columns `class3`, `topic`, "
                       "`subcategory`", found, TOPICS, str(file),
                       "or set `build.collect.topic`, where all pictures are of one")  # fmt: skip
    for name in found:
        near = [] if name in COLUMNS else get_close_matches(name.lower(), COLUMNS, 1, NEAR)
        if near and near[0] not in found:
            raise DataError(f"The column {brief(name)} is not known", where=str(file),
                            try_=f"did you mean `{near[0]}`? Any other column is passed over")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture as a row names it."""

    key: str
    """What it is known by: its path or address."""
    name: str
    """What messages call it."""
    source: str
    """What its record calls it."""
    read: Callable[[int], bytes]
    stamp: str = ""


@final
class _Rows:
    """Makes candidates of rows.

    Args:
        file: the manifest.
        base: folder that paths are relative to.
        fetch: gets a picture from the web.
        pictures: those named so far.
        ids: those given so far.
    """

    def __init__(self, file: Path, base: Path, fetch: Fetch, pictures: FirstPlaces, ids: FirstPlaces) -> None:
        self._file = file
        self._base = base
        self._fetch = fetch
        self._pictures = pictures
        self._ids = ids

    def candidate(self, row: Row, labels: Labels) -> Candidate | None:
        """The candidate of a row; None where its topic is not known."""
        place = row.where.removeprefix(f"{self._file}, ")
        text = self._named(row)
        given = self._id(row, place)
        picture = self._picture(text, place, wants_address="url" in row.values)
        earlier = self._pictures.before(picture.key, place)
        if earlier:
            say = _refused("exact duplicate", f"{earlier} of the manifest names the same picture")
            picture = replace(picture, key=f"{picture.key} {place}", name=f"{picture.name} ({place})", read=say)
        return labels.candidate(
            row.values, row.where, name=picture.name, stamp=picture.stamp, read=picture.read,
            stem=stem_of_id(given) if given else stem_of(picture.name, picture.key),
            source=f"manifest:{picture.source}",
        )  # fmt: skip

    def _named(self, row: Row) -> str:
        """What the row's one cell for it names as its picture; empty where it names none."""
        cells = {name: cell for name in PICTURES if (cell := row.values.get(name)) not in (None, "")}
        if len(cells) > 1:
            raise DataError(f"Pictures are named in several columns: {', '.join(f'`{name}`' for name in cells)}",
                            where=row.where, try_="keep one")  # fmt: skip
        name, cell = next(iter(cells.items()), ("", ""))
        if not isinstance(cell, str):
            raise DataError(
                f"The column `{name}` holds no path or address but {brief(cell)}", where=row.where,
                try_=f"pictures inside the file: build.collect.source=dataset build.collect.dataset.path={self._file}",
            )  # fmt: skip
        return text_of(cell)

    def _id(self, row: Row, place: str) -> str:
        cell = row.values.get("id")
        given = "" if cell is None else text_of(cell)
        if given and (earlier := self._ids.before(given, place)):
            raise DataError(f"Two rows have the id {brief(given)}: {earlier} and {place}", where=str(self._file),
                            try_="give each picture an id of its own, or leave the column out")  # fmt: skip
        return given

    def _picture(self, text: str, place: str, *, wants_address: bool) -> _Picture:
        if not text or len(text) > LONGEST:
            name = f"{name_of(self._file)}, {place}"
            what = f"the row holds no path or address but {brief(text)}" if text else "the row names no picture"
            return _Picture(name, name, place, _refused("unreadable", what))
        if wants_address or is_address(text):
            return _Picture(f"address {text}", shown(text), shown(text), partial(self._fetch, text))
        path = self._base / text
        key = f"path {path}"
        if ".." in path.parts or not path.is_relative_to(self._base):
            say = _refused("unreadable", f"the path leads out of the folder {name_of(self._base)}")
            return _Picture(key, text, text, say)
        stamp = ""
        with suppress(OSError, ValueError):  # it is named among those that cannot be used
            stat = path.stat()
            stamp = f"{stat.st_size} {stat.st_mtime_ns}"
        return _Picture(key, name_of(path), text, partial(read_file, path, self._base), stamp)


def _refused(kind: FilterName, what: str) -> Callable[[int], bytes]:
    """What is called to read a picture that cannot be read."""

    def read(most: int) -> bytes:
        raise Unusable(kind, what)

    return read
