"""Keypoints of a picture, each with a code of what is around it: a picture and a part of it have many in common.

Keypoints are blobs, the extrema of differences of Gaussians over place and scale (Lowe, "Distinctive Image Features
from Scale-Invariant Keypoints", 2004). A code is the signs of low frequencies of the surroundings, so that codes are
looked up and never compared one by one; the frequencies whose signs are least certain are noted with it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

SIDE: Final = 256
"""Longest side in pixels of the copy in which keypoints are looked for."""
MOST_ENLARGED: Final = 2.0
"""Most times that a small picture is enlarged for that."""
LEAST_SIDE: Final = 16
"""Shortest side in pixels of a scale in which keypoints are looked for."""
INTERVALS: Final = 3
"""Scales of an octave."""
SIGMA: Final = 1.6
"""Blur of the finest scale, in pixels."""
OWN_BLUR: Final = 0.5
"""Blur that a picture is taken to have itself, in pixels."""
CONTRAST: Final = 0.8
"""Least difference of two blurs at a keypoint, of 255."""
MOST_LONG: Final = 10.0
"""Most times that a blob is as long as it is wide: what is longer is an edge, and has no place along it."""
MOST_OFF: Final = 0.6
"""Most pixels, or scales, by which a keypoint lies beside the pixel of the extremum."""
MOST: Final = 400
"""Keypoints that are kept of a picture, those of most contrast."""
GRID: Final = 8
"""Rows and columns of the surroundings that become a code."""
RADIUS: Final = 4.0
"""Half a side of the surroundings, in blurs of the keypoint's scale."""
INSIDE: Final = 0.8
"""Share of the radius by which a keypoint is away from the picture's edge."""
FREQUENCIES: Final = [(u, v) for u in range(6) for v in range(6) if (u % 2 or v % 2) and u + v <= 7]
"""Frequencies of the cosine transform that become bits: those that are as often positive as negative around a blob."""
BITS: Final = len(FREQUENCIES) + 1
"""Of a code: the first says whether the blob is bright."""
UNSURE: Final = 3
"""Bits of a code that are noted as the least certain ones."""
STEPS: Final = 16
"""Steps of the scale in an octave."""
FINEST: Final = 1 / 512
"""Scale that is written as 0, in longest sides of the picture."""
FAR: Final = 65_535
"""How the longest side is written as a place."""
DTYPE: Final = np.dtype(
    [("code", "<u4"), ("unsure", "u1", (UNSURE,)), ("scale", "u1"), ("x", "<u2"), ("y", "<u2")]
)  # fmt: skip
"""A keypoint: its code, the unsure bits of it, and its scale and place in steps of `STEPS` and `FAR`."""
Numbers = NDArray[Any]
Keypoints = NDArray[np.void]


def keypoints(picture: Image.Image) -> Keypoints:
    """The keypoints of a picture, `[K]` of `DTYPE`.

    Args:
        picture: upright, in RGB or grey.
    """
    image = _grey(picture)
    side, step = max(image.shape), 1
    found: list[Keypoints] = []
    contrasts: list[Numbers] = []
    image = gaussian_filter(image, np.sqrt(SIGMA**2 - OWN_BLUR**2), truncate=3)
    while min(image.shape) >= LEAST_SIDE:
        scales = _blurred(image)
        places, values = _inside(*_extrema(np.diff(scales, axis=0)), image.shape)
        if len(places):
            found.append(_packed(places, _codes(scales, places, values), step, side))
            contrasts.append(np.abs(values))
        image, step = scales[INTERVALS][::2, ::2], 2 * step
    if not found:
        return np.empty(0, DTYPE)
    return np.concatenate(found)[np.argsort(-np.concatenate(contrasts), kind="stable")[:MOST]]


def codes_of(points: Keypoints) -> NDArray[np.uint32]:
    """The codes of keypoints `[K]` with their unsure bits either way, `[2 ** UNSURE, K]`; their own come first.

    Args:
        points: from `keypoints`.
    """
    codes: NDArray[np.uint32] = points["code"][None]
    for number in range(UNSURE):
        flipped = codes ^ (np.uint32(1) << points["unsure"][:, number].astype(np.uint32))
        codes = np.concatenate([codes, flipped])
    return codes


def geometry_of(points: Keypoints) -> NDArray[np.float32]:
    """Left, top and scale of keypoints, `[K, 3]`, in longest sides of their picture.

    Args:
        points: from `keypoints`.
    """
    scale = FINEST * 2 ** (points["scale"].astype(np.float32) / STEPS)
    return np.stack([points["x"] / np.float32(FAR), points["y"] / np.float32(FAR), scale], 1)


def _grey(picture: Image.Image) -> NDArray[np.float32]:
    grey = picture.convert("L")
    scale = min(SIDE / max(grey.size), MOST_ENLARGED)
    size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
    return np.asarray(grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0), np.float32)


