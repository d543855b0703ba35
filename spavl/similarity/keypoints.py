"""Keypoints of a picture, each with a code of what is around it: a part of the picture has many of the same.

Places and sizes are those of blobs, extrema of differences of Gaussians over place and scale (Lowe 2004); a code is the
signs of low frequencies of the surroundings, with the least certain ones noted, so that codes are looked up exactly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter, minimum_filter

SIDE: Final = 256
"""Longest side in pixels at which keypoints are looked for."""
ENLARGED: Final = 2.0
"""Most times that a small picture is enlarged for it."""
SIGMA: Final = 1.6
"""Blur of the finest scale, in pixels."""
INTERVALS: Final = 2
"""Scales of an octave."""
CONTRAST: Final = 2.0
"""Least difference of two blurs, of 255, at a keypoint."""
MOST: Final = 300
"""Keypoints that are kept, the strongest of each scale."""
GRID: Final = 8
RADIUS: Final = 5.0
FREQUENCIES: Final = [(u, v) for u in range(6) for v in range(6) if (u % 2 or v % 2) and u + v <= 7]
UNSURE: Final = 3
DTYPE: Final = np.dtype([("code", "<u4"), ("flips", "u1", UNSURE), ("scale", "u1"), ("x", "<u2"), ("y", "<u2")])
"""scale in 16ths of an octave from 1/512 of the longest side; x, y in 65535ths of the longest side"""
FLOOR: Final = 1 / 512


def keypoints(picture: Image.Image) -> NDArray[np.void]:
    grey = _grey(picture)
    found = []
    image = gaussian_filter(grey, np.sqrt(SIGMA**2 - 0.5**2), truncate=3)
    step = 1
    side = max(grey.shape)
    while min(image.shape) >= 16:
        stack = _blurred(image)
        points, strengths, top = _extrema(np.diff(stack, axis=0))
        if len(points):
            points, strengths, top, coefficients = _described(stack, points, strengths, top)
            if len(points):
                found.append(_packed(points, strengths, top, coefficients, step, side))
        image = stack[INTERVALS][::2, ::2]
        step *= 2
    if not found:
        return np.empty(0, DTYPE)
    # quota by octave
    out = []
    left = MOST
    for number, (rows, strengths) in reversed(list(enumerate(found))):
        share = left if number == 0 else max(left // 2, 1)
        keep = np.argsort(-strengths, kind="stable")[:share]
        out.append(rows[keep]); left -= len(keep)
    return np.concatenate(out)


def _grey(picture):
    grey = picture.convert("L")
    scale = min(SIDE / max(grey.size), ENLARGED)
    size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
    return np.asarray(grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0), np.float32)


def _blurred(image):
    stack = [image]
    for number in range(1, INTERVALS + 3):
        before, after = (SIGMA * 2 ** (n / INTERVALS) for n in (number - 1, number))
        stack.append(gaussian_filter(stack[-1], np.sqrt(after**2 - before**2), truncate=3))
    return np.stack(stack)


def _extrema(dog):
    high = maximum_filter(dog, 3) == dog
    low = minimum_filter(dog, 3) == dog
    both = (high & (dog > CONTRAST)) | (low & (dog < -CONTRAST))
    both[[0, -1]] = False
    both[:, :2] = both[:, -2:] = False
    both[:, :, :2] = both[:, :, -2:] = False
    s, y, x = np.nonzero(both)
    if not len(s):
        return np.empty((0, 3)), np.empty(0), np.empty(0, bool)
    # edges
    d = dog
    v = d[s, y, x]
    dxx = d[s, y, x + 1] + d[s, y, x - 1] - 2 * v
    dyy = d[s, y + 1, x] + d[s, y - 1, x] - 2 * v
    dxy = (d[s, y + 1, x + 1] + d[s, y - 1, x - 1] - d[s, y + 1, x - 1] - d[s, y - 1, x + 1]) / 4
    tr, det = dxx + dyy, dxx * dyy - dxy**2
    ok = (det > 0) & (tr**2 * 10 < 121 * det)
    s, y, x, v, dxx, dyy, dxy, det = (a[ok] for a in (s, y, x, v, dxx, dyy, dxy, det))
    gx = (d[s, y, x + 1] - d[s, y, x - 1]) / 2
    gy = (d[s, y + 1, x] - d[s, y - 1, x]) / 2
    ds, dss = (d[s + 1, y, x] - d[s - 1, y, x]) / 2, d[s + 1, y, x] + d[s - 1, y, x] - 2 * v
    ox = np.clip(-(dyy * gx - dxy * gy) / det, -0.6, 0.6)
    oy = np.clip(-(dxx * gy - dxy * gx) / det, -0.6, 0.6)
    os = np.clip(-ds / np.where(dss == 0, 1, dss), -0.6, 0.6)
    return np.stack([s + os, y + oy, x + ox], 1), np.abs(v), v > 0


@lru_cache(maxsize=1)
def _waves():
    at = (np.arange(GRID) + 0.5) / GRID
    rows = np.stack([np.outer(np.cos(np.pi * u * at), np.cos(np.pi * v * at)).ravel() for u, v in FREQUENCIES])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def _described(stack, points, strengths, top):
    sigma = SIGMA * 2 ** (points[:, 0] / INTERVALS)
    half = RADIUS * sigma
    h, w = stack.shape[1:]
    inside = (points[:, 1] >= half*.8) & (points[:, 2] >= half*.8) & (points[:, 1] <= h - 1 - half*.8) & (points[:, 2] <= w - 1 - half*.8)
    points, strengths, top, half = points[inside], strengths[inside], top[inside], half[inside]
    if not len(points):
        return points, strengths, top, None
    offset = ((np.arange(GRID) + 0.5) / GRID * 2 - 1)
    ys = points[:, 1, None, None] + half[:, None, None] * offset[None, :, None]
    xs = points[:, 2, None, None] + half[:, None, None] * offset[None, None, :]
    ys, xs = np.broadcast_arrays(ys, xs)
    level = np.clip(np.rint(points[:, 0]), 0, len(stack) - 1)
    ls = np.broadcast_to(level[:, None, None], ys.shape)
    patch = map_coordinates(stack, [ls.ravel(), ys.ravel(), xs.ravel()], order=1, mode="nearest").reshape(len(points), -1)
    patch = patch * np.where(top, 1, -1)[:, None]
    return points, strengths, top, patch @ _waves().T


def _packed(points, strengths, top, coefficients, step, side):
    rows = np.empty(len(points), DTYPE)
    bits = (coefficients > 0) @ (1 << np.arange(len(FREQUENCIES), dtype=np.uint32))
    rows["code"] = bits.astype(np.uint32) << 1 | top
    rows["flips"] = np.argsort(np.abs(coefficients), axis=1)[:, :UNSURE]
    sigma = SIGMA * 2 ** (points[:, 0] / INTERVALS) * step / side
    rows["scale"] = np.clip(np.rint(16 * np.log2(sigma / FLOOR)), 0, 255)
    rows["x"] = np.clip(np.rint((points[:, 2] * step + .5) / side * 65535), 0, 65535)
    rows["y"] = np.clip(np.rint((points[:, 1] * step + .5) / side * 65535), 0, 65535)
    return rows, strengths
