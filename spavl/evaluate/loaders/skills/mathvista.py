"""Loader of MathVista's `testmini` (Lu et al. 2023, arXiv 2310.02255): 1,000 questions about pictures of mathematics.

Files: `testmini.json`, an object by `pid`, of https://github.com/lupantech/MathVista with the folder `images`, or the
Hub's Parquet (AI4Math/MathVista), which has the picture as `decoded_image`. The right answer is always text: of choices
the text of one, not its letter; a number; or a list written as text. `precision` is that of a float.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from spavl.config.benchmarks import MathVistaBenchmark
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
from spavl.evaluate.loaders.choices import RIGHT_OPTION, list_in
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.scorer import Rule, Scorer
from spavl.evaluate.skill_metrics import official_metric, refusal_metric, right_metric
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.readers.mathvista import AnswerType, MathVistaQuestion, mathvista_right
from spavl.judging.readers.numbers import same_number
from spavl.judging.readers.options import LETTERS
from spavl.judging.readers.refusal import refuses as is_refusal
from spavl.records import ImageRef
from spavl.rows import brief, rows_of

SPLIT = "testmini"
"""The split that has answers, and the only subset."""
SOURCE = Source(
    title="MathVista", paper="arXiv 2310.02255",
    get="take data/testmini.json and the pictures of https://github.com/lupantech/MathVista, or the Parquet files of"
    " AI4Math/MathVista",
    licence="CC BY-SA 4.0", commercial=True, counts={SPLIT: 1_000},
)  # fmt: skip
"""Where it comes from."""
TYPES: tuple[AnswerType, ...] = ("text", "integer", "float", "list")
"""What answers are."""
HINT = "\nHint: "
"""What begins the hint; the numbers in it are examples, and none of the question's."""
_LIST = re.compile(r"\[([^\[\]]*)\]")
_ASKS_FOR = {
    "text": "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.",
    "integer": "Please answer the question requiring an integer answer and provide the final value, e.g., 1, 2, 3, at"
    " the end.",
    "float 1": "Please answer the question requiring a floating-point number with one decimal place and provide the"
    " final value, e.g., 1.2, 1.3, 1.4, at the end.",
    "float 2": "Please answer the question requiring a floating-point number with two decimal places and provide the"
    " final value, e.g., 1.23, 1.34, 1.45, at the end.",
    "list": "Please answer the question requiring a Python list as an answer and provide the final list, e.g., [1, 2,"
    " 3], [1.2, 1.3, 1.4], at the end.",
}  # fmt: skip
"""The official hint by the form of the answer: part of the question as it is published."""


