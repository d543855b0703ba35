"""Answers are not paid for where no two of them can be compared."""

from __future__ import annotations

from typing import Any

import pytest

from spavl.config import Settings
from spavl.errors import SettingsError
from spavl.pipeline.build import refuse_small_roster
from spavl.pipeline.stages import pipeline_of


def refused(**build: Any) -> bool:
    """Whether a roster is refused."""
    settings = Settings.model_validate({"build": build})
    try:
        refuse_small_roster(settings, pipeline_of(settings, allow_code=False))
    except SettingsError as error:
        assert error.where == "build.respond.models"
        return True
    return False


@pytest.mark.parametrize(
    ("samples", "same", "expected"), [(1, False, True), (3, False, True), (1, True, True), (3, True, False)]
)
def test_one_responder_is_enough_only_where_it_answers_several_times_and_meets_itself(
    samples: int, same: bool, expected: bool
) -> None:
    one = {"models": ["one"], "samples": samples}
    assert refused(respond=one, match={"same_responder": same}) is expected


def test_two_responders_are_enough_and_none_is_not() -> None:
    assert not refused(respond={"models": ["one", "other"]})
    assert refused(respond={"models": []}, match={"same_responder": True})
