"""Small files of every benchmark of skills, in its original layout and as on the Hub, with the quirks of the real ones.

All questions are placeholders about kitchen things; pictures are of one colour.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spavl.evaluate import Benchmark, BenchmarkTools
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.scorer import Rule
from spavl.models.base import Sampling
from tests.evaluate.benchmark_files import picture

COLOURS = ("red", "green", "blue", "white", "grey", "black", "yellow")
GRADES = Rule("rule:graded/1", lambda item, text: 0.5)
"""Stands for a judge that grades from 0 to 1."""


def opened_skill(spec: Any, tmp_path: Path, *, missing_pictures: Any = "refuse") -> Benchmark:
    """The benchmark of a settings entry, with a judge that grades."""
    tools = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16), pictures=tmp_path / "pictures", seed=0,
        unsafe=lambda: REFUSES, missing_pictures=missing_pictures, graded=lambda name: GRADES,
    )  # fmt: skip
    return open_benchmark(spec, tools)


def put(folder: Path, *names: str) -> Path:
    """The folder with pictures of these names, each of another colour."""
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(COLOURS[place % len(COLOURS)]))
    return folder


def inline(place: int) -> dict[str, Any]:
    """A picture as the Hub stores it."""
    return {"bytes": picture(COLOURS[place % len(COLOURS)]), "path": f"{place}.png"}


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The Parquet file of these rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def as_json(path: Path, value: Any, *, start: str = "") -> Path:
    """The JSON file of a value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(start + json.dumps(value), encoding="utf-8")
    return path


def scienceqa(folder: Path) -> Path:
    """Three problems in test, one of them without a picture; an id of another split; a byte order mark."""
    problems = {
        "7": {"question": "Which one holds tea?", "choices": ["cup", "plate"], "answer": 0, "hint": "", "image": None,
              "subject": "kitchen", "split": "test"},
        "12": {"question": "Which one is flat?", "choices": ["cup", "bowl", "plate"], "answer": 2,
               "hint": "Look at the picture.", "image": "image.png", "subject": "kitchen", "split": "test"},
        "13": {"question": "Which one is deep?", "choices": ["bowl", "plate"], "answer": 0, "hint": None,
               "image": "image.png", "subject": "table", "split": "test"},
        "90": {"question": "Not asked", "choices": ["a", "b"], "answer": 1, "hint": "", "image": None,
               "split": "train"},
    }  # fmt: skip
    as_json(folder / "problems.json", problems, start="\ufeff")
    as_json(folder / "pid_splits.json", {"train": ["90"], "test": ["7", "12", "13"], "minitest": ["12"]})
    return put(folder, "images/test/12/image.png", "images/test/13/image.png")


def mmbench_row(index: int, options: list[str], answer: str, image: str, **more: str) -> list[str]:
    """Cells of a row of MMBench's TSV."""
    cells = options + ["nan" if index % 2 else ""] * (4 - len(options))
    row = [str(index), "Which one is it?", more.get("hint", "nan"), *cells, answer, more.get("category", "naming")]
    return [*row, image, "dev"]


MMBENCH_COLUMNS = ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "split"]


def mmbench(path: Path, *, rotated: bool) -> Path:
    """Two questions, of four and of three options; the second one's picture is that of the first one's row."""
    four, three = ["cup", "mug", "bowl", "plate"], ["fork", "knife", "spoon"]
    data = base64.b64encode(picture("red")).decode()
    rows = [mmbench_row(241, four, "C", data), mmbench_row(252, three, "A", "241", hint="A hint.")]
    if rotated:
        turned = [four[k:] + four[:k] for k in range(4)], [three[k:] + three[:k] for k in range(3)]
        rows += [
            mmbench_row(241 + k * 1_000_000, turned[0][k], "ABCD"[(2 - k) % 4], "241") for k in range(1, 4)
        ] + [
            mmbench_row(252 + k * 1_000_000, turned[1][k], "ABC"[-k % 3], "241", hint="A hint.") for k in range(1, 3)
        ]  # fmt: skip
    path.write_text("\n".join("\t".join(row) for row in [MMBENCH_COLUMNS, *rows]) + "\n", encoding="utf-8")
    return path


def seed_bench(folder: Path) -> Path:
    """Three questions, of which one is about a video, and one has two pictures as in the second version."""

    def row(number: int, kind: int, data: Any) -> dict[str, Any]:
        return {
            "question_id": f"q{number}", "question_type_id": kind, "question": "Which one is there?", "answer": "B",
            **{f"choice_{letter}": f"thing {letter}" for letter in "abcd"}, "data_id": data,
            "data_type": "image" if kind < 10 else "video", "segment": None if kind < 10 else [0, 1],
        }  # fmt: skip

    rows = [row(1, 1, "one"), row(2, 11, "clip.mp4"), row(3, 5, ["one", "two"])]
    as_json(folder / "SEED-Bench.json", {"question_type": {"Scene": 1, "Video": 11}, "questions": rows})
    return put(folder, "pictures/one", "pictures/two")


def people(*answers: tuple[str, int]) -> list[str]:
    """Answers of ten people: each text so many times."""
    return [text for text, times in answers for _ in range(times)]


