"""Rows of numbers that grow in a temporary file, mapped into memory: the heap stays flat however many there are."""

from __future__ import annotations

import mmap
import weakref
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_ROWS = 1024
"""Rows that a new file has room for; it is doubled when it is full."""


class DiskRows:
    """Rows of one width; the file is gone when the object is.

    Args:
        width: numbers in a row.
        dtype: of the numbers.
    """

    def __init__(self, width: int, dtype: Any) -> None:
        self._shape = width
        self._dtype = np.dtype(dtype)
        self._file = TemporaryFile()  # noqa: SIM115  # lives as long as the object
        weakref.finalize(self, self._file.close)
        self._count = 0
        self._mapped = self._map(FIRST_ROWS)

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[Any]:
        """All rows, `[N, width]`, as they lie in the file."""
        return self._mapped[: self._count]

    def append(self, row: NDArray[Any]) -> int:
        """Add a row; returns its place.

        Args:
            row: as many numbers as the width.
        """
        if self._count == len(self._mapped):
            self._mapped = self._map(2 * self._count)
        self._mapped[self._count] = row
        self._count += 1
        return self._count - 1

    def close(self) -> None:
        """Give the file up."""
        self._mapped = np.empty((0, self._shape), self._dtype)
        self._count = 0
        self._file.close()

    def _map(self, rows: int) -> NDArray[Any]:
        size = rows * self._shape * self._dtype.itemsize
        self._file.truncate(size)
        mapped = mmap.mmap(self._file.fileno(), size)  # an older one goes when nothing shows it any more
        return np.frombuffer(mapped, self._dtype).reshape(rows, self._shape)
