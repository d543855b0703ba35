"""Pairwise comparison by a judge: the comparison prompt, sent in both reading orders, and its verdict reader."""

from __future__ import annotations

import re

from spavl.judging.templates import Template, load_template
from spavl.models.base import Prompt
from spavl.records import ImageRef, Match, Order, Winner

_VERDICT = re.compile(r"\[\[([ABC])\]\]")


def comparison_template(path: str | None = None) -> Template:
    """The template of the comparison prompt; placeholders question, answer_a, answer_b.

    Args:
        path: a template file instead of the built-in one.

    Raises:
        DataError: the file cannot be read, or its placeholders are not these.
    """
    return load_template("compare", ("question", "answer_a", "answer_b"), path, needed=("answer_a", "answer_b"))


def comparison_prompt(match: Match, order: Order, template: Template, image: ImageRef) -> Prompt:
    """The prompt that asks a judge which of two answers is better.

    Args:
        match: the question and its two answers.
        order: reading order; `ab` shows answer a first.
        template: the comparison template.
        image: the picture that the question is about.
    """
    first, second = (match.a_response, match.b_response) if order == "ab" else (match.b_response, match.a_response)
    values = {"question": match.query.question, "answer_a": first, "answer_b": second}
    return Prompt(template.fill(values), images=(image,), item=match.query.image.image_id, fields=values)


def read_verdict(text: str, order: Order) -> Winner | None:
    """The winner in terms of the match, or None where the text has no verdict or contradictory ones.

    A judge may reason first and repeat its verdict; marks that differ are not resolved by a guess.

    Args:
        text: the judge's reply, with `[[A]]`, `[[B]]` or `[[C]]` (a tie).
        order: reading order of the prompt that was answered.
    """
    found = set(_VERDICT.findall(text))
    if len(found) != 1:
        return None
    mark = found.pop()
    if mark == "C":
        return "tie"
    return "a" if (mark == "A") == (order == "ab") else "b"


def agreed(ab: Winner | None, ba: Winner | None) -> Winner | None:
    """The verdict that both reading orders gave, or None (the rule of the SPA-VL paper).

    Args:
        ab: winner in order `ab`, in terms of the match.
        ba: winner in order `ba`, in terms of the match.
    """
    return ab if ab == ba else None
