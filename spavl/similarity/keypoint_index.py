"""Keypoints of many pictures by their codes: which of the pictures may show the same as another, and where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spavl.similarity.keypoints import DTYPE, Keypoints, codes_of, geometry_of

CROWDED: Final = 512
"""Keypoints from which on a code is so common that it is not looked up."""
MOST_MATCHES: Final = 32
"""Matches of two pictures that are compared with each other."""
MOST_PLACED: Final = 20
"""Pictures of the index that one is placed in at most, those with most matches."""
LEAST_MATCHES: Final = 3
"""Matches of two pictures that must agree on where one lies in the other."""
LEAST_APART: Final = 0.03
"""Longest sides of a picture that two keypoints are apart, so that they say how large it is in the other."""
SAME_SCALE: Final = 0.35
"""Octaves by which the scales of keypoints differ from how large one picture is in the other."""
UPRIGHT: Final = 0.985
"""Least cosine of the directions from one keypoint to another in both pictures."""
NEAR: Final = 0.03
"""Longest sides by which a keypoint lies beside where the others say."""
Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a picture lies in another one, as their keypoints say."""

    asked: int
    """Number of the picture among those that were looked up."""
    place: int
    """Number of the other picture in the index."""
    scale: float
    """Longest sides of the other that the picture's longest side is."""
    left: float
    """Its left edge in the other, in longest sides of that."""
    top: float
    """Its top edge."""
    matches: int
    """Keypoints that say so."""


class KeypointIndex:
    """The keypoints of some pictures; memory grows by 80 bytes with each keypoint, for a moment by 250.

    Args:
        pictures: keypoints of each.
    """

    def __init__(self, pictures: Sequence[Keypoints]) -> None:
        points = np.concatenate([*pictures, np.empty(0, DTYPE)])
        self._count = len(pictures)
        self._picture = np.repeat(np.arange(len(pictures), dtype=np.int32), [len(one) for one in pictures])
        self._geometry = geometry_of(points)
        codes = codes_of(points).ravel()
        order = np.argsort(codes, kind="stable")
        self._codes = codes[order]
        self._points = (order % max(len(points), 1)).astype(np.int32)  # of each code the keypoint that has it

    def placed(self, asked: Sequence[Keypoints]) -> Iterator[Placed]:
        """Where pictures may lie in those of the index, in the order in which they are asked; each two of them once.

        Args:
            asked: keypoints of each picture.
        """
        points = np.concatenate([*asked, np.empty(0, DTYPE)])
        of = np.repeat(np.arange(len(asked)), [len(one) for one in asked])
        mine, other = self._matches(points["code"])
        both = of[mine] * self._count + self._picture[other]
        several = np.bincount(both, minlength=1)[both] >= LEAST_MATCHES
        order = np.flatnonzero(several)[np.argsort(both[several], kind="stable")]
        both, here, there = both[order], geometry_of(points)[mine[order]], self._geometry[other[order]]
        agree = _agree_with_another(both, here, there)
        for first, last in _likely(both, both // max(self._count, 1), agree):
            found = _fitted(here[first:last], there[first:last])
            if found is not None:
                number, place = divmod(int(both[first]), self._count)
                scale, left, top, count = found
                yield Placed(number, place, scale, left, top, count)

    def _matches(self, codes: NDArray[np.uint32]) -> tuple[Numbers, Numbers]:
        """Numbers of the keypoints that are looked up, and of those of the index that have their codes."""
        order = np.argsort(codes, kind="stable")  # in order they are found faster
        starts, counts = np.empty(len(codes), np.int64), np.empty(len(codes), np.int64)
        starts[order] = self._codes.searchsorted(codes[order])
        counts[order] = self._codes.searchsorted(codes[order], "right") - starts[order]
        counts[counts > CROWDED] = 0
        mine = np.repeat(np.arange(len(codes)), counts)
        within = np.arange(len(mine)) - np.repeat(np.cumsum(counts) - counts, counts)
        return mine, self._points[starts[mine] + within]


def _agree(here: Numbers, there: Numbers, here_too: Numbers, there_too: Numbers) -> NDArray[np.bool_]:
    """Whether two matches agree on how large one picture is in the other, by left, top and scale of each keypoint."""
    across, across_there = here_too[..., :2] - here[..., :2], there_too[..., :2] - there[..., :2]
    long, long_there = np.linalg.norm(across, axis=-1), np.linalg.norm(across_there, axis=-1)
    apart = np.minimum(long, long_there) >= LEAST_APART
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.log2(long_there / long)
    same = [np.abs(size - np.log2(other[..., 2] / one[..., 2])) <= SAME_SCALE
            for one, other in ((here, there), (here_too, there_too))]  # fmt: skip
    upright = (across * across_there).sum(axis=-1) >= UPRIGHT * long * long_there
    agree: NDArray[np.bool_] = apart & upright & same[0] & same[1]
    return agree


def _agree_with_another(both: Numbers, here: Numbers, there: Numbers) -> NDArray[np.bool_]:
    """Of each match whether another one of the same two pictures agrees with it."""
    agree = np.zeros(len(both), np.bool_)
    for away in range(1, MOST_MATCHES):
        first = np.flatnonzero(both[away:] == both[:-away])
        if not len(first):
            break
        some = first[_agree(here[first], there[first], here[first + away], there[first + away])]
        agree[some] = agree[some + away] = True
    return agree


def _likely(both: Numbers, of: Numbers, agree: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First and last of the matches of each two pictures of which enough agree with another one.

    Of the pictures that one may lie in, those come first with which most matches agree, and at most `MOST_PLACED`.
    """
    if not len(both):
        return
    starts = np.flatnonzero(np.diff(both, prepend=both[0] - 1))
    ends, counts = np.append(starts[1:], len(both)), np.add.reduceat(agree, starts, dtype=np.int64)
    enough = np.flatnonzero(counts >= LEAST_MATCHES)
    order = enough[np.lexsort((-counts[enough], of[starts[enough]]))]
    asked = of[starts[order]]
    rank = np.arange(len(asked)) - np.searchsorted(asked, asked)
    for one in order[rank < MOST_PLACED]:
        yield int(starts[one]), int(min(ends[one], starts[one] + MOST_MATCHES))


def _fitted(here: Numbers, there: Numbers) -> tuple[float, float, float, int] | None:
    """Scale, left, top and number of matches, where enough of the matches of two pictures agree on them."""
    one, other = np.nonzero(np.triu(_agree(here[:, None], there[:, None], here[None], there[None]), 1))
    if not len(one):
        return None
    apart = [np.linalg.norm(at[one, :2] - at[other, :2], axis=1) for at in (there, here)]
    scale = apart[0] / apart[1]
    corner = there[one, :2] - scale[:, None] * here[one, :2]
    expected = scale[:, None, None] * here[None, :, :2] + corner[:, None]
    near = np.linalg.norm(expected - there[None, :, :2], axis=2) <= NEAR * np.maximum(scale, 1)[:, None]
    best = near[near.sum(axis=1).argmax()]
    count = min(len(np.unique(at[best], axis=0)) for at in (here, there))
    if count < LEAST_MATCHES:
        return None
    return *_line(here[best, :2], there[best, :2]), count


def _line(here: Numbers, there: Numbers) -> tuple[float, float, float]:
    """Scale, left and top by least squares."""
    middle, middle_there = here.mean(axis=0), there.mean(axis=0)
    around = here - middle
    scale = float((around * (there - middle_there)).sum() / (around**2).sum())
    left, top = middle_there - scale * middle
    return scale, float(left), float(top)
