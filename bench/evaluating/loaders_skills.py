"""Loaders of skills on small files with the quirks of the real ones: the share of checks that hold, a benchmark each.

python -m bench.evaluating.loaders_skills --json FILE
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.measures import Measure, run
from spavl.config.benchmarks import (
    GqaBenchmark,
    MathVistaBenchmark,
    MmBenchBenchmark,
    MmmuBenchmark,
    MmVetBenchmark,
    PopeBenchmark,
    ScienceQaBenchmark,
    SeedBenchBenchmark,
    TextVqaBenchmark,
    VizWizBenchmark,
    VqaV2Benchmark,
)
from spavl.evaluate.item import Item
from tests.evaluate import skill_files as files
from tests.evaluate.skill_files import opened_skill

Checks = Mapping[str, bool]
"""What was looked at, and whether it is as it should be."""


def _pope(folder: Path) -> Checks:
    rows = [
        {"question_id": n, "image": "a.jpg", "text": "Is there a cup?", "label": ("yes", "no")[n % 2]} for n in (1, 2)
    ]
    files.put(folder, "a.jpg")
    (folder / "coco_pope_popular.json").write_text("\r\n".join(map(json.dumps, rows)))
    files.as_json(folder / "gqa_pope_seem_random.json", rows, start="\ufeff")
    made = opened_skill(PopeBenchmark(path=str(folder), images=str(folder), partial=True), folder)
    return {
        "lines with CRLF and an array with a byte order mark": len(made.items) == 4,
        "ids that restart": len({item.item_id for item in made.items}) == 4,
        "a picture is a cluster": {item.cluster for item in made.items} == {"a.jpg"},
        "no before yes": [item.expected for item in made.items] == ["no", "yes"] * 2,
    }


def _scienceqa(folder: Path) -> Checks:
    items = opened_skill(
        ScienceQaBenchmark(path=str(files.scienceqa(folder)), partial=True, with_picture=False), folder
    ).items  # fmt: skip
    return {
        "ids with gaps, of the split alone": [i.item_id for i in items] == ["test/7", "test/12", "test/13"],
        "answers are places from 0": [i.expected for i in items] == ["A", "C", "A"],
        "questions without a picture": [len(i.images) for i in items] == [0, 1, 1],
        "an empty hint is none": ["Context:" in i.question for i in items] == [False, True, False],
    }


def _mmbench(folder: Path) -> Checks:
    def items_of(*, rotated: bool) -> tuple[Item, ...]:
        path = files.mmbench(folder / f"mmbench_dev_{rotated}.tsv", rotated=rotated)
        return opened_skill(MmBenchBenchmark(path=str(path), partial=True), folder).items

    given, made = items_of(rotated=True), items_of(rotated=False)
    right = {"241": "bowl", "252": "fork"}
    return {
        "base64 and a picture of another row": len({i.images[0].sha256 for i in given}) == 1,
        "rotations by their number": Counter(i.unit for i in given) == {"241": 4, "252": 3},
        "empty and nan options": {len(i.options) for i in given} == {3, 4},
        "the letter moves with its option": all(
            i.options["ABCD".index(i.expected)] == right[i.unit] for i in (*given, *made)
        ),
        "rotations that are made are those of the file": {i.item_id: i.question for i in given}
        == {i.item_id: i.question for i in made},
    }


def _seed_bench(folder: Path) -> Checks:
    path = files.seed_bench(folder)
    spec = SeedBenchBenchmark(path=str(path), images=str(path / "pictures"), partial=True)
    items = opened_skill(spec, folder).items
    return {
        "videos are passed over": [i.item_id for i in items] == ["q1", "q3"],
        "a list of pictures": [len(i.images) for i in items] == [1, 2],
    }


def _textvqa(folder: Path) -> Checks:
    path = files.textvqa(folder)
    spec = TextVqaBenchmark(path=str(path), images=str(path / "train_images"), ocr=True, partial=True)
    items = opened_skill(spec, folder).items
    return {
        "ten answers": all(len(i.answers) == 10 for i in items),
        "OCR tokens of another file": all(i.question.endswith("token: STOP, 4") for i in items),
    }


def _vqav2(folder: Path) -> Checks:
    path = files.vqav2(folder)
    items = opened_skill(VqaV2Benchmark(path=str(path), images=str(path / "val2014"), partial=True), folder).items
    return {
        "annotations in another order": [i.item_id for i in items] == ["42000", "42001", "42002"],
        "names of twelve digits": items[0].images[0].path.name == "COCO_val2014_000000000042.jpg",
        "a picture is a cluster": len({i.cluster for i in items}) == 2,
    }


def _vizwiz(folder: Path) -> Checks:
    path = files.vizwiz(folder)
    items = opened_skill(VizWizBenchmark(path=str(path), images=str(path / "val"), partial=True), folder).items
    return {
        "answers with their confidence": [i.expected for i in items] == ["cup", "unanswerable"],
        "the name is the id": items[0].item_id == "VizWiz_val_00000000.jpg",
    }


def _gqa(folder: Path) -> Checks:
    path = files.gqa(folder)
    items = opened_skill(GqaBenchmark(path=str(path), images=str(path / "images"), partial=True), folder).items
    return {
        "an object by id": [i.item_id for i in items] == ["200", "201", "202"],
        "a picture is a cluster": [i.cluster for i in items] == ["n0", "n0", "n1"],
    }


def _mathvista(folder: Path) -> Checks:
    items = opened_skill(MathVistaBenchmark(path=str(files.mathvista(folder)), partial=True), folder).items
    return {
        "the answer is the text of a choice": items[0].expected == "B",
        "choices that are lists in texts, two alike": items[0].options == ("[0, 2]", "[1, 3]", "[0, 2]"),
        "precision of a float": items[2].notes["precision"] == "1",
        "a list in a text": items[3].expected == "[0, 2]",
    }


def _mmmu(folder: Path) -> Checks:
    items = opened_skill(MmmuBenchmark(path=str(files.mmmu(folder)), partial=True), folder).items
    return {
        "options in a text, nine of them": [len(i.options) for i in items] == [3, 9, 0],
        "pictures in options": [len(i.images) for i in items] == [3, 1, 1],
        "the letter I": items[1].expected == "I",
        "a list of answers in a text": items[2].answers == ("12", "twelve"),
        "other splits in the folder": len(items) == 3,
    }


def _mm_vet(folder: Path) -> Checks:
    items = opened_skill(MmVetBenchmark(path=str(files.mm_vet(folder)), partial=True), folder).items
    return {
        "<AND> and <OR> are kept": [i.notes["reference"] for i in items] == ["-1<AND>-5", "red<OR>the red one"],
        "capabilities": [i.group for i in items] == ["math, ocr", "rec"],
    }


CHECKS: Mapping[str, Callable[[Path], Checks]] = {
    "POPE": _pope, "ScienceQA": _scienceqa, "MMBench": _mmbench, "SEED-Bench": _seed_bench, "TextVQA": _textvqa,
    "VQAv2": _vqav2, "VizWiz": _vizwiz, "GQA": _gqa, "MathVista": _mathvista, "MMMU": _mmmu, "MM-Vet": _mm_vet,
}  # fmt: skip
"""What is looked at, by the benchmark."""


def measures() -> list[Measure]:
    """The share of checks that hold, a benchmark each."""
    return [_measure(name) for name in CHECKS]


def _measure(name: str) -> Measure:
    with tempfile.TemporaryDirectory() as folder:
        checks = CHECKS[name](Path(folder))
    wrong = [what for what, holds in checks.items() if not holds]
    how = f"{', '.join(checks)}" + (f"; wrong: {', '.join(wrong)}" if wrong else "")
    return Measure(f"loader of {name}: quirks read rightly", 1 - len(wrong) / len(checks), 1.0, "", "higher", how)


if __name__ == "__main__":
    run(measures)
