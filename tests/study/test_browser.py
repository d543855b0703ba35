"""The page of a study in a real browser: clean for screen readers, no outside request, and labels are text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spavl.report.study import render_study
from spavl.report.study_data import DriftOfModel, DriftShown, StudyShown
from spavl.statistics.intervals import Rate
from spavl.study.page import write_page
from spavl.study.results import read_results, write_results
from tests.review.reviews import CHROMIUM
from tests.study import planted
from tests.study.test_page import ARMS, BEFORE, SCALE
from tests.study.test_transfer import leave_out

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SCRIPT = '</summary></style><script>document.title = "run"</script><img src=x onerror="document.title = `run`">'
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
FAILED = {"id": "0", "status": "failed", "for": [[SCRIPT, 1]], "why": SCRIPT}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def hostile(study: Path) -> Path:
    """Write the page of a study whose arms and metrics have scripts for labels, and of which a training failed."""
    results = [
        replace(one, label=f"{one.label} {SCRIPT}", label_of_metric=f"{one.label_of_metric} {SCRIPT}")
        for one in read_results(study)
    ]
    write_results(study, results)
    facts = study / "study.json"
    plan = json.loads(facts.read_text("utf-8")) if facts.is_file() else {}
    facts.write_text(json.dumps({**plan, "trainings": [FAILED]}), "utf-8")
    return write_page(study)


def drift(folder: Path) -> Path:
    """The page of a longitudinal study of two models and two periods, one of which a model was not asked."""
    rates = (Rate(0.2, 0.1, 0.3, 60), Rate(None, 0.0, 1.0, 40, 40))
    models = (
        DriftOfModel(label=SCRIPT, rates=rates, sentence=f"{SCRIPT}: no trend is shown."),
        DriftOfModel(label="newer", rates=(rates[0], None), sentence="newer: a trend needs more dates."),
    )
    shown = DriftShown(label=SCRIPT, benchmark=SCRIPT, axis="safety", better="lower", periods=("2025-Q4", SCRIPT),
                       items=(60, 40), models=models)  # fmt: skip
    study = StudyShown(title="Newer kinds of harm", kind="longitudinal", question="By date.", lead=SCRIPT,
                       drifts=(shown,), facts={"Run": SCRIPT}, settings=f"title: {SCRIPT}")  # fmt: skip
    path = folder / "drift.html"
    path.write_text(render_study(study), "utf-8")
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Address of a page of each sort."""
    folder = tmp_path_factory.mktemp("pages")
    scale = planted.study(folder / "scale", SCALE, ARMS, values=(100, 1000, 3000), base=BEFORE)
    transfer = leave_out(folder / "transfer", dict.fromkeys(planted.GROUPS, 0.3), seeds=(1, 2))
    made = {"scale": hostile(scale), "transfer": hostile(transfer), "drift": drift(folder)}
    return {name: path.as_uri() for name, path in made.items()}


SECTIONS = {
    "scale": ("#found .claim", "#measures .measure svg", "#measures .measure .said", "#numbers table", ".note"),
    "transfer": ("#transfer table", "#measures svg", "#numbers table", ".note"),
    "drift": ("#numbers table.heat", "#numbers tfoot", "#settings dl"),
}
"""What a page has to show."""


@pytest.mark.slow
@pytest.mark.parametrize("sort", SECTIONS)
@pytest.mark.parametrize(
    ("size", "scheme"), [(PHONE, "light"), (DESK, "dark"), (PHONE, "dark"), (DESK, "light")],
    ids=["phone", "desktop, dark", "phone, dark", "desktop"],
)  # fmt: skip
def test_nothing_runs_nothing_is_fetched_and_axe_finds_nothing(
    browser: Any, pages: dict[str, str], sort: str, size: dict[str, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_page(viewport=size, color_scheme=scheme, bypass_csp=True)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages[sort])
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert all(page.locator(selector).count() for selector in SECTIONS[sort])
    assert (page.title() == "run", said) == (False, [])
    assert [url for url in asked if not url.startswith("data:")] == [pages[sort]]
    assert page.locator("script, img").count() == 0 and SCRIPT in page.locator("body").inner_text()
    found = Axe().run(page).response["violations"]
    assert not found, [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.close()
