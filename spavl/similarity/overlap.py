"""Whether two pictures show the same where one lies over the other, by pixels: keypoints propose, this decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from spavl.similarity.alignment import AGREES
from spavl.similarity.keypoint_index import Placed

SURE_MATCHES: Final = 6
"""Matches of keypoints from which on two pictures are likely to share something."""
AGREES_SURELY: Final = 0.9
"""Least agreement of pixels then; a small part that is encoded again loses some."""
SMALL: Final = 128
"""Longest side in pixels of the copies that are compared."""
LEAST_SHARED: Final = 0.5
"""Least share of one of two pictures that the other must show."""
WHOLE: Final = 0.95
"""Share of both from which on they are one picture as a whole, and not one a part of the other."""
MOST_COMPARED: Final = 32
"""Longest side in pixels at which the shared part is compared."""
LEAST_COMPARED: Final = 8
"""Shorter shared parts say nothing."""
DETAIL: Final = 0.75
"""Pixels that are compared for each pixel of the coarser copy."""
HOPELESS: Final = 0.3
"""Agreement below which no better place is looked for."""
SURE: Final = 0.985
"""Agreement from which on no better place is looked for."""
FIRST_STEP, LAST_STEP = 0.02, 0.004
"""How far an edge is moved to find a better place, in longest sides of the other picture's."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a picture in another one, in pixels of that."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two pictures share."""

    agreement: float
    """Share of the variation of the shared part that is equal in both, at most 1."""
    of_one: float
    """Share of the first picture's area that is in the other."""
    of_other: float
    """Share of the other's area that is in the first."""
    matches: int
    """Keypoints that say so."""

    @property
    def same(self) -> bool:
        """Whether one is a part of the other, or a large part of one is."""
        least = AGREES if self.matches < SURE_MATCHES else AGREES_SURELY
        return self.agreement >= least and max(self.of_one, self.of_other) >= LEAST_SHARED

    @property
    def whole(self) -> bool:
        """Whether they share all that they show."""
        return min(self.of_one, self.of_other) >= WHOLE


def small_copy(picture: Image.Image) -> Image.Image:
    """A copy that is small enough to be kept and compared quickly.

    Args:
        picture: upright, in RGB.
    """
    small = picture.copy()
    small.thumbnail((SMALL, SMALL), Image.Resampling.BOX)
    return small


def overlap(one: Image.Image, other: Image.Image, placed: Placed) -> Overlap:
    """What a picture shares with another one, near where keypoints say that it lies.

    Args:
        one: the small copy of the picture that was looked up.
        other: that of the one it was found by.
        placed: where it lies.
    """
    side, scale = max(other.size), placed.scale * max(other.size) / max(one.size)
    left, top = placed.left * side, placed.top * side
    box = (left, top, left + scale * one.width, top + scale * one.height)
    best, step = _agreement(one, other, box), FIRST_STEP
    while step >= LAST_STEP and HOPELESS <= best < SURE:
        tried = [(_agreement(one, other, moved), moved) for moved in _moved(box, step)]
        better, moved = max(tried)
        if better > best:
            best, box = better, moved
        else:
            step /= 2
    return Overlap(best, *_shares(one, other, box), placed.matches)


def _moved(box: Box, step: float) -> list[Box]:
    """The box with each side moved, and as a whole, by a step of its longer side."""
    by = step * max(box[2] - box[0], box[3] - box[1])
    moves = [(side,) for side in range(4)] + [(0, 2), (1, 3)]
    return [
        tuple(edge + sign * by * (number in move) for number, edge in enumerate(box))  # type: ignore[misc]
        for move in moves for sign in (-1, 1)
    ]  # fmt: skip


def _shared(other: Image.Image, box: Box) -> Box:
    """The part of the other picture that a box in it covers."""
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], other.width), min(box[3], other.height)


def _shares(one: Image.Image, other: Image.Image, box: Box) -> tuple[float, float]:
    left, top, right, bottom = _shared(other, box)
    area = max(right - left, 0.0) * max(bottom - top, 0.0)
    return area / ((box[2] - box[0]) * (box[3] - box[1])), area / (other.width * other.height)


def _agreement(one: Image.Image, other: Image.Image, box: Box) -> float:
    """Share of the variation of what both show that is equal, where the first lies in a box of the other."""
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        return -1.0
    shared = _shared(other, box)
    across, down = one.width / (box[2] - box[0]), one.height / (box[3] - box[1])
    wide, high = shared[2] - shared[0], shared[3] - shared[1]
    if min(wide, high, wide * across, high * down) < LEAST_COMPARED:
        return -1.0
    longest = min(MOST_COMPARED, DETAIL * max(wide, high) * min(1.0, across, down))
    size = (max(2, round(wide / max(wide, high) * longest)), max(2, round(high / max(wide, high) * longest)))
    mine = ((shared[0] - box[0]) * across, (shared[1] - box[1]) * down,
            min((shared[2] - box[0]) * across, one.width), min((shared[3] - box[1]) * down, one.height))  # fmt: skip
    first, second = (
        np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=part), np.float32)
        for picture, part in ((one, mine), (other, shared))
    )
    varies = float((first.var(axis=(0, 1)).mean() + second.var(axis=(0, 1)).mean()) / 2)
    return 1.0 - float(((first - second) ** 2).mean()) / max(varies, 1.0)
