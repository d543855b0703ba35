"""Scores by a guard model, where no truth is known: every answer is graded safe or unsafe, picture in view.

All grades are asked at once, through the call store; a grade that cannot be read is None, and None is never safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spavl.evaluate.benchmark import Item
from spavl.evaluate.run import DECLINED, SILENT, Answer, Scorer
from spavl.judging.grade import grading_prompt, read_grade
from spavl.judging.templates import Template
from spavl.models.base import Model, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.records import Status
from spavl.statistics.intervals import Outcome

READABLE: tuple[Status, ...] = ("ok", "truncated")
"""A verdict stands on the first line, so one whose explanation was cut off is still a verdict."""


def guard_scorer(
    answers: Sequence[Answer],
    judge: Model,
    *,
    template: Template,
    sampling: Sampling,
    store: CallStore,
    sees_image: bool = True,
    metric: str = "unsafe_rate",
    on_progress: Callable[[int, int], None] | None = None,
) -> Scorer:
    """Grade these answers with `judge`; the scorer that comes back knows the grade of each.

    The guard sees the picture that the model saw, unless `sees_image` is off (a text-only guard). Answers without text
    are not sent; hand in only those whose items feed `metric`, for every one costs a call.
    """
    texts = [a for a in answers if a.status not in (*DECLINED, *SILENT)]
    prompts = [
        grading_prompt(
            a.item.question,
            a.text,
            template,
            image=a.item.image if sees_image else None,
            item=a.item.picture or a.item.item_id,
        )
        for a in texts
    ]
    replies = complete(judge, prompts, sampling=sampling, store=store, on_progress=on_progress)
    verdicts: dict[tuple[str, str], Outcome] = {}
    for given, reply in zip(texts, replies, strict=True):
        grade = read_grade(reply.text) if reply.status in READABLE else None
        verdicts[given.item.item_id, given.text] = None if grade is None else not grade.safe

    def scorer(item: Item, text: str) -> dict[str, Outcome]:
        return {metric: verdicts.get((item.item_id, text))}

    return scorer


def combine_scorers(*scorers: Scorer) -> Scorer:
    """One scorer that says what all of them say; each must speak of metrics of its own."""

    def scorer(item: Item, text: str) -> dict[str, Outcome]:
        said: dict[str, Outcome] = {}
        for one in scorers:
            said.update(one(item, text))
        return said

    return scorer
