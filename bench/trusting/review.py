"""The page on which people label: what two people in a real browser lose, and how fast the next item comes.

python -m bench.trusting.review --json FILE
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from bench.measures import Measure, run
from spavl.labels.record import Item, current_labels
from spavl.labels.store import LabelStore
from spavl.review.app import create_app
from tests.review.reviews import CHROMIUM, Server, made, opened, pair, picture

ITEMS = 40
"""Items that each of two people labels."""
KILLED_AT = (9, 23)
"""Items of the second person before whose answer the server is killed."""
RELOADED_AT = (5, 17, 31)
"""Items of the first person in whose middle the page is loaded again."""
TABS_AT = (12, 28)
"""Items of the first person that a second tab sends too, after the first."""
QUEUE = 10_000
"""Items of the queue that is timed."""
STEPS = 400
"""Labels that are timed."""
NEXT = "shown => document.querySelector('#label')?.elements.position.value !== shown"


def review_of(folder: Path) -> Path:
    """The folder of a review of 40 pairs for both people, every fourth with two pictures, every fifth blurred.

    Args:
        folder: for its files.
    """
    keys = [picture(folder, number) for number in range(4)]
    places: Any = {key: [str(folder / f"picture-{number}.png")] for number, key in enumerate(keys)}
    items = [pair(n, (keys[n % 4], keys[(n + 1) % 4]) if n % 4 == 3 else (keys[n % 4],), flagged=n % 5 == 4)
             for n in range(ITEMS)]  # fmt: skip
    return made(folder / "review", items, places, overlap=1.0, annotators=2)


class Person:
    """Somebody who labels by keyboard alone, and prefers the first answer of every item, wherever it stands.

    Args:
        browser: that is open.
        server: of the review.
        name: of the person.
    """

    def __init__(self, browser: Any, server: Server, name: str) -> None:
        self.server = server
        self.page = browser.new_context().new_page()
        self.page.goto(server.address)
        self.page.wait_for_function("() => document.activeElement.name === 'name'")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#label")

    def shown(self, page: Any) -> str:
        """Position of the item on a page.

        Args:
            page: of the browser.
        """
        return str(page.eval_on_selector("#label", "form => form.elements.position.value"))

    def press(self, page: Any) -> None:
        """All keys of an item but Enter.

        Args:
            page: of the browser.
        """
        opening = ["o"] if page.query_selector("#open") else []
        for key in (*opening, "1", "2", "a" if "first" in page.text_content(".answer.left .said-text") else "b"):
            page.keyboard.press(key)

    def label(self, *, reload: bool = False, kill: bool = False, tab: bool = False) -> None:
        """Label the item that is shown.

        Args:
            reload: whether the page is loaded again in the middle.
            kill: whether the server is dead when the label is sent, and comes back.
            tab: whether a second tab, in which the item is open too, sends it after the first.
        """
        page, shown = self.page, self.shown(self.page)
        second = self._second_tab() if tab else None
        if reload:
            page.keyboard.press("1")
            page.reload()
        self.press(page)
        if kill:
            self.server.stop(signal.SIGKILL)
            page.keyboard.press("Enter")
            page.wait_for_selector("#connection:not([hidden])")
            self.server.start()
        page.keyboard.press("Enter")
        page.wait_for_function(NEXT, arg=shown)
        if second is not None:
            self.press(second)
            second.keyboard.press("Enter")
            second.wait_for_selector("p.said")
            second.close()

    def _second_tab(self) -> Any:
        second = self.page.context.new_page()
        second.goto(self.server.address)
        second.wait_for_selector("#label")
        return second


def kept(folder: Path) -> tuple[int, int, int]:
    """Labels that are lost, that are there twice, and that are not of the first answer.

    Args:
        folder: of a review that two people have labelled.
    """
    with LabelStore(folder / "review.sqlite") as store:
        labels = store.labels()
    counts = Counter((label.annotator, label.item_id) for label in labels)
    wrong = sum(label.preference != "first" for label in current_labels(labels))
    return 2 * ITEMS - len(counts), sum(counts.values()) - len(counts), wrong


def in_the_browser() -> list[Measure]:
    """Two people, a reload, a killed server, a second tab."""
    from playwright.sync_api import sync_playwright

    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(review_of(Path(folder)))
        server.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        ana, ben = Person(browser, server, "ana"), Person(browser, server, "ben")
        for number in range(ITEMS):
            ana.label(reload=number in RELOADED_AT, tab=number in TABS_AT)
            ben.label(kill=number in KILLED_AT)
        browser.close()
        server.stop()
        lost, twice, wrong = kept(server.folder)
    how = (
        f"two people, {ITEMS} pairs each, by keyboard alone in Chromium; {len(RELOADED_AT)} reloads in the middle of"
        f" an item, {len(KILLED_AT)} kills of the server, {len(TABS_AT)} items sent by two tabs; every fourth pair has"
        " two pictures"
    )  # fmt: skip
    return [Measure("labels lost", lost, 0, "", "lower", how),
            Measure("labels written twice", twice, 0, "", "lower", how),
            Measure("labels of the wrong answer", wrong, 0, "", "lower", how)]  # fmt: skip


def queue() -> list[Item]:
    """Pairs with answers of 1,500 letters."""
    return [pair(n, question="x" * 300) for n in range(QUEUE)]


def next_item() -> list[Measure]:
    """Server time from the form of an item to the page of the next one."""
    with TemporaryDirectory() as folder:
        review = opened(made(Path(folder) / "review", queue(), overlap=0.1))
        browser = TestClient(create_app(review), base_url="http://localhost", follow_redirects=False)
        browser.get("/", params={"token": review.token})
        headers = {"origin": "http://localhost", "hx-request": "true"}
        browser.post("/name", data={"name": "ana"}, headers=headers)
        taken = []
        for position in range(STEPS):
            said = {"position": str(position), "number": "0", "outcome_left": "refusal", "outcome_right": "refusal",
                    "preference": "tie"}  # fmt: skip
            start = time.perf_counter()
            answer = browser.post("/labels", data=said, headers=headers)
            taken.append(1000 * (time.perf_counter() - start))
            if answer.status_code != 200 or "Item " not in answer.text:
                raise ValueError(f"the server answered {answer.status_code}")
        review.store.close()
    p95 = float(np.percentile(taken, 95))
    how = (f"{QUEUE:,} pairs, {STEPS} labels of one person: form read, label on the disk, next item chosen, page "
           f"rendered; median {np.median(taken):.1f} ms")  # fmt: skip
    return [Measure("key press to next item, p95", p95, 100, "ms", "lower", how)]


def measures() -> list[Measure]:
    """All rows."""
    return [*next_item(), *(in_the_browser() if CHROMIUM else [])]


if __name__ == "__main__":
    sys.exit(run(measures))
