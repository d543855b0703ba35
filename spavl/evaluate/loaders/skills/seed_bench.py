"""Loader of SEED-Bench (Li et al. 2023, arXiv 2307.16125): questions with four options about pictures.

Files: `SEED-Bench.json` of https://huggingface.co/datasets/AILab-CVC/SEED-Bench, an object with `questions` (and other
entries), of `question_id, question, choice_a..choice_d, answer, question_type_id, data_type, data_id`; or the Hub's
Parquet (lmms-lab/SEED-Bench), where `image` is a list. Types 1 to 9 are about pictures, the others about videos, which
are passed over. `data_id` is the name of a picture's file, and a list of such names in the second version.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spavl.config.benchmarks import SeedBenchBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    PictureFolder,
    Read,
    benchmark_of,
    hub_files,
    inline_picture,
    nothing_found,
    original_file,
    picture_folder,
    rows_in,
)
from spavl.evaluate.loaders.choices import letter_of, option_metrics, with_options
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.readers.exact import seed_bench_letter
from spavl.records import ImageRef
from spavl.rows import brief, rows_of

SOURCE = Source(
    title="SEED-Bench", paper="arXiv 2307.16125",
    get="take SEED-Bench.json and the pictures of https://huggingface.co/datasets/AILab-CVC/SEED-Bench, or the Parquet"
    " files of lmms-lab/SEED-Bench",
    licence="CC BY-NC 4.0", commercial=False, counts={"image": 14_233}, sure="code",
)  # fmt: skip
"""Where it comes from; of the first version, without its videos."""
TYPES = {
    1: "scene", 2: "instance identity", 3: "instance attributes", 4: "instance location", 5: "instances counting",
    6: "spatial relation", 7: "instance interaction", 8: "visual reasoning", 9: "text understanding",
}  # fmt: skip
"""Types of questions about pictures."""
IMAGE = "image"
"""The only subset."""


def load_seed_bench(spec: SeedBenchBenchmark, tools: BenchmarkTools) -> Benchmark:
    """The questions about pictures, from the JSON file or the Hub's Parquet files.

    Args:
        spec: the file and the folder of the pictures.
        tools: how answers are sampled, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the count is another, or a picture cannot be read.
    """
    path = Path(spec.path)
    file = original_file(path, "SEED-Bench.json", "SEED-Bench*.json", "SEED-Bench*.jsonl")
    findings = Findings(path, tools.missing_pictures)
    if file and file.suffix != ".parquet":
        items = list(_items(file, picture_folder(spec.images, SOURCE), findings))
    elif files := hub_files(path, "test"):
        items = list(_hub_items(files, tools, findings))
    else:
        raise nothing_found(path, SOURCE)
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset,
        metrics=option_metrics(
            "seed_bench", lambda text, item: seed_bench_letter(text), "lmms-eval's rule: the first letter",
            tools.refuses,
        ),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _items(file: Path, images: PictureFolder, findings: Findings) -> Iterator[Item]:
    for row in rows_of(file, under="questions"):
        with findings.row(row.where):
            if _type(row.values) not in TYPES:
                continue
            require(row.values, ("data_id",))
            named = row.values["data_id"]
            names = named if isinstance(named, list) else [named]
            yield _item(row.values, tuple(images.picture(str(name)) for name in names))


def _hub_items(files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            if _type(row.values) not in TYPES:
                continue
            cells = row.values.get("image")
            cells = cells if isinstance(cells, list) else [cells]
            yield _item(row.values, tuple(inline_picture({"image": cell}, tools) for cell in cells))


def _type(row: Fields) -> int:
    found = row.get("question_type_id")
    try:
        return int(str(found))
    except ValueError:
        raise DataError(f"`question_type_id` is a number, not {brief(found)}") from None


def _options(row: Fields) -> tuple[str, ...]:
    """The options from a on; one that is missing between others would move the letters."""
    texts = [row.get(f"choice_{letter}") for letter in "abcd"]
    options = tuple(str(text) for text in texts if text is not None)
    if None in texts[: len(options)]:
        raise DataError(f"Option {'ABCD'[texts.index(None)]} is missing, and a later one is not")
    return options


def _item(row: Fields, images: tuple[ImageRef, ...]) -> Item:
    require(row, ("question_id", "answer"))
    options = _options(row)
    if not images:
        raise DataError("The question has no picture")
    return Item(
        item_id=str(row["question_id"]), subset=IMAGE, question=with_options(text_of(row, "question"), options),
        images=images, expected=letter_of(row["answer"], options), options=options,
        group=TYPES[_type(row)],
    )  # fmt: skip
