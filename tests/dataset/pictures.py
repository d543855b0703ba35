"""Files for tests of `collect`: pictures of noise, PNG headers that lie, folders to collect from."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from spavl.config.build import CollectSettings
from spavl.dataset.collect import Candidate, Rejected, collect, find, open_filters
from spavl.records import ImageRecord
from spavl.taxonomy import load_taxonomy

MAX_PIXELS = 1_000_000


def noise(seed: int = 0, kind: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
    """A small picture of noise, as the bytes of a file."""
    pixels = random.Random(seed).randbytes(3 * size[0] * size[1])
    out = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(out, kind)
    return out.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims this size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def write_files(folder: Path, files: dict[str | bytes, bytes]) -> Path:
    """Write files under a folder; names may be bytes."""
    for name, data in files.items():
        path = Path(os.fsdecode(os.path.join(os.fsencode(folder), os.fsencode(name))))  # noqa: PTH118
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def collected(folder: Path, max_pixels: int = MAX_PIXELS, **changes: Any) -> tuple[list[ImageRecord], list[Rejected]]:
    """Find and collect the pictures of a folder into the run folder `run` next to it."""
    settings = CollectSettings(folder=str(folder), max_pixels=max_pixels, **changes)
    return outcomes(find(settings, load_taxonomy()), folder.parent / "run", settings)


def outcomes(
    candidates: Iterable[Candidate], run: Path, settings: CollectSettings | None = None
) -> tuple[list[ImageRecord], list[Rejected]]:
    """Records and rejected ones of some candidates, collected into a run folder."""
    filters = open_filters(settings or CollectSettings(max_pixels=MAX_PIXELS), load_taxonomy().keywords)
    found = list(collect(candidates, folder=run, filters=filters))
    records = [one for one in found if isinstance(one, ImageRecord)]
    return records, [one for one in found if isinstance(one, Rejected)]
