"""Loader of MM-Vet (Yu et al. 2023, arXiv 2308.02490): 218 open questions, each of one or several capabilities.

Files: `mm-vet.json`, an object by id, of https://github.com/yuweihao/MM-Vet with the folder `images`, or the Hub's
Parquet (lmms-lab/MMVet). In the right answer `<AND>` stands between what must all be said, `<OR>` between what is as
good. A language model grades every answer from 0 to 1, so that numbers by two of them cannot be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spavl.config.benchmarks import MmVetBenchmark
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    Read,
    benchmark_of,
    hub_files,
    inline_picture,
    nothing_found,
    original_file,
    picture_folder,
    rows_in,
)
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.scorer import Scorer
from spavl.evaluate.skill_metrics import refusal_metric
from spavl.evaluate.tools import BenchmarkTools
from spavl.records import ImageRef
from spavl.rows import rows_of

SOURCE = Source(
    title="MM-Vet", paper="arXiv 2308.02490",
    get="take mm-vet.zip of https://github.com/yuweihao/MM-Vet, or the Parquet files of lmms-lab/MMVet",
    licence="CC BY-NC 4.0", commercial=False, counts={"open": 218}, sure="code",
)  # fmt: skip
"""Where it comes from."""
OPEN = "open"
"""The only subset."""
RUBRIC = "mm-vet"
"""What an answer is graded by."""


def load_mm_vet(spec: MmVetBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MM-Vet from its folder or the Hub's Parquet files.

    Args:
        spec: the folder or file.
        tools: how answers are sampled and graded, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the count is another, or a picture cannot be read.
        SettingsError: no guard is named.
    """
    path = Path(spec.path)
    file = original_file(path, "mm-vet.json")
    findings = Findings(path, tools.missing_pictures)
    if file and file.suffix != ".parquet":
        items = list(_items(file, findings))
    elif files := hub_files(path, "test"):
        items = list(_hub_items(files, tools, findings))
    else:
        raise nothing_found(path, SOURCE)
    metrics = (_score(tools.graded(RUBRIC)), refusal_metric("mm_vet", tools.refuses))
    read = Read(items=items, findings=findings, source=SOURCE, part=lambda item: item.subset, metrics=metrics)
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _score(grades: Scorer) -> Metric:
    return Metric(
        name="mm_vet_score", axis="skill", better="higher", label="Graded answers", scorer=grades, graded=True,
        what="by their grades from 0 to 1 against the right answer", when_declined=0.0,
    )  # fmt: skip


def _items(file: Path, findings: Findings) -> Iterator[Item]:
    images = picture_folder(None, SOURCE, file.parent / "images")
    for row in rows_of(file):
        with findings.row(row.where):
            yield _item(str(row.values.get("id")), row.values, images.picture(text_of(row.values, "imagename")))


def _hub_items(files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            require(row.values, ("question_id",))
            yield _item(str(row.values["question_id"]), row.values, inline_picture(row.values, tools))


def _item(number: str, row: Fields, image: ImageRef) -> Item:
    answer = text_of(row, "answer")
    capabilities = _capabilities(row.get("capability"))
    return Item(
        item_id=number, subset=OPEN, question=text_of(row, "question"), images=(image,), expected=answer,
        group=", ".join(capabilities),
        notes={"reference": answer, "capability": ", ".join(capabilities)},
    )  # fmt: skip


def _capabilities(value: Any) -> list[str]:
    """Capabilities in alphabetical order, from a list or a text with commas."""
    found = value if isinstance(value, list) else str(value or "").split(",")
    return sorted(str(one).strip() for one in found if str(one).strip())
