"""PDQ, a 256-bit hash of a picture that hardly changes when the picture is encoded again or resized.

Source: "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", Meta 2019, and its code in
facebook/ThreatExchange. Box filter and decimation are linear, so here they are one small matrix for each axis.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 64
"""Rows and columns that a picture is filtered down to."""
FREQUENCIES: Final = 16
"""Lowest frequencies of the cosine transform in each direction that become bits."""
LEAST_QUALITY: Final = 50
"""Below this quality a picture shows too little for its hash to be compared with that of another."""
NEAR: Final = 31
"""Bits of 256 by which hashes of pictures that are nearly the same differ at most, as Meta recommends."""
STRIP: Final = 512
"""Rows of a picture that are held as floating-point numbers at a time."""


def pdq(picture: Image.Image) -> tuple[str, int]:
    """PDQ hash, 64 hexadecimal digits, and quality, from 0 to 100, of a picture.

    Args:
        picture: upright, in RGB or grey.
    """
    small = _filtered(np.asarray(picture.convert("L")))
    waves = _cosines()
    frequencies = (waves @ small @ waves.T).ravel()
    median = np.partition(frequencies, frequencies.size // 2 - 1)[frequencies.size // 2 - 1]
    bits = (frequencies > median)[::-1]  # the first frequency is the last bit
    return np.packbits(bits).tobytes().hex(), _quality(small)


def _filtered(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture `[height, width]` as `[64, 64]`: smoothed twice in each direction, then every so manieth pixel."""
    height, width = grey.shape
    across = _axis(width).T
    strips = [grey[at : at + STRIP].astype(np.float32) @ across for at in range(0, height, STRIP)]
    small: NDArray[np.float32] = _axis(height) @ np.concatenate(strips)
    return small


@lru_cache(maxsize=32)
def _axis(length: int) -> NDArray[np.float32]:
    """The matrix `[64, length]` that smooths one axis twice by a box filter and takes 64 of its places."""
    places = ((np.arange(SIDE) + 0.5) * length / SIDE).astype(np.int64)
    if length == SIDE:
        return np.eye(SIDE, dtype=np.float32)
    window = (length + 2 * SIDE - 1) // (2 * SIDE)
    after = (window + 2) // 2
    at = np.arange(length)
    first, last = np.maximum(at + after - window, 0), np.minimum(at + after, length)
    share = 1.0 / (last - first)
    once = ((at >= first[places, None]) & (at < last[places, None])) * share[places, None]
    edges = np.zeros((SIDE, length + 1))  # of each place's share in the first smoothing, spread over its own window
    for row in range(SIDE):
        np.add.at(edges[row], first, once[row] * share)
        np.subtract.at(edges[row], last, once[row] * share)
    matrix: NDArray[np.float32] = np.cumsum(edges, axis=1)[:, :length].astype(np.float32)
    return matrix


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float32]:
    """The rows 1 to 16 of the discrete cosine transform of 64 places."""
    angles = np.pi / 2 / SIDE * np.outer(np.arange(1, FREQUENCIES + 1), 2 * np.arange(SIDE) + 1)
    rows: NDArray[np.float32] = (np.sqrt(2 / SIDE) * np.cos(angles)).astype(np.float32)
    return rows


def _quality(small: NDArray[np.float32]) -> int:
    """How much a picture changes from pixel to pixel, from 0 to 100."""
    steps = sum(int(np.abs(np.trunc(np.diff(small, axis=axis) * 100 / 255)).sum()) for axis in (0, 1))
    return min(100, steps // 90)
