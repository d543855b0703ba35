"""Blind controls: a benchmark without its pictures, to see how much of a score needs no vision.

Text-only alignment passes most published safety benchmarks of vision-language models (arXiv 2411.19939), so a safety
rate without such a control says little about vision.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item, with_pictures
from spavl.evaluate.pictures import store_picture
from spavl.pictures import Picture, grey_picture
from spavl.records import ImageRef


def pictureless(benchmark: Benchmark) -> Benchmark:
    """The benchmark as text alone; some models cannot be asked without a picture.

    Args:
        benchmark: the benchmark as it is.
    """
    items = tuple(replace(with_pictures(item, (), "none"), missing="") for item in benchmark.items)
    return replace(benchmark, name=f"{benchmark.name}-pictureless", items=items)


def blanked(benchmark: Benchmark, folder: Path) -> Benchmark:
    """The benchmark with every picture replaced by a grey one of the same size.

    Args:
        benchmark: the benchmark as it is.
        folder: where the grey pictures are written.

    Raises:
        DataError: a picture cannot be read.
        RunError: the grey ones cannot be written.
    """
    return replace(benchmark, name=f"{benchmark.name}-blanked", items=blanked_items(benchmark.items, folder))


def blanked_items(items: Iterable[Item], folder: Path) -> tuple[Item, ...]:
    """The items with every picture replaced by a grey one of the same size.

    Args:
        items: the items as they are.
        folder: where the grey pictures are written.

    Raises:
        DataError: a picture cannot be read.
        RunError: the grey ones cannot be written.
    """
    made: dict[tuple[int, int], ImageRef] = {}
    return tuple(blanked_item(item, folder, made) for item in items)


def blanked_item(item: Item, folder: Path, made: dict[tuple[int, int], ImageRef]) -> Item:
    """The item with every picture replaced by a grey one of the same size.

    Args:
        item: the item as it is.
        folder: where the grey pictures are written.
        made: grey pictures by their size; those that are made are added.

    Raises:
        DataError: a picture cannot be read.
        RunError: a grey one cannot be written.
    """
    if not item.pictures or item.missing:
        return item
    return with_pictures(item, tuple(_grey(image, folder, made) for image in item.pictures), "blank")


def _grey(image: ImageRef, folder: Path, made: dict[tuple[int, int], ImageRef]) -> ImageRef:
    """A grey picture of the size that the model sees: turned upright as the camera says."""
    size = Picture(image.sha256, image.path).size()
    if size not in made:
        buffer = io.BytesIO()
        grey_picture(size).save(buffer, "PNG")
        made[size] = store_picture(buffer.getvalue(), folder, ".png")
    return made[size]
