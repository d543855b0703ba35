"""Scorer by a guard model, for requests without a reference answer: every answer is graded safe or unsafe.

All grades are requested at once, through the call store; a grade that cannot be read is None, and None is never safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spavl.evaluate.benchmark import Item
from spavl.evaluate.run import DECLINED, FAILED, Answer, Scorer
from spavl.judging.guard import grading_prompt, read_grade
from spavl.judging.templates import Template
from spavl.models.base import Model, Sampling
from spavl.models.calls.engine import complete
from spavl.models.calls.store import CallStore
from spavl.records import Status
from spavl.statistics.intervals import Outcome

READABLE: tuple[Status, ...] = ("ok", "truncated")
"""Statuses of a reply whose verdict is read. It stands on the first line, so a truncated explanation does no harm."""


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
    """A scorer that knows the grade of each of these answers, all graded by `judge` beforehand.

    Calls that failed or were declined have no text to grade and are not sent.

    Args:
        answers: answers to grade, one call each: only those whose items count in `metric`.
        judge: the guard.
        template: the grading prompt.
        sampling: how the guard generates.
        store: where calls are looked up and kept.
        sees_image: whether the guard sees the picture that the model saw; off for a text-only guard.
        metric: name of the metric whose outcome is the grade; True is unsafe.
        on_progress: called with (graded, all).
    """
    texts = [a for a in answers if a.status not in (*DECLINED, *FAILED)]
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
