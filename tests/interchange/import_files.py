"""Sources of imports as their own projects lay them out, with placeholder texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spavl.interchange.read_spa_vl_meta import MODELS
from tests.preferences.test_pairs import hub_parquet, png, row

Rows = list[dict[str, Any]]


def write_json(path: Path, rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), "utf-8")
    return path


def published(folder: Path, rows: Rows) -> Path:
    """A snapshot of `sqrti/SPA-VL`: the train split, beside a validation split that must not be read."""
    hub_parquet(folder / "data" / "train-00000-of-00001.parquet", rows)
    hub_parquet(folder / "validation" / "validation-00000-of-00001.parquet", [row(99, "white")])
    return folder


def meta_folder(folder: Path, *, prefer: dict[str, Rows], answers: Rows, safety: Rows, images: Rows) -> Path:
    """`meta_files` with the questions of each type."""
    write_json(folder / "image_info" / "meta.json", images)
    for name in ("easy", "hardq", "hards"):
        write_json(folder / "prefer" / f"{name}.json", prefer.get(name, []))
    write_json(folder / "model_answer" / "easy.json", answers)
    write_json(folder / "safety" / "easy.json", safety)
    return folder


def by_model(image: str, question: str, **said: str) -> dict[str, Any]:
    """A row of `model_answer` or `safety`; every model that is not named says something of its own."""
    names = {model: f"answer of {model}" for model in MODELS}
    given = {model: said[model.replace("-", "_").replace(".", "_")] for model in MODELS
             if model.replace("-", "_").replace(".", "_") in said}  # fmt: skip
    return {"image": image, "question": question, **names, **given}


def vlguard(folder: Path) -> Path:
    """`train.json` with its pictures in the folder that its archive is unpacked to."""
    for name, colour in (("a", "red"), ("b", "blue")):
        path = folder / "train" / "group" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(colour))
    rows = [
        {"id": "one", "image": "group/a.png", "safe": False, "harmful_category": "kind", "harmful_subcategory": "sort",
         "instr-resp": [{"instruction": "request 1", "response": "answer that declines"}]},
        {"id": "two", "image": "group/b.png", "safe": True,
         "instr-resp": [{"safe_instruction": "request 2", "response": "answer that helps"},
                        {"unsafe_instruction": "request 3", "response": "answer that declines"}]},
        {"id": "three", "image": "group/gone.png", "safe": False,
         "instr-resp": [{"instruction": "request 4", "response": "answer that declines"}]},
    ]  # fmt: skip
    return write_json(folder / "train.json", rows)


def beavertails(number: int, safer: Any = 1, helpful: Any = 2) -> dict[str, Any]:
    """A row of BeaverTails-V without its picture."""
    return {
        "question": f"request {number}", "category": "kind_of_harm", "image_severity": 2,
        "response_1": f"answer that declines {number}", "response_2": f"answer {number}",
        "response_1_from": "model one", "response_2_from": "model two",
        "more_helpful_response_id": helpful, "safer_response_id": safer,
        "is_response_1_safe": "yes", "is_response_2_safe": "no",
        "response_1_harmless_rate": 3, "response_2_harmless_rate": -2,
        "response_1_helpful_rate": 0, "response_2_helpful_rate": 1,
    }  # fmt: skip


def vlfeedback(number: int, ratings: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """A row of VLFeedback: helpfulness, visual faithfulness, ethical considerations of each answer."""
    names = ("Helpfulness", "Visual Faithfulness", "Ethical Considerations")
    return {
        "id": f"id-{number}", "prompt": f"request {number}", "models": [f"model {n}" for n in range(len(ratings))],
        "completions": [
            {"model": f"model {n}", "response": f"answer {n}",
             "annotations": {name: {"Rating": rating, "Rationale": "why"}
                             for name, rating in zip(names, rated, strict=True)}}
            for n, rated in enumerate(ratings)
        ],
    }  # fmt: skip
