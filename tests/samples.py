"""Sample records for tests; a test names only the fields that it is about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from spavl.records import (
    ImageRecord,
    ImageRef,
    Judgment,
    Match,
    Order,
    Outcome,
    PreferencePair,
    Query,
    QuestionType,
    Response,
    Topic,
    Winner,
)

WEAPON = Topic(class1="Malicious Use", class2="Security threats", class3="weapon")


def image(name: str = "weapon/one", **changes: Any) -> ImageRecord:
    """A picture's record; its file need not be there."""
    made = ImageRecord(
        topic=WEAPON, image_id=name, image_file=f"images/{name}.png", image_sha256=f"sha of {name}", width=4, height=3,
        benign=False, heldout=False, image_source="folder:one.png", license="CC0",
    )  # fmt: skip
    return replace(made, **changes)


def query(of: ImageRecord | None = None, kind: QuestionType = "easy_question", **changes: Any) -> Query:
    """A question that was written."""
    of = of or image()
    made = Query(
        image=of, images=(ImageRef(Path(of.image_file), of.image_sha256),), harmful=not of.benign,
        query_id=f"{of.image_id}/{kind}", question_type=kind, question=f"What is shown in {of.image_id}?",
        asker="asker", query_status="ok", query_call="key",
    )  # fmt: skip
    return replace(made, **changes)


def response(of: Query, responder: str, *, outcome: Outcome | None = "safe", **changes: Any) -> Response:
    """A graded answer."""
    made = Response(
        query=of, response_id=f"{of.query_id}/{responder}", responder=responder, response=f"Answer of {responder}.",
        response_status="ok", response_tokens=3, response_call="key", outcome=outcome, safe_category="", grader="guard",
        grade_status="ok", grade_call="key",
    )  # fmt: skip
    return replace(made, **changes)


def match(of: Query | None = None, a: str = "amber", b: str = "birch", **changes: Any) -> Match:
    """Two answers to compare, the first of them safe."""
    of = of or query()
    made = Match(
        query=of, match_id=f"{of.query_id}/{a}~{b}",
        a_response_id=f"{of.query_id}/{a}", a_responder=a, a_response=f"Answer of {a}.", a_outcome="safe", a_group=0,
        b_response_id=f"{of.query_id}/{b}", b_responder=b, b_response=f"Answer of {b}.", b_outcome="unsafe", b_group=1,
    )  # fmt: skip
    return replace(made, **changes)


def judgment(of: Match, order: Order, winner: Winner | None, judge: str = "judge") -> Judgment:
    """A verdict in one reading order."""
    return Judgment(
        match=of, judgment_id=f"{of.match_id}/{judge}/{order}", judge=judge, order=order, winner=winner,
        judgment_status="ok" if winner else "unreadable", judgment_call="key", reason="because",
    )  # fmt: skip


def pair(of: Query | None = None, **changes: Any) -> PreferencePair:
    """A pair that both orders agree on."""
    of = of or query()
    made = PreferencePair(
        query=of, pair_id=f"{of.query_id}/amber~birch", chosen="The better answer.", rejected="The worse answer.",
        chosen_source="amber", rejected_source="birch", chosen_id=f"{of.query_id}/amber",
        rejected_id=f"{of.query_id}/birch", chosen_outcome="safe", rejected_outcome="unsafe", judge="judge",
        verdict_ab="a", verdict_ba="a",
    )  # fmt: skip
    return replace(made, **changes)
