"""Position ids with time, height and width (M-RoPE), for packed trees.

Shapes: S tokens of a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int


def grid_positions(
    depth: Int[np.ndarray, " S"], picture: Bool[np.ndarray, " S"], grids: Sequence[tuple[int, int]]
) -> Int[np.ndarray, "3 S"]:
    """Time, height and width of every token of one row.

    A picture's tokens start together where the text before it ends and take max(rows, columns) positions in all; text
    counts on from there in all three, and so does every branch, since pictures are in the shared prefix.

    Args:
        depth: a token's index along its own ancestors.
        picture: true on image placeholder tokens.
        grids: rows and columns of tokens of each picture, in order.

    Source: M-RoPE, Qwen2-VL, arXiv 2409.12191 §2.1; equal to its `get_rope_index` by test.
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
