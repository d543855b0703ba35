"""A real browser: every page at three widths, by keyboard, without an error, a request elsewhere or a fault of axe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from spavl.serve.app import Served, create_app
from spavl.web.access import address
from spavl.web.listening import listen_at
from tests.review.reviews import CHROMIUM
from tests.serve.runs import ALIGNED, SCRIPT, TOKEN, built, scored, served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("runs")
    built(root / "first", words=SCRIPT)
    scored(root / "second", ALIGNED | {"harm": ["good"] * 100}, title=SCRIPT)
    with served(root, tmp_path_factory.mktemp("cache")) as found:
        for row in found.catalogue.runs():
            if row.pairs:
                found.indexes.of(found.catalogue.run(row.key), row.key)
        yield found


@pytest.fixture(scope="module")
def at(runs: Served) -> Iterator[str]:
    """The whole address of the page."""
    listening = listen_at("127.0.0.1", None, usual=0)
    server = uvicorn.Server(uvicorn.Config(create_app(runs), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield address("127.0.0.1", listening.getsockname()[1], TOKEN)
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Watched:
    """A page whose errors, dialogues and requests are kept."""

    def __init__(self, browser: Any, at: str, **how: Any) -> None:
        self.page = browser.new_context(**how).new_page()
        self.base = at.partition("/?")[0]
        self.wrong: list[str] = []
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.wrong.append(said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda shown: (self.wrong.append(shown.message), shown.dismiss()))
        self.page.on("request", lambda one: one.url.startswith(self.base) or self.wrong.append(one.url))
        self.page.goto(at)

    def open(self, path: str) -> Any:
        """Go to a path."""
        self.page.goto(f"{self.base}{path}")
        return self.page


def paths(runs: Served) -> dict[str, str]:
    """Addresses of every page."""
    first, second = (
        next(row.key for row in runs.catalogue.runs() if row.place == name) for name in ("first", "second")
    )
    return {
        "runs": "/", "run": f"/runs/{first}", "pairs": f"/runs/{first}/pairs?audit=found&text=request",
        "pair": f"/runs/{first}/pair?id=weapon/2/hard_statement/amber~birch", "live": f"/runs/{first}/live",
        "compare": f"/compare?a={first}&b={second}", "hostile": f"/runs/{second}",
        "nothing": f"/runs/{first}/pairs?text=zzz", "notice": "/nowhere",
    }  # fmt: skip


def test_keys_lead_from_the_runs_to_a_pair_that_stays_closed_until_o_is_pressed(
    browser: Any, at: str, runs: Served
) -> None:
    seen = Watched(browser, at, viewport={"width": 1280, "height": 900})
    page = seen.page
    page.wait_for_selector("#list")
    page.keyboard.press("/")
    page.keyboard.type("first")
    assert page.locator("#list > .go:visible").count() == 1
    for key in ("Escape", "j", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**/runs/first-*")
    page.wait_for_function("() => document.querySelector('.verdicts li')")
    page.click("text=Look through the pairs")
    page.wait_for_selector(".pair-list")
    page.keyboard.press("n")
    page.wait_for_url("**after=*")
    page.keyboard.press("/")
    page.keyboard.type("request 5 of")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=request*")
    assert "sort=" not in page.url and page.locator(".pair").count() == 3
    for key in ("j", "j", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**/pair?*")
    closed, veil = page.locator("h1 .closed-text"), "getComputedStyle(document.querySelector('.picture img')).filter"
    assert not closed.is_visible() and page.evaluate(veil).startswith("blur")
    page.keyboard.press("o")
    assert closed.is_visible() and page.evaluate(veil) == "none" and "<script>" in closed.text_content()
    page.keyboard.press("k")
    page.wait_for_url("**easy_question*")
    assert not closed.is_visible()
    page.keyboard.press("u")
    page.wait_for_url("**/pairs?text=request*")
    page.select_option("select[name=type]", "hard_question")
    page.wait_for_url("**type=hard_question*")
    assert page.locator(".pair").count() == 1
    assert not seen.wrong, seen.wrong


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (820, "dark"), (390, "light")])
def test_axe_finds_no_violation_on_any_page_and_none_is_wider_than_the_screen(
    browser: Any, at: str, runs: Served, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    seen = Watched(browser, at, viewport={"width": width, "height": 900}, color_scheme=scheme)
    found = []
    for name, path in paths(runs).items():
        page = seen.open(path)
        page.wait_for_load_state("networkidle")
        if name in ("pairs", "pair"):
            page.keyboard.press("o")
        if name == "pairs" and width < 900:
            page.click(".filters > summary")
        found += [(name, one["id"], one["nodes"][0]["html"]) for one in Axe().run(page).response["violations"]]
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} wide"
    wrong = [one for one in seen.wrong if "404" not in one]  # of the page that is not there
    assert not found and not wrong, (found, wrong)


def test_the_live_page_is_read_anew_by_itself(browser: Any, at: str, runs: Served) -> None:
    seen = Watched(browser, at)
    run = next(row for row in runs.catalogue.runs() if row.place == "second")
    log = Path(runs.catalogue.folder(run.key)) / "align/dpo/metrics.jsonl"
    page = seen.open(f"/runs/{run.key}/live")
    assert "step 8" in page.text_content("#live")
    log.write_text(log.read_text().rpartition("\n")[0] + '\n{"step": 99, "loss": 0.01}\n')
    page.wait_for_function("() => document.querySelector('#live').textContent.includes('step 99')")
    assert not seen.wrong, seen.wrong
