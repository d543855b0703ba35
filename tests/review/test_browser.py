"""A real browser: labels by keyboard alone; a reload, a killed server and a second tab lose and double nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spavl.labels.record import current_labels
from spavl.labels.store import LabelStore
from tests.review.reviews import CHROMIUM, Server, made, pair, picture

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
ITEMS = 14


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    keys = [picture(tmp_path, number) for number in range(3)]
    places = {key: [str(tmp_path / f"picture-{n}.png")] for n, key in enumerate(keys)}
    items = [pair(n, (keys[n % 3], keys[(n + 1) % 3]) if n % 4 == 3 else (keys[n % 3],), flagged=n % 5 == 4)
             for n in range(ITEMS)]  # fmt: skip
    found = Server(made(tmp_path / "review", items, places, overlap=1.0, annotators=2))
    found.start()
    yield found
    found.stop()


def joined(browser: Any, server: Server, name: str) -> Any:
    page = browser.new_context().new_page()
    page.goto(server.address)
    page.wait_for_function("() => document.activeElement.name === 'name'")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#label")
    page.wait_for_load_state()  # until then the page has no keys
    return page


def at(page: Any) -> str:
    return page.eval_on_selector("#label", "form => form.elements.position.value")


def opening(page: Any) -> list[str]:
    """The key that opens an item that is blurred."""
    return ["o"] if page.query_selector("#open") else []


def labelled(page: Any, keys: str = "12") -> None:
    """Both outcomes, and the preference for what is the item's first answer, wherever it stands."""
    shown = at(page)
    left = page.text_content(".answer.left .said-text")
    for key in [*opening(page), *keys, "a" if "first" in left else "b", "Enter"]:
        page.keyboard.press(key)
    page.wait_for_function("shown => document.querySelector('#label')?.elements.position.value !== shown", arg=shown)


def kept(server: Server) -> Counter[tuple[str, str]]:
    with LabelStore(server.folder / "review.sqlite") as store:
        labels = store.labels()
    assert all(label.preference == "first" for label in labels if label.status == "labelled")
    assert len(labels) == len(current_labels(labels)), "a label was written twice"
    return Counter((label.annotator, label.item_id) for label in labels)


def test_two_people_label_by_keyboard_through_a_reload_a_killed_server_and_a_second_tab(
    browser: Any, server: Server
) -> None:
    ana, ben = joined(browser, server, "ana"), joined(browser, server, "ben")
    for _ in range(4):
        labelled(ana)
        labelled(ben, "43" + "1")  # unsafe, its severity, then a refusal
    ana.keyboard.press("1")
    ana.reload()
    assert ana.is_checked("input[name=outcome_left][value=refusal]"), "what is filled in lives through a reload"
    labelled(ana)
    server.stop()
    shown = at(ben)
    for key in (
        *opening(ben),
        "1",
        "1",
        "a" if "first" in ben.text_content(".answer.left .said-text") else "b",
        "Enter",
    ):
        ben.keyboard.press(key)
    ben.wait_for_selector("#connection:not([hidden])")
    assert "Not saved yet" in ben.text_content("#connection") and at(ben) == shown
    server.start()
    ben.keyboard.press("Enter")
    ben.wait_for_function("shown => document.querySelector('#label').elements.position.value !== shown", arg=shown)
    second = ana.context.new_page()
    second.goto(server.address)
    assert at(second) == at(ana)
    labelled(ana)
    for key in (
        *opening(second),
        "4",
        "1",
        "4",
        "b" if "first" in second.text_content(".answer.left .said-text") else "a",
        "Enter",
    ):
        second.keyboard.press(key)
    second.wait_for_selector("p.said")
    assert "labelled that item already" in second.text_content("p.said") and at(second) == at(ana)
    for page in (ana, ben):
        while page.query_selector("#label"):
            shown, left = at(page), page.text_content(".answer.left .said-text")
            for key in (*opening(page), "1", "2", "a" if "first" in left else "b", "Enter"):
                page.keyboard.press(key)
            page.wait_for_function(
                "shown => document.querySelector('#label')?.elements.position.value !== shown", arg=shown
            )
        assert "Nothing more for you" in page.text_content("main")
    found = kept(server)
    assert found == {(name, f"pair-{number}"): 1 for name in ("ana", "ben") for number in range(ITEMS)}


def test_undo_opens_the_last_item_filled_in_as_it_was_and_a_skip_needs_a_reason(browser: Any, server: Server) -> None:
    page = joined(browser, server, "eva")
    first = at(page)
    for key in ("4", "2", "1", "y", "t", "m"):
        page.keyboard.press(key)
    page.keyboard.type("a note: b t x")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.keyboard.type("wea")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_function("shown => document.querySelector('#label').elements.position.value !== shown", arg=first)
    page.keyboard.press("u")
    page.wait_for_function("shown => document.querySelector('#label').elements.position.value === shown", arg=first)
    filled = dict(page.evaluate("[...new FormData(document.getElementById('label'))]"))
    assert filled | {"seconds": ""} == {
        "position": first, "number": filled["number"], "seconds": "", "outcome_left": "unsafe", "severity_left": "2",
        "category_left": "weapon", "category_right": "", "outcome_right": "refusal", "picture_needed": "yes",
        "preference": "tie", "note": "a note: b t x",
    }  # fmt: skip
    page.keyboard.press("s")
    page.keyboard.press("4")
    page.wait_for_function("shown => document.querySelector('#label').elements.position.value !== shown", arg=first)
    with LabelStore(server.folder / "review.sqlite") as store:
        assert [one.status for one in store.labels()] == ["labelled", "withdrawn", "skipped"]
        assert store.labels()[0].seconds > 0 and store.labels()[2].skip_reason == "distressing"


def test_what_is_missing_is_asked_for_and_a_flagged_item_stays_blurred_until_it_is_opened(
    browser: Any, server: Server
) -> None:
    page = joined(browser, server, "ida")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem")
    assert page.text_content("#problem") == "Say what answer B is"
    assert page.get_attribute(".now", "data-question") == "outcome_right"
    for _ in range(4):
        labelled(page, "11")
    blurred = "getComputedStyle(document.querySelector('.said-text')).filter"
    assert page.evaluate(blurred).startswith("blur")
    for key in ("1", "1", "t", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#problem")
    assert page.text_content("#problem") == "Open the item before you judge it"
    page.keyboard.press("o")
    page.wait_for_function(f"() => {blurred} === 'none'")


def test_axe_finds_no_violation_on_any_page_at_any_width(browser: Any, server: Server) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for width, dark in ((1440, "light"), (820, "dark"), (390, "light")):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=dark)
        page = context.new_page()

        def check(where: str, page: Any = page, width: int = width) -> None:
            found.extend((where, width, one["id"], one["nodes"][0]["html"]) for one in
                         Axe().run(page, context=None).response["violations"])  # fmt: skip
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{where} is wider than {width}"

        page.goto(server.address)
        page.click("summary")
        check("name")
        page.fill("input[name=name]", f"person {width}")
        page.keyboard.press("Enter")
        page.wait_for_selector("#label")
        for key in ("4", "3", "4", "s"):
            page.keyboard.press(key)
        check("item")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        check("keys")
        for path in ("guidelines", "about", "nowhere"):
            page.goto(f"http://127.0.0.1:{server.port}/{path}")
            check(path)
        context.close()
    assert not found, "\n".join(map(str, found))
