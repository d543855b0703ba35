"""Loader of MMBench (Liu et al. 2023, arXiv 2307.06281): questions with options, asked in every rotation of these.

Files: a TSV with `index, question, hint, A, B, C, D, answer, category, l2-category, image, split`, of
https://github.com/open-compass/MMBench or VLMEvalKit, or the Hub's Parquet (lmms-lab/MMBench, folders `en` and `cn`).
Pictures are base64 in the TSV; a short number in their place names the row that has the picture. Two to four options,
the others empty or `nan`. Rows from 1,000,000 on are rotations of the row with the same remainder; where a file has
none they are made. Only the split `dev` has answers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spavl.config.benchmarks import MmBenchBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import Read, benchmark_of, hub_files, nothing_found, rows_in
from spavl.evaluate.loaders.choices import letter_of, lettered, option_metrics, with_options
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, picture_of, require, text_of
from spavl.evaluate.loaders.source import Source, check_counts
from spavl.evaluate.scorer import Scorer
from spavl.evaluate.skill_metrics import AnswerWeight
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.readers.mmbench import mmbench_static_option
from spavl.records import ImageRef
from spavl.rows import brief

SOURCE = Source(
    title="MMBench", paper="arXiv 2307.06281",
    get="take mmbench_dev_20230712.tsv of https://github.com/open-compass/MMBench, MMBench_DEV_EN.tsv of VLMEvalKit, or"
    " the Parquet files of lmms-lab/MMBench, split dev",
    licence="Apache-2.0", commercial=True, counts={"dev": 1_164}, sure="code",
)  # fmt: skip
"""Where it comes from; rotations are not counted."""
ROTATION = 1_000_000
"""What a rotation adds to the number of its question."""
PUBLISHED = ("mmbench_dev*.tsv", "MMBench_DEV*.tsv", "*.tsv")
"""What a TSV may be called; the first that is there is read."""
ENGLISH, CHINESE = "en", "cn"
"""Languages, as names of files and folders have them."""
LETTERS = "ABCD"
"""Columns of options."""
_NOTHING = frozenset({"", "nan"})
LONGEST_NUMBER = 12
"""Longer text in the place of a picture is the picture."""


@dataclass(slots=True)
class _Pictures:
    """Pictures by the number of their row, and the rows that name another's."""

    tools: BenchmarkTools
    known: dict[str, ImageRef] = field(default_factory=dict)

    def of(self, index: int, row: Fields) -> str:
        """The number of the row that has this row's picture, which is stored if it is this one."""
        cell = row.get("image")
        if isinstance(cell, int) or (isinstance(cell, str) and len(cell) <= LONGEST_NUMBER):
            return str(cell).strip()
        if isinstance(cell, str):
            cell = cell if cell.startswith("data:") else f"data:image/png;base64,{cell}"
        image = picture_of(_bytes_of(cell), self.tools.pictures, self.tools.pictures)
        if image is None:
            raise DataError("The row has no picture")
        self.known[str(index)] = image
        return str(index)


def _bytes_of(cell: object) -> object:
    """What a cell of the Hub's Parquet holds of a picture, and any other as it is."""
    return cell.get("bytes") if isinstance(cell, dict) else cell