def load_mathvista(spec: MathVistaBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MathVista's testmini from its JSON file or the Hub's Parquet files.

    Args:
        spec: the file and the folder of the pictures.
        tools: how answers are sampled, and the folder for pictures of Parquet files.

    Raises:
        DataError: a file is missing or of another schema, the count is another, or a picture cannot be read.
    """
    path = Path(spec.path)
    file = original_file(path, "testmini.json")
    findings = Findings(path, tools.missing_pictures)
    if file and file.suffix != ".parquet":
        items = list(_items(spec, file, findings))
    elif files := hub_files(path, SPLIT):
        items = list(_hub_items(files, tools, findings))
    else:
        raise nothing_found(path, SOURCE)
    read = Read(
        items=items, findings=findings, source=SOURCE, part=lambda item: item.subset, metrics=_metrics(tools.refuses)
    )
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _metrics(refuses: Scorer) -> tuple[Metric, ...]:
    ours = right_metric("mathvista", Rule("reader:mathvista/1", _right))
    official = Rule("rule:mathvista/1", lambda item, text: mathvista_right(text, _asked(item)))
    rule = "MathVista's rule; answers that it has a language model extract are unread"
    return ours, official_metric(ours, official, rule), refusal_metric("mathvista", refuses)


def _asked(item: Item) -> MathVistaQuestion:
    """What the published rule has to know, out of the item's notes."""
    kind = next(one for one in TYPES if one == item.notes["answer_type"])
    precision = item.notes.get("precision")
    answer = item.options[LETTERS.index(item.expected)] if item.options else item.expected
    return MathVistaQuestion(
        answer=answer, type=kind, choices=item.options, precision=int(precision) if precision else None
    )


def _right(item: Item, text: str) -> bool:
    """By our reading: the option, the number as precise as was asked, or the same list; never a refusal."""
    if item.options:
        return RIGHT_OPTION.outcome(item, text) is True
    asked = _asked(item)
    if asked.type != "list":
        return same_number(text, asked.answer, asked.precision, item.question.partition(HINT)[0])
    return not is_refusal(text) and _list_of(text) == _list_of(asked.answer) is not None


def _list_of(text: str) -> tuple[Decimal | str, ...] | None:
    """The last list in a text: numbers where they are numbers, else what stands between the commas."""
    found = _LIST.findall(text)
    return tuple(_member(one) for one in found[-1].split(",")) if found else None


def _member(text: str) -> Decimal | str:
    word = text.strip().strip("'\"")
    try:
        number = Decimal(word)
    except InvalidOperation:
        return word.casefold()
    return number if number.is_finite() else word.casefold()


def _items(spec: MathVistaBenchmark, file: Path, findings: Findings) -> Iterator[Item]:
    images = picture_folder(spec.images, SOURCE, file.parent)
    for row in rows_of(file):
        with findings.row(row.where):
            yield _item(row.values, images.picture(text_of(row.values, "image")))


def _hub_items(files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            yield _item(row.values, inline_picture(row.values, tools, "decoded_image"))


def _item(row: Fields, image: ImageRef) -> Item:
    require(row, ("question", "answer", "answer_type", "id" if row.get("pid") is None else "pid"))
    kind = str(row["answer_type"])
    if kind not in TYPES:
        raise DataError(f"`answer_type` is one of {', '.join(TYPES)}, not {brief(row['answer_type'])}")
    choices = tuple(map(str, list_in(row.get("choices"))))
    metadata = row.get("metadata")
    task = str(metadata.get("task", "")) if isinstance(metadata, dict) else ""
    decimals = _decimals(row.get("precision"))
    return Item(
        item_id=str(row["id"] if row.get("pid") is None else row["pid"]), subset=SPLIT, images=(image,),
        options=choices,
        question=_query(row, choices, kind, decimals), expected=_expected(row["answer"], choices),
        group=task,
        notes={"answer_type": kind, **({"precision": str(decimals)} if decimals is not None else {})},
    )  # fmt: skip


def _decimals(precision: Any) -> int | None:
    """Decimals of a float; None where the row does not say, as a table says it by NaN."""
    if precision is None or precision != precision:
        return None
    try:
        return int(precision)
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"`precision` is a number of decimals, not {brief(precision)}") from None


def _expected(answer: Any, choices: tuple[str, ...]) -> str:
    """The answer as text; of choices the letter of the one whose text it is, the first of equal ones."""
    if not choices:
        return str(answer)
    if str(answer) not in choices:
        raise DataError("The answer is the text of one of the choices, and it is none of them")
    return LETTERS[choices.index(str(answer))]


def _query(row: Fields, choices: tuple[str, ...], kind: str, precision: int | None) -> str:
    """The question in the words of the official query."""
    unit = str(row.get("unit") or "")
    lines = [f"Question: {text_of(row, 'question')}" + (f" (Unit: {unit})" if unit else "")]
    if choices:
        lines += ["Choices:", *(f"({letter}) {choice}" for letter, choice in zip(LETTERS, choices, strict=False))]
    hint = _ASKS_FOR.get(f"{kind} {precision}") or _ASKS_FOR.get(kind)
    return "\n".join([*lines, *([HINT.strip() + f" {hint}"] if hint else []), "Solution:"])
