"""A small dataset with pictures, and files that share something with it."""

from __future__ import annotations

import json
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.similarity.pdq_hashes import picture

SUBJECTS = ("apples", "boats", "clouds", "doors", "engines", "fields", "gates", "houses", "islands", "jackets")
"""A word of each question."""


def drawn(number: int) -> Image.Image:
    """A picture."""
    return Image.fromarray(picture(number))


def detailed(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture with details of every size."""
    generator = np.random.default_rng(seed)
    pixels = sum(
        np.asarray(Image.fromarray(generator.integers(0, 256, (2**n, 2**n, 3), np.uint8)).resize(size), float)
        for n in range(1, 7)
    )  # fmt: skip
    return Image.fromarray((pixels / 6).astype(np.uint8))


@cache
def png(number: int) -> bytes:
    """A picture as the bytes of a file."""
    return png_of(drawn(number))


def png_of(image: Image.Image) -> bytes:
    """A picture as the bytes of a file."""
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def question(number: int) -> str:
    """A question that shares few words with the others."""
    random = SUBJECTS[number]
    return f"{random} {random[::-1]} how many {random[1:]} stand near {random[:3]}{number} in request {number}"


def write_dataset(path: Path, **changes: Any) -> Path:
    """A dataset of ten pairs, with a class each."""
    rows = [
        {"image": {"bytes": png(number), "path": None}, "question": question(number), "chosen": "an answer that helps",
         "rejected": "an answer that refuses", "class1": f"class {number}", **changes}
        for number in range(len(SUBJECTS))
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_questions(path: Path, *rows: dict[str, Any]) -> Path:
    """A file of questions."""
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def write_shown(path: Path, *pictures: Image.Image) -> Path:
    """A dataset with a pair for each picture."""
    rows = [
        {"image": {"bytes": png_of(shown), "path": None}, "question": question(number), "chosen": "an answer",
         "rejected": "another"}
        for number, shown in enumerate(pictures)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
