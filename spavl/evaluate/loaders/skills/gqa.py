"""Loader of GQA's `testdev_balanced` (Hudson and Manning 2019, arXiv 1902.09506): 12,578 questions on 398 pictures.

Files of https://cs.stanford.edu/people/dorarad/gqa: `testdev_balanced_questions.json`, an object by id of `imageId,
question, answer, fullAnswer, types`, and the pictures `{imageId}.jpg`; or the Hub's Parquet (lmms-lab/GQA), questions
in the folder `testdev_balanced_instructions` and pictures, by `id`, in `testdev_balanced_images`. A picture has about
32 questions, and is a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from spavl.config.benchmarks import GqaBenchmark
from spavl.errors import DataError
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
from spavl.evaluate.parse import SHORT_ANSWER
from spavl.evaluate.scorer import Rule, Scorer
from spavl.evaluate.skill_metrics import official_metric, refusal_metric, right_metric
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.readers.exact import gqa_exact
from spavl.records import ImageRef
from spavl.rows import brief, rows_of

BALANCED = "testdev-balanced"
"""The split, and the only subset."""
SOURCE = Source(
    title="GQA", paper="arXiv 1902.09506",
    get="take testdev_balanced_questions.json and the pictures of https://cs.stanford.edu/people/dorarad/gqa, or the"
    " Parquet files of lmms-lab/GQA, folders testdev_balanced_instructions and testdev_balanced_images",
    licence="CC BY 4.0", commercial=True, counts={BALANCED: 12_578}, sure="documentation",
)  # fmt: skip
"""Where it comes from."""


def load_gqa(spec: GqaBenchmark, tools: BenchmarkTools) -> Benchmark:
    """GQA's balanced testdev from its JSON file or the Hub's Parquet files.

    Args:
        spec: the file or folder, and the folder of the pictures.
        tools: how answers are sampled, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the count is another, or a picture cannot be read.
    """
    path = Path(spec.path)
    file = original_file(path, "testdev_balanced_questions.json*")
    findings = Findings(path, tools.missing_pictures)
    if file:
        items = list(_items(spec, file, findings))
    elif files := hub_files(path, "testdev", "testdev_balanced_instructions"):
        images = _hub_images(hub_files(path, "testdev", "testdev_balanced_images"), tools)
        items = list(_hub_items(files, images, findings))
    else:
        raise nothing_found(path, SOURCE)
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset, metrics=_metrics(tools.refuses)
    )
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _metrics(refuses: Scorer) -> tuple[Metric, ...]:
    ours = right_metric("gqa", SHORT_ANSWER["text"])
    official = Rule("rule:gqa/1", lambda item, text: gqa_exact(text, item.expected))
    rule = "lmms-eval's exact match without case and punctuation"
    return ours, official_metric(ours, official, rule), refusal_metric("gqa", refuses)


def _items(spec: GqaBenchmark, file: Path, findings: Findings) -> Iterator[Item]:
    images = picture_folder(spec.images, SOURCE)
    for row in rows_of(file):
        with findings.row(row.where):
            name = text_of(row.values, "imageId")
            yield _item(row.values, images.picture(f"{name}.jpg"), name)


def _hub_images(files: list[Path], tools: BenchmarkTools) -> Mapping[str, ImageRef]:
    found = {}
    for _, row in rows_in(files):
        require(row.values, ("id", "image"), row.where)
        found[str(row.values["id"])] = inline_picture(row.values, tools)
    return found


def _hub_items(files: list[Path], images: Mapping[str, ImageRef], findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            name = text_of(row.values, "imageId")
            if name not in images:
                raise DataError(
                    f"There is no picture {brief(name)}", try_="take the folder testdev_balanced_images too"
                )
            yield _item(row.values, images[name], name)


def _item(row: Fields, image: ImageRef, picture: str) -> Item:
    require(row, ("id",))
    types = row.get("types")
    return Item(
        item_id=str(row["id"]), subset=BALANCED, question=text_of(row, "question"), images=(image,),
        expected=text_of(row, "answer"), cluster=picture,
        group=str(types.get("structural", "")) if isinstance(types, dict) else "",
    )  # fmt: skip