def textvqa(folder: Path) -> Path:
    """Two questions on one picture, and what an OCR read in it."""
    rows = [
        {"question_id": number, "question": f"What does thing {number} say?", "image_id": "abc", "image_classes": [],
         "answers": people(("stop", 7), ("stop sign", 3)), "set_name": "val"}
        for number in (34602, 34603)
    ]  # fmt: skip
    as_json(folder / "TextVQA_0.5.1_val.json", {"dataset_type": "val", "dataset_version": "0.5.1", "data": rows})
    tokens = [{"image_id": "abc", "ocr_tokens": ["STOP", "4"], "ocr_info": []}]
    as_json(folder / "TextVQA_Rosetta_OCR_v0.2_val.json", {"data": tokens})
    return put(folder, "train_images/abc.jpg")


def vqav2(folder: Path, count: int = 3, *, per_picture: int = 2) -> Path:
    """Questions and annotations, the latter in another order and with entries after the list."""
    questions = [
        {"image_id": 42 + n // per_picture, "question": f"How many cups are in scene {n}?", "question_id": 42_000 + n}
        for n in range(count)
    ]
    annotations = [
        {"question_type": "how many", "question_id": 42_000 + n, "image_id": 42 + n // per_picture,
         "multiple_choice_answer": "2", "answer_type": "number",
         "answers": [{"answer": text, "answer_confidence": "yes", "answer_id": k}
                     for k, text in enumerate(people(("2", 6), ("two", 1), ("3", 3)), start=1)]}
        for n in reversed(range(count))
    ]  # fmt: skip
    head = {"info": {"version": "2.0"}, "data_subtype": "val2014"}
    as_json(folder / "v2_OpenEnded_mscoco_val2014_questions.json", {**head, "questions": questions})
    as_json(folder / "v2_mscoco_val2014_annotations.json", {**head, "annotations": annotations, "data_type": "mscoco"})
    names = sorted({f"val2014/COCO_val2014_{q['image_id']:012d}.jpg" for q in questions})
    return put(folder, *names)


def vizwiz(folder: Path) -> Path:
    """Two questions, one of which cannot be answered."""

    def row(name: str, *answers: tuple[str, int]) -> dict[str, Any]:
        listed = [{"answer": text, "answer_confidence": "maybe"} for text in people(*answers)]
        return {"image": name, "question": "What is this?", "answers": listed, "answer_type": "other", "answerable": 1}

    rows = [
        row("VizWiz_val_00000000.jpg", ("cup", 9), ("mug", 1)),
        row("VizWiz_val_00000001.jpg", ("unanswerable", 10)),
    ]
    as_json(folder / "val.json", rows)
    return put(folder, *(f"val/{r['image']}" for r in rows))


def gqa(folder: Path) -> Path:
    """Three questions by id on two pictures."""
    rows = {
        f"20{n}": {"imageId": f"n{n // 2}", "question": f"Is thing {n} left of the cup?",
                   "answer": ("yes", "no")[n % 2], "fullAnswer": "…", "types": {"structural": "verify"}}
        for n in range(3)
    }  # fmt: skip
    as_json(folder / "testdev_balanced_questions.json", rows)
    return put(folder, "images/n0.jpg", "images/n1.jpg")


def mathvista(folder: Path) -> Path:
    """Four questions: choices whose answer is a text, an integer, a float with its precision, a list in a text."""

    def row(pid: str, **own: Any) -> dict[str, Any]:
        return {"question": f"What is it in {pid}?", "image": f"images/{pid}.jpg", "choices": None, "unit": None,
                "precision": None, "pid": pid, "metadata": {"task": "counting"}, **own}  # fmt: skip

    rows = [
        row("1", choices=["[0, 2]", "[1, 3]", "[0, 2]"], answer="[1, 3]", question_type="multi_choice",
            answer_type="text"),
        row("2", answer="14", unit="cm", question_type="free_form", answer_type="integer"),
        row("3", answer="1.2", precision=1.0, question_type="free_form", answer_type="float"),
        row("4", answer="[0, 2]", question_type="free_form", answer_type="list"),
    ]  # fmt: skip
    as_json(folder / "testmini.json", {r["pid"]: r for r in rows})
    return put(folder, *(f"images/{n}.jpg" for n in range(1, 5)))


def mmmu(folder: Path) -> Path:
    """Three questions: pictures in question and options, nine options, and an open one with two right answers."""

    def row(number: int, question: str, options: Any, answer: Any, images: int) -> dict[str, Any]:
        return {
            "id": f"validation_Kitchen_Science_{number}", "question": question, "options": str(options),
            "answer": answer, "question_type": "multiple-choice" if options else "open",
            **{f"image_{n}": inline(n) if n <= images else None for n in range(1, 8)},
        }  # fmt: skip

    rows = [
        row(1, "Which of <image 1> is it?", ["<image 2>", "<image 3>", "It's none"], "B", 3),
        row(2, "Which letter? <image 1>", [f"thing {n}" for n in range(9)], "I", 1),
        row(3, "How many cups? <image 1>", [], "['12', 'twelve']", 1),
    ]
    parquet(folder / "Kitchen_Science" / "validation-00000-of-00001.parquet", rows)
    parquet(folder / "Kitchen_Science" / "test-00000-of-00001.parquet", rows)
    return folder


def mm_vet(folder: Path) -> Path:
    """Two questions by id, one of which has several right answers."""
    rows = {
        "v1_0": {"imagename": "v1_0.png", "question": "What is x?", "answer": "-1<AND>-5",
                 "capability": ["ocr", "math"]},
        "v1_1": {"imagename": "v1_1.png", "question": "Which cup?", "answer": "red<OR>the red one",
                 "capability": ["rec"]},
    }  # fmt: skip
    as_json(folder / "mm-vet.json", rows)
    return put(folder, "images/v1_0.png", "images/v1_1.png")
