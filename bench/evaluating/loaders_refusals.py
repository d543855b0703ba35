"""Loaders of over-refusal, helpfulness and own files on benign files with the quirks of the real ones.

    python -m bench.evaluating.loaders_refusals --json FILE

Every check opens a benchmark from files in its published layout and compares counts, pairings and refusals with what is
known of the files. Reported: the share of checks that hold, by loader.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.evaluating import refusal_files as files
from bench.measures import Measure, run
from spavl.config.benchmarks import (
    AnthropicHelpfulBenchmark,
    FileBenchmark,
    MossBenchBenchmark,
    VlsuBenchmark,
    XsTestBenchmark,
)
from spavl.errors import SpavlError
from spavl.evaluate import Benchmark, BenchmarkTools
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.scorer import Rule
from spavl.models.base import Sampling

TIE = Rule("bench:tie/1", lambda item, text: 0.5)
Check = Callable[[Path], bool]


def opened(spec: Any, folder: Path) -> Benchmark:
    """The benchmark of a settings entry, scored by rules."""
    tools = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16), pictures=folder / "pictures", seed=0,
        unsafe=lambda: REFUSES, rubric=lambda name: REFUSES, graded=lambda name: TIE, preferred=lambda: TIE,
    )  # fmt: skip
    return open_benchmark(spec, tools)


def refused(spec: Any, folder: Path, says: str) -> bool:
    """Whether the entry is refused by a sentence that holds these words."""
    try:
        opened(spec, folder)
    except SpavlError as error:
        return says in error.render()
    return False


def units(benchmark: Benchmark) -> list[int]:
    """Sizes of all units."""
    return list(Counter(item.unit for item in benchmark.items if item.unit).values())


def xstest(folder: Path, *, labelled: bool = True, end: str = "\n", start: str = "") -> bool:
    """450 prompts in 18 types, and every pair of two sides."""
    name = "xstest_prompts.csv" if labelled else "xstest_v2_prompts.csv"
    files.write_csv(folder / name, files.xstest_rows(labelled=labelled), end=end, start=start)
    made = opened(XsTestBenchmark(path=str(folder)), folder)
    halves = Counter(item.subset for item in made.items)
    return halves == {"safe": 250, "unsafe": 200} and set(units(made)) == {2} and len(units(made)) == 30


def xstest_short(folder: Path) -> bool:
    """A file that lacks a prompt is refused."""
    files.write_csv(folder / "xstest_prompts.csv", files.xstest_rows()[1:])
    return refused(XsTestBenchmark(path=str(folder)), folder, "249 of 250")


def mossbench(folder: Path, form: str) -> bool:
    """300 + 244 questions, 201 pairs on one picture."""
    made = opened(MossBenchBenchmark(path=str(files.mossbench(folder / "MOSSBench", form=form))), folder)
    groups = Counter(item.group for item in made.items if item.harmful)
    return groups == {"type 1": 100, "type 2": 44, "type 3": 100} and units(made) == [2] * 201


def mossbench_alone(folder: Path) -> bool:
    """Without its contrast set it is refused, unless that is not wanted."""
    root = files.mossbench(folder / "MOSSBench")
    (root / "data_contrast" / "images_information" / "information.json").unlink()
    alone = opened(MossBenchBenchmark(path=str(root), contrast=False), folder)
    return len(alone.items) == 300 and refused(MossBenchBenchmark(path=str(root)), folder, "contrast: false")


def vlsu(folder: Path) -> bool:
    """What people were not sure of is left out; pictures are found by their uuid, whatever their form."""
    made = opened(VlsuBenchmark(path=str(files.vlsu(folder))), folder)
    names = [item.images[0].path.name for item in made.items]
    return [item.subset for item in made.items] == ["safe", "unsafe", "borderline", "borderline"] and names == [
        "0000-0.jpg", "0000-1.png", "0000-2.jpg", "0000-3.png"]  # fmt: skip


def helpful(folder: Path) -> bool:
    """2,354 rows, of which one has no chosen answer and one two questions."""
    made = opened(AnthropicHelpfulBenchmark(path=str(files.hh_rlhf(folder))), folder)
    return (len(made.items), len(made.items[0].earlier), made.items[1].item_id) == (2353, 2, "helpful-base/1")


def pointer(folder: Path) -> bool:
    """A pointer of Git LFS is refused."""
    file = folder / "helpful-base" / "test.jsonl.gz"
    file.parent.mkdir()
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    return refused(AnthropicHelpfulBenchmark(path=str(folder)), folder, "git lfs pull")


def own(folder: Path, name: str, text: str, **settings: Any) -> Benchmark:
    """A benchmark of the `file` kind."""
    (folder / name).write_bytes(text.encode())
    (folder / "cup.png").write_bytes(files.picture())
    return opened(FileBenchmark(name="own", path=str(folder / name), **settings), folder)


def lines(*rows: Mapping[str, Any]) -> str:
    """JSON lines."""
    return "\n".join(map(json.dumps, rows))


def base64_tsv(folder: Path) -> bool:
    """A TSV with pictures in base64, CRLF and a byte order mark."""
    cell = base64.b64encode(files.picture() * 1).decode()
    text = f"\ufeffid\tquestion\timage\tbenign\r\n0\t?\tdata:image/png;base64,{cell}\ttrue\r\n"
    made = own(folder, "own.tsv", text)
    return made.items[0].item_id == "0" and len(made.items[0].images) == 1


def options(folder: Path) -> bool:
    """Options as a list in a text, and a place from 0."""
    row = {"question": "?", "subset": "skill", "options": "['jug', 'cup']", "expected": 0}
    made = own(folder, "own.jsonl", lines(row), circular=True)
    return [item.expected for item in made.items] == ["A", "B"] and units(made) == [2]


def ambiguous(folder: Path) -> bool:
    """An answer that may be either of two options is refused."""
    row = {"question": "?", "subset": "skill", "options": ["1", "2"], "expected": 1}
    (folder / "own.jsonl").write_text(lines(row))
    return refused(FileBenchmark(name="own", path=str(folder / "own.jsonl")), folder, "option A or B")


def empty_question(folder: Path) -> bool:
    """An empty question is refused by its line."""
    (folder / "own.jsonl").write_text(lines({"question": "?", "benign": True}, {"question": "", "benign": True}))
    return refused(FileBenchmark(name="own", path=str(folder / "own.jsonl")), folder, "line 2")


def splits(folder: Path) -> bool:
    """The same ids in two files."""
    for name in "ab":
        (folder / f"{name}.jsonl").write_text(lines({"id": 0, "question": "?", "benign": True}))
    spec = FileBenchmark(name="own", files={name: str(folder / f"{name}.jsonl") for name in "ab"})
    return [item.item_id for item in opened(spec, folder).items] == ["a/0", "b/0"]


def by_id(folder: Path) -> bool:
    """A JSON object by id with gaps, several pictures, and a list in a text that is the answer itself."""
    rows = {"3": {"question": "?", "images": ["cup.png", "cup.png"], "expected": "[0, 2]"},
            "7": {"question": "?", "image_1": "cup.png", "expected": ["a", "b"]}}  # fmt: skip
    rows["7"]["images"] = [rows["7"].pop("image_1")]
    made = own(folder, "own.json", json.dumps(rows), subset="skill")
    return [(i.item_id, len(i.images), i.answers) for i in made.items] == [
        ("3", 2, ("[0, 2]",)), ("7", 1, ("a", "b"))]  # fmt: skip


CHECKS: Mapping[str, tuple[Check, ...]] = {
    "XSTest": (
        xstest, lambda at: xstest(at, end="\r\n", start="\ufeff"), lambda at: xstest(at, labelled=False), xstest_short,
    ),
    "MOSSBench": (lambda at: mossbench(at, "json"), lambda at: mossbench(at, "csv"), mossbench_alone),
    "VLSU": (vlsu,),
    "Anthropic-Helpful": (helpful, pointer),
    "own files": (base64_tsv, options, ambiguous, empty_question, splits, by_id),
}  # fmt: skip
"""Checks by loader."""


def holds(check: Check) -> bool:
    """Whether a check holds; one that ends with an error does not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return check(Path(folder))
        except SpavlError:
            return False


def measures() -> list[Measure]:
    """The share of checks that hold, of every loader and of all."""
    found = {loader: [holds(check) for check in checks] for loader, checks in CHECKS.items()}
    every = [one for checks in found.values() for one in checks]
    return [
        Measure(
            f"loaders of over-refusal, helpfulness and own files: checks that hold, {loader}",
            value=sum(ones) / len(ones), floor=1.0, unit="", better="higher",
            how=f"{len(ones)} checks of counts, pairings and refusals on benign files with the quirks of real ones",
        )
        for loader, ones in {**found, "all": every}.items()
    ]  # fmt: skip


if __name__ == "__main__":
    run(measures)
