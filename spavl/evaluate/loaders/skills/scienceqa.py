"""Loader of ScienceQA (Lu et al. 2022, arXiv 2209.09513): school questions with two to five options.

Files: `problems.json`, an object by id, and `pid_splits.json`, the ids of every split, of
https://github.com/lupantech/ScienceQA; pictures `images/{split}/{id}/image.png`, which most questions do not have. The
right answer is the place of an option, from 0. In the Hub's Parquet (lmms-lab/ScienceQA, ScienceQA-IMG and
ScienceQA-FULL) rows have no id, and their place in the split is it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import ScienceQaBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import (
    Read,
    benchmark_of,
    hub_files,
    inline_picture,
    json_object,
    nothing_found,
    original_file,
    picture_folder,
    rows_in,
)
from spavl.evaluate.loaders.choices import letter_at, lettered, list_in, option_metrics, with_options
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.scorer import Rule, Scorer
from spavl.evaluate.skill_metrics import lmms_eval_metric
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.readers.science_qa import llava_science_qa_option, lmms_eval_science_qa_option
from spavl.records import ImageRef
from spavl.rows import rows_of

COUNTS = {"test": 4_241, "val": 4_241, "minitest": 424, "minival": 424}
"""Questions of every split."""
WITH_PICTURE = {"test": 2_017, "val": 2_097}
"""Those with a picture."""
SOURCE = Source(
    title="ScienceQA", paper="arXiv 2209.09513",
    get="take problems.json, pid_splits.json and the pictures of https://github.com/lupantech/ScienceQA, or the Parquet"
    " files of lmms-lab/ScienceQA",
    licence="CC BY-NC-SA 4.0", commercial=False, counts=COUNTS, sure="documentation",
)  # fmt: skip
"""Where it comes from."""
HUB_SPLITS = {"val": "validation"}
"""Names of splits on the Hub, where they are others."""


def load_scienceqa(spec: ScienceQaBenchmark, tools: BenchmarkTools) -> Benchmark:
    """ScienceQA from its folder or the Hub's Parquet files.

    Args:
        spec: the folder, the split, and whether questions without a picture are asked.
        tools: how answers are sampled, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the counts are others, or a picture cannot be read.
    """
    path = Path(spec.path)
    findings = Findings(path, tools.missing_pictures)
    problems = original_file(path, "problems.json")
    split = HUB_SPLITS.get(spec.split, spec.split)
    parquet = hub_files(path, split, "ScienceQA-IMG" if spec.with_picture else "ScienceQA-FULL")
    if problems and problems.suffix != ".parquet":
        items = list(_items(spec, problems, findings))
    elif parquet:
        items = list(_hub_items(spec.split, parquet, tools, findings))
    else:
        raise nothing_found(path, SOURCE)
    counts = WITH_PICTURE if spec.with_picture else COUNTS
    read = Read(
        items=[item for item in items if item.images or not spec.with_picture], findings=findings,
        source=replace(SOURCE, counts={spec.split: counts[spec.split]} if spec.split in counts else {}),
        part=lambda item: item.subset,
        metrics=_metrics(tools.refuses),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _metrics(refuses: Scorer) -> tuple[Metric, ...]:
    ours, official, *others = option_metrics(
        "scienceqa", lambda text, item: llava_science_qa_option(text), "LLaVA's rule", refuses
    )
    return ours, official, lmms_eval_metric(ours, Rule("rule:scienceqa-lmms-eval/1", _lmms_eval_right)), *others


def _lmms_eval_right(item: Item, text: str) -> bool:
    return lmms_eval_science_qa_option(text, "".join(lettered(item))) == item.expected


def _items(spec: ScienceQaBenchmark, problems: Path, findings: Findings) -> Iterator[Item]:
    listed = _listed_ids(problems.with_name("pid_splits.json"), spec.split)
    images = picture_folder(spec.images, SOURCE, problems.with_name("images"))
    missing = set(listed)
    for row in rows_of(problems):
        number = str(row.values.get("id"))
        if number not in listed:
            continue
        missing.discard(number)
        with findings.row(row.where):
            folder = str(row.values.get("split") or spec.split)
            named = row.values.get("image")
            image = images.picture(f"{folder}/{number}/{named}") if named else None
            yield _item(spec.split, number, row.values, image)
    for number in sorted(missing):
        findings.note("The split lists this id, and there is no such question", f"id {number}")


def _listed_ids(file: Path, split: str) -> Collection[str]:
    ids = json_object(file).get(split)
    if not isinstance(ids, list):
        raise DataError(f"This file has no list of the ids of the split {split}", where=str(file), try_=SOURCE.get)
    return dict.fromkeys(map(str, ids))


def _hub_items(split: str, files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for place, row in rows_in(files):
        with findings.row(row.where):
            image = inline_picture(row.values, tools) if row.values.get("image") else None
            yield _item(split, f"{place:05d}", row.values, image)


def _item(split: str, number: str, row: Fields, image: ImageRef | None) -> Item:
    require(row, ("question", "choices", "answer"))
    options = [str(option) for option in list_in(row["choices"])]
    hint = str(row.get("hint") or "").strip()
    question = with_options(text_of(row, "question"), options, f"Context: {hint}" if hint else "")
    return Item(
        item_id=f"{split}/{number}", subset=split, question=question, images=(image,) if image else (),
        shown="picture" if image else "none", expected=letter_at(row["answer"], options), options=tuple(options),
        group=str(row.get("subject") or ""),
    )  # fmt: skip
