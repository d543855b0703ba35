"""Topic → ImageRecord: pictures of a folder, checked as untrusted input and copied under the hash of their bytes."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spavl.atomic import atomic_write
from spavl.config.build import CollectSettings
from spavl.errors import DataError
from spavl.pictures import open_upright, read_header
from spavl.plural import plural
from spavl.records import ImageRecord, Topic
from spavl.taxonomy import Taxonomy

SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}
"""File name suffix of a copy by Pillow's name of its format."""
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
"""Suffixes of files that say they are pictures: where they are none, they are rejected with the reason."""
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
"""First bytes of pictures whose names do not say so; those of WebP are `RIFF`, four bytes of length, `WEBP`."""
MOST_NAMED = 20
"""Most sub-folders that one message names."""
RUN_FILE = "run.json"
"""A folder that holds this file is a run folder, whose pictures are copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A picture file that has not been checked yet."""

    path: Path
    """Where the file is."""
    topic: Topic
    """What the picture shows."""
    image_id: str
    """Id of its record."""
    benign: bool
    """Whether it is a harmless counterpart."""
    heldout: bool
    """Whether its subcategory is kept out of alignment."""
    source: str
    """Where it comes from, kept in the record."""
    license: str
    """Its licence, kept in the record."""
    inside: Path | None = None
    """The collected folder; a symbolic link that leads out of it is not followed. None: links are followed."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that is not used, and why."""

    file: str
    """Its path, bytes that are no UTF-8 escaped."""
    reason: str
    """Why it is not used, as part of a sentence."""
    is_duplicate: bool = False
    """Whether another file with the same bytes is used."""


def find(settings: CollectSettings, taxonomy: Taxonomy) -> Iterator[Candidate]:
    """The files of a folder, one after the other, each with the topic that its sub-folder names.

    `FOLDER/weapon/x.jpg`, `FOLDER/<domain>/<category>/weapon/x.jpg` and `FOLDER/weapon/benign/x.jpg` are understood;
    pictures directly in the folder need `collect.topic`.

    Args:
        settings: the folder, its licence, and the subcategories that are held out.
        taxonomy: the subcategories that sub-folders may be named after.

    Raises:
        DataError: there is no folder, no picture in it, or pictures whose paths name no subcategory; it names them all.
    """
    folder = _folder(settings)
    heldout = {taxonomy.topic(name).class3 for name in settings.heldout}
    found = False
    nameless: Counter[str] = Counter()
    for path, stray in _files(folder):
        if stray:
            continue
        found = True
        topic = _topic(path, folder, settings, taxonomy)
        if topic is None:
            nameless[_name(path.relative_to(folder).parent)] += 1
        elif not nameless:
            yield _candidate(path, folder, settings, topic, heldout)
    if nameless:
        raise _nameless(nameless, folder, taxonomy)
    if not found:
        raise DataError(
            "There are no pictures in this folder", where=str(folder), try_="put .jpg, .png or .webp files into it"
        )


def passed_over(settings: CollectSettings) -> Counter[str]:
    """How many files of the folder are no pictures, by what they are, such as `.md`, `hidden` or `run folder`.

    Args:
        settings: name the folder.

    Raises:
        DataError: there is no folder.
    """
    return Counter(stray for _, stray in _files(_folder(settings)) if stray)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files below a folder by their paths in alphabetical order, folder by folder: each with what it is instead
    where it is no picture. Hidden folders, links to folders and run folders are one such file."""
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if entry.name.startswith("."):
            yield entry, "hidden"
        elif entry.is_dir() and entry.is_symlink():
            yield entry, "link to a folder"
        elif entry.is_dir() and (entry / RUN_FILE).is_file():
            yield entry, "run folder"
        elif entry.is_dir():
            yield from _files(entry)
        else:
            yield entry, "" if _may_be_a_picture(entry) else entry.suffix.lower() or "without a suffix"


def _may_be_a_picture(path: Path) -> bool:
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return True
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            first = file.read(12)
    except OSError:
        return False
    return first.startswith(BEGINNINGS) or (first[:4] == b"RIFF" and first[8:] == b"WEBP")


def _topic(path: Path, folder: Path, settings: CollectSettings, taxonomy: Taxonomy) -> Topic | None:
    """What the innermost sub-folder that names a subcategory names; else what the settings say."""
    known = [topic for name in path.relative_to(folder).parts[:-1] if (topic := taxonomy.find(name))]
    if known:
        return known[-1]
    return taxonomy.topic(settings.topic) if settings.topic is not None else None


def _nameless(pictures: Counter[str], folder: Path, taxonomy: Taxonomy) -> DataError:
    """The error about all sub-folders that name no subcategory, with the nearest names."""
    names = [name for name in pictures if name != "."]
    named = [f"`{name}` ({plural(pictures[name], 'picture')})" for name in names[:MOST_NAMED]]
    if pictures["."]:
        named.insert(0, f"the folder itself ({plural(pictures['.'], 'picture')})")
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    near = [f"for `{name}`: {hint}" for name in names[:MOST_NAMED] if (hint := taxonomy.near(name.split("/")[-1]))]
    return DataError(
        f"No subcategory is named for {plural(pictures.total(), 'picture')}; these are none of {taxonomy.source}: "
        f"{', '.join(named)}{more}",
        where=str(folder),
        try_="; ".join(
            [*near, "use sub-folders named after subcategories, or set `build.collect.topic` for the others"]
        ),
    )


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


def collect(
    candidates: Sequence[Candidate], *, folder: Path, max_pixels: int, seen: SeenPictures
) -> tuple[list[ImageRecord], list[Rejected]]:
    """Records of the usable pictures, copied to `folder/images/`, and the other files with their reasons.

    Of several files with the same bytes the first is used. Pictures are checked side by side.

    Args:
        candidates: files to check, few enough for their bytes to fit into memory.
        folder: the run folder.
        max_pixels: largest width times height of a picture.
        seen: the pictures that were used before.

    Raises:
        RunError: a copy cannot be written.
    """
    records: list[ImageRecord] = []
    rejected: list[Rejected] = []
    with warnings.catch_warnings():  # of this thread: those of the pool share its filters
        warnings.simplefilter("ignore")  # decompression bombs too: our own limit is checked instead
        for candidate, found in _inspected(candidates, max_pixels):
            name = _name(candidate.path)
            if isinstance(found, DataError):
                rejected.append(Rejected(name, found.what))
                continue
            record, data = found
            first = seen.first(record.image_sha256, name)
            if first != name:
                rejected.append(Rejected(name, f"the same bytes as {first}", is_duplicate=True))
                continue
            _copy(folder / record.image_file, data)
            records.append(record)
    return records, rejected


def unusable(candidates: Sequence[Candidate], max_pixels: int) -> list[Rejected]:
    """The files that cannot be used, with their reasons; nothing is copied.

    Args:
        candidates: files to look at.
        max_pixels: largest width times height of a picture.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            Rejected(_name(candidate.path), found.what)
            for candidate, found in _inspected(candidates, max_pixels) if isinstance(found, DataError)
        ]  # fmt: skip


