"""Scenes drawn as pictures: 48 x 48 pixels, the thing in the middle, cues in corners, dots, noise.

The same scene id gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from spavl.miniworld.world import Scene

SIZE: Final = 48
"""Width and height of a picture in pixels."""
INK: Final = 3
"""Width of a pictogram's cell in pixels; a cue's cell is 2 wide."""
NOISE: Final = 10
"""Largest change of a pixel's channel by noise, out of 255."""
KEPT: Final = 8_192
"""Pictures that stay in memory as files, at 5 kB each: a study evaluates many models on the same thousands."""

CUE_BITMAPS: Final[dict[str, tuple[str, ...]]] = {
    "flame": ("..#..", ".##..", ".###.", "#####", ".###."),
    "veil": ("#.#.#", ".#.#.", "#.#.#", ".#.#.", "#.#.#"),
    "eye": (".###.", "#...#", "#.#.#", "#...#", ".###."),
    "bolt": ("...##", "..##.", "#####", ".##..", "##..."),
    "chain": ("..#..", ".#.#.", "..#..", ".#.#.", "..#.."),
    "coin": ("#####", "#...#", "#...#", "#...#", "#####"),
}
"""Bitmaps of 5 x 5 cells by cue, `#` where there is ink."""

Colour = tuple[int, int, int]
Dot = tuple[int, int, int, Colour]


@dataclass(frozen=True, slots=True)
class SceneLayout:
    """Where everything in a picture is and in which colour; positions are pixels from the top left corner."""

    background: Colour
    """RGB, 0 to 255."""
    ink: Colour
    """Colour of the thing."""
    thing_at: tuple[int, int]
    """Top left corner of the thing: x, y."""
    cues: tuple[tuple[str, tuple[int, int], Colour], ...]
    """Name, top left corner (x, y) and colour of every cue."""
    dots: tuple[Dot, ...]
    """x, y, width, colour of the distractors."""


def scene_layout(scene: Scene) -> SceneLayout:
    """The layout of a scene; a twin's is that of its dangerous scene, but for the cues.

    Args:
        scene: its id alone decides.
    """
    random = Random(f"layout {scene.root}")
    dark = random.random() < 0.5
    background, ink = _colour(random, dark=dark), _colour(random, dark=not dark)
    at = (random.randint(10, 14), random.randint(10, 14))
    corners = random.sample([(1, 1), (37, 1), (1, 37), (37, 37)], 2)
    places = [(x + random.randint(-1, 1), y + random.randint(-1, 1)) for x, y in corners]
    colours = [_colour(random, dark=not dark) for _ in places]
    dots = tuple(
        (random.randrange(SIZE - 2), random.randrange(SIZE - 2), random.randint(1, 2), _colour(random, dark=not dark))
        for _ in range(random.randint(2, 6))
    )
    cues = tuple(zip(scene.cues, places, colours, strict=False))
    return SceneLayout(background, ink, at, cues, dots)


def _colour(random: Random, *, dark: bool) -> Colour:
    low, high = (0, 75) if dark else (175, 255)
    return (random.randint(low, high), random.randint(low, high), random.randint(low, high))


def draw(scene: Scene) -> Image.Image:
    """The scene as an RGB picture of SIZE x SIZE pixels.

    Args:
        scene: what to draw.
    """
    layout = scene_layout(scene)
    picture = Image.new("RGB", (SIZE, SIZE), layout.background)
    brush = ImageDraw.Draw(picture)
    for x, y, width, colour in layout.dots:
        brush.rectangle((x, y, x + width - 1, y + width - 1), fill=colour)
    _stamp(brush, scene.kind.bitmap, layout.thing_at, INK, layout.ink)
    for cue, place, colour in layout.cues:
        _stamp(brush, CUE_BITMAPS[cue], place, 2, colour)
    noise = np.frombuffer(Random(f"noise {scene.id}").randbytes(SIZE * SIZE * 3), np.uint8)
    shift = noise.astype(np.int16).reshape(SIZE, SIZE, 3) % (2 * NOISE + 1) - NOISE
    return Image.fromarray(np.clip(np.asarray(picture, np.int16) + shift, 0, 255).astype(np.uint8))


@lru_cache(KEPT)
def _encoded(scene: Scene) -> bytes:
    """The scene as a PNG file."""
    encoded = BytesIO()
    draw(scene).save(encoded, "PNG", optimize=False)
    return encoded.getvalue()


def _stamp(brush: ImageDraw.ImageDraw, bitmap: tuple[str, ...], at: tuple[int, int], cell: int, ink: Colour) -> None:
    for row, line in enumerate(bitmap):
        for column, mark in enumerate(line):
            if mark == "#":
                x, y = at[0] + column * cell, at[1] + row * cell
                brush.rectangle((x, y, x + cell - 1, y + cell - 1), fill=ink)


def write(scenes: Iterable[Scene], folder: Path) -> list[Path]:
    """Draw each scene to `<folder>/<scene id>.png`, as `weapon/build-1-0003.png`; returns the paths in order.

    A file that holds the very picture is left as it is, so that its time tells whether anything changed.

    Args:
        scenes: what to draw.
        folder: receives a folder for every subcategory.
    """
    paths = []
    for scene in scenes:
        path = folder / f"{scene.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        encoded = _encoded(scene)
        if not path.exists() or path.read_bytes() != encoded:
            path.write_bytes(encoded)
        paths.append(path)
    return paths
