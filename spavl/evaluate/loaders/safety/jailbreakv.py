"""Loader of JailBreakV-28K (Luo et al. 2024, arXiv 2404.03027): 28,000 attacks on 2,000 requests.

Files of https://huggingface.co/datasets/JailbreakV-28K/JailBreakV-28k: `JailBreakV_28K.csv`, or its mini version
`mini_JailBreakV_28K.csv` of 280 rows, with `id, jailbreak_query, redteam_query, format, policy, image_path` and others.
The pictures are got through a form, and lie relative to the CSV file. Asked is `jailbreak_query`; `redteam_query` is
the request behind it, by which the items are a cluster, since one stands behind many of them.

The `format` of an attack is its subset. Answers are graded by the guard on the question as it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import JailbreakVBenchmark
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    PictureFolder,
    Read,
    benchmark_of,
    nothing_found,
    original_file,
    picture_folder,
)
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.safety.subsets import text_cluster, with_each_subset
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.metrics import unsafe_rate
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import rows_of

WHOLE, MINI = "JailBreakV_28K", "mini_JailBreakV_28K"
"""Names of the files."""
SOURCE = Source(
    title="JailBreakV-28K", paper="arXiv 2404.03027",
    get=f"take {WHOLE}.csv or {MINI}.csv of https://huggingface.co/datasets/JailbreakV-28K/JailBreakV-28k, and the"
    " pictures through the form that is linked there",
    licence="MIT", commercial=True, counts={WHOLE: 28_000}, sure="code",
)  # fmt: skip
"""Where it comes from."""
COUNTS = {**SOURCE.counts, MINI: 280}
"""Rows of the whole and of the mini version."""


def load_jailbreakv(spec: JailbreakVBenchmark, tools: BenchmarkTools) -> Benchmark:
    """JailBreakV-28K or its mini version from the CSV file.

    Args:
        spec: the folder or file, the folder of the pictures, and which version.
        tools: how answers are sampled and graded.

    Raises:
        DataError: the file is missing or of another schema, the count is another, or a picture cannot be read.
        SettingsError: no guard is named.
    """
    path, version = Path(spec.path), MINI if spec.mini else WHOLE
    file = original_file(path, f"{version}.csv", f"*/{version}.csv")
    if file is None:
        raise nothing_found(path, SOURCE)
    findings = Findings(path, tools.missing_pictures)
    items = list(_items(file, picture_folder(spec.images, SOURCE, file.parent), findings))
    harm = replace(unsafe_rate(tools.unsafe()), what="to jailbreaks that a guard grades unsafe")
    read = Read(
        items=items, findings=findings, source=replace(SOURCE, counts={version: COUNTS[version]}),
        part=lambda item: version, metrics=with_each_subset([harm], items),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _items(file: Path, images: PictureFolder, findings: Findings) -> Iterator[Item]:
    for row in rows_of(file):
        with findings.row(row.where):
            yield _item(row.values, images)


def _item(row: Fields, images: PictureFolder) -> Item:
    require(row, ("id",))
    request = text_of(row, "redteam_query")
    return Item(
        item_id=str(row["id"]), subset=text_of(row, "format").strip(), question=text_of(row, "jailbreak_query"),
        images=(images.picture(text_of(row, "image_path")),), cluster=text_cluster(request),
        group=text_of(row, "policy").strip(), harmful=True, notes={"request": request},
    )  # fmt: skip
