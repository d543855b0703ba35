"""Datasets of placeholders for audits: pairs with a picture each, and a judge that does as a test says."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from spavl.config.judging import JudgeSpec
from spavl.judging.judge import Judge, open_judge
from spavl.models.base import Prompt, Reply
from spavl.preferences.dataset import PreferenceDataset, open_dataset

SUBJECTS = ("weapon", "theft", "insult", "hate")
Says = Callable[[Prompt, bool], str]
"""(prompt, whether the better answer stands first) → the judge's reply."""


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A row of the published form about a picture of its own; every second picture is harmless."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(picture, "PNG")
    made = {
        "image": {"bytes": picture.getvalue(), "path": None}, "question": f"request {number}",
        "chosen": f"better answer {number}", "rejected": f"worse answer {number}", "pair_id": f"pair-{number}",
        "image_id": f"picture-{number}", "class1": "domain", "class3": SUBJECTS[number % 4],
        "question_type": "easy_question", "benign": number % 2 == 0, "chosen_safe": True,
        "rejected_safe": number % 3 > 0, "chosen_source": "amber", "rejected_source": "birch",
    }  # fmt: skip
    return {**made, **changes}


def dataset(folder: Path, rows: Sequence[Mapping[str, Any]]) -> PreferenceDataset:
    """The rows as a file, opened."""
    path = folder / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return open_dataset(path, cache=folder / "cache")


def judge(kind: str = "combined") -> Judge:
    """A judge of the built-in prompt."""
    return open_judge(JudgeSpec.model_validate({"name": "judge", "kind": kind}))


def asking(says: Says) -> Callable[[str, Sequence[Prompt]], list[Reply]]:
    """What stands for the judge's model."""
    return lambda doing, prompts: [Reply(says(p, p.fields["answer_a"].startswith("better"))) for p in prompts]


def verdict(first: bool) -> str:
    """The verdict for the answer that stands first, or for the other."""
    return "[[A]]" if first else "[[B]]"
