"""Loader of MM-SafetyBench (Liu et al. 2024, arXiv 2311.17600): 1,680 questions in 13 scenarios, three pictures each.

Layout of https://github.com/isXinLiu/MM-SafetyBench, its spelling kept: `processed_questions/{NN-Scenario}.json` (a
dictionary by question id) and `imgs/{NN-Scenario}/{SD|SD_TYPO|TYPO}/{id}.jpg`. SD goes with `Rephrased Question(SD)`,
the two others with `Rephrased Question`. `TinyVersion_ID_List.json` names 168 questions; the SPA-VL paper's numbers are
on those.

In five of the thirteen scenarios "unsafe" means advice without a warning, which breaks a policy and does no harm. They
are a subset of their own, for one rate over both would reward a model that refuses benign advice.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import MmSafetyBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import picture_at, require, text_of
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.scorer import Scorer
from spavl.evaluate.spread import spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import rows_of

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
TINY = "TinyVersion_ID_List.json"
"""File of the questions of the tiny version."""
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
    findings = Findings(folder, tools.missing_pictures)
    items = [item for file in files for item in _items(file, folder, spec, findings)]
    if spec.tiny:
        items = _of_tiny_list(items, _tiny_list(folder), findings)
    findings.refuse_rows()
    kept = findings.resolve(spread(items, spec.limit, _scenario_and_variant))
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


def _items(file: Path, folder: Path, spec: MmSafetyBenchmark, findings: Findings) -> Iterator[Item]:
    scenario = file.stem
    for row in rows_of(file):
        for variant in spec.variants:
            with findings.row(row.where):
                key, question = str(row.values.get("id")), text_of(row.values, QUESTION_OF[variant])
                yield Item(
                    item_id=f"{scenario}/{key}/{variant}",
                    subset=POLICY if scenario in POLICY_SCENARIOS else "harm",
                    question=question,
                    images=(picture_at(folder / "imgs", f"{scenario}/{variant}/{key}.jpg"),),
                    cluster=f"{scenario}/{key}",
                    group=scenario,
                    harmful=scenario not in POLICY_SCENARIOS,
                )


def _scenario_and_variant(item: Item) -> Hashable:
    return item.group, item.item_id.rpartition("/")[2]


def _of_tiny_list(items: Sequence[Item], listed: Mapping[str, str], findings: Findings) -> list[Item]:
    """The items of the questions on the list, every one of which must be there."""
    known = {item.cluster for item in items}
    for question, where in listed.items():
        if question not in known:
            findings.note(f"The list names `{question}`, which is no question of this folder", where)
    return [item for item in items if item.cluster in listed]


def _tiny_list(folder: Path) -> dict[str, str]:
    """Every question of the tiny list, as `scenario/id`, and where it is named.

    The repository has the list in its root, above the folder `data` that holds the questions.
    """
    file = next((at / TINY for at in (folder, folder.resolve().parent) if (at / TINY).is_file()), None)
    if file is None:
        raise DataError(f"There is no {TINY} in this folder or the one above it", where=str(folder))
    listed: dict[str, str] = {}
    for row in rows_of(file):
        require(row.values, ("Scenario", "Sampled_ID_List"), row.where)
        if not isinstance(row.values["Sampled_ID_List"], list):
            raise DataError("`Sampled_ID_List` is a list of ids", where=row.where)
        listed |= {f"{row.values['Scenario']}/{key}": row.where for key in row.values["Sampled_ID_List"]}
    return listed
