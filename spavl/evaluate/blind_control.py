"""Blind controls: a benchmark without its pictures, to see how much of a score needs no vision.

Text-only alignment passes most published safety benchmarks of vision-language models (arXiv 2411.19939), so a safety
rate without such a control says little about vision.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from PIL import Image

from spavl.evaluate.benchmark import Benchmark, Item
from spavl.evaluate.pictures import store_picture
from spavl.pictures import PICTURE_FORMATS, grey_picture
from spavl.records import ImageRef


def pictureless(benchmark: Benchmark) -> Benchmark:
    """The benchmark as text alone; some models cannot be asked without a picture.

    Args:
        benchmark: the benchmark as it is.
    """
    items = tuple(replace(item, image=None, shown="none") for item in benchmark.items)
    return replace(benchmark, name=f"{benchmark.name}-pictureless", items=items)


def blanked(benchmark: Benchmark, folder: Path) -> Benchmark:
    """The benchmark with every picture replaced by a grey one of the same size.

    Args:
        benchmark: the benchmark as it is.
        folder: where the grey pictures are written.

    Raises:
        RunError: they cannot be written.
    """
    made: dict[tuple[int, int], ImageRef] = {}
    items = tuple(_blank(item, folder, made) for item in benchmark.items)
    return replace(benchmark, name=f"{benchmark.name}-blanked", items=items)


def _blank(item: Item, folder: Path, made: dict[tuple[int, int], ImageRef]) -> Item:
    if item.image is None:
        return item
    with Image.open(item.image.path, formats=PICTURE_FORMATS) as picture:
        size = picture.size
    if size not in made:
        buffer = io.BytesIO()
        grey_picture(size).save(buffer, "PNG")
        made[size] = store_picture(buffer.getvalue(), folder, ".png")
    return replace(item, image=made[size], shown="blank")
