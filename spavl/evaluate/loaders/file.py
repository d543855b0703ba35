"""Loader of a benchmark of the user's own: a file in any common form, an item in each row.

    {"question": "What is this?", "image": "cup.png", "expected": "a cup", "subset": "skill"}

What a row measures is declared: by `subset` (`harm`, `benign`, `skill`, `yes-no`, `graded`), or by `harmful` or
`benign`, under which a subset may have any name; a row that says neither is refused, unless the settings name a subset
for such rows. Optional: `id`, `group`, `heldout`, `images`, `system`, `earlier` (turns: role, text, images), `options`,
`tolerance`, `reference`, `pair`, `split`, `meta` (not read), and `cluster`, which is the picture unless given.
`expected` may list several right answers; docs/guides/benchmark-files.md has an example of everything.

Every row is read before anything is asked, and all that are wrong are told together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import replace
from pathlib import Path

from spavl.config.benchmarks import FileBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric, counted
from spavl.evaluate.combined_scorer import ByPart, wanted
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.answers_of_row import TOLERANCE, answer_rule
from spavl.evaluate.loaders.columns import check_columns
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.item_of_row import GRADED, SKILL, YES_NO, ItemOfRow
from spavl.evaluate.loaders.rotations import options_shown
from spavl.evaluate.loaders.skills.soft_answers import soft_metrics
from spavl.evaluate.metrics import over_refusal_rate, pair_accuracy, pope_accuracy, skill_accuracy, unsafe_rate
from spavl.evaluate.parse import RIGHT_YES_NO, SHORT_ANSWER
from spavl.evaluate.scorer import Scorer
from spavl.evaluate.spread import spread
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.readers.vqa import vqa_accuracy
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
    findings = Findings(_where(spec), tools.missing_pictures)
    kept = spread(_items(spec, tools.pictures, findings), spec.limit, _stratum)
    items = tuple(map(_clustered, findings.resolve(kept)))
    return Benchmark(
        name=spec.name, items=items, metrics=_metrics(items, tools, spec), sampling=tools.sampling, prompt=spec.prompt,
        source=", ".join(path.name for _, path in _files(spec)),
    )  # fmt: skip


def _files(spec: FileBenchmark) -> list[tuple[str, Path]]:
    """(split, file) of every file; the split is empty where there is one file alone."""
    return [("", Path(spec.path))] if spec.path is not None else [(s, Path(p)) for s, p in spec.files.items()]


def _where(spec: FileBenchmark) -> Path:
    return _files(spec)[0][1]


def _items(spec: FileBenchmark, pictures: Path, findings: Findings) -> list[Item]:
    items = [item for split, path in _files(spec) for item in _items_of(spec, split, path, pictures, findings)]
    findings.refuse_rows()
    _refuse_equal_ids(items, findings)
    _refuse_single_sides(items, findings)
    return list(options_shown(items, shuffle=spec.shuffle, circular=spec.circular))


def _items_of(spec: FileBenchmark, split: str, path: Path, pictures: Path, findings: Findings) -> list[Item]:
    folder = Path(spec.images) if spec.images else path.parent
    read = ItemOfRow(folder, pictures, spec.subset, spec.tolerance or "", spec.scoring == "soft")
    items: list[Item] = []
    columns: Counter[str] = Counter()
    for number, row in enumerate(rows_of(path), start=1):
        columns.update(name for name, value in row.values.items() if value is not None)
        with findings.row(row.where):
            values = {"split": split, **row.values} if split else row.values
            items.append(_in_one_unit(read.item(values, str(number)), circular=spec.circular))
    check_columns(columns, spec.ignore, path)
    return items


def _in_one_unit(item: Item, *, circular: bool) -> Item:
    """The item, unless its pair has no meaning."""
    if circular and item.unit:
        raise DataError("The row is of a pair, and questions are asked in every rotation", try_="`circular: false`")
    if item.unit and item.subset == GRADED and not (item.harmful or item.benign):
        raise DataError("A graded answer is neither right nor wrong, so that it cannot be a side of a pair")
    return item


def _refuse_single_sides(items: Iterable[Item], findings: Findings) -> None:
    for pair, times in Counter(item.unit for item in items if item.unit).items():
        if times == 1:
            findings.note("Only one row has it, and a pair has at least two", f"pair {listed([pair])}")
    findings.refuse_rows()


def _refuse_equal_ids(items: Iterable[Item], findings: Findings) -> None:
    for item_id, times in Counter(item.item_id for item in items).items():
        if times > 1:
            findings.note(f"{times} rows have it, so that answers could not be told apart", f"id {listed([item_id])}")
    findings.refuse_rows()


def _stratum(item: Item) -> Hashable:
    """Subset and subject, and of yes/no questions the right answer: a part of them is balanced as all are."""
    return item.subset, item.group, item.expected if item.subset == YES_NO else ""


def _clustered(item: Item) -> Item:
    """The item with its picture for a cluster, where the row names none; one of a pair without pictures with that."""
    if item.cluster:
        return item
    return replace(item, cluster=item.images[0].sha256 if item.images else item.unit)


def _metrics(items: tuple[Item, ...], tools: BenchmarkTools, spec: FileBenchmark) -> tuple[Metric, ...]:
    skills = _skill_metrics(items, tools, spec)
    unsafe = tools.unsafe() if any(item.harmful for item in items) else None
    known = counted((over_refusal_rate(tools.refuses), *skills, pope_accuracy()), items)
    graded = [_graded_score(tools.graded("reference"))] if any(item.subset == GRADED for item in items) else []
    paired = any(item.unit for item in items) and not spec.circular
    pairs = [_pair_metric(items, tools.refuses, unsafe, skills[0].scorer)] if paired else []
    return (*([unsafe_rate(unsafe)] if unsafe else []), *known, *graded, *pairs)


def _skill_metrics(items: tuple[Item, ...], tools: BenchmarkTools, spec: FileBenchmark) -> list[Metric]:
    """Right answers, read by what the rows have; soft accuracies also by VQAv2's own rule."""
    exact = SHORT_ANSWER[spec.answers]
    special = any(item.options or TOLERANCE in item.notes for item in items)
    skill = skill_accuracy(answer_rule(exact) if special else exact)
    if spec.scoring == "soft":
        ours, official, _ = soft_metrics(SKILL, vqa_accuracy, "VQAv2's rule", tools.refuses)
        return [replace(one, subsets=skill.subsets) for one in (ours, official)]
    if not (spec.circular and any(item.options for item in items)):
        return [skill]
    return [replace(skill, together="all", what="that are right in every rotation of their options")]


def _graded_score(scorer: Scorer) -> Metric:
    return Metric(
        name="graded_score", axis="skill", better="higher", label="Grade against the reference", scorer=scorer,
        subsets=(GRADED,), graded=True, when_declined=0.0, what="graded from 0 to 1 against their reference",
    )  # fmt: skip


def _pair_metric(items: tuple[Item, ...], refuses: Scorer, unsafe: Scorer | None, skill: Scorer) -> Metric:
    sides = [item for item in items if item.unit]
    right = ByPart("subset", {SKILL: skill, YES_NO: RIGHT_YES_NO})
    requests = any(item.harmful or item.benign for item in sides)
    return pair_accuracy(wanted(refuses, unsafe, right), "over-refusal" if requests else "skill")
