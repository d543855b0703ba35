"""Pictures that are the same everywhere, and the script that records what the reference makes of them.

`pdq_hashes.json` holds the hashes by `pdqhash` 0.2 (Meta's C++ code) of `picture(n)`; written by

    pip install numpy pdqhash && python -m tests.similarity.pdq_hashes
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("pdq_hashes.json")
SIZES = [
    (640, 480), (480, 640), (64, 64), (65, 64), (127, 200), (128, 128), (129, 257), (37, 51), (48, 300), (1000, 333),
    (333, 1000), (800, 600), (1024, 768), (511, 513), (100, 100), (63, 640), (1600, 1200), (224, 224), (320, 240),
    (90, 60),
]  # fmt: skip
"""Width and height of the pictures."""


def picture(number: int) -> NDArray[np.uint8]:
    """A picture of coloured blots with a little noise, `[height, width, 3]`.

    Args:
        number: decides everything.
    """
    random = Random(f"pdq {number}")
    width, height = SIZES[number % len(SIZES)]
    y, x = np.mgrid[0:height, 0:width]
    out = np.zeros((height, width, 3))
    for _ in range(random.randint(3, 14)):
        across, down = random.uniform(0, width), random.uniform(0, height)
        spread = random.uniform(0.03, 0.3) * max(width, height)
        near = np.abs(x - across) + np.abs(y - down) < spread
        out += near[:, :, None] * np.array([random.uniform(-90, 160) for _ in range(3)])
    noise = np.frombuffer(random.randbytes(height * width * 3), np.uint8).reshape(out.shape) % 16
    return np.clip(out + 60 + noise, 0, 255).astype(np.uint8)


def main() -> None:
    """Write the file."""
    from pdqhash import compute

    found = [compute(picture(number)) for number in range(len(SIZES))]
    rows = [{"pdq": np.packbits(bits.astype(np.uint8)).tobytes().hex(), "quality": int(q)} for bits, q in found]
    FILE.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