def _inspected(
    candidates: Sequence[Candidate], max_pixels: int
) -> Iterator[tuple[Candidate, tuple[ImageRecord, bytes] | DataError]]:
    """Each candidate with its record and bytes, or what is wrong with it; a few are read side by side."""
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(candidates), 2 * workers):
            some = candidates[start : start + 2 * workers]
            yield from zip(some, pool.map(partial(_try, max_pixels), some), strict=True)


def _try(max_pixels: int, candidate: Candidate) -> tuple[ImageRecord, bytes] | DataError:
    try:
        return _inspect(candidate, max_pixels)
    except DataError as error:
        return error


def _folder(settings: CollectSettings) -> Path:
    if not settings.folder:
        raise DataError(
            "No folder of pictures is named",
            where="build.collect.folder",
            try_="`spavl build SETTINGS build.collect.folder=PICTURES`",
        )
    folder = Path(settings.folder).expanduser()
    if folder.is_file():
        raise DataError("This is a file and no folder of pictures", where=str(folder),
                        try_=f"build.collect.folder={folder.parent}")  # fmt: skip
    if not folder.is_dir():
        raise DataError("There is no such folder of pictures", where=str(folder), try_="check `build.collect.folder`")
    return folder


def _candidate(path: Path, folder: Path, settings: CollectSettings, topic: Topic, heldout: set[str]) -> Candidate:
    benign = path.parent != folder and path.parent.name.lower() == "benign"
    source = f"folder:{_name(path.relative_to(folder))}"
    return Candidate(
        path=path, topic=topic, image_id=f"{topic.class3}/{'benign/' if benign else ''}{_stem(path, folder)}",
        benign=benign, heldout=topic.class3 in heldout, source=source, license=settings.license, inside=folder,
    )  # fmt: skip


def _name(path: Path) -> str:
    """A path as UTF-8 text: file names are bytes, and need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _stem(path: Path, folder: Path) -> str:
    """A readable name without separators, made unique by a hash of the path in the folder."""
    digest = hashlib.sha256(os.fsencode(path.relative_to(folder))).hexdigest()[:10]
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in path.stem)[:40]
    return f"{safe}-{digest}"


def _inspect(candidate: Candidate, max_pixels: int) -> tuple[ImageRecord, bytes]:
    """The record of a candidate and its bytes."""
    data = _read(candidate.path, candidate.inside, most=16 * max_pixels + 2**24)
    width, height, kind = _decode(data, max_pixels)
    digest = hashlib.sha256(data).hexdigest()
    record = ImageRecord(
        topic=candidate.topic, image_id=candidate.image_id, image_file=f"images/{digest[:2]}/{digest}{SUFFIXES[kind]}",
        image_sha256=digest, width=width, height=height, benign=candidate.benign, heldout=candidate.heldout,
        image_source=candidate.source, license=candidate.license,
    )  # fmt: skip
    return record, data


def _read(path: Path, inside: Path | None, most: int) -> bytes:
    try:
        if inside is not None and not path.resolve().is_relative_to(inside.resolve()):
            raise DataError("a link that leads out of the folder")
        if path.exists() and not path.is_file():
            raise DataError("not a file")
        if path.stat().st_size > most:
            raise DataError("more bytes than a picture of `collect.max_pixels` can have")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error
    except RuntimeError:
        raise DataError("a link that leads to itself") from None
    if not data:
        raise DataError("the file is empty")
    return data


def _decode(data: bytes, max_pixels: int) -> tuple[int, int, str]:
    """Width and height, upright, and format; the whole picture is decoded once."""
    header = read_header(data)
    width, height = header.size
    if width * height > max_pixels:
        raise DataError(f"{width}×{height} pixels is more than `collect.max_pixels` ({max_pixels:,})")
    open_upright(data)
    return width, height, header.kind


def _copy(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    with atomic_write(path, what="The picture", try_="make room on the disk") as tmp:
        tmp.write_bytes(data)
