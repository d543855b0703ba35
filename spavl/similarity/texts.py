"""Which texts are nearly the same as one of many: found by MinHash, checked by their shingles, in little memory.

Similarity is Jaccard's, of the words and the pairs of neighbouring words that each text has, after Unicode's
compatibility form (NFKC) and without case, white space and punctuation. A character of a script that writes no spaces
is a word. Signatures are made by numpy for many texts at once; those of `spavl.dataset` are datasketch's.

    index = TextIndex(0.6)
    index.add(["first text", "another"])
    index.near(["First text!"])                 [[Near(0, 1.0, exact=True)]]

Source: Broder 1997 (resemblance of documents); Indyk and Motwani 1998 (bands).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS: Final = 128
"""Hash functions of a MinHash."""
MOST_MISSED: Final = 0.02
"""Largest probability to miss a text just as similar as the threshold; one more similar is missed far more seldom."""
SPREADS: Final = 3.5
"""Standard errors below the threshold that the share of equal hash values may lie for shingles to be compared."""
TOGETHER: Final = 256
"""Texts whose signatures are made at once: some 10 MB for each 40 words that they have."""
MOST_SHINGLES: Final = 40_000
"""Shingles whose hash values are made at once."""
MOST_SHARED: Final = 1_000_000
"""Bands that texts share with others of which the texts are looked at, at once: some 50 MB."""
MOST_IN_BAND: Final = 1_000
"""Texts of one hash that are looked at, the first ones: where there are more, it tells nothing."""
MOST_COMPARED: Final = 100
"""Texts of an index that a text is compared with by its shingles, and so the most that are found near it."""
MOST_WORDS: Final = 2_000
"""Words of a text that count: its first ones, and its whole is compared exactly."""
KNOWN_WORDS: Final = 200_000
"""Words whose hashes are remembered."""
_WORD: Final = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]|[^\\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]+"
)
_RANDOM: Final = np.random.default_rng(1)
_FACTORS: Final = _RANDOM.integers(0, 2**63, PERMUTATIONS, np.uint64) * np.uint64(2) + np.uint64(1)
_SUMMANDS: Final = _RANDOM.integers(0, 2**63, PERMUTATIONS, np.uint64)
_MIX, _PAIR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Near:
    """A text of an index that is nearly the same as another one."""

    place: int
    """Its place in the index."""
    similarity: float
    """Jaccard similarity, from the threshold to 1."""
    exact: bool
    """Whether both are the same but for case, white space and punctuation."""


def words_of(text: str) -> list[str]:
    """The words of a text, in their order, by which texts are compared.

    Args:
        text: any text.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def shingles(text: str) -> set[str]:
    """The words of a text and its pairs of neighbouring words, without case and punctuation.

    Args:
        text: any text.
    """
    words = re.findall(r"\w+", text.casefold())
    return {*words, *map(" ".join, pairwise(words))}


def similarity(one: str, other: str) -> float:
    """Jaccard similarity of the shingles of two texts, from 0 to 1.

    Args:
        one: a text.
        other: another.
    """
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b) if a and b else float(one == other)


