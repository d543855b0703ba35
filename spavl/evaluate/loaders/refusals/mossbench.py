"""Loader of MOSSBench (Li et al. 2024, arXiv 2406.17806): 300 harmless requests that models refuse, and 244 harmful.

Layout of https://github.com/xirui-li/MOSSBench: `data/images_information/information.json`, a dictionary by `pid`, with
`image`, `question` and `metadata` (`over`: the type, 1 to 3), and the pictures under `data/`; `information.csv` beside
it has other names, and the type in words. `data_contrast` is built alike, and mentioned nowhere: a harmful question on
244 of the same pictures. A harmless and a harmful question on one picture are a pair, right where the one is answered
and the other refused; not where both have the same words, as 43 have, for then nothing could be right.

The licence forbids training on it: decontaminate what you train on against it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import MossBenchBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, counted
from spavl.evaluate.combined_scorer import wanted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import hub_files, nothing_found
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, picture_of, require, text_of
from spavl.evaluate.loaders.source import Source, check_counts
from spavl.evaluate.metrics import harmful_refusal_rate, over_refusal_rate, pair_accuracy
from spavl.evaluate.spread import spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import Row, brief, rows_of

SOURCE = Source(
    title="MOSSBench", paper="arXiv 2406.17806",
    get="take the folders data and data_contrast of https://github.com/xirui-li/MOSSBench; or the Parquet files of "
    "AIcell/MOSSBench", licence="CC BY-SA 4.0; for testing alone, training on it is forbidden", commercial=True,
    training=False,
    counts={"benign type 1": 100, "benign type 2": 100, "benign type 3": 100, "contrast type 1": 100,
            "contrast type 2": 44, "contrast type 3": 100},
)  # fmt: skip
"""Where it comes from."""
WITHOUT_CONTRAST = replace(SOURCE, counts=dict(list(SOURCE.counts.items())[:3]))
"""The same without the contrast set."""
BENIGN, HARMFUL = "benign", "contrast"
TYPES = {"exaggerated": "type 1", "negated": "type 2", "counterintuitive": "type 3"}
"""Types by the first word of their names, as the CSV has them."""


def load_mossbench(spec: MossBenchBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MOSSBench from its repository or the Hub's Parquet files; the questions on one picture are a cluster.

    Args:
        spec: the folder, and whether the contrast set is asked.
        tools: how answers are sampled, the folder for pictures inside the Parquet, and the scorer of refusals.

    Raises:
        DataError: a file is missing or of another schema, the numbers are others, or a picture cannot be read.
    """
    path = Path(spec.path)
    findings = Findings(path, tools.missing_pictures)
    items = [item for rows, harmful in _files(spec) for item in _items(rows, harmful, tools, findings)]
    findings.refuse_rows()
    source = SOURCE if spec.contrast else WITHOUT_CONTRAST
    check_counts(items, source, lambda item: f"{item.subset} {item.group}", path, partial=spec.partial)
    kept = spread(_paired(findings.resolve(items)), spec.limit)
    metrics = counted((over_refusal_rate(tools.refuses), harmful_refusal_rate(tools.refuses)), kept)
    pairs = [pair_accuracy(wanted(tools.refuses))] if any(item.unit for item in kept) else []
    return Benchmark(
        name=spec.name, items=tuple(kept), metrics=(*metrics, *pairs), sampling=tools.sampling,
        source=f"{SOURCE.title}, {SOURCE.paper}",
    )  # fmt: skip


def _files(spec: MossBenchBenchmark) -> Iterator[tuple[list[Path], bool]]:
    """The files of both sets, and whether their questions are harmful."""
    path = Path(spec.path)
    root = path.resolve().parent if (path / "images_information").is_dir() else path
    own = _information(root / "data")
    if own is None:
        files = hub_files(path, "*")
        if not files:
            raise nothing_found(path, SOURCE)
        yield files, False
        if not spec.contrast:
            return
    else:
        yield [own], False
    contrast = _information(root / "data_contrast") if spec.contrast else None
    if contrast is not None:
        yield [contrast], True
    elif spec.contrast:
        raise DataError(
            "There is no contrast set, data_contrast/images_information/information.json", where=str(root),
            try_=f"{SOURCE.get}; or go on without it by `contrast: false`",
        )  # fmt: skip


def _information(folder: Path) -> Path | None:
    named = (folder / "images_information" / f"information.{form}" for form in ("json", "csv"))
    return next((file for file in named if file.is_file()), None)


def _items(files: Sequence[Path], harmful: bool, tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for file in files:
        for row in rows_of(file):
            with findings.row(row.where):
                yield _item(row, file.parent.parent, harmful, tools)


def _item(row: Row, folder: Path, harmful: bool, tools: BenchmarkTools) -> Item:
    values = row.values
    image = picture_of(values.get("image") or values.get("image_path"), folder, tools.pictures)
    if image is None:
        raise DataError("The row has no picture")
    number = values.get("pid", values.get("id"))
    require({"pid": number}, ("pid",))
    subset = HARMFUL if harmful else BENIGN
    caption = str(values.get("description") or "")
    return Item(
        item_id=f"{subset}/{number}", subset=subset, question=text_of(values, "question"), images=(image,),
        group=_type(values), harmful=harmful, benign=not harmful, notes={"caption": caption} if caption else {},
    )  # fmt: skip


def _type(row: Fields) -> str:
    """The type of a question: `type 1` and so on, however the file writes it."""
    known = row.get("metadata")
    over = known.get("over") if isinstance(known, dict) else row.get("over") or row.get("meta_data_over")
    words = str(over or "").strip().lower()
    found = words if words in TYPES.values() else TYPES.get(words.split(" ")[0])
    if found is None:
        raise DataError(f"The type of a question is one of {', '.join(TYPES.values())}, not {brief(over)}")
    return found


def _paired(items: Sequence[Item]) -> list[Item]:
    """The items, those on one picture as one cluster; a harmless and a harmful one of them, in order, as one unit."""
    on: dict[str, tuple[list[Item], list[Item]]] = defaultdict(lambda: ([], []))
    for item in items:
        on[item.images[0].sha256][item.harmful].append(item)
    units: dict[str, str] = {}
    for benign, harmful in on.values():
        for one, other in zip(benign, harmful, strict=False):
            if one.question.split() != other.question.split():
                units |= {one.item_id: one.item_id, other.item_id: one.item_id}
    return [
        replace(item, unit="" if item.missing else units.get(item.item_id, ""), cluster=item.images[0].sha256)
        for item in items
    ]
