"""Loaders of safety on files of the published sizes and quirks: the share of checks that hold, a benchmark each.

python -m bench.evaluating.loaders_safety --json FILE
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.measures import Measure, run
from spavl.config.benchmarks import (
    AdvBenchBenchmark,
    FigStepBenchmark,
    MmSafetyBenchmark,
    SiuoBenchmark,
    SpaVlBenchmark,
    VlGuardBenchmark,
    VlsBenchBenchmark,
)
from spavl.config.benchmarks.safety import Variant
from spavl.errors import SpavlError
from spavl.evaluate.loaders.safety.mm_safetybench import SIZES
from tests.evaluate import safety_files as files
from tests.evaluate.safety_files import SORRY, opened_safety, rates

Checks = Mapping[str, bool]
"""What was looked at, and whether it is as it should be."""


def refused(spec: Any, folder: Path, says: str) -> bool:
    """Whether the entry is refused by a sentence that holds these words.

    Args:
        spec: the entry.
        folder: for pictures.
        says: the words.
    """
    try:
        opened_safety(spec, folder)
    except SpavlError as error:
        return says in error.render()
    return False


def _spa_vl(folder: Path) -> Checks:
    path = str(files.spa_vl(folder / "whole"))
    made = opened_safety(SpaVlBenchmark(path=path, pairwise=True), folder)
    short = str(files.spa_vl(folder / "short", (265, 264)))
    return {
        "265 and 265": Counter(item.subset for item in made.items) == {"harm": 265, "help": 265},
        "quotes and line ends are kept": made.items[3].question == '"placeholder 3"\n',
        "53 leaves of 5": set(Counter(i.group for i in made.items if i.harmful).values()) == {5},
        "win rates on both": {m.axis for m in made.metrics if m.graded} == {"safety", "helpfulness"},
        "a row too few": refused(SpaVlBenchmark(path=short), folder, "help: 264 of 265"),
    }


def _mm_safetybench(folder: Path) -> Checks:
    path = str(files.mm_safetybench(folder / "mm", ("SD", "SD_TYPO", "TYPO")))
    text = opened_safety(MmSafetyBenchmark(path=path, variants=("text",)), folder)
    variants: tuple[Variant, ...] = ("text", "SD", "SD_TYPO", "TYPO")
    tiny = opened_safety(MmSafetyBenchmark(path=path, variants=variants, tiny=True), folder)
    asked = {item.item_id: item.question for item in tiny.items}
    found = rates(tiny, lambda item: "mm-safetybench-health" if item.item_id.endswith("/SD") else SORRY)
    hub = MmSafetyBenchmark(path=str(files.mm_safetybench_hub(folder / "hub")), partial=True, variants=variants)
    return {
        "1,680 by scenario, gaps between ids": Counter(i.group for i in text.items)
        == {scenario: size for scenario, (size, _) in SIZES.items()},
        "the tiny list of the root, ids as numbers": len(tiny.items) == 4 * 168,
        "a wording for every variant": [asked[f"05-EconomicHarm/132/{v}"] for v in variants]
        == ["plain 132", "sd 132\n", "typo 132", "typo 132"],
        "a question is a cluster": len({item.cluster for item in tiny.items}) == 168,
        "eight scenarios of harm, five of advice": len({i.group for i in tiny.items if i.harmful}) == 8,
        "each by its own rubric": abs((found["policy_unsafe_rate_SD"] or 0) - 11 / 71) < 1e-9
        and found["unsafe_rate"] == 0,
        "the Hub's folders": len(opened_safety(hub, folder).items) == 16,
        "pictures that are missing": refused(MmSafetyBenchmark(path=path), folder, "missing or cannot be read"),
    }


def _advbench(folder: Path) -> Checks:
    path = str(files.advbench(folder / "a"))
    (folder / "suffix.txt").write_bytes(b"\xef\xbb\xbfwith milk\r\n")
    made = opened_safety(AdvBenchBenchmark(path=path, suffix=str(folder / "suffix.txt"), image="blank"), folder)
    short = str(files.advbench(folder / "short", 519))
    return {
        "520, and 520 with the suffix": Counter(i.subset for i in made.items) == {"vanilla": 520, "suffix": 520},
        "a byte order mark, commas and quotes": made.items[3].question == 'Placeholder "3", about a teapot',
        "a suffix with a line end": made.items[523].question == 'Placeholder "3", about a teapot with milk',
        "both of a request are a cluster": len({item.cluster for item in made.items}) == 520,
        "the hash of the suffix": len(made.source.rpartition(" ")[2]) == 64,
        "a grey picture": {item.shown for item in made.items} == {"blank"},
        "a row too few": refused(AdvBenchBenchmark(path=short), folder, "vanilla: 519 of 520"),
    }


def _vlguard(folder: Path) -> Checks:
    path = files.vlguard(folder / "v")
    made = opened_safety(VlGuardBenchmark(path=str(path), pairwise=True), folder)
    named = {True: "good", False: "bad"}
    (path / "test.json").rename(path / "train.json")
    train = VlGuardBenchmark(path=str(path / "train.json"))
    return {
        "442, 558 and 558": Counter(item.subset for item in made.items)
        == {"unsafes": 442, "safe_unsafes": 558, "safe_safes": 558},
        "two objects in either order": all(item.question.startswith(named[item.benign]) for item in made.items),
        "pairs of two": set(Counter(item.unit for item in made.items if item.unit).values()) == {2},
        "answers of GPT-4V by id": all(("reference" in item.notes) == item.benign for item in made.items),
        "a pair needs both": rates(made, lambda item: SORRY)["pair_accuracy"] == 0.0,
        "the training set": refused(train, folder, "no test set"),
    }


def _vlsbench(folder: Path) -> Checks:
    path = str(files.vlsbench(folder / "v"))
    made = opened_safety(VlsBenchBenchmark(path=path), folder)
    return {
        "2,241 by category": Counter(item.group for item in made.items) == files.CATEGORIES,
        "ids from 0": made.items[0].item_id == "0",
        "the empty instruction of 1685 is not asked": [i.item_id for i in made.items if i.missing] == ["1685"],
        "a picture is a cluster": len({item.cluster for item in made.items}) == 9,
        "caption and warning": set(made.items[0].notes) == {"caption", "warning", "subcategory"},
    }


def _siuo(folder: Path) -> Checks:
    path = str(files.siuo(folder / "s"))
    made = opened_safety(SiuoBenchmark(path=path), folder)
    options = opened_safety(SiuoBenchmark(path=path, part="mcqa"), folder)
    found = rates(options, lambda item: "D" if item.item_id == "1003" else item.expected)
    return {
        "167 and 167": (len(made.items), len(options.items)) == (167, 167),
        "warning and reference": set(made.items[0].notes) == {"warning", "reference"},
        "an option of 11,000 letters": max(map(len, options.items[1].options)) > 11_000,
        "options of one text": found["siuo_mcqa_accuracy"] == 1.0,
        "three equal answers": refused(SiuoBenchmark(path=path, samples=3), folder, "same answer 3 times"),
    }


def _figstep(folder: Path) -> Checks:
    path = files.figstep(folder / "f")
    whole, tiny = (
        opened_safety(FigStepBenchmark(path=str(path), prompt=files.ASKED, tiny=small), folder)
        for small in (False, True)
    )
    benign = path / "data" / "question" / "benign_sentences_without_harmful_phase.csv"
    extra = FigStepBenchmark(path=str(benign), prompt="?", partial=True)
    return {
        "500, and 50 with CRLF": (len(whole.items), len(tiny.items)) == (500, 50),
        "a picture by topic and task": tiny.items[7].images[0].path.name == "query_ForbidQI_2_3_6.png",
        "three topics of advice apart": len({i.group for i in whole.items if not i.harmful}) == 3,
        "a line with a cell too many": refused(extra, folder, "7 cells"),
        "no text to ask": refused(FigStepBenchmark(path=str(path)), folder, "not shipped"),
    }


CHECKS: Mapping[str, Callable[[Path], Checks]] = {
    "SPA-VL": _spa_vl, "MM-SafetyBench": _mm_safetybench, "AdvBench": _advbench, "VLGuard": _vlguard,
    "VLSBench": _vlsbench, "SIUO": _siuo, "FigStep": _figstep,
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
