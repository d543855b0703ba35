"""A small dataset that says all that arms choose by, and studies whose trainings take a second."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from spavl.config.study import load_study
from spavl.study.plan import StudyPlan
from spavl.study.run import prepare_study

TYPES = ("easy_question", "hard_question", "hard_statement")
RESPONDERS = ("ash", "bay", "cob", "dew")
SETTINGS: dict[str, Any] = {
    "out": "run", "store": "calls.sqlite",
    "align": {
        "model": "miniworld:base", "freeze": {"rank": 4, "alpha": 8, "projector": "frozen"},
        "optimiser": {"learning_rate": 1e-2, "max_steps": 1}, "batching": {"pairs": 4},
        "machine": {"device": "cpu", "pairs_cache": "pairs"}, "reference": {"cache": "reference"},
    },
    "evaluate": {"benchmarks": [{"kind": "miniworld", "per_subset": 1}]},
}  # fmt: skip


def write_pairs(path: Path, pairs: int = 48) -> Path:
    """Pairs of four subcategories, three types of questions and four responders; every third is harmless."""

    def row(number: int) -> dict[str, object]:
        buffer = io.BytesIO()
        Image.new("RGB", (48, 48), (number * 5 % 250, 90, 120)).save(buffer, "PNG")
        return {
            "image": {"bytes": buffer.getvalue(), "path": f"{number}.png"}, "question": "what object is shown ?",
            "chosen": "sorry , i cannot help with this .", "rejected": "yes .", "pair_id": f"pair-{number}",
            "class3": f"subject-{number % 4}", "question_type": TYPES[number // 4 % 3], "benign": number % 3 == 0,
            "chosen_source": RESPONDERS[number % 4], "rejected_source": RESPONDERS[(number // 2) % 4],
        }  # fmt: skip

    pq.write_table(pa.Table.from_pylist([row(number) for number in range(pairs)]), path)
    return path


def write_study(place: Path, name: str = "study", pairs: int = 48, **tree: Any) -> Path:
    """A study's file in a folder, with the settings and pairs that it is about. Call it in that folder."""
    if not (place / "train.parquet").exists():
        write_pairs(place / "train.parquet", pairs)
    (place / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    given = {"settings": "settings.yaml", "pairs": "train.parquet", "seeds": [1, 2], **tree}
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    return path


def planned(place: Path, name: str = "study", **tree: Any) -> StudyPlan:
    """The plan of a study. Call it in its folder."""
    path = write_study(place, name, **tree)
    return prepare_study(load_study(path), path)
