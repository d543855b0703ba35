"""The pictures of a folder as rows of a table of vectors: each is encoded once, and anew when its file changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from spavl.dataset.collect.candidate import FILE_READERS
from spavl.dataset.collect.folder import picture_files, read_file, stamp_of
from spavl.dataset.collect.vectors import Entry, VectorTable
from spavl.errors import DataError, ModelError
from spavl.models.encoder import ImageEncoder
from spavl.pictures import capped, open_upright, read_header
from spavl.progress import OnProgress

MOST_PIXELS = 4_000_000
"""Pictures of more pixels are made smaller before an encoder sees them, which makes them smaller still."""

Decoded = list[tuple[Entry, Image.Image | DataError]]


def list_entries(folder: Path) -> Iterator[Entry]:
    """The picture files of a folder, by their paths in it.

    Args:
        folder: looked into with all its sub-folders.
    """
    for path in picture_files(folder):
        yield Entry(path.relative_to(folder).as_posix(), stamp_of(path))


def embed_missing(
    table: VectorTable, folder: Path, encoder: Callable[[], ImageEncoder], *,
    max_pixels: int, batch_size: int, on_progress: OnProgress,
) -> None:  # fmt: skip
    """Encode what the table was told is there and has no row of; batch by batch, each on the disk before the next.

    A picture that cannot be opened or encoded is noted with the reason.

    Args:
        table: after `keep_only` with the folder's entries.
        folder: the folder of pictures.
        encoder: opens the encoder; called once there is a picture for it.
        max_pixels: largest width times height of a picture.
        batch_size: pictures that are opened together.
        on_progress: called with pictures done and pictures to do.

    Raises:
        ModelError: the encoder cannot be opened.
        RunError: the disk is full.
    """
    total, done = table.missing_count(), 0
    for batch in _decoded(table.missing(batch_size), folder, max_pixels):
        whole = [(entry, found) for entry, found in batch if isinstance(found, Image.Image)]
        for entry, found in batch:
            if isinstance(found, DataError):
                table.refuse(entry, found.what)
        if whole:
            _append(table, encoder(), whole)
        done += len(batch)
        on_progress(done, total)


def _append(table: VectorTable, encoder: ImageEncoder, pictures: Sequence[tuple[Entry, Image.Image]]) -> None:
    """Encode pictures together; where the encoder refuses that, one by one, so that the one at fault is found."""
    try:
        vectors = encoder.encode_images([picture for _, picture in pictures])
    except ModelError as error:
        if len(pictures) > 1:
            for one in pictures:
                _append(table, encoder, [one])
        else:
            table.refuse(pictures[0][0], error.what)
        return
    table.append([entry for entry, _ in pictures], vectors)


def _decoded(batches: Iterator[list[Entry]], folder: Path, max_pixels: int) -> Iterator[Decoded]:
    """The opened pictures of each batch; the next batch is opened while one is worked on."""

    def opened(entry: Entry) -> Image.Image | DataError:
        try:
            return _open(folder / entry.name, folder, max_pixels)
        except DataError as error:
            return error

    with warnings.catch_warnings(), ThreadPoolExecutor(FILE_READERS) as pool:  # the pool's threads share the filters
        warnings.simplefilter("ignore")  # decompression bombs too: our own limit is checked instead
        waiting: list[tuple[Entry, Future[Image.Image | DataError]]] = []
        for batch in batches:
            following = [(entry, pool.submit(opened, entry)) for entry in batch]
            if waiting:
                yield [(entry, found.result()) for entry, found in waiting]
            waiting = following
        if waiting:
            yield [(entry, found.result()) for entry, found in waiting]


def _open(path: Path, folder: Path, max_pixels: int) -> Image.Image:
    data = read_file(path, folder, 16 * max_pixels + 2**24)
    width, height = read_header(data).size
    if width * height > max_pixels:
        raise DataError(f"{width}×{height} pixels is more than `collect.max_pixels` ({max_pixels:,})")
    return capped(open_upright(data), MOST_PIXELS)
