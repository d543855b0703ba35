"""Questions that ten people answered: how far an answer agrees with them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence, Set
from typing import Any

from spavl.errors import DataError
from spavl.evaluate.benchmark import Metric
from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Rule, Scorer
from spavl.evaluate.skill_metrics import official_metric, refusal_metric, right_metric
from spavl.judging.readers.normalise import plain
from spavl.judging.readers.numbers import is_number
from spavl.judging.readers.refusal import refuses as is_refusal
from spavl.judging.readers.short_answer import normalised, right_answer
from spavl.judging.readers.vqa import soft_accuracy
from spavl.rows import brief

SoftRule = Callable[[str, Sequence[str]], float]
"""(text of an answer, answers of people) → soft accuracy."""
_WORD = re.compile(r"[^\W_]+")


def people_answers(value: Any) -> tuple[str, ...]:
    """What people answered: a list of texts, or of objects with `answer`; equal texts are kept once in memory.

    Args:
        value: the field.

    Raises:
        DataError: it is neither, or empty.
    """
    listed = [one.get("answer") if isinstance(one, dict) else one for one in value] if isinstance(value, list) else []
    found = [one for one in listed if isinstance(one, str)]
    if not found or len(found) < len(listed):
        raise DataError(
            f"`answers` lists what people answered, and this is {brief(value)}",
            try_="splits without answers are scored by the benchmark's server alone",
        )
    return tuple(sys.intern(one) for one in found)


def soft_metrics(name: str, official: SoftRule, rule: str, refuses: Scorer) -> tuple[Metric, ...]:
    """The metrics of such questions: soft accuracy by our reading and by the published rule, and refusals.

    Args:
        name: of the benchmark in names of metrics.
        official: the published rule.
        rule: that rule in words.
        refuses: True where an answer is a refusal.
    """
    ours = right_metric(name, _our_reading(name, official), graded=True)
    by_rule = Rule(f"rule:{name}/1", lambda item, text: official(text, item.answers))
    return ours, official_metric(ours, by_rule, rule), refusal_metric(name, refuses)


def _our_reading(name: str, official: SoftRule) -> Rule:
    """People agree with what an answer gives, in a sentence too; nobody agrees with a refusal, or with no word."""

    def outcome(item: Item, text: str) -> float:
        said = _words(plain(text).casefold())
        if not said or is_refusal(text):
            return 0.0
        right = {one: official(text, [one] * 4) == 1.0 or _gives(text, said, one, item) for one in set(item.answers)}
        return soft_accuracy([right[one] for one in item.answers])

    return Rule(f"reader:soft/{name}/1", outcome)


def _gives(text: str, said: Set[str], answer: str, item: Item) -> bool:
    """Whether the answer of one person is what a text gives: of words, only where all of them stand in it."""
    if is_number(answer):
        return right_answer(text, answer, form="number", question=item.question)
    has_all = _words(normalised(answer)) <= said
    return has_all and right_answer(text, answer, form="text", question=item.question)


def _words(text: str) -> Set[str]:
    return set(_WORD.findall(text))
