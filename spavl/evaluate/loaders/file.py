"""Loader of a benchmark of the user's own: a file in any common form, an item in each row.

    {"question": "What is this?", "image": "cup.png", "expected": "a cup", "subset": "skill"}

What a row measures is declared: by `subset` (`harm`, `benign`, `skill`, `yes-no`), or by `harmful` or `benign`, under
which a subset may have any name; a row that says neither is refused, unless the settings name a subset for such rows.
Optional: `id`, `group`, `heldout`, `images`, `system`, `earlier` (turns: role, text, images), `meta` (not read), and
`cluster`, which is the picture unless given. `expected` may list several right answers.

Every row is read before anything is asked, and all that are wrong are told together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import FileBenchmark
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.columns import check_columns
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.item_of_row import YES_NO, ItemOfRow
from spavl.evaluate.metrics import over_refusal_rate, pope_accuracy, skill_accuracy, unsafe_rate
from spavl.evaluate.parse import SHORT_ANSWER
from spavl.evaluate.spread import spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.rows import listed, rows_of


def load_file(spec: FileBenchmark, tools: BenchmarkTools) -> Benchmark:
    """A benchmark from a file of the user's own.

    Args:
        spec: the file, the folder that pictures' paths are relative to (by default that of the file), and the subset of
            rows that name none.
        tools: sampling, scorers, and the folder for pictures that come inside the file.

    Raises:
        DataError: the file cannot be read, a column is not known, rows are wrong, or pictures are missing.
        SettingsError: a row is harmful, and no guard is named.
    """
    path = Path(spec.path)
    findings = Findings(path, tools.missing_pictures)
    kept = spread(_items(spec, tools.pictures, findings), spec.limit, _stratum)
    items = tuple(map(_clustered, findings.resolve(kept)))
    return Benchmark(
        name=spec.name, items=items, metrics=_metrics(items, tools, spec), sampling=tools.sampling, prompt=spec.prompt,
        source=path.name,
    )  # fmt: skip


def _items(spec: FileBenchmark, pictures: Path, findings: Findings) -> list[Item]:
    path = Path(spec.path)
    read = ItemOfRow(Path(spec.images) if spec.images else path.parent, pictures, spec.subset)
    items: list[Item] = []
    columns: Counter[str] = Counter()
    for number, row in enumerate(rows_of(path), start=1):
        columns.update(name for name, value in row.values.items() if value is not None)
        with findings.row(row.where):
            items.append(read.item(row.values, str(number)))
    check_columns(columns, spec.ignore, path)
    findings.refuse_rows()
    _refuse_equal_ids(items, findings)
    return items


def _refuse_equal_ids(items: Iterable[Item], findings: Findings) -> None:
    for item_id, times in Counter(item.item_id for item in items).items():
        if times > 1:
            findings.note(f"{times} rows have it, so that answers could not be told apart", f"id {listed([item_id])}")
    findings.refuse_rows()


def _stratum(item: Item) -> Hashable:
    """Subset and subject, and of yes/no questions the right answer: a part of them is balanced as all are."""
    return item.subset, item.group, item.expected if item.subset == YES_NO else ""


def _clustered(item: Item) -> Item:
    """The item with its picture for a cluster, where the row names none."""
    return replace(item, cluster=item.images[0].sha256) if item.images and not item.cluster else item


def _metrics(items: tuple[Item, ...], tools: BenchmarkTools, spec: FileBenchmark) -> tuple[Metric, ...]:
    skill = skill_accuracy(SHORT_ANSWER[spec.answers])
    safety = [unsafe_rate(tools.unsafe())] if any(item.harmful for item in items) else []
    return (*safety, *counted((over_refusal_rate(tools.refuses), skill, pope_accuracy()), items))
