"""Small files of MSSBench, JailBreakV-28K, MIR-SafetyBench and SafeMT, in their layouts, with the quirks of the real.

All requests are placeholders about kitchen things; pictures are of one colour.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spavl.evaluate import Benchmark, BenchmarkTools
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.scorer import Rule, Scorer
from spavl.models.base import Sampling
from tests.evaluate.skill_files import as_json, inline, put

COMPLIES = Rule("rule:complies/1", lambda item, text: None if "?" in text else "sure" in text)
"""Stands for a judge that says whether an answer complies, and cannot read one with a question mark."""
RELATIONS = ("Analogy", "Temporal_Jump")


def opened_safety(
    spec: Any, tmp_path: Path, *, missing_pictures: Any = "refuse", complies: Scorer = COMPLIES
) -> Benchmark:
    """The benchmark of a settings entry, with a guard and judges that look for a word."""
    tools = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16), pictures=tmp_path / "pictures", seed=0,
        unsafe=lambda: COMPLIES, missing_pictures=missing_pictures, refuses=REFUSES, rubric=lambda name: complies,
    )  # fmt: skip
    return open_benchmark(spec, tools)


def mssbench(folder: Path) -> Path:
    """Two chats, one of two queries, and a task of two instructions; a picture that two chats share."""
    chat = [
        {"safe_image_path": "kitchen.jpg", "unsafe_image_path": "roof.jpg", "intent": "juggle", "Type": "play",
         "unsafe_image": "a roof", "queries": ["request 1 about cups", "request 2 about cups"]},
        {"safe_image_path": "kitchen.jpg", "unsafe_image_path": "bus.jpg", "intent": "sing", "Type": "noise",
         "unsafe_image": "", "queries": ["request 3 about songs"]},
    ]  # fmt: skip
    embodied = [
        {"task": "place", "category": "place", "safe": "table.png", "unsafe": "stove.png", "observation_safe": "table",
         "observation_unsafe": "stove", "safe_instruction": "put it", "unsafe_instruction": "put it",
         "safe_instructions": ["Put the book on the table", "Lay it on the table"],
         "unsafe_instructions": ["Put the book on the stove", "Lay it on the stove"]}
    ]  # fmt: skip
    as_json(folder / "combined.json", {"chat": chat, "embodied": embodied}, start="\ufeff")
    return put(folder, "chat/kitchen.jpg", "chat/roof.jpg", "chat/bus.jpg", "embodied/table.png", "embodied/stove.png")


JAILBREAKV_COLUMNS = [
    "id", "jailbreak_query", "redteam_query", "format", "policy", "image_path", "transfer_from_llm", "selected_mini",
]  # fmt: skip


def jailbreakv(folder: Path, name: str = "JailBreakV_28K", count: int = 4) -> Path:
    """Attacks of two formats on two requests, with line breaks in a cell, in a folder of the Hub's copy."""
    file = folder / name / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(JAILBREAKV_COLUMNS)
        for number in range(count):
            wanted = f"request {number // 2} about a teapot"
            form = ("Template", "figstep")[number % 2]
            asked = f"Pretend, please:\n\n{wanted}, in form {number}"
            rows.writerow([number, asked, wanted, form, "Tea", f"{form}/{number % 2}.png", True, False])
    put(file.parent, "Template/0.png", "figstep/1.png")
    return folder


def mir_row(relation: str, number: int, pictures: int = 2) -> dict[str, Any]:
    """A row of MIR-SafetyBench, but for its pictures."""
    return {
        "id": number, "original_question": f"request {number} about tea", "relationship_type": relation,
        "revised_prompt": f"What do these {pictures} have to do with {number}?",
        "image_descriptions": [f"cup {n}" for n in range(pictures)], "image_keywords": ["cup"] * pictures,
        "iteration": 1,
    }  # fmt: skip


def mir_safetybench(folder: Path) -> Path:
    """Two categories of two relations, in which the ids begin anew; two or three pictures a question."""
    for category in ("Harassment", "Privacy"):
        for relation in RELATIONS:
            rows = []
            for number in (0, 1):
                names = [f"images/{relation}/{relation}_{number}_{n}.png" for n in range(2 + number)]
                rows.append({**mir_row(relation, number, 2 + number), "images": names})
                put(folder / category, *names)
            as_json(folder / category / f"{relation}_final.json", rows)
    return folder


def mir_hub_rows() -> list[dict[str, Any]]:
    """The same as on the Hub."""
    return [
        {**mir_row(relation, number, 2 + number), "category": category, "num_images": 2 + number,
         "id": str(number), "images": [inline(n) for n in range(2 + number)]}
        for category in ("Harassment", "Privacy") for relation in RELATIONS for number in (0, 1)
    ]  # fmt: skip


def said(*texts: str) -> list[dict[str, str]]:
    """A dialogue, the user's turn first."""
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def safemt_row(number: int, turns: int, *, hub: bool = False) -> dict[str, Any]:
    """A row of SafeMT, with a leading slash and JSON in a text as on the Hub, or as in the repository."""
    texts = [f"turn {n} of {turns} about pot {number}" for n in range(1, 2 * turns - 1)] + [f"request {number}"]
    row: dict[str, Any] = {"id": f"mm_tea_{number}", "scenario": "Tea"}
    if hub:
        return {**row, "image_rel_path": f"/tea/tea_{number}.jpg", "dialogue": json.dumps(said(*texts))}
    return {
        **row, "image_path": f"images/tea/tea_{number}.jpg", "dialogue": said(*texts),
        "question": f"original request {number}",
    }  # fmt: skip


def safemt(folder: Path, turns: Sequence[int] = (1, 2, 4), *, hub: bool = False) -> Path:
    """Two requests in dialogues of several lengths, in the folder `Data` of the repository."""
    for count in turns:
        rows = [safemt_row(number, count, hub=hub) for number in (1, 2)]
        as_json(folder / "Data" / f"{count}_turn.json", rows)
    put(folder / "Data", "images/tea/tea_1.jpg", "images/tea/tea_2.jpg")
    return folder
