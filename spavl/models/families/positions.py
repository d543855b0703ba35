"""Positions with time, height and width (M-RoPE), for rows whose tokens know their own depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def grid_positions(depth: np.ndarray, picture: np.ndarray, grids: Sequence[tuple[int, int]]) -> np.ndarray:
    """[3, S] time, height and width of every token of one row.

    `depth` [S] is a token's index along its own ancestors, `picture` [S] is true on picture tokens, `grids` are (rows,
    columns) of tokens, in order. A picture's tokens start together where the text before it ends and take
    max(rows, columns) positions in all; text counts on from there in all three, and so does every branch, since
    pictures stand in the trunk (`get_rope_index` of Qwen2-VL, arXiv 2409.12191 §2.1; equal to it by test).
    """
    positions = np.stack([depth] * 3)
    places = np.flatnonzero(picture)
    shift = 0
    for rows, columns in grids:
        here, places = places[: rows * columns], places[rows * columns :]
        start = depth[here[0]] + shift
        row, column = np.divmod(np.arange(rows * columns), columns)
        shift += max(rows, columns) - rows * columns
        positions[:, here[-1] + 1 :] = depth[here[-1] + 1 :] + shift
        positions[:, here] = start + np.stack([np.zeros_like(row), row, column])
    return positions
