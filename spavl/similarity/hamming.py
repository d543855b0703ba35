"""Hashes of 256 bits, and which of them are near another, without comparing all of them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spavl.similarity.disk_rows import DiskRows

BANDS: Final = 16
"""Parts of 16 bits that a hash is cut into."""
MOST_INDEXED: Final = 2 * BANDS - 1
"""Hashes that differ in at most so many bits agree in a band, or differ there in a single bit."""
BLOCK: Final = 16_384
"""Hashes that are compared in one step: half a megabyte, which stays in a processor's cache."""
MOST_STEPS: Final = 64
"""Hashes that agree in a band which are followed one after the other; random ones are a few."""
PER_STEP: Final = 10_000
"""For so many hashes one more: to compare so many takes as long as a step."""
_ONE_BIT: Final = np.array([0, *(1 << bit for bit in range(16))], np.uint16)
_EVERY_BAND: Final = np.arange(BANDS)
_TRIED_BANDS: Final = np.repeat(_EVERY_BAND, len(_ONE_BIT))


def bits_of(pdq: str) -> NDArray[np.uint16]:
    """A hash as its 16 bands.

    Args:
        pdq: 64 hexadecimal digits.
    """
    return np.frombuffer(bytes.fromhex(pdq), np.uint16)


class HashIndex:
    """Hashes on disk, in the order in which they were added (multi-index hashing, Norouzi et al. 2012).

    Args:
        distance: most bits by which near hashes differ; above `MOST_INDEXED` all hashes are compared.
    """

    def __init__(self, distance: int) -> None:
        self._distance = distance
        self._hashes = DiskRows(BANDS, np.uint16)
        self._before = DiskRows(BANDS, np.int32)  # of each hash by band: the last one before with the same bits there
        self._last = np.full((BANDS, 1 << 16), -1, np.int32)  # by band and its bits

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, bands: NDArray[np.uint16]) -> int:
        """Add a hash; returns its place.

        Args:
            bands: from `bits_of`.
        """
        place = self._hashes.append(bands)
        self._before.append(self._last[_EVERY_BAND, bands])
        self._last[_EVERY_BAND, bands] = place
        return place

    def near(self, bands: NDArray[np.uint16]) -> list[int]:
        """Places of the hashes that are near, the nearest first, of equally near ones the first.

        Args:
            bands: from `bits_of`.
        """
        rows = self._hashes.rows
        found = self._alike(bands) if self._distance <= MOST_INDEXED else np.arange(len(rows), dtype=np.int32)
        near: dict[int, int] = {}
        for start in range(0, len(found), BLOCK):
            some = found[start : start + BLOCK]
            distances = _distances(rows[some], bands)
            within = np.flatnonzero(distances <= self._distance)
            near |= zip(some[within].tolist(), distances[within].tolist(), strict=True)
        return sorted(near, key=lambda place: (near[place], place))

    def distance(self, place: int, bands: NDArray[np.uint16]) -> int:
        """Bits by which the hash at a place differs from another one.

        Args:
            place: from `add` or `near`.
            bands: from `bits_of`.
        """
        return int(np.bitwise_count(self._hashes.rows[place] ^ bands).sum())

    def close(self) -> None:
        """Give the files up."""
        self._hashes.close()
        self._before.close()

    def _alike(self, bands: NDArray[np.uint16]) -> NDArray[np.int32]:
        """Places of all hashes that differ in a band in at most one bit; of all, where too many agree in one."""
        before = self._before.rows
        band, at = _TRIED_BANDS, self._last[_TRIED_BANDS, (bands[:, None] ^ _ONE_BIT).reshape(-1)]
        found: list[NDArray[np.int32]] = []
        while True:
            there = at >= 0
            band, at = band[there], at[there]
            if not at.size:
                return np.concatenate(found) if found else at
            found.append(at)
            if len(found) > MOST_STEPS + len(before) // PER_STEP:
                return np.arange(len(before), dtype=np.int32)
            at = before[at, band]


def _distances(rows: NDArray[np.uint16], bands: NDArray[np.uint16]) -> NDArray[np.uint32]:
    """Bits by which each row differs."""
    counts = np.bitwise_count((rows ^ bands).view(np.uint64)).view(np.uint32).reshape(-1)  # four in each number
    halves = (counts & 0x00FF00FF) + ((counts >> 8) & 0x00FF00FF)
    return (halves & 0xFFFF) + (halves >> 16)
