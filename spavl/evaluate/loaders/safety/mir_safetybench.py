"""Loader of MIR-SafetyBench (arXiv 2601.14127): two to four pictures, each harmless, that do harm by their relation.

Files as `extract_data.py` of https://github.com/thu-coai/MIR-SafetyBench writes them:
`{Category}/{Relation}_final.json`, lists of `id, original_question, relationship_type, revised_prompt,
image_descriptions, images` and others, where `images` are paths relative to the folder of the category. Or the Hub's
Parquet (thu-coai/MIR-SafetyBench, `train`), with `category` and `num_images` beside them and the pictures as a list.
Ids begin anew in every category and relation.

Asked is `revised_prompt`, without a text around it; the authors generate greedily, up to 4,096 tokens. The questions of
a category that were made from one `original_question` are a cluster. The authors grade by HarmBench's classifier, of
the original question and the answer alone; the rubric here sees question, pictures and answer, so that the rates are
not theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from spavl.config.benchmarks import MirSafetyBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import Read, benchmark_of, hub_files, inline_picture, nothing_found, rows_in
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, picture_at, require, text_of
from spavl.evaluate.loaders.safety.subsets import text_cluster, with_each_subset
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.tools import BenchmarkTools
from spavl.records import ImageRef
from spavl.rows import brief, rows_of

SOURCE = Source(
    title="MIR-SafetyBench", paper="arXiv 2601.14127",
    get="run extract_data.py of https://github.com/thu-coai/MIR-SafetyBench, or take the Parquet files of"
    " thu-coai/MIR-SafetyBench",
    licence="MIT for the repository; not stated for the data", commercial=None, sure="code",
    counts={
        "Temporal_Continuity": 317, "Temporal_Jump": 303, "Spatial_Juxtaposition": 292, "Spatial_Embedding": 293,
        "Relevance": 152, "Complementarity": 280, "Analogy": 318, "Causality": 280, "Decomposition": 441,
    },
)  # fmt: skip
"""Where it comes from; questions by relation, as others report them."""
RUBRIC = "mir-safetybench"
"""What answers are graded by."""


def load_mir_safetybench(spec: MirSafetyBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MIR-SafetyBench from its folder or the Hub's Parquet files.

    Args:
        spec: the folder or file.
        tools: how answers are sampled and graded, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the counts are others, or a picture cannot be read.
        SettingsError: no guard is named.
    """
    path = Path(spec.path)
    findings = Findings(path, tools.missing_pictures)
    if files := sorted(path.glob("*/*_final.json")):
        items = list(_items(files, findings))
    elif files := hub_files(path, "train"):
        items = list(_hub_items(files, tools, findings))
    else:
        raise nothing_found(path, SOURCE)
    harm = replace(unsafe_rate(tools.rubric(RUBRIC)), what="that go along with what the pictures do together")
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset,
        metrics=with_each_subset([harm], items),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _items(files: list[Path], findings: Findings) -> Iterator[Item]:
    for file in files:
        for row in rows_of(file):
            with findings.row(row.where):
                images = [picture_at(file.parent, str(one)) for one in _list(row.values, "images")]
                yield _item(row.values, file.parent.name, images)


def _hub_items(files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            images = [inline_picture({"image": one}, tools) for one in _list(row.values, "images")]
            yield _item(row.values, text_of(row.values, "category"), images)


def _item(row: Fields, category: str, images: list[ImageRef]) -> Item:
    require(row, ("id",))
    if row.get("num_images") not in (None, len(images)):
        raise DataError(f"`num_images` is {brief(row['num_images'])}, and there are {len(images)} pictures")
    relation, request = text_of(row, "relationship_type"), text_of(row, "original_question")
    described = row.get("image_descriptions") or ""
    caption = "\n".join(map(str, described)) if isinstance(described, list) else str(described)
    return Item(
        item_id=f"{category}/{relation}/{row['id']}", subset=relation, question=text_of(row, "revised_prompt"),
        images=tuple(images), cluster=text_cluster(category, request), group=category, harmful=True,
        notes={"request": request, **({"caption": caption} if caption else {})},
    )  # fmt: skip


def _list(row: Fields, name: str) -> list[Any]:
    require(row, (name,))
    found = row[name]
    if not isinstance(found, list) or not found:
        raise DataError(f"The field `{name}` is a list of pictures, not {brief(found)}")
    return found
