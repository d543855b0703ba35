"""Whether a picture is part of another one, by their pixels: vectors propose, this decides."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LEAST_SIDE: Final = 0.75
"""Smallest part of another picture's sides, up to a few per cent, that is recognised."""
AGREES: Final = 0.95
"""Share of a part's variation that the other picture explains from which on it is taken for a part of it."""
THUMBNAIL: Final = 96
"""Longest side in pixels that is compared."""
_COARSE: Final = 16
_FINE: Final = 32
_LOST: Final = 0.3
"""Agreement at the coarse size below which a finer look is not worth it."""
_TRIED: Final = 4
"""Windows of the coarse size that are looked at more finely."""
_SURE: Final = 0.97
"""Agreement from which on no better window is looked for."""

Pixels = NDArray[np.float32]
Window = tuple[float, float, float]  # left, top, width, in pixels


def thumbnail(picture: Image.Image) -> Image.Image:
    """A copy that is small enough to be compared quickly.

    Args:
        picture: upright, in RGB.
    """
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return small


def agreement(one: Image.Image, other: Image.Image) -> float:
    """How well one of two pictures is explained as a part of the other, at most 1.

    It is 1 less the share of its variation that differs.

    Args:
        one: a thumbnail.
        other: another one.
    """
    return max(_explained(one, other), _explained(other, one))


def _explained(whole: Image.Image, part: Image.Image) -> float:
    """Agreement of a part with the window of the whole that it agrees with best."""
    found = sorted((_best_window(whole, part, side) for side in np.linspace(LEAST_SIDE, 1.0, 11)), reverse=True)
    best = found[0][0]
    for rough, window in found[:_TRIED]:
        if rough >= _LOST and best < _SURE:
            best = max(best, _refined(whole, part, window))
    return best


def _refined(whole: Image.Image, part: Image.Image, window: Window) -> float:
    """Agreement of a part with the best window near one."""
    explained, window = _at(whole, part, window)
    step = max(whole.size) / 32
    while step > max(whole.size) / 400 and explained < _SURE:
        better = max(_at(whole, part, moved) for moved in _moved(window, step))
        if better[0] > explained:
            explained, window = better
        else:
            step /= 2
    return explained


def _best_window(whole: Image.Image, part: Image.Image, side: float) -> tuple[float, Window]:
    """Agreement and window of the whole, of all whose longer side is this share of the whole's; roughly."""
    shown = _pixels(part, _COARSE / max(part.size))
    scale = _COARSE / side / max(whole.size)
    ground = _pixels(whole, scale)
    rows, columns = ground.shape[0] - shown.shape[0] + 1, ground.shape[1] - shown.shape[1] + 1
    if rows < 1 or columns < 1:
        return -1.0, (0.0, 0.0, 1.0)
    places = np.lib.stride_tricks.sliding_window_view(ground, shown.shape)[:, :, 0].reshape(rows * columns, -1)
    errors = ((places - shown.reshape(-1)) ** 2).mean(axis=1)
    row, column = divmod(int(errors.argmin()), columns)
    return _share(float(errors.min()), shown), (column / scale, row / scale, shown.shape[1] / scale)


def _moved(window: Window, step: float) -> list[Window]:
    x, y, width = window
    return [
        (x + right * step, y + down * step, width + wider * step)
        for right, down, wider in (
            (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1), (-0.5, -0.5, 1), (0.5, 0.5, -1)
        )
    ]  # fmt: skip


def _at(whole: Image.Image, part: Image.Image, window: Window) -> tuple[float, Window]:
    """Agreement of a part with a window of the whole, and the window, drawn back into the whole."""
    width = min(window[2], whole.width, whole.height * part.width / part.height)
    height = width * part.height / part.width
    x, y = min(max(window[0], 0.0), whole.width - width), min(max(window[1], 0.0), whole.height - height)
    shown = _pixels(part, _FINE / max(part.size))
    box = (x, y, min(x + width, whole.width), min(y + height, whole.height))
    size = (shown.shape[1], shown.shape[0])
    ground = np.asarray(whole.resize(size, Image.Resampling.BILINEAR, box=box), np.float32)
    return _share(float(((ground - shown) ** 2).mean()), shown), (x, y, width)


def _share(error: float, shown: Pixels) -> float:
    """Share of the variation of some pixels that is explained where this is the mean square of what is left."""
    return 1.0 - error / max(float(shown.var(axis=(0, 1)).mean()), 1.0)


def _pixels(picture: Image.Image, scale: float) -> Pixels:
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR), np.float32)
