"""Pictures and questions graded apart from answers: a picture that is not found safe is kept, and gets no questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spavl.config import Settings
from spavl.dataset.requests import unsafe_requests
from spavl.errors import SettingsError
from spavl.models.base import Reply, Request
from spavl.pipeline.build import build
from spavl.pipeline.check import check
from spavl.pipeline.guard_agreement import questions_alone
from spavl.pipeline.report import funnel_of
from spavl.pipeline.session import Session
from spavl.progress import NoProgress
from spavl.records import ImageRecord, Query, Topic
from spavl.tables import read_table, write_table
from tests import samples
from tests.pipeline.instant import built, settings_of, write_pictures


class Looking:
    """A guard that finds the first picture unsafe, does not answer the second readably, and finds others safe."""

    def __init__(self, *, name: str, identity: str, batch_size: int) -> None:
        self._replies = {"weapon/0": "unsafe\nplaceholder", "weapon/benign/1": "hm"}

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request; each must show a picture."""
        assert all(request.prompt.pictures for request in requests)
        return [Reply(self._replies.get(request.prompt.item.split("-")[0], "safe\nnone")) for request in requests]


def settings(folder: Path, **build_: Any) -> Settings:
    """A small build with guards of pictures and requests."""
    write_pictures(folder / "pictures")
    given = settings_of(folder).model_dump(mode="json")
    given["models"].append({"kind": "python", "name": "looking", "target": f"{__name__}:Looking", "version": "1"})
    given["guards"] += [
        {"name": "pictures", "model": "looking", "grades": "picture"},
        {"name": "questions", "model": "looking", "grades": "request"},
    ]
    return Settings.model_validate({**given, "build": {**given["build"], **build_}})


def test_a_picture_that_the_guard_did_not_find_safe_is_kept_and_gets_no_questions(tmp_path: Path) -> None:
    given = settings(tmp_path, screen={"guard": "pictures"})
    counts, *_ = built(given)
    assert counts["screen"] == {"safe": 5, "unsafe": 1, "unreadable": 1}
    run = Path(given.out)
    images = {one.image_id.split("-")[0]: one for one in read_table(run / "parts" / "screen.parquet", ImageRecord)}
    assert len(images) == 7
    first, second = images["weapon/0"], images["weapon/benign/1"]
    assert (first.picture_outcome, first.picture_category, first.screen_status) == ("unsafe", "placeholder", "ok")
    assert (second.picture_outcome, second.screen_status, second.screener) == (None, "unreadable", "pictures")
    assert second.screen_detail and second.screen_call
    asked = Counter(q.image.image_id.split("-")[0] for q in read_table(run / "2-queries.parquet", Query))
    assert set(asked) == set(images) - {"weapon/0", "weapon/benign/1"}
    with Session(given, NoProgress(), allow_code=True) as session:
        steps = {step.name: step for step in funnel_of(session.run.manifest())}
    assert steps["pictures that passed the guard"].losses == {"unsafe": 1, "unreadable": 1}


def test_questions_are_graded_alone_and_drop_nothing(tmp_path: Path) -> None:
    given = settings(tmp_path, requests={"guard": "questions"})
    counts, *_ = built(given)
    assert counts["requests"] == {"safe": 15, "unsafe": 3, "unreadable": 3}
    assert counts["respond"]["ok"] == 63
    with Session(given, NoProgress(), allow_code=True) as session:
        found = session.run.manifest()["unsafe_requests"]
    assert found == [{"category": "Security threats", "unsafe": 3, "n": 12, "unread": 0, "rate": 0.25}]
    (line,) = questions_alone(found, "questions")
    assert line.what.startswith("questions alone: 25.0 % of 12 unsafe, 0 unread; from 25 % (Security threats)")


def test_a_run_without_these_guards_has_no_such_stages(tmp_path: Path) -> None:
    counts, *_ = built(settings(tmp_path))
    assert not {"screen", "requests", "vote"} & set(counts)


def test_check_counts_their_calls(tmp_path: Path) -> None:
    given = settings(tmp_path, screen={"guard": "pictures"}, requests={"guard": "questions"})
    with Session(given, NoProgress(), allow_code=True, look_only=True) as session:
        plan = check(session)
    calls = {one.stage: one.calls for one in plan.estimates}
    assert (calls["screen"], calls["requests"]) == (7, 21) and plan.problems == []


@pytest.mark.parametrize(("section", "subject"), [("screen", "picture"), ("requests", "request")])
def test_a_guard_that_grades_something_else_is_a_sentence(section: str, subject: str, tmp_path: Path) -> None:
    given = settings(tmp_path, **{section: {"guard": "guard"}})
    with Session(given, NoProgress(), allow_code=True) as session, pytest.raises(SettingsError) as error:
        build(session)
    assert f"names the guard `guard`, which does not tell safe {subject}s from unsafe ones" in error.value.what
    assert f"`grades: {subject}`" in error.value.try_


def test_questions_of_a_category_that_was_not_read_at_all_are_counted_as_unread() -> None:
    read = {"category": "A", "unsafe": 1, "n": 5, "unread": 1, "rate": 0.25}
    lost = {"category": "B", "unsafe": 0, "n": 6, "unread": 6, "rate": None}
    (line,) = questions_alone([read, lost], "questions")
    assert line.what.startswith("questions alone: 25.0 % of 4 unsafe, 7 unread; ")
    (nothing,) = questions_alone([lost], "questions")
    assert nothing.what == "questions alone: none read, 6 unread"
    assert questions_alone([], "questions") == ()


def test_unsafe_questions_are_named_by_subcategory_where_the_taxonomy_has_no_categories(tmp_path: Path) -> None:
    flat = samples.image(topic=Topic(class1="", class2="", class3="cakes"))
    asked = samples.query(flat, request_outcome="unsafe")
    write_table(tmp_path / "queries.parquet", [asked], kind=Query)
    assert [one["category"] for one in unsafe_requests(tmp_path / "queries.parquet")] == ["cakes"]
