"""Who may see the page and what it never does: write, open a file outside a run, run what a dataset says."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from spavl.run.under_way import FILE, CallsNow, UnderWay, WorkNow
from spavl.serve.app import Served, create_app
from tests.serve.runs import ALIGNED, SCRIPT, TOKEN, browser, built, labelled, scored, served, stranger


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two runs, one of them with hostile texts, a study, and a run that is damaged."""
    root = tmp_path_factory.mktemp("runs")
    run = built(root / "first", words=SCRIPT)
    alarm = {"name": "over_refusal", "what": f"Harmless requests are refused. {SCRIPT}", "try_": "add benign pairs"}
    run.note(alarms={"measured": [{**alarm, "rings": True}, {**alarm, "rings": False}], "missing": []})
    (root / "first/report.html").write_text("<p>the report</p>")
    scored(root / "deep/er/second", ALIGNED | {"harm": ["good"] * 100}, title=SCRIPT)
    built(root / "plain", 8)
    (root / "broken").mkdir()
    (root / "broken/run.json").write_text("{")
    (root / "odd").mkdir()
    (root / "odd/run.json").write_text('{"format": "5", "stages": 3}')
    scored(root / "studies/runs/one")  # as `spavl study` lays them, named from the folder that it was called in
    said = {"kind": "scale", "trainings": [{"run": "studies/runs/one"}, {}], "bases": [{"run": "studies/runs/base"}, 3]}
    for name in ("scale", "mix"):
        (root / "studies" / name).mkdir()
        (root / "studies" / name / "study.json").write_text(json.dumps({**said, "title": f"How much {name}"}))
    (root / "studies/scale/study.html").write_text("<p>the study</p>")
    with served(root, tmp_path_factory.mktemp("cache")) as found:
        yield found


@pytest.fixture(scope="module")
def page(runs: Served) -> TestClient:
    return browser(runs)


class Elements(HTMLParser):
    """What of a page would run something, or fetch it from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element."""
        for name, value in attrs:
            goes = name in ("src", "href", "action") or name.startswith("hx-get")
            if name.startswith("on") or name == "style" or (goes and not re.match(r"[/#](?!/)", value or "")):
                self.wrong.append(f"{tag} {name}={value}")
        if tag in ("iframe", "object", "embed", "style") or (tag == "script" and "src" not in dict(attrs)):
            self.wrong.append(tag)


def key(runs: Served, place: str) -> str:
    return next(row.key for row in [*runs.catalogue.runs(), *runs.catalogue.studies()] if row.place == place)


def ready(page: TestClient, address: str) -> str:
    """A page that waits for the index, once it is there."""
    for _ in range(100):
        answer = page.get(address)
        if "being indexed" not in answer.text:
            assert answer.status_code == 200, answer.text
            return answer.text
        time.sleep(0.05)
    raise AssertionError("the index was never made")


def test_no_route_of_the_app_takes_anything_but_reading(runs: Served, page: TestClient) -> None:
    routes = [one for one in create_app(runs).routes if isinstance(one, APIRoute)]
    assert len(routes) > 8 and {method for one in routes for method in one.methods} == {"GET"}
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert page.request(method, "/", headers={"origin": "http://localhost:8764"}).status_code == 405


@pytest.mark.parametrize("path", [
    "/", "/compare", "/runs/x", "/runs/x/pairs", "/runs/x/pictures/0", "/runs/x/pages/report", "/nowhere",
    "/runs/x/live/part",
])  # fmt: skip
def test_nothing_is_shown_without_the_token_or_with_a_wrong_one(runs: Served, path: str) -> None:
    for how in ({}, {"token": "wrong"}, {"token": ""}):
        answer = stranger(runs).get(path, params=how)
        assert answer.status_code == 403 and TOKEN not in answer.text and "First run" not in answer.text
    wrong = stranger(runs)
    wrong.cookies.set(f"spavl_serve_{runs.name}", "wrong")
    assert wrong.get(path).status_code == 403


def test_what_a_request_calls_its_host_opens_no_path(runs: Served) -> None:
    for host in ("localhost/static/?", "localhost/static/", "localhost?", "localhost#", "any@localhost"):
        answer = stranger(runs).get("/", headers={"host": host})
        assert answer.status_code in (400, 403, 421) and "First run" not in answer.text


