"""Near hashes are found, however many of them are alike."""

import time

import numpy as np

from spavl.similarity.hamming import BANDS, HashIndex


def test_hashes_that_agree_in_a_band_are_found_without_following_all_of_them() -> None:
    random = np.random.default_rng(1)
    hashes = random.integers(0, 1 << 16, (20_000, BANDS), np.uint16)
    hashes[:, 0] = 7
    index = HashIndex(31)
    for one in hashes:
        index.add(one)
    start = time.process_time()
    for place in range(0, 20_000, 1_000):
        asked = hashes[place].copy()
        asked[3] ^= 1
        assert index.near(asked) == [place]
    assert time.process_time() - start < 1.0  # a step a hash takes more than two
    index.close()


def test_all_of_many_equal_hashes_are_near_each_other() -> None:
    index = HashIndex(10)
    one = np.arange(BANDS, dtype=np.uint16)
    for _ in range(200):
        index.add(one)
    index.add(one ^ np.uint16(1))
    assert index.near(one) == list(range(200))
    index.close()
