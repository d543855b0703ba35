"""Answers with the verdicts of official code on them, and our rules that must give the same.

`tests/judging/official/*.json` says in each head where the verdicts come from; all answers are benign placeholders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from spavl.evaluate import Answer, Benchmark, Item, score
from spavl.evaluate.loaders.choices import lettered, with_options
from spavl.evaluate.scorer import Rule
from spavl.evaluate.skill_metrics import right_metric
from spavl.judging.readers.exact import gqa_exact, seed_bench_letter
from spavl.judging.readers.mathvista import MathVistaQuestion, mathvista_right
from spavl.judging.readers.mmbench import mmbench_option, mmbench_static_option
from spavl.judging.readers.mmmu import mmmu_open_right, mmmu_option
from spavl.judging.readers.options import LETTERS
from spavl.judging.readers.science_qa import llava_science_qa_option, lmms_eval_science_qa_option
from spavl.judging.readers.vqa import evalai_accuracy, vqa_accuracy
from spavl.judging.readers.yes_no import lmms_eval_yes_no, pope_official
from spavl.models.base import Sampling

FOLDER = Path(__file__).parent / "official"
"""The files."""
Row = Mapping[str, Any]


def circular(row: Row) -> bool:
    """Whether a question counts as right by its answers in all rotations, as the metric of MMBench has it."""
    texts = ["cup", "mug", "bowl", "plate"]
    turned = [texts[moved:] + texts[:moved] for moved in range(4)]
    items = tuple(
        Item(
            item_id=str(7 + moved * 1_000_000), subset="dev", question=with_options("What is it?", options),
            shown="none", options=tuple(options), expected=LETTERS[options.index("cup")], unit="7",
        )
        for moved, options in enumerate(turned)
    )  # fmt: skip
    rule = Rule("rule:mmbench/1", lambda item, text: mmbench_static_option(text, lettered(item)) == item.expected)
    metric = right_metric("mmbench", rule, together="all")
    made = Benchmark(name="mmbench", items=items, metrics=(metric,), sampling=Sampling(max_tokens=8))
    said = [
        Answer(item=item, benchmark="mmbench", model="m", text=text, status="ok", call="", tokens=1)
        for item, text in zip(items, row["texts"], strict=True)
    ]
    outcomes = [one.outcomes[metric.name] for one in score(made, said) if metric.name in one.outcomes]
    assert len(outcomes) == 1
    return outcomes[0] is True


def _of(letters: Container[str], letter: str | None) -> str | None:
    """The letter if it is that of an option: none of the others can be right."""
    return letter if letter is not None and letter in letters else None


RULES: Mapping[str, Callable[[Row], object]] = {
    "pope": lambda row: pope_official(row["text"]),
    "pope_lmms_eval": lambda row: lmms_eval_yes_no(row["text"]),
    "vqa": lambda row: round(vqa_accuracy(row["text"], row["answers"]), 9),
    "evalai": lambda row: round(evalai_accuracy(row["text"], row["answers"]), 9),
    "science_qa": lambda row: llava_science_qa_option(row["text"]),
    "science_qa_lmms_eval": lambda row: lmms_eval_science_qa_option(row["text"], row["letters"]),
    "mmbench": lambda row: mmbench_option(row["text"], row["options"]),
    "mmbench_static": lambda row: _of(row["options"], mmbench_static_option(row["text"], row["options"])),
    "mmbench_circular": circular,
    "mathvista": lambda row: mathvista_right(
        row["text"], MathVistaQuestion(**{**row["question"], "choices": tuple(row["question"].get("choices", ()))})
    ),
    "mmmu": lambda row: mmmu_option(row["text"], row["options"]),
    "mmmu_lmms_eval": lambda row: mmmu_option(row["text"], row["options"], lmms_eval=True),
    "mmmu_open": lambda row: mmmu_open_right(row["text"], row["answers"]),
    "seed_bench": lambda row: _of("ABCD", seed_bench_letter(row["text"]) or None),
    "gqa": lambda row: gqa_exact(row["text"], row["expected"]),
}  # fmt: skip
"""Our rule by the name of its file."""


@cache
def answers(rule: str) -> tuple[Row, ...]:
    """The answers of a file, each with the official verdict under `right`."""
    return tuple(json.loads((FOLDER / f"{rule}.json").read_text("utf-8"))["answers"])


def other_verdicts(rule: str) -> list[tuple[Row, object]]:
    """The answers to which our rule gives another verdict than the official code, with ours."""
    found = []
    for row in answers(rule):
        ours, right = RULES[rule](row), row["right"]
        if ours != (round(right, 9) if isinstance(right, float) else right):
            found.append((row, ours))
    return found
