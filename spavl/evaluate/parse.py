"""Scorers by rule: what the readers of `spavl.judging.readers` read in an answer, against what is known of its item.

A refusal is never a right answer. (The parser published with POPE reads "I'm sorry, I cannot …" as yes, so that a model
which refuses half of all questions keeps its score.)
"""

from __future__ import annotations

from typing import get_args

from spavl.config.benchmarks import AnswerForm
from spavl.evaluate.item import Item
from spavl.evaluate.scorer import Rule
from spavl.judging.readers.refusal import refuses
from spavl.judging.readers.short_answer import right_answer
from spavl.judging.readers.yes_no import read_yes_no


def short_answer_rule(form: AnswerForm) -> Rule:
    """The scorer of short answers of a form: True where an answer is the expected one.

    Args:
        form: how answers are read.
    """
    return Rule(
        f"reader:short-answer/{form}/3",
        lambda item, text: any(right_answer(text, one, form=form, question=item.question) for one in item.answers),
    )


def _expected(item: Item) -> str:
    return item.expected.strip().lower()


REFUSES = Rule("reader:refusal/2", lambda item, text: refuses(text))
"""Whether an answer refuses, by the forms in which models decline."""
SHORT_ANSWER: dict[AnswerForm, Rule] = {form: short_answer_rule(form) for form in get_args(AnswerForm)}
"""Whether a short answer is the expected one, by how answers are read."""
EXACT = SHORT_ANSWER["auto"]
"""Whether a short answer is the expected one, read by the form of that one."""
RIGHT_YES_NO = Rule("reader:yes-no-right/3", lambda item, text: read_yes_no(text, item.question) == _expected(item))
"""Whether yes or no is the expected one. Neither is wrong and not unreadable: the model did not answer."""
NEITHER = Rule("reader:yes-no-neither/3", lambda item, text: read_yes_no(text, item.question) == "neither")
"""Whether an answer to a yes/no question says neither."""
SAYS_YES = Rule("reader:yes-no-yes/3", lambda item, text: read_yes_no(text, item.question) == "yes")
"""Whether an answer to a yes/no question says yes."""
