"""Devices, tabs and people: pages that were left open, forms that come twice, names, links and late pictures."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from spavl.errors import RunError
from spavl.labels.record import Answer, Item, Label
from spavl.labels.store import LabelStore
from spavl.review.access import access_token, is_known_host, number_of
from spavl.review.app import create_app
from spavl.review.guidelines import keep_guidelines
from spavl.review.opened import OpenReview
from spavl.review.pictures import PictureIndex

HOST = "127.0.0.1:8765"
OURS = {"host": HOST, "origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
HTMX = OURS | {"hx-request": "true"}
JUDGED = {"outcome_left": "refusal", "outcome_right": "unsafe", "preference": "left", "seconds": "3"}


def items_of(count: int) -> list[Item]:
    answers = (Answer(text="first answer"), Answer(text="second answer"))
    return [Item(item_id=f"pair-{n}", kind="pair", stratum="all", question=f"request {n}", answers=answers)
            for n in range(count)]  # fmt: skip


def review_in(folder: Path, items: list[Item], made_from: str = "a run") -> OpenReview:
    folder.mkdir(parents=True, exist_ok=True)
    LabelStore.create(folder / "review.sqlite", items, made_from=made_from, settings={}, overlap=1.0).close()
    keep_guidelines(folder, None)
    return OpenReview.of(LabelStore(folder / "review.sqlite"), folder, title="a run", token=access_token(folder))


def device(review: OpenReview) -> TestClient:
    client = TestClient(create_app(review), base_url=f"http://{HOST}", headers=OURS)
    client.get("/", params={"token": review.token}, follow_redirects=False)
    return client


def join(client: TestClient, name: str) -> Any:
    fields = {"name": name, "key": re.findall(r'name="key" value="([^"]+)"', client.get("/name").text)[-1:] or ""}
    return client.post("/name", data=fields)


def form_in(page: str) -> tuple[str, dict[str, str]]:
    """Where the form of an item goes, and what stands in it."""
    found = re.search(r'<form id="label"[^>]* action="([^"]+)"', page)
    assert found is not None, page
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.split('id="undo"')[0]))
    checked = re.findall(r'<input type="radio" name="([^"]+)" value="([^"]*)" checked', page)
    return found[1].replace("&amp;", "&"), fields | dict(checked)


def send(client: TestClient, page: str, answers: Mapping[str, str] = JUDGED, htmx: bool = True) -> Any:
    to, fields = form_in(page)
    return client.post(to, data=fields | dict(answers), headers=HTMX if htmx else OURS)


def test_a_page_that_another_person_left_open_labels_nothing(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(3))
    client = device(review)
    page = join(client, "ana").text
    client.post("/leave")
    join(client, "ben")
    answer = send(client, page)
    assert "another person or another review" in answer.text and review.store.labels() == []
    send(client, answer.text)
    assert [label.annotator for label in review.store.labels()] == ["ben"]


def test_a_page_of_another_review_at_the_same_port_labels_nothing(tmp_path: Path) -> None:
    one, other = (review_in(tmp_path / name, items_of(3), made_from=name) for name in ("one", "other"))
    client = device(one)
    page = join(client, "ana").text
    there = device(other)
    join(there, "ana")
    assert "another person or another review" in send(there, page).text
    assert one.store.labels() == other.store.labels() == []


def test_an_undo_of_a_page_of_another_person_takes_nothing_back(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(3))
    client = device(review)
    page = send(client, join(client, "ana").text).text
    to = re.findall(r'action="(/undo[^"]*)"', page)[0].replace("&amp;", "&")
    client.post("/leave")
    join(client, "ben")
    client.post(to, data={"number": "1"}, headers=HTMX)
    assert [label.status for label in review.store.labels()] == ["labelled"]


def test_every_item_of_a_page_is_written_once_and_the_next_one_follows(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(4))
    client = device(review)
    page = join(client, "ana").text
    for _ in range(4):
        following = send(client, page).text
        assert "labelled that item already" not in following
        assert "labelled that item already" in send(client, page).text
        page = following
    assert [label.item_id for label in review.store.labels()] == [f"pair-{n}" for n in range(4)]


def test_begin_pressed_twice_is_one_person_even_where_the_first_answer_never_arrives(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(2))
    page = device(review).get("/name").text
    key = re.findall(r'name="key" value="([^"]+)"', page)[0]
    for _ in range(2):
        answer = device(review).post("/name", data={"name": "ana", "key": key}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Somebody labels as ana already" in join(device(review), "ana").text
    other = device(review)
    other.post("/name", data={"name": "ben", "key": key})
    assert "ben" in other.get("/about").text, "a token is of one person alone"


def test_a_device_that_is_known_says_no_second_name(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(2))
    client = device(review)
    join(client, "ana")
    assert client.get("/name").url.path == "/"
    assert client.post("/name", data={"name": " ana "}).url.path == "/"
    assert "This device labels as ana" in client.post("/name", data={"name": "ben"}).text
    assert review.store.annotators() == ["ana"]


def test_a_name_written_with_other_letters_for_the_same_accent_is_the_same_name(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(2))
    join(device(review), "Zo\u00eb")
    assert "already" in join(device(review), "Zoe\u0308").text


def test_a_picture_that_is_missing_now_is_asked_for_again_later(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(1))
    path = tmp_path / "late.png"
    PictureIndex.write(tmp_path, {"late": [str(path)]})
    client = device(OpenReview.of(review.store, tmp_path, title="a run", token=review.token))
    missing = client.get("/pictures/late")
    assert (missing.headers["content-type"], missing.headers["cache-control"]) == ("image/svg+xml", "no-store")
    Image.new("RGB", (200, 100), "teal").save(path)
    there = client.get("/pictures/late")
    assert there.headers["content-type"] == "image/jpeg" and "max-age=3600" in there.headers["cache-control"]


def test_the_address_of_a_form_opened_again_is_the_page_and_nothing_hangs_on_other_methods(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(2))
    client = device(review)
    page = join(client, "ana").text
    assert send(client, page, {"outcome_left": "refusal"}, htmx=False).status_code == 422
    assert client.get("/labels").url.path == client.get("/undo?page=x").url.path == "/"
    assert client.head("/", follow_redirects=False).status_code == 405
    assert client.delete("/labels").status_code == 405


def test_a_page_without_script_measures_no_time_and_spoils_no_estimate(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(6))
    client = device(review)
    page = join(client, "ana").text
    for seconds in ("0", "0", "40"):
        page = send(client, page, JUDGED | {"seconds": seconds}).text
    assert review.store.progress("ana").seconds == 40


def test_a_subject_of_any_letters_can_be_opted_out_of_and_chosen(tmp_path: Path) -> None:
    odd = "what \u202e turns\nround "
    items = [
        replace(one, about={"class1": "harm", "class3": odd if n else "plain"}) for n, one in enumerate(items_of(3))
    ]
    review = review_in(tmp_path, items)
    client = device(review)
    page = join(client, "ana").text
    field = html.unescape(re.findall(r'<option value="(what[^"]*)"', page)[0])
    assert send(client, page, JUDGED | {"category_right": field}).status_code == 200
    assert odd in review.store.labels()[0].categories
    client.post("/about", data={"out/" + field: "on"})
    assert review.store.annotator("ana").opted_out == (odd,)  # type: ignore[union-attr]
    assert "Nothing more for you" in client.get("/").text


def test_two_processes_that_draw_at_once_never_replace_the_review_of_the_other(tmp_path: Path) -> None:
    path = tmp_path / "review.sqlite"

    def slowly() -> Iterator[Item]:
        yield items_of(1)[0]
        with LabelStore.create(path, items_of(1), made_from="a run", settings={}) as first:
            first.add(Label(item_id="pair-0", annotator="ana", preference="first", outcomes=("refusal", "refusal")))

    with pytest.raises(RunError, match="already"):
        LabelStore.create(path, slowly(), made_from="a run", settings={})
    with LabelStore(path) as store:
        assert len(store.labels()) == 1
    assert [one.name for one in tmp_path.glob("*.tmp")] == []


def test_a_link_for_another_device_says_where_it_names_this_computer_alone(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(1))
    client = device(review)
    join(client, "ana")
    assert "--host 0.0.0.0" in client.get("/about").text
    assert "--host 0.0.0.0" not in client.get("/about", headers={"host": "192.168.1.5:8765"}).text
    assert client.get("/about", headers={"host": "evil.example:8765"}).status_code == 421


def test_a_server_that_listens_everywhere_is_named_by_number_too() -> None:
    assert number_of("127.0.0.1") == number_of("review.example") == ""
    number = number_of("0.0.0.0")
    assert not number or is_known_host(f"{number}:8765", ())


def test_forms_come_through_a_server_that_speaks_tls_before_this_one(tmp_path: Path) -> None:
    review = review_in(tmp_path, items_of(2))
    client = device(review)
    through = OURS | {"origin": "https://review.example"}
    to, fields = form_in(join(client, "ana").text)
    assert client.post(to, data=fields | JUDGED, headers=through | {"sec-fetch-site": "same-site"}).status_code == 403
    assert client.post(to, data=fields | JUDGED, headers=through).status_code == 200
    assert len(review.store.labels()) == 1
