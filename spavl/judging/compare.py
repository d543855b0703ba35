"""Pairwise comparison: one match, two ballots (both reading orders), and a reader that refuses to guess."""

from __future__ import annotations

import re

from spavl.judging.templates import Template, load_template
from spavl.models.base import ImageRef, Prompt
from spavl.records import Match, Order, Winner

_VERDICT = re.compile(r"\[\[([ABC])\]\]")


def comparison_template(path: str | None = None) -> Template:
    """The comparison prompt; placeholders question, answer_a, answer_b."""
    return load_template("compare", ("question", "answer_a", "answer_b"), path, needed=("answer_a", "answer_b"))


def comparison_prompt(match: Match, order: Order, template: Template, image: ImageRef) -> Prompt:
    """The question to the judge; `ab` shows answer a first."""
    first, second = (match.a_response, match.b_response) if order == "ab" else (match.b_response, match.a_response)
    values = {"question": match.query.question, "answer_a": first, "answer_b": second}
    return Prompt(template.fill(values), images=(image,), item=match.query.image.image_id, fields=values)


def read_verdict(text: str, order: Order) -> Winner | None:
    """The winner in terms of the match, or None where there is no verdict or there are two different ones.

    A judge may think aloud and name a verdict more than once; if all agree it is read, otherwise it is not guessed.
    """
    found = set(_VERDICT.findall(text))
    if len(found) != 1:
        return None
    mark = found.pop()
    if mark == "C":
        return "tie"
    return "a" if (mark == "A") == (order == "ab") else "b"


def agreed(ab: Winner | None, ba: Winner | None) -> Winner | None:
    """The verdict that both reading orders gave, or None. Only agreeing verdicts count (the paper's rule)."""
    return ab if ab == ba else None
