"""A folder of pictures as a source: its files, with the topics that its sub-folders name."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from spavl.config.build import CollectSettings
from spavl.dataset.collect.candidate import Candidate
from spavl.errors import DataError
from spavl.plural import plural
from spavl.records import Topic
from spavl.taxonomy import Taxonomy

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
"""Suffixes of files that say they are pictures: where they are none, they are rejected with the reason."""
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
"""First bytes of pictures whose names do not say so; those of WebP are `RIFF`, four bytes of length, `WEBP`."""
MOST_NAMED = 20
"""Most sub-folders that one message names."""
RUN_FILE = "run.json"
"""A folder that holds this file is a run folder, whose pictures are copies."""


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
            nameless[name_of(path.relative_to(folder).parent)] += 1
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


def file_candidate(
    path: Path,
    *,
    inside: Path | None,
    topic: Topic,
    image_id: str,
    benign: bool,
    heldout: bool,
    source: str,
    license: str,
    caption: str = "",
) -> Candidate:
    """The candidate of a picture file.

    Args:
        path: where the file is.
        inside: a symbolic link that leads out of this folder is not followed. None: links are followed.
        topic: what the picture shows.
        image_id: id of its record.
        benign: whether it is a harmless counterpart.
        heldout: whether its subcategory is kept out of alignment.
        source: where it comes from.
        license: its licence.
        caption: text that came with it.
    """
    return Candidate(
        name=name_of(path), stamp=stamp_of(path), read=partial(read_file, path, inside), topic=topic, image_id=image_id,
        benign=benign, heldout=heldout, source=source, license=license, caption=caption,
    )  # fmt: skip


def _candidate(path: Path, folder: Path, settings: CollectSettings, topic: Topic, heldout: set[str]) -> Candidate:
    benign = path.parent != folder and path.parent.name.lower() == "benign"
    return file_candidate(
        path, inside=folder, topic=topic,
        image_id=f"{topic.class3}/{'benign/' if benign else ''}{stem_of(path, folder)}", benign=benign,
        heldout=topic.class3 in heldout, source=f"folder:{name_of(path.relative_to(folder))}",
        license=settings.license,
    )  # fmt: skip


def name_of(path: Path) -> str:
    """A path as UTF-8 text: file names are bytes, and need not be UTF-8.

    Args:
        path: of a file.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def stem_of(path: Path, folder: Path) -> str:
    """A readable name without separators, made unique by a hash of the path in the folder.

    Args:
        path: of a file in the folder.
        folder: the folder.
    """
    digest = hashlib.sha256(os.fsencode(path.relative_to(folder))).hexdigest()[:10]
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in path.stem)[:40]
    return f"{safe}-{digest}"


def read_file(path: Path, inside: Path | None, most: int) -> bytes:
    """The bytes of a file.

    Args:
        path: where the file is.
        inside: a symbolic link that leads out of this folder is not followed. None: links are followed.
        most: bytes that there may be.

    Raises:
        DataError: there are none, there are too many, or it is no file inside the folder.
    """
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


def picture_files(folder: Path) -> Iterator[Path]:
    """The picture files below a folder by their paths in alphabetical order, whatever its sub-folders are called.

    Args:
        folder: to look into; hidden folders, links to folders and run folders in it are left out.
    """
    return (path for path, stray in _files(folder) if not stray)


def stamp_of(path: Path) -> str:
    """Size and time of a file; empty where it cannot be looked at, such as a dangling link.

    Args:
        path: of the file.
    """
    with suppress(OSError):
        stat = path.stat()
        return f"{stat.st_size} {stat.st_mtime_ns}"
    return ""
