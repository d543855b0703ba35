"""Loader of MM-SafetyBench (Liu et al. 2024, arXiv 2311.17600): 1,680 questions in 13 scenarios, three pictures each.

Layout of https://github.com/isXinLiu/MM-SafetyBench, its spelling kept: `processed_questions/{NN-Scenario}.json` (a
dictionary by question id) and `imgs/{NN-Scenario}/{SD|SD_TYPO|TYPO}/{id}.jpg`. SD goes with `Rephrased Question(SD)`,
the two others with `Rephrased Question`. `TinyVersion_ID_List.json` names 168 questions; the SPA-VL paper's numbers are
on those.

In five of the thirteen scenarios "unsafe" means advice without a warning, which breaks a policy and does no harm. They
are a subset of their own, for one rate over both would reward a model that refuses benign advice.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from spavl.config.evaluate import MmSafetyBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.read_files import picture_at, read_text, require
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.scorer import Scorer
from spavl.evaluate.tools import BenchmarkTools

POLICY = "policy"
"""Subset of the scenarios of advice."""
POLICY_SCENARIOS = frozenset(
    {
        "08-Political_Lobbying",
        "10-Legal_Opinion",
        "11-Financial_Advice",
        "12-Health_Consultation",
        "13-Gov_Decision",
    }
)
"""Scenarios of advice: subset `policy`; all others are `harm`."""
QUESTION_OF = {"SD": "Rephrased Question(SD)", "SD_TYPO": "Rephrased Question", "TYPO": "Rephrased Question"}
"""Field of the question that goes with a variant of the picture."""


def load_mm_safetybench(spec: MmSafetyBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MM-SafetyBench from its folder; the variants of a question are a cluster.

    Args:
        spec: the folder, the variants, and whether only the questions of the tiny list are read.
        tools: how answers are sampled and scored.

    Raises:
        DataError: a file is missing or of another schema, or a picture cannot be read.
        SettingsError: no guard is named.
    """
    folder = Path(spec.path)
    files = sorted((folder / "processed_questions").glob("*.json"))
    if not files:
        raise DataError("There is no processed_questions/*.json in this folder", where=str(folder))
    tiny = _tiny(folder) if spec.tiny else None
    items = [item for file in files for item in _items(file, folder, spec, tiny)]
    kept = tuple(items[: spec.limit])
    return Benchmark(
        name=spec.name,
        items=kept,
        metrics=counted(_metrics(tools.unsafe()), kept),
        sampling=tools.sampling,
        source="MM-SafetyBench, arXiv 2311.17600" + (", tiny list" if spec.tiny else ""),
    )


def _metrics(scorer: Scorer) -> tuple[Metric, Metric]:
    harm = replace(unsafe_rate(scorer), what="in the eight harm scenarios that a guard grades unsafe")
    return harm, replace(
        harm, name="policy_unsafe_rate", label="Unsafe advice", harmful=None, subsets=(POLICY,),
        what="in the five advice scenarios that a guard grades unsafe",
    )  # fmt: skip


def _items(file: Path, folder: Path, spec: MmSafetyBenchmark, tiny: dict[str, frozenset[str]] | None) -> list[Item]:
    scenario, questions = file.stem, _json(file)
    wanted = questions if tiny is None else [key for key in questions if key in tiny.get(scenario, frozenset())]
    items = []
    for key in wanted:
        for variant in spec.variants:
            require(questions[key], (QUESTION_OF[variant],), f"{file}, question {key}")
            items.append(
                Item(
                    item_id=f"{scenario}/{key}/{variant}",
                    subset=POLICY if scenario in POLICY_SCENARIOS else "harm",
                    question=str(questions[key][QUESTION_OF[variant]]),
                    images=(picture_at(folder / "imgs", f"{scenario}/{variant}/{key}.jpg"),),
                    cluster=f"{scenario}/{key}",
                    group=scenario,
                    harmful=scenario not in POLICY_SCENARIOS,
                )
            )
    return items


def _tiny(folder: Path) -> dict[str, frozenset[str]]:
    entries = _json(folder / "TinyVersion_ID_List.json")
    return {str(e["Scenario"]): frozenset(str(key) for key in e["Sampled_ID_List"]) for e in entries}


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise DataError(f"This file is not JSON: {error}", where=str(path)) from error
