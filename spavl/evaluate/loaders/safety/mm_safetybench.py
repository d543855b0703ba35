"""Loader of MM-SafetyBench (Liu et al. 2024, arXiv 2311.17600): 1,680 questions in 13 scenarios, three pictures each.

Layout of https://github.com/isXinLiu/MM-SafetyBench, its spelling kept: `processed_questions/{NN-Scenario}.json` (a
dictionary by question id, with gaps) and `imgs/{NN-Scenario}/{SD|SD_TYPO|TYPO}/{id}.jpg`. SD goes with `Rephrased
Question(SD)`, the two others with `Rephrased Question`; the variant `text` asks `Question` without a picture.
`TinyVersion_ID_List.json` names 168 questions; the SPA-VL paper's numbers are on those. The Hub's copy
(PKU-Alignment/MM-SafetyBench) has a folder a scenario, without its number, and in it a Parquet file a variant of
`id, question, image`; its `Text_only` has another wording (`Changed Question`).

In five of the thirteen scenarios "unsafe" means advice without a warning, which breaks a policy and does no harm. They
are subsets of their own, each graded by its own rubric, for one rate over both would reward a model that refuses benign
advice. Papers report all thirteen together; that rate is measured where `rubrics: official` asks for their protocol.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import MmSafetyBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.combined_scorer import ByPart
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import inline_picture, nothing_found
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import picture_at, require, text_of
from spavl.evaluate.loaders.source import Source, check_counts
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.spread import spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import rows_of

HARM, POLICY = "harm", "policy"
"""Beginnings of the subsets: scenarios of harm and of advice, each followed by the variant, as in `harm-SD`."""
POLICY_RUBRICS: Mapping[str, str] = {
    "08-Political_Lobbying": "mm-safetybench-lobbying",
    "10-Legal_Opinion": "mm-safetybench-legal",
    "11-Financial_Advice": "mm-safetybench-financial",
    "12-Health_Consultation": "mm-safetybench-health",
    "13-Gov_Decision": "mm-safetybench-government",
}
"""Scenarios of advice, and what each is graded by; all others are of harm."""
GENERAL_RUBRIC = "mm-safetybench-general"
"""What scenarios of harm are graded by in the official protocol."""
SIZES: Mapping[str, tuple[int, int]] = {
    "01-Illegal_Activitiy": (97, 10), "02-HateSpeech": (163, 16), "03-Malware_Generation": (44, 5),
    "04-Physical_Harm": (144, 14), "05-EconomicHarm": (122, 12), "06-Fraud": (154, 15), "07-Sex": (109, 11),
    "08-Political_Lobbying": (153, 15), "09-Privacy_Violence": (139, 14), "10-Legal_Opinion": (130, 13),
    "11-Financial_Advice": (167, 17), "12-Health_Consultation": (109, 11), "13-Gov_Decision": (149, 15),
}  # fmt: skip
"""Questions of every scenario, in all and on the tiny list."""
SOURCE = Source(
    title="MM-SafetyBench", paper="arXiv 2311.17600",
    get="take data/ of https://github.com/isXinLiu/MM-SafetyBench with the pictures that its README links to, or the"
    " Parquet files of PKU-Alignment/MM-SafetyBench",
    licence="CC BY-NC 4.0", commercial=False, counts={scenario: full for scenario, (full, _) in SIZES.items()},
)  # fmt: skip
"""Where it comes from."""
TINY = "TinyVersion_ID_List.json"
"""File of the questions of the tiny version."""
TEXT = "text"
QUESTION_OF = {
    TEXT: "Question", "SD": "Rephrased Question(SD)", "SD_TYPO": "Rephrased Question", "TYPO": "Rephrased Question",
}  # fmt: skip
"""Field of the question that goes with a variant."""
HUB_SPLIT = {TEXT: "Text_only", "SD": "SD", "SD_TYPO": "SD_TYPO", "TYPO": "TYPO"}
"""What the Hub's files call a variant."""
HUB_FOLDERS = {scenario.partition("-")[2]: scenario for scenario in SIZES}
"""Scenario by the Hub's folder."""


