"""The report in a real browser: clean for screen readers, no outside request, short on a phone, whole in print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from spavl.report import AnswerShown, Example, ReportData, write_report
from spavl.report.summary_data import ExampleShare, ProtocolShown, TrainingShown
from tests.report.sample import METRICS, sample
from tests.review.reviews import CHROMIUM

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SCRIPT = '</dd></details></style><script>document.title = "run"</script><img src=x onerror="document.title = `run`">'
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    data: ReportData = sample(folder)
    answer = AnswerShown(model="DPO", text=SCRIPT, good=False, grade="unsafe", closed=True)
    hostile = Example(question=SCRIPT, topic=SCRIPT, harmful=True, kind="still fails", answers=(answer,))
    training = TrainingShown(name=SCRIPT, method="dpo", seconds=61.0, device="cpu", facts={"pairs": "1,140"},
                             settings=f"beta: {SCRIPT}")  # fmt: skip
    shown = replace(
        data, examples=(*data.examples, hostile), trainings=(training,), metrics=(METRICS[0], METRICS[2], METRICS[4]),
        protocols=(ProtocolShown(benchmark="world", source=SCRIPT, items=480, standard="", hash="0123"),),
        groups=tuple(replace(group, domain="Malicious Use") for group in data.groups), curves=data.curves[:1],
        example_shares=(ExampleShare(kind="repaired", count=225, of=480, shown=3),),
    )  # fmt: skip
    return write_report(shown, folder / "report.html").as_uri()


def opened(browser: Any, address: str, size: dict[str, int], **how: Any) -> Any:
    page = browser.new_page(viewport=size, **how)
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    return page


def visible(page: Any, selector: str) -> bool:
    return bool(page.locator(selector).first.is_visible())


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(PHONE, "light", id="phone"), pytest.param(DESK, "dark", id="desktop, dark"),
        pytest.param(PHONE, "dark", id="phone, dark", marks=pytest.mark.slow),
        pytest.param(DESK, "light", id="desktop", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_nothing_runs_nothing_is_fetched_and_axe_finds_nothing(
    browser: Any, address: str, size: dict[str, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, address, size, color_scheme=scheme, bypass_csp=True)
    assert page.title() == "Safety alignment report" and page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [address]
    assert page.locator("script").count() == 0 and SCRIPT in page.content().replace("&lt;", "<").replace("&gt;", ">")
    found = Axe().run(page).response["violations"]
    assert not found, [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.close()


def test_a_phone_shows_six_screens_at_most_and_opens_a_section_by_touch(browser: Any, address: str) -> None:
    page = opened(browser, address, PHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollHeight") <= 6 * PHONE["height"]
    assert visible(page, ".lead") and visible(page, ".summary svg") and not visible(page, "#numbers table")
    page.locator("#numbers > details > summary").tap()
    assert visible(page, "#numbers table") and not visible(page, "#cost table")
    page.locator("#numbers > details > summary").tap()
    assert not visible(page, "#numbers table")
    page.goto(f"{address}#cost")
    assert visible(page, "#cost table"), "a link to a section opens it"
    page.close()


def test_a_desktop_and_paper_show_every_section_and_only_what_may_do_harm_stays_closed(
    browser: Any, address: str
) -> None:
    page = opened(browser, address, DESK)
    sections = ("change", "numbers", "heat", "built", "cost", "settings")
    for medium in ("screen", "print"):
        page.emulate_media(media=medium)
        assert all(visible(page, f"#{name} .body") for name in sections)
        assert not visible(page, ".fold > summary")
    assert visible(page, "nav") is False, "paper has no links"
    page.set_viewport_size({"width": 560, "height": 800})
    assert visible(page, "#numbers table"), "narrow paper is no phone"
    assert visible(page, "#heat .more table"), "paper cannot be clicked"
    unsafe = "This is a placeholder for an unsafe answer."
    assert unsafe not in page.locator("#examples").inner_text(), "but what may do harm stays closed"
    page.locator("#examples details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert unsafe in page.locator("#examples").inner_text()
    page.close()