def test_another_name_of_the_server_is_refused_before_the_token_is_read(page: TestClient) -> None:
    assert page.get("/", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("path", [
    "/runs/..%2f..%2fetc", "/runs/../../etc/passwd", "/runs/{key}/pages/..%2frun.json", "/runs/{key}/pages/run.json",
    "/runs/{key}/pages/settings.yaml", "/runs/{key}/pictures/..%2f..%2frun.json", "/static/..%2fapp.py",
    "/static/access_token", "/runs/{key}/pages/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/runs/.", "/runs/first",
])  # fmt: skip
def test_an_address_never_names_a_file(runs: Served, page: TestClient, path: str) -> None:
    answer = page.get(path.format(key=key(runs, "first")))
    assert answer.status_code == 404 and "root:" not in answer.text and '"stages"' not in answer.text


def test_every_answer_forbids_what_comes_from_elsewhere(runs: Served, page: TestClient) -> None:
    for path in ("/", "/nowhere", "/static/serve.js", f"/runs/{key(runs, 'first')}"):
        headers = page.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
    assert page.get("/").headers["cache-control"] == "no-store"


def test_what_a_dataset_says_is_text_on_every_page(runs: Served, page: TestClient) -> None:
    first, second = key(runs, "first"), key(runs, "deep/er/second")
    listed = ready(page, f"/runs/{first}/pairs")
    pair_id = re.findall(r"id=([^\"&]+)\"", listed)[0].replace("%2F", "/")
    labelled(runs.catalogue.run(first), pair_id, note=SCRIPT)
    pages = [listed, page.get(f"/runs/{first}/pair", params={"id": pair_id}).text]
    others = ("/", f"/runs/{first}", f"/runs/{second}", f"/runs/{first}/live", f"/compare?a={first}&b={second}",
              f"/runs/{first}/pairs?text=%3Cscript%3E")  # fmt: skip
    pages += [page.get(at).text for at in others]
    for text in pages:
        assert "\x1b" not in text
        seen = Elements()
        seen.feed(text)
        assert not seen.wrong, seen.wrong
    assert "&lt;script&gt;" in pages[0] and "&lt;script&gt;" in pages[1] and "\\x1b[31m" in pages[1]


def test_what_may_do_harm_is_closed_until_it_is_opened(runs: Served, page: TestClient) -> None:
    first = key(runs, "plain")
    text = ready(page, f"/runs/{first}/pairs?benign=no")
    assert 'class="thumb veiled"' in text and 'class="thumb"' not in text
    for said in ("request 0 of", "answer 0 that helps"):
        assert re.search(rf'class="closed-text"[^>]*>{said}', text)
    assert re.search(r">answer 0 that refuses", text) and 'class="closed-text">answer 0 that refuses' not in text
    benign = ready(page, f"/runs/{first}/pairs?benign=yes")
    assert 'class="thumb"' in benign and 'class="thumb veiled"' not in benign


def test_a_stored_page_runs_no_script_and_fetches_nothing(runs: Served, page: TestClient) -> None:
    for place, name, words in (("first", "report", "the report"), ("first", "audit", "an audit"),
                               ("studies/scale", "study", "the study")):  # fmt: skip
        answer = page.get(f"/runs/{key(runs, place)}/pages/{name}")
        policy = answer.headers["content-security-policy"]
        assert words in answer.text and "sandbox" in policy and "default-src 'none'" in policy
        assert "allow-scripts" not in policy and "script-src" not in policy
    assert page.get(f"/runs/{key(runs, 'deep/er/second')}/pages/report").status_code == 404


def test_a_picture_is_encoded_anew_and_one_outside_the_run_folder_is_never_opened(
    runs: Served, page: TestClient
) -> None:
    first = key(runs, "first")
    sha = re.findall(r"/pictures/([0-9a-f]{64})\?small=1", ready(page, f"/runs/{first}/pairs"))
    answer = page.get(f"/runs/{first}/pictures/{sha[0]}", params={"small": "1"})
    assert answer.headers["content-type"] == "image/jpeg" and "max-age=3600" in answer.headers["cache-control"]
    inside = runs.catalogue.run(first).folder / "images/0.png"
    outside = runs.catalogue.root.parent / "outside.png"
    outside.write_bytes(inside.read_bytes())
    inside.unlink()
    inside.symlink_to(outside)
    assert b"missing or broken" in page.get(f"/runs/{first}/pictures/{sha[0]}").content
    assert page.get(f"/runs/{first}/pictures/{'0' * 64}").status_code == 404


def test_the_list_shows_runs_studies_and_what_cannot_be_read(runs: Served, page: TestClient) -> None:
    text = page.get("/").text
    assert "6 runs and 2 studies" in text and text.count(">cannot be read<") == 2
    assert "60 pairs" in text and "1 alarm" in text and 'pages/study"' in text and "2 trainings" in text
    assert "How much scale" in text and text.count('<li class="card run go') == 5, "a study's runs stand under it"
    assert text.count("<summary>1 run</summary>") == 2, "under each study that has it"
    assert re.search(r'100\.0\s%</span> <span [^>]*>→</span>.* <b class="better">10\.0', text)
    assert "First run" in text and "deep/er/second" in text
    for place, why in (("broken", "run.json cannot be read"), ("odd", "run.json is damaged")):
        broken = page.get(f"/runs/{key(runs, place)}")
        assert broken.status_code == 503 and why in broken.text


def test_a_run_below_the_folder_of_a_study_stands_under_it_though_its_file_names_none(tmp_path: Path) -> None:
    for place in ("studies/long", "studies/longer"):
        scored(tmp_path / place / "run")
    for place, said in (("long", {"kind": "longitudinal", "trainings": []}), ("other", {"trainings": []})):
        (tmp_path / "studies" / place).mkdir(exist_ok=True)
        (tmp_path / "studies" / place / "study.json").write_text(json.dumps(said))
    with served(tmp_path, tmp_path / "cache") as found:
        assert {row.place: list(row.studies) for row in found.catalogue.runs()} == {
            "studies/long/run": [key(found, "studies/long")], "studies/longer/run": [],
        }  # fmt: skip


def test_one_run_shows_its_funnel_scores_training_cost_and_settings(runs: Served, page: TestClient) -> None:
    first = key(runs, "first")
    text = page.get(f"/runs/{first}").text
    for words in ("Unsafe answers", "Needless refusals", "−90.0", "Training loss", "4 tie", "One fault.", "0.25",
                  "report:\n  title: ", "DPO", "Over refusal.", "Try: add benign pairs"):  # fmt: skip
        assert words in text, words
    assert text.count('class="interval') == 6
    assert "dpo: safer by" in page.get(f"/runs/{first}/verdicts").text


def test_two_runs_are_compared_on_the_same_items_and_their_settings_laid_side_by_side(
    runs: Served, page: TestClient
) -> None:
    first, second = key(runs, "first"), key(runs, "deep/er/second")
    text = page.get("/compare", params={"a": first, "b": second}).text
    assert "On the same items" in text or "on the same items" in text
    assert "report.title" in text and "First run" in text
    named = re.findall(r'<option value="([^"]*dpo[^"]*)"', text)
    turned = page.get("/compare", params={"a": first, "b": second, "base": named[0]}).text
    assert "safer by 10.0 points" in turned
    unknown = page.get("/compare", params={"a": first, "b": second, "base": "nobody"}).text
    assert "No model is called" in unknown and "report.title" in unknown
    assert page.get("/compare", params={"a": first, "b": "nothing"}).status_code == 404
    assert "Choose two runs" in page.get("/compare").text


def test_work_under_way_is_shown_with_its_calls_and_a_dead_command_is_not(runs: Served, page: TestClient) -> None:
    run = runs.catalogue.run(key(runs, "deep/er/second"))
    calls = CallsNow(name="amber", done=20, expected=90, in_flight=8, rate=2.5, tokens=1_200_000, cost=None, failed=3,
                     throttled=0)  # fmt: skip
    work = WorkNow(
        doing="respond", done=1_203, total=9_000, seconds=60.0, left=240.0, spent=1.5, most=4.0, calls=(calls,)
    )
    now = UnderWay(command=f"spavl build {SCRIPT}", process=os.getpid(), host=socket.gethostname(), started=time.time(),
                   changed=time.time(), work=(work,))  # fmt: skip
    from dataclasses import asdict

    (run.folder / FILE).write_text(json.dumps(asdict(now)))
    address = f"/runs/{key(runs, 'deep/er/second')}/live"
    text = page.get(f"{address}/part").text
    for words in ("respond", "1,203 of 9,000", "4 min left", "1.50 spent of 4.00", "20 / 90", "1.20 M", "every 2s",
                  "25.0 %", "step 8"):  # fmt: skip
        assert words in text, words
    assert "<script>" not in text and 'class="working"' in page.get("/").text
    (run.folder / FILE).write_text(json.dumps({**asdict(now), "process": 2**22 + 1}))
    assert "Nothing works in this run now" in page.get(address).text
    (run.folder / FILE).write_text('{"work": [3]}')
    assert "Nothing works in this run now" in page.get(address).text


DAMAGES = [
    ("run.json", {"changed": 3, "started": None}), ("run.json", {"aligned": {"dpo": 3}}),
    ("run.json", {"counts": {"pair": {"pair": "many"}}}), ("run.json", {"models": {"base": {"unsafe": 3}}}),
    ("run.json", {"alarms": {"measured": [{"rings": True}]}}), ("run.json", {"seconds": {"build": "long"}}),
    ("run.json", {"again": 3, "spent": []}), ("align/dpo/training.json", {"seconds": "x"}),
    ("align/dpo/metrics.jsonl", {"step": 10**400, "loss": 1}),
    ("align/dpo/metrics.jsonl", {"step": 9, "loss": -1e308}),
]  # fmt: skip


NESTED = "[" * 100_000
"""JSON that is nested more deeply than it can be read."""


@pytest.mark.parametrize("file", ["run.json", "align/dpo/training.json",
                                  "align/dpo/metrics.jsonl", "audit/audit.json", "study.json"])  # fmt: skip
def test_a_file_that_is_nested_too_deeply_takes_down_no_page(tmp_path: Path, file: str) -> None:
    run = scored(tmp_path / "runs/first")
    scored(tmp_path / "runs/second")
    (run.folder / file).parent.mkdir(exist_ok=True)
    (run.folder.parent / file if file == "study.json" else run.folder / file).write_text(NESTED)
    with served(tmp_path / "runs", tmp_path / "cache") as found:
        page = browser(found)
        assert page.get("/").status_code == 200 and page.get("/compare").status_code == 200
        nested, whole = key(found, "first"), key(found, "second")
        for address in (f"/runs/{nested}", f"/runs/{nested}/live", f"/runs/{nested}/verdicts"):
            assert page.get(address).status_code in (200, 503)
        assert page.get("/compare", params={"a": whole, "b": whole}).status_code == 200


@pytest.mark.parametrize(("file", "said"), DAMAGES)
def test_a_damaged_file_of_a_run_is_said_and_stops_no_other_page(
    tmp_path: Path, file: str, said: dict[str, object]
) -> None:
    run = scored(tmp_path / "runs/first")
    scored(tmp_path / "runs/second")
    if file == "run.json":
        run.note(**said)
    else:
        before = '{"step": 8, "loss": 1e308}\n' if file.endswith("jsonl") else ""
        (run.folder / file).write_text(before + json.dumps(said))
    with served(tmp_path / "runs", tmp_path / "cache") as found:
        page = browser(found)
        assert page.get("/").status_code == 200 and page.get("/compare").status_code == 200
        broken, whole = key(found, "first"), key(found, "second")
        for address in (f"/runs/{broken}", f"/runs/{broken}/live", f"/runs/{broken}/verdicts"):
            answer = page.get(address)
            assert answer.status_code == 200 or (answer.status_code == 503 and "damaged" in answer.text)
        assert page.get("/compare", params={"a": whole, "b": broken}).status_code in (200, 503)
        assert page.get(f"/runs/{whole}").status_code == 200


@pytest.mark.parametrize("said", [3, ["x"], None, {"weapon": 3, "violence": ["x"]}])
def test_names_of_the_taxonomy_that_are_damaged_are_said_on_the_pages_of_pairs(tmp_path: Path, said: object) -> None:
    run = built(tmp_path / "runs/first", 3)
    with served(tmp_path / "runs", tmp_path / "cache") as found:
        page, first = browser(found), key(found, "first")
        listed = ready(page, f"/runs/{first}/pairs")
        pair_id = re.findall(r"id=([^\"&]+)\"", listed)[0].replace("%2F", "/")
        run.note(coverage={"display": said})
        for address, asked in (("pairs", {"domain": "x"}), ("pairs", {}), ("pair", {"id": pair_id})):
            answer = page.get(f"/runs/{first}/{address}", params=asked)
            if isinstance(said, dict):
                assert answer.status_code == 200
            else:
                assert answer.status_code == 503 and "damaged" in answer.text


def test_what_is_damaged_of_two_runs_names_both_and_the_terminal_says_once_where_it_was_met(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = scored(tmp_path / "runs/first"), scored(tmp_path / "runs/second")
    first.note(counts={"pair": {"pair": 3}}, stages=[{"name": "pair", "kept": "pair"}])
    with served(tmp_path / "runs", tmp_path / "cache") as found:
        page, keys = browser(found), [key(found, name) for name in ("first", "second")]
        for _ in range(2):
            text = page.get("/compare", params={"a": keys[0], "b": keys[1]}).text
            assert "of `first` or `second` is damaged" in text
    (said,) = caplog.messages
    assert "compared.py" in said and "KeyError" in said and second.manifest()["models"]


def test_a_training_that_was_killed_is_not_under_way_for_ever(tmp_path: Path) -> None:
    run = scored(tmp_path / "alone")
    with served(run.folder, tmp_path / "cache") as found:
        (row,), page = found.catalogue.runs(), browser(found)
        assert "under way" in page.get(f"/runs/{row.key}").text
        os.utime(run.folder / "align/dpo/metrics.jsonl", (1.0, 1.0))
        text = page.get(f"/runs/{row.key}").text
        assert "not finished" in text and "under way" not in text


def test_a_folder_that_is_a_run_opens_that_run(tmp_path: Path) -> None:
    run = scored(tmp_path / "alone")
    with served(run.folder, tmp_path / "cache") as found:
        (row,) = found.catalogue.runs()
        answer = browser(found).get("/")
        assert answer.status_code == 303 and answer.headers["location"] == f"/runs/{row.key}"
        assert row.key.startswith("alone-")