def rows_of(threshold: float, most_missed: float) -> int:
    """Hash values in a band: as many as still find a text just as similar as the threshold.

    Args:
        threshold: similarity.
        most_missed: largest probability to miss it.
    """
    return max(
        (r for r in range(1, 17) if (1 - threshold**r) ** (PERMUTATIONS // r) <= most_missed), default=1
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Signed:
    """Texts as they are compared."""

    whole: Hashes
    """Hash of all words; 0: the text has none."""
    shingles: list[Hashes]
    """Sorted hashes of the distinct shingles."""
    values: NDArray[np.uint32]
    """MinHash, `[N, PERMUTATIONS]`."""
    bands: Hashes
    """Hash of each band, `[N, bands]`."""


@dataclass(frozen=True, slots=True)
class _Places:
    """The texts of an index, and where each is found."""

    kept: _Signed
    """All texts."""
    keys: Hashes
    """Hashes of the bands and of all words of every text, sorted."""
    places: NDArray[np.int64]
    """Place of the text that each is of."""


@final
class TextIndex:
    """Texts in which nearly equal ones are looked for; about a kilobyte a text.

    Args:
        threshold: least similarity, above 0 and at most 1.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._rows = rows_of(threshold, MOST_MISSED)
        self._least = threshold - SPREADS * (threshold * (1 - threshold) / PERMUTATIONS) ** 0.5
        self._parts: list[_Signed] = []
        self._all: _Places | None = None

    def __len__(self) -> int:
        return sum(len(part.whole) for part in self._parts)

    def add(self, texts: Iterable[str]) -> None:
        """Add texts, in their order.

        Args:
            texts: any texts; one without words is never found.
        """
        every = list(texts)
        for start in range(0, len(every), TOGETHER):
            self._parts.append(_signed(every[start : start + TOGETHER], self._rows))
        self._all = None

    def near(self, texts: Sequence[str]) -> list[list[Near]]:
        """For each of some texts those that are nearly the same, the most similar first, of equal ones the first.

        Of more than `MOST_COMPARED` such texts those are found whose hash values agree most.

        Args:
            texts: any texts.
        """
        if not self._parts:
            return [[] for _ in texts]
        found: list[list[Near]] = []
        for start in range(0, len(texts), TOGETHER):
            found += self._near(_signed(texts[start : start + TOGETHER], self._rows))
        return found

    def _near(self, asked: _Signed) -> list[list[Near]]:
        kept = self._joined().kept
        found: list[list[Near]] = [[] for _ in asked.whole]
        rows, places = self._alike(asked)
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            exact = bool(asked.whole[row] == kept.whole[place])
            share = 1.0 if exact else _jaccard(asked.shingles[row], kept.shingles[place])
            if share >= self._threshold:
                found[row].append(Near(place, share, exact))
        return [sorted(one, key=lambda near: (not near.exact, -near.similarity, near.place)) for one in found]

    def _alike(self, asked: _Signed) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of what is asked and places of the index that share a band and enough hash values.

        Of each text no more than `MOST_COMPARED`, those that share the most, and of each band no more than
        `MOST_IN_BAND`: there may be a hundred thousand texts that say the same but for a word, and comparing all of
        them with all others would never end. Texts of the same words are looked up by all of them.
        """
        keys = self._joined().keys
        asked_keys = np.concatenate([asked.bands, asked.whole[:, None]], axis=1)
        first, last = (np.searchsorted(keys, asked_keys, side) for side in ("left", "right"))
        last = np.minimum(last, first + MOST_IN_BAND)
        ends = np.cumsum((last - first).sum(axis=1))
        found, start = [], 0
        while start < len(ends):  # as many texts at once as share `MOST_SHARED` bands with others
            done = int(ends[start - 1]) if start else 0
            end = max(start + 1, int(np.searchsorted(ends, done + MOST_SHARED, "right")))
            found.append(self._alike_rows(asked, first, last, slice(start, end)))
            start = end
        rows, places = (np.concatenate(some) for some in zip(*found, strict=True))
        return rows, places

    def _alike_rows(
        self, asked: _Signed, first: NDArray[np.int64], last: NDArray[np.int64], some: slice
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`_alike` of some of the rows that are asked."""
        kept, places = self._joined().kept, self._joined().places
        begins, counts = first[some].reshape(-1), (last - first)[some].reshape(-1)
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        there = places[np.repeat(begins, counts) + offsets]
        rows = np.repeat(np.arange(counts.size) // first.shape[1] + some.start, counts)
        one, other = np.divmod(np.unique(rows * len(kept.whole) + there), len(kept.whole))
        equal = np.empty(one.size)
        for start in range(0, one.size, MOST_SHINGLES):
            part = slice(start, start + MOST_SHINGLES)
            equal[part] = (asked.values[one[part]] == kept.values[other[part]]).mean(axis=1)
        equal[asked.whole[one] == kept.whole[other]] = 2.0  # the same words come before all others
        alike = (equal >= self._least) & (asked.whole[one] != 0) & (kept.whole[other] != 0)
        one, other, equal = one[alike], other[alike], equal[alike]
        order = np.lexsort((other, -equal, one))
        one, other = one[order], other[order]
        rank = np.arange(one.size) - np.searchsorted(one, one, "left")
        return one[rank < MOST_COMPARED], other[rank < MOST_COMPARED]

    def _joined(self) -> _Places:
        """All texts, and where each is found."""
        if self._all is None:
            parts = self._parts
            kept = _Signed(
                np.concatenate([part.whole for part in parts]), [one for part in parts for one in part.shingles],
                np.concatenate([part.values for part in parts]), np.concatenate([part.bands for part in parts]),
            )  # fmt: skip
            self._parts = [kept]
            every = np.concatenate([kept.bands, kept.whole[:, None]], axis=1)
            order = np.argsort(every, axis=None, kind="stable")
            self._all = _Places(kept, every.reshape(-1)[order], order // every.shape[1])
        return self._all


def _signed(texts: Sequence[str], rows: int) -> _Signed:
    words = [words_of(text) for text in texts]
    whole = np.array([_hash(" ".join(some)) if some else 0 for some in words], np.uint64)
    found = [_shingle_hashes(some[:MOST_WORDS]) for some in words]
    values = np.empty((len(texts), PERMUTATIONS), np.uint32)
    start = 0
    while start < len(texts):
        end, size = start + 1, found[start].size
        while end < len(texts) and size + found[end].size <= MOST_SHINGLES:
            size += found[end].size
            end += 1
        values[start:end] = _minima(found[start:end])
        start = end
    return _Signed(whole, found, values, _bands(values, rows))


def _shingle_hashes(words: Sequence[str]) -> Hashes:
    """Sorted hashes of the distinct words and pairs of neighbours; of no words a single 0."""
    one = np.array([_word_hash(word) for word in words] or [0], np.uint64)
    pairs = one[:-1] * _MIX + (one[1:] ^ (one[1:] >> np.uint64(29))) * _PAIR
    return np.unique(np.concatenate([one, pairs]))


def _minima(found: Sequence[Hashes]) -> NDArray[np.uint32]:
    """MinHash of each set of shingles."""
    starts = np.cumsum([0, *(len(one) for one in found[:-1])])
    every = np.concatenate(found)
    every ^= every >> np.uint64(32)
    out = np.empty((len(found), PERMUTATIONS), np.uint32)
    for number in range(PERMUTATIONS):
        values = (every * _FACTORS[number] + _SUMMANDS[number]) >> np.uint64(32)
        out[:, number] = np.minimum.reduceat(values, starts)
    return out


def _bands(values: NDArray[np.uint32], rows: int) -> Hashes:
    """Hash of each band of some signatures, with the number of the band in it."""
    count = PERMUTATIONS // rows
    parts = values[:, : count * rows].reshape(len(values), count, rows).astype(np.uint64)
    out = np.broadcast_to(np.arange(1, count + 1, dtype=np.uint64) * _PAIR, parts.shape[:2]).copy()
    for row in range(rows):
        out = (out ^ parts[:, :, row]) * _MIX
        out ^= out >> np.uint64(31)
    return out


def _jaccard(one: Hashes, other: Hashes) -> float:
    both = np.intersect1d(one, other, assume_unique=True).size
    return both / (one.size + other.size - both)


@lru_cache(KNOWN_WORDS)
def _word_hash(word: str) -> int:
    return _hash(word)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") or 1