def _blurred(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """A picture `[height, width]` at the scales of an octave and three more, `[scales, height, width]`."""
    scales = [image]
    for number in range(INTERVALS + 2):
        more = SIGMA * 2 ** (number / INTERVALS) * np.sqrt(2 ** (2 / INTERVALS) - 1)
        scales.append(gaussian_filter(scales[-1], more, truncate=3))
    return np.stack(scales)


def _extrema(change: NDArray[np.float32]) -> tuple[Numbers, Numbers]:
    """Scale, row and column of each blob, `[K, 3]`, and its signed contrast."""
    inner = change[1:-1, 1:-1, 1:-1]
    most, least = (_of_neighbours(change, choose) == inner for choose in (np.maximum, np.minimum))
    at = np.stack(np.nonzero((most & (inner > CONTRAST)) | (least & (inner < -CONTRAST))), 1) + 1
    value = change[tuple(at.T)]
    first, second = zip(*(_slopes(change, at, axis) for axis in range(3)), strict=True)
    mixed = sum(sign * change[at[:, 0], at[:, 1] + down, at[:, 2] + right] / 4
                for sign, down, right in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)))  # fmt: skip
    area = second[1] * second[2] - mixed**2
    blob = (area > 0) & ((second[1] + second[2]) ** 2 * MOST_LONG < (MOST_LONG + 1) ** 2 * area)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.stack([-first[0] / second[0], (mixed * first[2] - second[2] * first[1]) / area,
                        (mixed * first[1] - second[1] * first[2]) / area], 1)  # fmt: skip
    off = np.clip(np.nan_to_num(off), -MOST_OFF, MOST_OFF)
    return (at + off)[blob], value[blob]


def _of_neighbours(change: NDArray[np.float32], choose: np.ufunc) -> NDArray[np.float32]:
    """The largest, or the least, of each number and its neighbours along all axes; the outermost are left out."""
    for axis in range(3):
        along = np.moveaxis(change, axis, 0)
        change = np.moveaxis(choose(choose(along[:-2], along[2:]), along[1:-1]), 0, axis)
    return change


def _slopes(change: NDArray[np.float32], at: Numbers, axis: int) -> tuple[Numbers, Numbers]:
    """First and second derivative at some places along an axis."""
    one = np.eye(3, dtype=np.int64)[axis]
    after, before = change[tuple((at + one).T)], change[tuple((at - one).T)]
    return (after - before) / 2, after + before - 2 * change[tuple(at.T)]


def _inside(places: Numbers, values: Numbers, shape: tuple[int, ...]) -> tuple[Numbers, Numbers]:
    """The blobs whose surroundings lie in the picture."""
    away = INSIDE * RADIUS * _sigma(places)[:, None]
    inside = ((places[:, 1:] >= away) & (places[:, 1:] <= np.array(shape) - 1 - away)).all(axis=1)
    return places[inside], values[inside]


def _sigma(places: Numbers) -> Numbers:
    """Blur of the scales of some places, in their pixels."""
    blur: Numbers = SIGMA * 2 ** (places[:, 0] / INTERVALS)
    return blur


def _codes(scales: NDArray[np.float32], places: Numbers, values: Numbers) -> NDArray[np.float32]:
    """How much there is of each bit around some places, `[K, BITS]`; a positive number is a one."""
    offsets = RADIUS * _sigma(places)[:, None] * ((np.arange(GRID) + 0.5) * 2 / GRID - 1)
    down, across = (places[:, axis, None] + offsets for axis in (1, 2))
    rows, columns = np.broadcast_arrays(down[:, :, None], across[:, None, :])
    levels = np.broadcast_to(np.rint(places[:, 0])[:, None, None], rows.shape)
    around = map_coordinates(scales, [levels.ravel(), rows.ravel(), columns.ravel()], order=1, mode="nearest")
    signed = around.reshape(len(places), -1) * np.sign(values)[:, None]
    return np.concatenate([np.sign(values)[:, None] * 1e9, signed @ _waves().T], 1).astype(np.float32)


@lru_cache(maxsize=1)
def _waves() -> NDArray[np.float32]:
    """The frequencies as rows `[BITS - 1, GRID ** 2]` of length one."""
    at = np.pi * (np.arange(GRID) + 0.5) / GRID
    rows = np.stack([np.outer(np.cos(u * at), np.cos(v * at)).ravel() for u, v in FREQUENCIES])
    waves: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return waves


def _packed(places: Numbers, amounts: NDArray[np.float32], step: int, side: int) -> Keypoints:
    """Keypoints as they are kept; `step` pixels of the copy, whose longest side is `side`, are one of theirs."""
    points = np.empty(len(places), DTYPE)
    points["code"] = (amounts > 0) @ (1 << np.arange(BITS, dtype=np.uint32))
    points["unsure"] = np.argsort(np.abs(amounts), axis=1)[:, :UNSURE]
    points["scale"] = np.clip(np.rint(STEPS * np.log2(_sigma(places) * step / side / FINEST)), 0, 255)
    for name, axis in (("y", 1), ("x", 2)):
        points[name] = np.rint(np.clip((places[:, axis] * step + 0.5) / side, 0, 1) * FAR)
    return points