def load_mm_safetybench(spec: MmSafetyBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MM-SafetyBench from its folder or the Hub's Parquet files; the variants of a question are a cluster.

    Args:
        spec: the folder, the variants, and whether only the questions of the tiny list are read.
        tools: how answers are sampled and scored.

    Raises:
        DataError: a file is missing or of another schema, the counts are others, or a picture cannot be read.
        SettingsError: no guard is named.
    """
    root = Path(spec.path)
    folder = root / "data" if (root / "data" / "processed_questions").is_dir() else root
    findings = Findings(folder, tools.missing_pictures)
    if files := sorted((folder / "processed_questions").glob("*.json")):
        items = [item for file in files for item in _items(file, folder, spec, findings)]
    else:
        items = [item for variant in spec.variants for item in _hub_items(folder, variant, tools, findings)]
    if spec.tiny:
        items = _of_tiny_list(items, _tiny_list(folder), findings)
    findings.refuse_rows()
    counts = {scenario: sizes[spec.tiny] for scenario, sizes in SIZES.items()}
    for variant in spec.variants:
        own = [item for item in items if _variant(item) == variant]
        check_counts(own, replace(SOURCE, counts=counts), lambda item: item.group, folder, partial=spec.partial)
    kept = findings.resolve(spread(items, spec.limit, _scenario_and_variant))
    return Benchmark(
        name=spec.name,
        items=kept,
        metrics=counted(_metrics(spec, tools, kept), kept),
        sampling=tools.sampling,
        source="MM-SafetyBench, arXiv 2311.17600" + (", tiny list" if spec.tiny else ""),
    )


def _metrics(spec: MmSafetyBenchmark, tools: BenchmarkTools, items: Sequence[Item]) -> list[Metric]:
    """Unsafe answers of harm and of advice, over all variants and in each."""
    official = spec.rubrics == "official"
    grades = tools.rubric(GENERAL_RUBRIC) if official else tools.unsafe()
    by_rubric = {scenario: tools.rubric(rubric) for scenario, rubric in POLICY_RUBRICS.items()}
    harm = replace(
        unsafe_rate(grades), harmful=None, subsets=tuple(f"{HARM}-{variant}" for variant in spec.variants),
        what="in the eight harm scenarios that a guard grades unsafe",
    )  # fmt: skip
    policy = replace(
        harm, name="policy_unsafe_rate", label="Unsafe advice", scorer=ByPart("group", by_rubric),
        subsets=tuple(f"{POLICY}-{variant}" for variant in spec.variants),
        what="in the five advice scenarios that a guard grades unsafe, each by its own rubric",
    )  # fmt: skip
    mains = [harm, policy]
    if official:
        whole = {**dict.fromkeys((s for s in SIZES if s not in POLICY_RUBRICS), grades), **by_rubric}
        mains.append(
            replace(
                harm, name="all_unsafe_rate", label="Unsafe answers of all scenarios", subsets=(),
                scorer=ByPart("group", whole),
                what="in all thirteen scenarios that are graded unsafe by the rubric of their scenario",
            )
        )  # fmt: skip
    if len(spec.variants) == 1:
        return mains
    return [
        *(_over_variants(main, items) for main in mains),
        *(_of_variant(main, variant) for main in mains for variant in spec.variants),
    ]


def _over_variants(metric: Metric, items: Sequence[Item]) -> Metric:
    """The metric, saying whether it is the mean of its variants' rates: where all have as many items."""
    sizes: dict[str, int] = {}
    for item in filter(metric.counts, items):
        sizes[_variant(item)] = sizes.get(_variant(item), 0) + 1
    counts = sorted(set(sizes.values()))
    alike = f"the mean over {len(sizes)} variants of {counts[0]:,} items each" if len(counts) == 1 else (
        "over variants of different numbers of items"
    )  # fmt: skip
    return replace(metric, what=f"{metric.what}; {alike}")


def _of_variant(metric: Metric, variant: str) -> Metric:
    own = tuple(subset for subset in metric.subsets if subset.rpartition("-")[2] == variant)
    return replace(
        metric, name=f"{metric.name}_{variant}", label=f"{metric.label}, {variant}",
        subsets=own or tuple(f"{start}-{variant}" for start in (HARM, POLICY)),
        what=f"{metric.what}, variant {variant}",
    )  # fmt: skip


def _items(file: Path, folder: Path, spec: MmSafetyBenchmark, findings: Findings) -> Iterator[Item]:
    scenario = file.stem
    for row in rows_of(file):
        for variant in spec.variants:
            with findings.row(row.where):
                key, question = str(row.values.get("id")), text_of(row.values, QUESTION_OF[variant])
                item = _item(scenario, key, variant, question)
                if variant == TEXT:
                    yield item
                else:
                    image = picture_at(folder / "imgs", f"{scenario}/{variant}/{key}.jpg")
                    yield replace(item, images=(image,), shown="picture")


def _hub_items(folder: Path, variant: str, tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    """The items of a variant, of all scenarios in their order; the folder may be any above theirs."""
    split = HUB_SPLIT[variant]
    found = [file for form in (f"{split}.parquet", f"{split}-*.parquet") for file in sorted(folder.rglob(form))]
    files = sorted(
        (HUB_FOLDERS[part], file) for file in found for part in file.parts[-2:-1] if part in HUB_FOLDERS
    )  # fmt: skip
    if not files:
        raise nothing_found(folder, SOURCE)
    for scenario, file in files:
        for row in rows_of(file):
            with findings.row(row.where):
                require(row.values, ("id", "question"))
                item = _item(scenario, str(row.values["id"]), variant, text_of(row.values, "question"))
                if variant == TEXT:
                    yield item
                else:
                    yield replace(item, images=(inline_picture(row.values, tools),), shown="picture")


def _item(scenario: str, key: str, variant: str, question: str) -> Item:
    """The item without its picture."""
    policy = scenario in POLICY_RUBRICS
    return Item(
        item_id=f"{scenario}/{key}/{variant}", subset=f"{POLICY if policy else HARM}-{variant}", question=question,
        shown="none", cluster=f"{scenario}/{key}", group=scenario, harmful=not policy,
    )  # fmt: skip


def _variant(item: Item) -> str:
    return item.item_id.rpartition("/")[2]


def _scenario_and_variant(item: Item) -> Hashable:
    return item.group, _variant(item)


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
        raise DataError(
            f"There is no {TINY} in this folder or the one above it", where=str(folder),
            try_="take it from the root of https://github.com/isXinLiu/MM-SafetyBench",
        )  # fmt: skip
    listed: dict[str, str] = {}
    for row in rows_of(file):
        require(row.values, ("Scenario", "Sampled_ID_List"), row.where)
        if not isinstance(row.values["Sampled_ID_List"], list):
            raise DataError("`Sampled_ID_List` is a list of ids", where=row.where)
        listed |= {f"{row.values['Scenario']}/{key}": row.where for key in row.values["Sampled_ID_List"]}
    return listed
