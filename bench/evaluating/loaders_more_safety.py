"""Further loaders of safety on small files with the quirks of the real ones: the share of checks that hold, each.

python -m bench.evaluating.loaders_more_safety --json FILE
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.measures import Measure, run
from spavl.config.benchmarks import JailbreakVBenchmark, MirSafetyBenchmark, MssBenchmark, SafeMtBenchmark
from spavl.errors import DataError
from spavl.evaluate import Answer, Benchmark, score, summarise
from tests.evaluate import more_safety_files as files
from tests.evaluate.more_safety_files import opened_safety
from tests.evaluate.skill_files import as_json, parquet

Checks = Mapping[str, bool]
"""What was looked at, and whether it is as it should be."""
SURE, SORRY = "sure, here it is", "I'm sorry, I cannot help with that."


def _rates(made: Benchmark, *texts: str) -> dict[str, float | None]:
    answers = [
        Answer(item=item, benchmark=made.name, model="m", text=text, status="ok", call="", tokens=1)
        for item, text in zip(made.items, texts, strict=True)
    ]
    return {name: rate.value for name, rate in summarise(score(made, answers)).items()}


def _refused(spec: Any, folder: Path, saying: str) -> bool:
    try:
        opened_safety(spec, folder)
    except DataError as error:
        return saying in str(error)
    return False


def _mssbench(folder: Path) -> Checks:
    spec = MssBenchmark(path=str(files.mssbench(folder)))
    made = opened_safety(spec, folder)
    chat = opened_safety(spec.model_copy(update={"parts": ("chat",)}), folder)
    pairs = [_rates(chat, *texts * 3)["pair_accuracy"] for texts in ([SURE, SURE], [SORRY, SORRY], [SURE, SORRY])]
    limited = opened_safety(spec.model_copy(update={"limit": 5}), folder)
    (folder / "chat/roof.jpg").unlink()
    return {
        "a query is asked beside both pictures": set(Counter(item.unit for item in made.items).values()) == {2},
        "an instruction beside its own picture": [i.question[-5:] for i in made.items[-2:]] == ["table", "stove"],
        "one side is harmless": sum(i.benign for i in made.items) == sum(i.harmful for i in made.items) == 5,
        "a caption of the unsafe picture alone": [bool(i.notes) for i in made.items[:2]] == [False, True],
        "always and never complying make no pair right": pairs == [0.0, 0.0, 1.0],
        "a limit keeps pairs whole": set(Counter(item.unit for item in limited.items).values()) == {2},
        "a missing picture": _refused(spec, folder, "cannot be read: 1 of"),
    }


def _jailbreakv(folder: Path) -> Checks:
    spec = JailbreakVBenchmark(path=str(files.jailbreakv(folder)), partial=True)
    made = opened_safety(spec, folder)
    mini = files.jailbreakv(folder / "mini", "mini_JailBreakV_28K", 280)
    return {
        "line breaks in a cell": made.items[0].question.count("\n") == 2,
        "a request is a cluster": len({item.cluster for item in made.items}) == 2,
        "formats are subsets": len(made.metrics) == 3,
        "pictures beside the table": made.items[0].images[0].path.name == "0.png",
        "the mini version": len(opened_safety(JailbreakVBenchmark(path=str(mini), mini=True), folder).items) == 280,
        "another count": _refused(spec.model_copy(update={"partial": False}), folder, "4 of 28,000"),
    }


def _mir_safetybench(folder: Path) -> Checks:
    spec = MirSafetyBenchmark(path=str(files.mir_safetybench(folder / "original")), partial=True)
    made = opened_safety(spec, folder)
    parquet(folder / "hub/train-00000-of-00001.parquet", files.mir_hub_rows())
    hub = opened_safety(MirSafetyBenchmark(path=str(folder / "hub"), partial=True), folder)
    return {
        "ids that begin anew": len({item.item_id for item in made.items}) == 8,
        "several pictures": [len(item.images) for item in made.items] == [2, 3] * 4,
        "a request in a category is a cluster": len({item.cluster for item in made.items}) == 4,
        "relations are subsets": len(made.metrics) == 3,
        "ids as text on the Hub": [i.item_id for i in hub.items] == [i.item_id for i in made.items],
        "another count": _refused(spec.model_copy(update={"partial": False}), folder, "Analogy: 4 of 318"),
    }


def _safemt(folder: Path) -> Checks:
    spec = SafeMtBenchmark(path=str(files.safemt(folder / "git")), turns=(1, 2, 4), partial=True)
    made = opened_safety(spec, folder)
    hub = SafeMtBenchmark(path=str(files.safemt(folder / "hub", hub=True)), turns=(1, 2, 4), partial=True)
    rise = _rates(made, SORRY, SORRY, SURE, SORRY, SURE, SURE)
    same = [item.earlier[0].text if item.earlier else "" for item in opened_safety(hub, folder).items]
    checks = {
        "the picture is in the first turn": all(len(i.pictures) == 1 and not (i.earlier and i.images)
                                                for i in made.items),
        "a request is a unit in all lengths": set(Counter(i.unit for i in made.items).values()) == {3},
        "unsafe answers by the number of turns": [*rise.values()][1:] == [0.0, 0.5, 1.0],
        "a slash first and dialogues as JSON in a text": same == [i.earlier[0].text if i.earlier else ""
                                                                  for i in made.items],
        "a length that is not there": _refused(spec.model_copy(update={"turns": (8,)}), folder, "no 8_turn.json"),
    }  # fmt: skip
    rows = [{**files.safemt_row(1, 2), "dialogue": files.said("one", "two")}]
    as_json(folder / "git/Data/2_turn.json", rows)
    checks["a last turn of the assistant"] = _refused(spec, folder, "alternate")
    as_json(folder / "git/Data/2_turn.json", [{**files.safemt_row(1, 1), "dialogue": files.said("<image>\nrequest 1")}])
    marked = opened_safety(spec.model_copy(update={"turns": (2,)}), folder).items[0]
    return {**checks, "a mark for the picture": marked.question == "request 1", "its true length":
            marked.subset == "1 turn"}  # fmt: skip


CHECKS: Mapping[str, Callable[[Path], Checks]] = {
    "MSSBench": _mssbench, "JailBreakV-28K": _jailbreakv, "MIR-SafetyBench": _mir_safetybench, "SafeMT": _safemt,
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
