"""The stages in which guards grade pictures and questions alone, and what decides their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from spavl.config import Settings
from spavl.config.judging import Subject
from spavl.dataset.requests import grade_requests
from spavl.dataset.screen import screen
from spavl.judging import Guard
from spavl.pipeline.judging import guard_named, guard_spec
from spavl.records import ImageRecord, Outcome, Query, Status, is_safe
from spavl.run import Made, ModelUse, StageContext

SETTINGS: dict[Subject, str] = {"picture": "build.screen.guard", "request": "build.requests.guard"}
"""The setting that names the guard, by what it grades."""


def screen_pictures(images: Sequence[ImageRecord], at: StageContext) -> Made:
    """The pictures of a batch with the verdicts of the guard of pictures.

    Args:
        images: the batch.
        at: settings, folder and the door to the guard's model.
    """
    made = screen(images, call=at.call, guard=_guard(at.settings, "picture"), folder=at.folder)
    return Made(made, _ended((one.picture_outcome, one.screen_status) for one in made))


def grade_questions(queries: Sequence[Query], at: StageContext) -> Made:
    """The questions of a batch with the verdicts of the guard of requests.

    Args:
        queries: the batch.
        at: settings, folder and the door to the guard's model.
    """
    made = grade_requests(queries, call=at.call, guard=_guard(at.settings, "request"), folder=at.folder)
    return Made(made, _ended((one.request_outcome, one.request_status) for one in made))


def uses_of(settings: Settings, grades: Subject) -> list[ModelUse]:
    """The guard's model.

    Args:
        settings: name the guard.
        grades: what it grades.
    """
    one = guard_spec(settings, _name(settings, grades), SETTINGS[grades])
    return [ModelUse(label=one.asks, setting=f"guards: {one.name}", sampling=one.sampling, name=one.name)]


def decides(settings: Settings, grades: Subject) -> Any:
    """Name and identity of the guard, its model apart.

    Args:
        settings: name the guard.
        grades: what it grades.
    """
    guard = _guard(settings, grades)
    return [guard.name, guard.identity_with("")]


def _guard(settings: Settings, grades: Subject) -> Guard:
    return guard_named(settings, _name(settings, grades), SETTINGS[grades], allow_code=True, grades=grades)


def _name(settings: Settings, grades: Subject) -> str:
    named = settings.build.screen.guard if grades == "picture" else settings.build.requests.guard
    assert named is not None, "the stage is wanted only where its guard is named"
    return named


def _ended(found: Any) -> Counter[str]:
    """How many were found safe and unsafe, and what became of the calls of the others."""
    return Counter(_word(outcome, status) for outcome, status in found)


def _word(outcome: Outcome | None, status: Status) -> str:
    return {True: "safe", False: "unsafe", None: str(status)}[is_safe(outcome)]