def load_mmbench(spec: MmBenchBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MMBench from its TSV or the Hub's Parquet files; the rotations of a question are a unit.

    Args:
        spec: the file, the language, and whether rotations are asked.
        tools: how answers are sampled, and the folder for the pictures.

    Raises:
        DataError: a file is missing or of another schema, the number of questions is another, or a picture is none.
    """
    path = Path(spec.path)
    files = _files(path, spec.language)
    findings = Findings(path, tools.missing_pictures)
    items = _with_pictures(list(_rows(files, _Pictures(tools), findings)), findings)
    findings.refuse_rows()
    asked_once = [item for item in items if _place(item) < ROTATION]
    _refuse_lone_rotations(items, asked_once, findings)
    check_counts(asked_once, SOURCE, lambda item: item.subset, path, partial=spec.partial)
    if not spec.circular:
        items = asked_once
    else:
        items = _in_all_rotations(items, asked_once)
    read = Read(
        items=items, findings=findings, source=replace(SOURCE, counts={}), part=lambda item: item.subset,
        metrics=_metrics(tools.refuses, circular=spec.circular),
    )  # fmt: skip
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _files(path: Path, language: str) -> list[Path]:
    """The TSV of a language, or the Hub's files of it; a file that is named is taken for what the settings say.

    Raises:
        DataError: there are none, or those of another language alone.
    """
    if path.is_file() and path.suffix != ".parquet":
        return [path]
    tsv = [file for pattern in PUBLISHED for file in sorted(path.glob(pattern))]
    found = tsv or hub_files(path, "dev", language)
    files = [file for file in found if path.is_file() or _language(file) == language]
    if found and not files:
        raise DataError(
            f"There are files of another language alone, and `{language}` is wanted", where=str(path),
            try_=f"set `language`, or name the file itself; or {SOURCE.get}",
        )  # fmt: skip
    if not files:
        raise nothing_found(path, SOURCE)
    return files[:1] if tsv else files


def _language(file: Path) -> str:
    """The language of a file by its name or its folder's; English files are also published without one."""
    words = [file.absolute().parent.name.lower(), *re.split(r"[\W_]+", file.name.lower())]
    return CHINESE if CHINESE in words else ENGLISH


def _refuse_lone_rotations(items: Sequence[Item], asked_once: Sequence[Item], findings: Findings) -> None:
    known = {item.unit for item in asked_once}
    for item in items:
        if item.unit not in known:
            findings.note(f"It is a rotation of question {item.unit}, which is not there", f"row {item.item_id}")
    findings.refuse_rows()


def _in_all_rotations(items: Sequence[Item], asked_once: Sequence[Item]) -> list[Item]:
    """The items, all rotations made of those questions of which the file does not have every one.

    A question that is asked in fewer orders than it has options would be easier than the others.
    """
    held = Counter(item.unit for item in items)
    lacking = {item.unit for item in asked_once if held[item.unit] != len(item.options)}
    made = [rotated for item in asked_once if item.unit in lacking for rotated in _rotations(item)]
    return [*(item for item in items if item.unit not in lacking), *made]


def _metrics(refuses: Scorer, *, circular: bool) -> tuple[Metric, ...]:
    """Right in all rotations, and right as it stands in the file."""
    ours, official, *others = option_metrics(
        "mmbench", lambda text, item: mmbench_static_option(text, lettered(item)),
        "the rule of MMBench and lmms-eval that asks no language model", refuses,
    )  # fmt: skip
    if not circular:
        return (ours, official, *others)
    words = "to questions with options that are right in every rotation of these"
    once = AnswerWeight("weight:mmbench-first/1", lambda item, text: float(_place(item) < ROTATION))
    vanilla = replace(
        ours, name="mmbench_vanilla_accuracy", label="Correct answers, options in one order", weight=once,
        what="that are right with the options as the file has them",
    )  # fmt: skip
    return (
        replace(ours, together="all", what=words), replace(official, together="all", what=f"{words}, official rule"),
        vanilla, *others,
    )  # fmt: skip


def _place(item: Item) -> int:
    return int(item.item_id)


def _rows(files: Sequence[Path], pictures: _Pictures, findings: Findings) -> Iterator[Item]:
    """The items, their pictures under the note of the row that has them, until all rows are read."""
    for _, row in rows_in(files):
        with findings.row(row.where):
            require(row.values, ("index", "question"))
            index = _number(row.values["index"])
            yield _item(index, row.values, pictures.of(index, row.values), pictures.known)


def _item(index: int, row: Fields, picture: str, known: Mapping[str, ImageRef]) -> Item:
    options = _options(row)
    hint = _text(row, "hint")
    question = with_options(text_of(row, "question"), options, hint)
    image = known.get(picture)
    return Item(
        item_id=str(index), subset=_text(row, "split") or "dev", question=question, images=(image,) if image else (),
        shown="picture" if image else "none", expected=letter_of(_text(row, "answer"), options), options=tuple(options),
        unit=str(index % ROTATION), cluster=image.sha256 if image else picture, group=_text(row, "category"),
    )  # fmt: skip


def _with_pictures(items: Sequence[Item], findings: Findings) -> list[Item]:
    """The items, each that names another row's picture with that one."""
    images = {item.item_id: item.images for item in items if item.images}
    found = []
    for item in items:
        if not item.images and item.cluster not in images:
            findings.note(f"The picture is that of row {brief(item.cluster)}, and there is none", f"row {item.item_id}")
        shown = item.images or images.get(item.cluster, ())
        found.append(
            replace(item, images=shown, shown="picture", cluster=shown[0].sha256) if shown and not item.images else item
        )
    return found


def _options(row: Fields) -> list[str]:
    """The options from A on; one that is missing between others would move the letters."""
    texts = [_text(row, letter) for letter in LETTERS]
    options = [text for text in texts if text]
    if texts[: len(options)] != options:
        raise DataError(f"Option {LETTERS[texts.index('')]} is empty, and a later one is not")
    return options


def _text(row: Fields, name: str) -> str:
    """A cell as text; empty where nothing stands in it, in any way of writing that."""
    value = row.get(name)
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in _NOTHING else text


def _number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise DataError(f"`index` is a number, not {brief(value)}") from None


def _rotations(item: Item) -> list[Item]:
    """The item, and itself with its options moved on by one, two …, as MMBench numbers them."""
    options, asked = list(item.options), item.question
    listed = with_options("", options)
    head = asked.removesuffix(listed)
    right = LETTERS.index(item.expected)
    found = []
    for moved in range(len(options)):
        turned = options[moved:] + options[:moved]
        found.append(
            replace(
                item, item_id=str(_place(item) + moved * ROTATION), question=head + with_options("", turned),
                options=tuple(turned), expected=LETTERS[(right - moved) % len(options)],
            )
        )  # fmt: skip
    return found
