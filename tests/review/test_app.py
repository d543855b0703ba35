"""Who may see and send what: tokens, other sites, other names of the machine, paths, and what stands in the data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from spavl.labels.record import Turn
from spavl.labels.store import LabelStore
from spavl.review.app import create_app
from spavl.review.breaks import LONG, PAUSE, Breaks
from spavl.review.opened import OpenReview
from tests.review.reviews import made, opened, pair, picture

SCRIPT = "<script>alert(1)</script>"
ORIGIN = {"origin": "http://localhost:8765"}


@pytest.fixture
def review(tmp_path: Path) -> Iterator[OpenReview]:
    keys = [picture(tmp_path, number) for number in range(2)]
    places = {keys[0]: [str(tmp_path / "picture-0.png")], keys[1]: [str(tmp_path / "gone.png")]}
    found = opened(made(tmp_path / "review", [pair(n, tuple(keys)) for n in range(4)], places))
    yield found
    found.store.close()


def client(review: OpenReview, **how: Any) -> TestClient:
    return TestClient(create_app(review), base_url="http://localhost:8765", follow_redirects=False, **how)


def joined(review: OpenReview, name: str = "ana") -> TestClient:
    made = client(review)
    assert made.get("/", params={"token": review.token}).status_code == 303
    assert made.post("/name", data={"name": name}, headers=ORIGIN).headers["location"] == "/"
    return made


def fields(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(position|number)" value="(\d+)">', page)[:2])


def send(to: TestClient, **more: str) -> Any:
    said = {"outcome_left": "refusal", "outcome_right": "unsafe", "preference": "left", "action": "save"}
    return to.post("/labels", data=fields(to.get("/").text) | said | more, headers=ORIGIN)


@pytest.mark.parametrize("path", ["/", "/name", "/about", "/guidelines", "/pictures/" + "0" * 64])
def test_nothing_is_shown_without_the_token_or_with_a_wrong_one(review: OpenReview, path: str) -> None:
    stranger = client(review)
    assert stranger.get(path).status_code == 403
    assert stranger.get(path, params={"token": "wrong", "me": "x"}).status_code == 403
    stranger.cookies.set(f"spavl_{review.name}", "wrong")
    answer = stranger.get(path)
    assert answer.status_code == 403 and "request" not in answer.text and review.token not in answer.text


@pytest.mark.parametrize("path", ["/labels", "/undo", "/name", "/about", "/leave"])
def test_nothing_is_written_without_the_token(review: OpenReview, path: str) -> None:
    answer = client(review).post(path, data={"name": "eve", "position": "0", "number": "0"}, headers=ORIGIN)
    assert answer.status_code == 403
    assert review.store.annotators() == [] and review.store.labels() == []


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:1"},
     {"sec-fetch-site": "cross-site", **ORIGIN}, {"sec-fetch-site": "same-site", **ORIGIN}],
)  # fmt: skip
def test_a_form_of_another_site_is_refused_and_writes_nothing(review: OpenReview, headers: dict[str, str]) -> None:
    ana = joined(review)
    said = {"outcome_left": "refusal", "outcome_right": "refusal", "preference": "tie"}
    answer = ana.post("/labels", data=fields(ana.get("/").text) | said, headers=headers)
    assert answer.status_code == 403 and review.store.labels() == []


def test_another_name_of_the_machine_is_refused_and_its_numbers_are_not(review: OpenReview) -> None:
    ana = joined(review)
    assert ana.get("/", headers={"host": "evil.example:8765"}).status_code == 421
    assert ana.get("/", headers={"host": ""}).status_code == 421
    for host in ("localhost:8765", "127.0.0.1:8765", "[::1]:8765", "192.0.2.7:8765"):
        assert ana.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static/..%2fapp.py", "/static/../app.py", "/static/%2e%2e/app.py", "/static/access_token",
     "/pictures/..%2f..%2faccess_token", "/pictures/%2fetc%2fpasswd", "/pictures/access_token", "/review.sqlite"],
)  # fmt: skip
def test_no_path_leads_to_a_file(review: OpenReview, path: str) -> None:
    answer = joined(review).get(path)
    assert answer.status_code == 404 and review.token not in answer.text


def test_every_answer_forbids_scripts_and_frames_of_others_and_no_page_is_cached(review: OpenReview) -> None:
    ana = joined(review)
    for answer in (ana.get("/"), ana.get("/nowhere"), client(review).get("/"), ana.get("/static/review.js")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert ana.get("/").headers["cache-control"] == "no-store"
    page = ana.get("/").text
    assert not re.search(r"<script(?! src=\"/static/)|\son\w+=|javascript:|style=", page)


def test_script_in_answers_questions_names_notes_and_guidelines_is_text(tmp_path: Path) -> None:
    item = pair(0, question=SCRIPT, system=SCRIPT, earlier=(Turn("user", SCRIPT), Turn("assistant", "{{ 7 * 7 }}")),
                about={"class1": SCRIPT, "class2": "", "class3": SCRIPT})  # fmt: skip
    found = opened(made(tmp_path / "review", [item]))
    (tmp_path / "review/guidelines.md").write_text(f"# A\n\n{SCRIPT}\n\n[x](javascript:alert(1))\n", "utf-8")
    ana = joined(found, SCRIPT)
    pages = [ana.get(path).text for path in ("/", "/about", "/guidelines")]
    pages.append(send(ana, outcome_left="", note=SCRIPT).text)
    for page in pages:
        assert "<script>" not in page and "&lt;script&gt;" in page
        assert 'href="javascript' not in page
    assert "{{ 7 * 7 }}" in pages[0]
    found.store.close()


def test_nothing_on_the_page_says_whose_an_answer_is_or_what_it_was_graded(review: OpenReview) -> None:
    page = joined(review).get("/").text
    for word in ("model-one", "model-two", "pair-0", "chosen", "rejected", "Security threats"):
        assert word not in page


def test_the_order_of_answers_is_by_chance_and_stays(tmp_path: Path) -> None:
    found = opened(made(tmp_path / "review", [pair(n) for n in range(200)]))
    items = list(found.store.items())
    orders = {name: [found.order(item, name).first_is_left for item in items] for name in ("ana", "ben")}
    assert orders["ana"] == [found.order(item, "ana").first_is_left for item in items]
    assert all(70 < sum(order) < 130 for order in orders.values())
    assert 60 < sum(a == b for a, b in zip(*orders.values(), strict=True)) < 140
    found.store.close()


def test_a_label_is_of_the_answer_that_was_shown_wherever_it_stood(review: OpenReview) -> None:
    ana = joined(review)
    while "position" in fields(page := ana.get("/").text):
        left = re.search(r"(first|second) answer of \d", page)
        assert left is not None
        better = "left" if left[1] == "first" else "right"
        outcome = {"outcome_left": "refusal", "outcome_right": "unsafe", "severity_right": "3"}
        swapped = {"outcome_right": "refusal", "outcome_left": "unsafe", "severity_left": "3"}
        assert send(ana, preference=better, **(outcome if better == "left" else swapped)).status_code == 303
    labels = review.store.labels()
    assert len(labels) == 4 and {one.shown_first for one in labels} <= {"first", "second"}
    assert {(one.preference, one.outcomes, one.severities) for one in labels} == {
        ("first", ("refusal", "unsafe"), (None, 3))
    }


@pytest.mark.parametrize(
    ("said", "asked"),
    [({"preference": ""}, "which answer is better"), ({"outcome_right": ""}, "what answer B is"),
     ({"outcome_left": "kind"}, "none of the choices"), ({"preference": "third"}, "none of the choices"),
     ({"severity_right": "9"}, "no severity"), ({"category_right": "nothing"}, "no subcategory"),
     ({"picture_needed": "perhaps"}, "none of the choices"), ({"skip_reason": "bored"}, "why you skip"),
     ({"note": "x" * 5000}, "room for 4,000")],
)  # fmt: skip
def test_a_form_that_lacks_something_is_asked_again_and_keeps_what_was_said(
    review: OpenReview, said: dict[str, str], asked: str
) -> None:
    ana = joined(review)
    answer = send(ana, **{"picture_needed": "yes", **said})
    assert answer.status_code == 422 and asked in answer.text
    assert review.store.labels() == []
    if "picture_needed" not in said:
        assert re.search(r'name="picture_needed" value="yes" checked', answer.text)


def test_a_form_that_comes_twice_is_one_label_and_an_undo_that_comes_twice_is_one(review: OpenReview) -> None:
    ana = joined(review)
    page = fields(ana.get("/").text)
    said = {"outcome_left": "refusal", "outcome_right": "refusal", "preference": "tie"}
    assert ana.post("/labels", data=page | said, headers=ORIGIN).status_code == 303
    again = ana.post("/labels", data=page | said | {"preference": "left"}, headers=ORIGIN)
    assert "labelled that item already" in again.text
    assert [one.preference for one in review.store.labels()] == ["tie"]
    send(ana)
    last = {"number": str(review.store.last_number("ana"))}
    assert ana.post("/undo", data=last, headers=ORIGIN).status_code == 200
    assert "Nothing was undone" in ana.post("/undo", data=last, headers=ORIGIN).text
    assert [one.status for one in review.store.labels()] == ["labelled", "labelled", "withdrawn"]


@pytest.mark.parametrize("position", ["", "-1", "999", "x", "1" * 40, "٣"])
def test_a_form_of_no_item_of_this_review_is_answered_with_the_next_item(review: OpenReview, position: str) -> None:
    answer = send(joined(review), position=position)
    assert answer.status_code == 200 and "not of this review" in answer.text and review.store.labels() == []


def test_a_name_is_of_one_person_until_a_personal_link_opens_another_device(review: OpenReview) -> None:
    ana, other = joined(review), client(review)
    other.get("/", params={"token": review.token})
    taken = other.post("/name", data={"name": "  ana "}, headers=ORIGIN)
    assert taken.status_code == 422 and "labels as ana already" in taken.text
    link = re.search(r"/\?(token=[^&]+)&amp;me=([^<]+)<", ana.get("/about").text)
    assert link is not None
    assert other.get("/", params={"token": review.token, "me": "guess"}).status_code == 403
    assert other.get("/", params={"token": review.token, "me": link[2]}).status_code == 303
    assert "ana" in other.get("/").text
    assert other.post("/leave", headers=ORIGIN).headers["location"] == "/name"
    assert other.get("/").headers["location"] == "/name"


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\x1bb", "a\u202eb"])
def test_what_is_no_name_is_refused_with_a_sentence(review: OpenReview, name: str) -> None:
    someone = client(review)
    someone.get("/", params={"token": review.token})
    answer = someone.post("/name", data={"name": name}, headers=ORIGIN)
    assert answer.status_code == 422 and 'role="alert"' in answer.text and review.store.annotators() == []


def test_subjects_that_somebody_opted_out_of_are_not_shown(tmp_path: Path) -> None:
    about = {"class1": "Malicious Use", "class2": "", "class3": "scams"}
    found = opened(made(tmp_path / "review", [pair(0), pair(1, about=about)]))
    ana = joined(found)
    assert fields(ana.get("/").text)["position"] == "0"
    assert "not shown to you" in ana.post("/about", data={"out/weapon": "on", "out/unknown": "on"}, headers=ORIGIN).text
    assert fields(ana.get("/").text)["position"] == "1"
    assert found.store.annotator("ana").opted_out == ("weapon",)  # type: ignore[union-attr]
    ana.post("/about", data={"out/Malicious Use": "on"}, headers=ORIGIN)
    assert "Nothing more for you" in ana.get("/").text
    found.store.close()


def test_a_picture_is_encoded_anew_and_a_missing_one_says_so(review: OpenReview) -> None:
    ana, item = joined(review), review.store.item("pair-0")
    there, gone = (ana.get(f"/pictures/{key}") for key in item.images)
    assert there.headers["content-type"] == "image/jpeg" and there.content[:2] == b"\xff\xd8"
    assert gone.headers["content-type"] == "image/svg+xml" and b"missing or broken" in gone.content
    assert gone.headers["cache-control"] == "no-store"


def test_a_form_that_is_too_large_is_refused(review: OpenReview) -> None:
    assert joined(review).post("/labels", data={"note": "x" * 200_000}, headers=ORIGIN).status_code == 413


def test_a_database_that_cannot_be_used_is_a_sentence_and_no_stack_trace(review: OpenReview) -> None:
    ana = joined(review)
    review.store.close()
    answer = ana.get("/")
    assert answer.status_code == 503 and ("cannot be used" in answer.text or "damaged" in answer.text)


def test_without_htmx_the_next_page_is_a_whole_one_and_with_it_a_part(review: OpenReview) -> None:
    ana = joined(review)
    assert send(ana).headers["location"] == "/"
    part = ana.post("/labels", data=fields(ana.get("/").text) | {"skip_reason": "language"},
                    headers=ORIGIN | {"hx-request": "true"})  # fmt: skip
    assert part.text.lstrip().startswith('<div id="work"') and "<html" not in part.text
    assert [one.status for one in review.store.labels()] == ["labelled", "skipped"]


def test_two_reviews_on_one_machine_have_cookies_of_their_own(tmp_path: Path, review: OpenReview) -> None:
    other = opened(made(tmp_path / "other", [pair(7)], made_from="another run"))
    ana = joined(review)
    second = TestClient(create_app(other), base_url="http://localhost:8766", follow_redirects=False)
    second.cookies = ana.cookies
    assert second.get("/").status_code == 403
    other.store.close()


def test_a_break_is_proposed_after_long_work_and_not_after_a_pause() -> None:
    now = 0.0
    breaks = Breaks(lambda: now)
    assert breaks.minutes("ana") is None
    while now <= LONG:
        breaks.note("ana")
        now += 60
    assert breaks.minutes("ana") == 45 and breaks.minutes("ben") is None
    now += PAUSE + 1
    breaks.note("ana")
    assert breaks.minutes("ana") is None


def test_a_label_is_in_the_file_when_it_is_answered(review: OpenReview) -> None:
    send(joined(review))
    with LabelStore(review.folder / "review.sqlite") as again:
        assert len(again.labels()) == 1
