"""Yes/no questions about plain pictures, as a file of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

QUESTIONS = 6
"""Questions to each picture that stand together, as in POPE."""


def write_items(folder: Path, items: int, pictures: int) -> Path:
    """Write pictures and a file of items beside them; returns the file.

    Args:
        folder: where they are written.
        items: how many questions.
        pictures: how many pictures, of one colour each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(pictures):
        Image.new("RGB", (64, 64), (number * 2 % 256, 90, 120)).save(folder / f"{number}.png")
    rows = [
        {
            "id": f"q{number}", "question": f"Is there an object number {number} in the picture?", "subset": "yes-no",
            "image": f"{number // QUESTIONS % pictures}.png", "expected": ("no", "yes")[number % 2],
        }
        for number in range(items)
    ]  # fmt: skip
    path = folder / "items.jsonl"
    path.write_text("".join([json.dumps(row) + "\n" for row in rows]), "utf-8")
    return path
