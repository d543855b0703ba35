"""Benign files in the published layouts of XSTest, MOSSBench, VLSU and HH-RLHF, with the quirks that real ones have.

Every request is about a teapot; the labels say what the real one's would.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

TYPES = (
    "homonyms", "figurative_language", "safe_targets", "safe_contexts", "definitions", "real_discr_nons_group",
    "nons_group_real_discr", "historical_events", "privacy_public", "privacy_fictional",
)  # fmt: skip
CONTRAST_TYPES = (
    "contrast_homonyms", "contrast_figurative_language", "contrast_safe_targets", "contrast_safe_contexts",
    "contrast_definitions", "contrast_discr", "contrast_historical_events", "contrast_privacy",
)  # fmt: skip
OF_EACH = 25
"""Prompts of every type of XSTest."""
OVER = ("Exaggerated Risk", "Negated Harm", "Counterintuitive Interpretation")
"""MOSSBench's types as its CSV writes them."""


def picture(number: int = 0) -> bytes:
    """A PNG of one colour, another for every number."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 6), (number % 256, number // 256, 80)).save(buffer, "PNG")
    return buffer.getvalue()


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, end: str = "\n", start: str = "") -> Path:
    """The rows as a CSV file, its lines with this end and the file with this start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes((start + text.getvalue()).encode())
    return path


def xstest_rows(*, labelled: bool = True) -> list[dict[str, Any]]:
    """The 450 rows of XSTest: two of three have a focus, the first of a type alone, the others in twos."""
    rows: list[dict[str, Any]] = []
    for kind in (*TYPES, *CONTRAST_TYPES):
        for place in range(OF_EACH):
            number = len(rows) + 1
            focus = "" if place % 3 == 2 else f"spout {place}" if place < 6 else f"kettle {place // 4}"
            label = {"label": "unsafe" if kind in CONTRAST_TYPES else "safe"} if labelled else {}
            rows.append({"id": number if labelled else f"v2-{number}", "prompt": f"request {number} about a teapot",
                         "type": kind, **label, "focus": focus, "note": ""})  # fmt: skip
    return rows


def mossbench(folder: Path, *, form: str = "json", same_words: int = 43) -> Path:
    """MOSSBench's repository: 300 harmless questions and 244 harmful ones on the same pictures."""
    sets = {"data": range(300), "data_contrast": [*range(100), *range(100, 144), *range(200, 300)]}
    for name, numbers in sets.items():
        images = folder / name / "images"
        images.mkdir(parents=True)
        rows = {}
        for place, number in enumerate(numbers, start=1):
            (images / f"{place}.png").write_bytes(picture(number))
            harmful = name != "data" and place > same_words
            rows[str(place)] = _mossbench_row(place, number, "a dented teapot" if harmful else "a teapot", form)
        information = folder / name / "images_information" / f"information.{form}"
        if form == "csv":
            write_csv(information, list(rows.values()), end="\r\n")
        else:
            information.parent.mkdir()
            information.write_text(json.dumps(rows))
    return folder


def _mossbench_row(place: int, number: int, about: str, form: str) -> dict[str, Any]:
    common = {"pid": str(place), "question": f"request {number} about {about}", "description": "" if place < 5 else "x"}
    if form == "csv":
        return {**common, "image_path": f"images/{place}.png", "meta_data_over": OVER[number // 100],
                "meta_data_harm": "7"}  # fmt: skip
    return {
        **common,
        "image": f"images/{place}.png",
        "short description": "teapot",
        "metadata": {"over": f"type {number // 100 + 1}", "human": 0, "child": 0, "syn": 0, "ocr": 0, "harm": [7]},
    }


def vlsu(folder: Path) -> Path:
    """VLSU: a row of every grade, pictures as jpg and png under their uuid."""
    grades = [("safe", "safe", "safe"), ("safe", "safe", "unsafe"), ("unsafe", "safe", "borderline"),
              ("safe", "borderline", "Borderline"), ("safe", "safe", "not_sure"), ("safe", "unsafe", "")]  # fmt: skip
    rows = []
    for place, (image, text, both) in enumerate(grades):
        key = f"0000-{place}"
        rows.append({
            "uuid": key, "prompt": f"request {place} about a teapot", "web_path": f"https://example.org/{place}.jpg",
            "image_grade": image, "consensus_text_grade": text, "consensus_combined_grade": both,
            "image_category": "", "text_category": "", "combined_category": "C3: Teapots, dented",
        })  # fmt: skip
        at = folder / "data" / "images" / f"{key}.{'png' if place % 2 else 'jpg'}"
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(picture(place))
    write_csv(folder / "data" / "VLSU.csv", rows, start="\ufeff")
    return folder


def dialogue(*turns: str) -> str:
    """A dialogue as HH-RLHF writes it, the person's turn first."""
    who = ("Human", "Assistant")
    return "".join(f"\n\n{who[place % 2]}: {turn}" for place, turn in enumerate(turns))


def hh_rlhf(folder: Path, count: int = 2354) -> Path:
    """HH-RLHF's `helpful-base`: one row whose dialogues differ early, one of no last answer, one of three turns."""
    rows = [{"chosen": dialogue(f"request {n} about a teapot", f"answer {n}"),
             "rejected": dialogue(f"request {n} about a teapot", "no")} for n in range(count)]  # fmt: skip
    rows[0] = {"chosen": dialogue("one", "a", "two", "b"), "rejected": dialogue("one", "a", "two", "c")}
    rows[1]["rejected"] = dialogue("another request", "no")
    rows[2]["chosen"] = dialogue("request 2 about a teapot", "")
    at = folder / "helpful-base" / "test.jsonl.gz"
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return folder
