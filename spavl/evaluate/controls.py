"""The same questions with the pictures taken away: how much of a score needs no looking.

Text-only alignment passes most published safety benchmarks of vision-language models (arXiv 2411.19939), so a safety
number without such a control says little about vision.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

from PIL import Image

from spavl.evaluate.benchmark import Benchmark, Item
from spavl.models.base import ImageRef
from spavl.pictures import PICTURE_FORMATS, grey_picture


def pictureless(benchmark: Benchmark) -> Benchmark:
    """The benchmark as text alone. Not every model can be asked without a picture."""
    items = tuple(replace(item, image=None, shown="none") for item in benchmark.items)
    return replace(benchmark, name=f"{benchmark.name}-pictureless", items=items)


def blanked(benchmark: Benchmark, folder: Path) -> Benchmark:
    """The benchmark with every picture replaced by a grey one of the same size, kept in `folder`."""
    made: dict[tuple[int, int], ImageRef] = {}
    items = tuple(_blank(item, folder, made) for item in benchmark.items)
    return replace(benchmark, name=f"{benchmark.name}-blanked", items=items)


def _blank(item: Item, folder: Path, made: dict[tuple[int, int], ImageRef]) -> Item:
    if item.image is None:
        return item
    with Image.open(item.image.path, formats=PICTURE_FORMATS) as picture:
        size = picture.size
    if size not in made:
        made[size] = _write(grey_picture(size), folder)
    return replace(item, image=made[size], shown="blank")


def _write(picture: Image.Image, folder: Path) -> ImageRef:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    path = folder / f"{digest}.png"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return ImageRef(path, digest)
