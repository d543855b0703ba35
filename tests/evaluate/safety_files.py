"""Benchmarks of safety in their original layouts and of their published sizes, with the quirks of the real files.

All requests are placeholders about kitchen things; pictures are of one colour, and few.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spavl.evaluate import Answer, Benchmark, BenchmarkTools, Item, score, summarise
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.loaders.safety.figstep import TOPICS
from spavl.evaluate.loaders.safety.mm_safetybench import SIZES
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.scorer import Rule
from spavl.models.base import Sampling
from tests.evaluate.benchmark_files import picture
from tests.evaluate.skill_files import as_json, inline, parquet, put

UNSAFE = Rule("rule:unsafe/1", lambda item, text: "done" in text)
"""Stands for a guard: an answer that says done is unsafe."""
PREFERRED = Rule("rule:preferred/1", lambda item, text: float(text > item.notes.get("reference", "m")))
"""Stands for a judge that compares."""
SORRY = "I'm sorry, I cannot help with that."
ASKED = "Fill the list of the picture."
"""Stands for FigStep's text."""


def rubric(name: str) -> Rule:
    """Stands for the rubric of a name: an answer that names it, or says done, is what it counts."""
    return Rule(f"rubric:{name}/1", lambda item, text: name in text or "done" in text)


def opened_safety(
    spec: Any, tmp_path: Path, *, missing_pictures: Any = "refuse", temperature: float = 0.0
) -> Benchmark:
    """The benchmark of a settings entry, with rules for guard and judge."""
    tools = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16, temperature=temperature), pictures=tmp_path / "pictures",
        seed=0, unsafe=lambda: UNSAFE, missing_pictures=missing_pictures, rubric=rubric, preferred=lambda: PREFERRED,
        refuses=REFUSES,
    )  # fmt: skip
    return open_benchmark(spec, tools)


def rates(made: Benchmark, answers: Callable[[Item], str]) -> dict[str, float | None]:
    """Every metric of what a rule answers."""
    given = [
        Answer(item=item, benchmark=made.name, model="m", text="" if item.missing else answers(item),
               status="skipped" if item.missing else "ok", call="", tokens=1)
        for item in made.items
    ]  # fmt: skip
    return {name: rate.value for name, rate in summarise(score(made, given)).items()}


def as_csv(path: Path, rows: list[list[Any]], *, ends: str = "\n", start: str = "") -> Path:
    """The CSV file of these rows."""
    text = io.StringIO()
    csv.writer(text, lineterminator=ends).writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((start + text.getvalue()).encode())
    return path


def spa_vl(folder: Path, sizes: tuple[int, int] = (265, 265)) -> Path:
    """The Hub's two splits, a question in quotes and with a line end."""
    for split, size in zip(("harm", "help"), sizes, strict=True):
        rows = [
            {"image": inline(n), "question": f'"placeholder {n}"\n', "class1": "d", "class3": f"s{n % 53}"}
            for n in range(size)
        ]  # fmt: skip
        parquet(folder / f"{split}-00000-of-00001.parquet", rows)
    return folder


def scenario_ids(scenario: str) -> list[int]:
    """The ids of a scenario: 05 and 08 have gaps."""
    size = SIZES[scenario][0]
    skip = {"05-EconomicHarm": range(3, 14), "08-Political_Lobbying": range(50, 78)}.get(scenario, range(0))
    return [n for n in range(size + len(skip)) if n not in skip]


def mm_safetybench(folder: Path, variants: tuple[str, ...] = ("SD",)) -> Path:
    """All questions, with pictures of the tiny list's; ids with gaps, equal questions in 08, the list in the root."""
    data = folder / "data"
    listed = []
    for scenario, (_, tiny) in SIZES.items():
        ids = scenario_ids(scenario)
        listed.append({"Scenario": scenario, "Sampled_ID_List": ids[-tiny:]})
        questions = {
            str(n): {"Question": f"plain {n}", "Changed Question": f"changed {n}", "Rephrased Question": f"typo {n}",
                     "Rephrased Question(SD)": f"sd {n if scenario[:2] != '08' else n // 2}\n", "Key Phrase": "teapot",
                     "Phrase Type": "thing", "GPT-Pred": "yes"}
            for n in ids
        }  # fmt: skip
        as_json(data / "processed_questions" / f"{scenario}.json", questions)
        names = [f"imgs/{scenario}/{variant}/{n}.jpg" for variant in variants for n in ids[-tiny:]]
        put(data, *names)
    as_json(folder / "TinyVersion_ID_List.json", listed)
    return data


def mm_safetybench_hub(folder: Path) -> Path:
    """The Hub's folders of two scenarios, a file a variant, of two questions each."""
    for name in ("Fraud", "Gov_Decision"):
        for split in ("SD", "SD_TYPO", "TYPO", "Text_only"):
            shown = {} if split == "Text_only" else {"image": inline(len(split))}
            rows = [{"id": str(n), "question": f"{split} {n}", **shown} for n in (0, 2)]
            parquet(folder / "data" / name / f"{split}-00000-of-00001.parquet", rows)
    return folder


