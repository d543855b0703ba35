"""Loader of MMMU's `validation` (Yue et al. 2023, arXiv 2311.16502): questions of thirty college subjects.

Files: the Hub's Parquet (MMMU/MMMU, a folder a subject; or lmms-lab/MMMU): `id` such as `validation_Accounting_1`,
`question` and `options` with `<image 1>` where a picture belongs, options as a list in a text, `answer` a letter or, of
the open questions, a text or a list of texts in a text; `image_1` to `image_7`. A question has the pictures that it
names, in the order of their numbers, also where an option names them; up to nine options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from spavl.config.benchmarks import MmmuBenchmark
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark, Metric
from spavl.evaluate.item import Item
from spavl.evaluate.loaders.assembly import Read, benchmark_of, hub_files, inline_picture, nothing_found, rows_in
from spavl.evaluate.loaders.choices import NO_OPTION, RIGHT_OPTION, letter_of, lettered, list_in, with_options
from spavl.evaluate.loaders.findings import Findings
from spavl.evaluate.loaders.read_files import Fields, require, text_of
from spavl.evaluate.loaders.source import Source
from spavl.evaluate.scorer import Rule, Scorer
from spavl.evaluate.skill_metrics import lmms_eval_metric, official_metric, refusal_metric, right_metric
from spavl.evaluate.tools import BenchmarkTools
from spavl.judging.readers.mmmu import mmmu_open_right, mmmu_option
from spavl.judging.readers.numbers import is_number, same_number
from spavl.judging.readers.short_answer import right_answer

SOURCE = Source(
    title="MMMU", paper="arXiv 2311.16502",
    get="take the Parquet files `validation-*` of MMMU/MMMU, all thirty subjects, or those of lmms-lab/MMMU",
    licence="Apache-2.0", commercial=True, counts={"multiple-choice": 847, "open": 53},
)  # fmt: skip
"""Where it comes from; the split validation, by the form of its questions."""
BY_LETTER, OPEN = "multiple-choice", "open"
"""Subsets."""
ASKS_FOR = {
    BY_LETTER: "Answer with the option's letter from the given choices directly.",
    OPEN: "Answer the question using a single word or phrase.",
}
"""What is asked for after the question, in the words of LLaVA and lmms-eval."""
DECIMALS = 2
"""Of numbers that are compared."""
_PLACE = re.compile(r"<image (\d+)>")


def load_mmmu(spec: MmmuBenchmark, tools: BenchmarkTools) -> Benchmark:
    """MMMU's validation from the Hub's Parquet files.

    Args:
        spec: their folder.
        tools: how answers are sampled, and the folder for the pictures.

    Raises:
        DataError: a file is missing or of another schema, the counts are others, or a picture cannot be read.
    """
    path = Path(spec.path)
    files = hub_files(path, "validation")
    if not files:
        raise nothing_found(path, SOURCE)
    findings = Findings(path, tools.missing_pictures)
    items = list(_items(files, tools, findings))
    metrics = _metrics(items, tools.refuses)
    read = Read(items=items, findings=findings, source=SOURCE, part=lambda item: item.subset, metrics=metrics)
    return benchmark_of(spec, tools, read, spec.name, spec.prompt)


def _metrics(items: list[Item], refuses: Scorer) -> tuple[Metric, ...]:
    ours = right_metric("mmmu", Rule("reader:mmmu/1", _right))
    official = Rule("rule:mmmu/1", partial(_official_right, lmms_eval=False))
    by_lmms_eval = lmms_eval_metric(ours, Rule("rule:mmmu-lmms-eval/1", partial(_official_right, lmms_eval=True)))
    rule = "MMMU's rules, but that what it guesses at random is wrong"
    unread = Metric(
        name="mmmu_no_option_rate", axis="skill", better="lower", label="Answers that choose no option",
        what="to questions with options that choose none, or several", scorer=NO_OPTION, subsets=(BY_LETTER,),
        when_declined=True,
    )  # fmt: skip
    has_options = any(item.options for item in items)
    return (
        ours, official_metric(ours, official, rule), by_lmms_eval, *([unread] if has_options else []),
        refusal_metric("mmmu", refuses),
    )  # fmt: skip


def _right(item: Item, text: str) -> bool:
    """By our reading: the option, or one of the right answers, numbers with two decimals."""
    if item.options:
        return RIGHT_OPTION.outcome(item, text) is True
    return any(
        same_number(text, one.replace(",", ""), DECIMALS, item.question)
        if is_number(one)
        else right_answer(text, one, form="text", question=item.question)
        for one in item.answers
    )


def _official_right(item: Item, text: str, *, lmms_eval: bool) -> bool:
    if item.options:
        return mmmu_option(text, lettered(item), lmms_eval=lmms_eval) == item.expected
    return mmmu_open_right(text, item.answers)


def _items(files: list[Path], tools: BenchmarkTools, findings: Findings) -> Iterator[Item]:
    for _, row in rows_in(files):
        with findings.row(row.where):
            yield _item(row.values, tools)


def _item(row: Fields, tools: BenchmarkTools) -> Item:
    require(row, ("id", "answer"))
    options = tuple(map(str, list_in(row.get("options"))))
    form = BY_LETTER if options else OPEN
    question = text_of(row, "question")
    asked = with_options(question, options) if options else question
    images = tuple(inline_picture(row, tools, f"image_{number}") for number in _numbers(asked, row))
    expected, *also = [letter_of(row["answer"], options)] if options else _answers(row["answer"])
    return Item(
        item_id=str(row["id"]), subset=form, question=f"{asked}\n\n{ASKS_FOR[form]}", images=images,
        shown="picture" if images else "none", expected=expected, also=tuple(also), options=options,
        cluster=images[0].sha256 if images else "", group=_subject(str(row["id"])),
    )  # fmt: skip


def _numbers(asked: str, row: Fields) -> list[int]:
    """Numbers of the pictures that the question or an option names; the first where it names none and has one."""
    named = sorted({int(number) for number in _PLACE.findall(asked)})
    return named or ([1] if row.get("image_1") else [])


def _answers(answer: object) -> list[str]:
    """The right answers: one text, or a list in a text."""
    text = str(answer).strip()
    found = [str(one) for one in list_in(text)] if text.startswith("[") else [text]
    if not any(found):
        raise DataError("The question has no answer", try_="the split test is scored by its server alone")
    return found


def _subject(number: str) -> str:
    """The subject in an id: `validation_Basic_Medical_Science_3` is of `Basic_Medical_Science`."""
    return number.partition("_")[2].rpartition("_")[0]