def advbench(folder: Path, size: int = 520) -> Path:
    """The CSV, with a byte order mark, commas and quotes inside cells."""
    rows = [[f'Placeholder "{n}", about a teapot', f"Sure, here is teapot {n % 504}"] for n in range(size)]
    as_csv(folder / "harmful_behaviors.csv", [["goal", "target"], *rows], start="\ufeff")
    return folder


def vlguard(folder: Path, unsafe: int = 442, safe: int = 558) -> Path:
    """`test.json` with the two objects of a safe picture in either order and empty responses, and GPT-4V's answers."""
    names = ["bad_ads/a.png", "HOD/b.jpg", "privacyAlert/c.jpg"]
    rows: list[dict[str, Any]] = [
        {"id": f"HOD_{n}", "image": names[n % 3], "safe": False, "harmful_category": ("privacy", "deception")[n % 2],
         "harmful_subcategory": "x", "instr-resp": [{"instruction": f"bad {n}", "response": "" if n < 17 else "No."}]}
        for n in range(unsafe)
    ]  # fmt: skip
    for n in range(safe):
        two = [
            {"safe_instruction": f"good {n}", "response": "Yes."},
            {"unsafe_instruction": f"bad {n}", "response": ""},
        ]
        row = {"id": f"Ads_{n}", "image": f"bad_ads/{n % 7}.png", "safe": True, "instr-resp": two[:: 1 - 2 * (n % 2)]}
        rows.insert(2 * n, row)
    as_json(folder / "test.json", rows)
    answers = [
        {"id": row["id"], "image": row["image"], "safe": True, "instruction": "?", "response": "old", "output": "n"}
        for row in reversed(rows) if row["safe"]
    ]  # fmt: skip
    as_json(folder / "gpt4_safe_safes.json", answers)
    return put(folder, *(f"test/{name}" for name in [*names, *(f"bad_ads/{n}.png" for n in range(7))]))


CATEGORIES = {"Violent": 590, "Illegal": 539, "Self-Harm": 370, "Erotic": 343, "Hate": 269, "Privacy": 130}


def vlsbench(folder: Path, counts: dict[str, int] | None = None) -> Path:
    """`data.json` with ids from 0, an empty instruction at 1685, and pictures that several requests share."""
    listed = [name for name, size in (counts or CATEGORIES).items() for _ in range(size)]
    rows = [
        {"instruction_id": n, "instruction": "" if n == 1685 else f"placeholder {n % 2226}",
         "image_path": f"imgs/{n % 9}.png", "category": name, "sub_category": f"{name} 1", "source": "x",
         "image_description": f"teapot {n}", "safety_reason": f"teapot {n} is hot"}
        for n, name in enumerate(listed)
    ]  # fmt: skip
    as_json(folder / "data" / "data.json", rows)
    return put(folder, *(f"data/imgs/{n}.png" for n in range(9)))


def siuo(folder: Path, size: int = 167) -> Path:
    """Both parts; one with an option of 11,000 letters, one with two options of one text."""
    open_rows, option_rows = [], []
    for n in range(size):
        known = {"question_id": 1001 + n, "image": f"S-{n % 5:02d}.png", "question": f"placeholder {n}",
                 "category": f"category {n % 9}"}  # fmt: skip
        options = {letter: f"do thing {letter}" for letter in "ABCD"}
        if n == 1:
            options["B"] = "a teapot " * 1223
        if n == 2:
            options["D"] = options["A"]
        open_rows.append({**known, "safety_warning": f"hot {n}", "reference_answer": f"wait {n}"})
        option_rows.append({**known, "options": options, "correct_option": "ABCD"[n % 4] if n != 2 else "A"})
    as_json(folder / "siuo_gen.json", open_rows)
    as_json(folder / "siuo_mcqa.json", option_rows)
    return put(folder, *(f"images/S-{n:02d}.png" for n in range(5)))


FIGSTEP = ["dataset", "category_id", "task_id", "category_name", "question", "instruction"]


def figstep(folder: Path) -> Path:
    """Both question files, the tiny one with CRLF, their pictures, and the one of benign sentences with a cell more."""
    for name, size, ends in (("safebench.csv", 50, "\n"), ("SafeBench-Tiny.csv", 5, "\r\n")):
        rows = [
            ["safebench", topic, task, f"Topic {topic}", f"Placeholder {task}?", f"List of teapots {task}."]
            for topic in TOPICS for task in range(1, size + 1)
        ]  # fmt: skip
        as_csv(folder / "data" / "question" / name, [FIGSTEP, *rows], ends=ends)
        shown = folder / "data" / "images" / name.replace("safebench", "SafeBench").removesuffix(".csv")
        shown.mkdir(parents=True)
        data = picture()
        for row in rows:
            (shown / f"query_ForbidQI_{row[1]}_{row[2]}_6.png").write_bytes(data)
    benign = [FIGSTEP, ["b", 1, 1, "T", "?", "x"], ["b", 1, 2, "T", "Knives", " forks", "x"]]
    as_csv(folder / "data" / "question" / "benign_sentences_without_harmful_phase.csv", benign)
    return folder
