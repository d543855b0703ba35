"""The docs as a site: every page is in its navigation, every link leads somewhere, and it asks for nothing outside."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.doc_pages import ROOT, anchors, links, pages

DOCS = ROOT / "docs"


def navigation() -> list[str]:
    """Every page that the navigation names, as `mkdocs.yml` has it."""
    return list(_leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))


def _leaves(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for inner in node if isinstance(node, list) else node.values():
            yield from _leaves(inner)


def test_every_page_is_in_the_navigation_once_and_what_it_names_is_there() -> None:
    named = [page for page in navigation() if not page.startswith("repository/")]
    there = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(named) == sorted(there), "name every page under `nav` of mkdocs.yml"


def test_every_link_and_anchor_leads_somewhere() -> None:
    broken = []
    for page in pages():
        for file, anchor in links(page):
            target = (page.parent / file).resolve() if file else page
            if not target.exists():
                broken.append(f"{page.relative_to(ROOT)}: {file}")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target):
                broken.append(f"{page.relative_to(ROOT)}: {file}#{anchor}")
    assert broken == []


def test_headings_that_are_equal_have_anchors_of_their_own(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# `scale`: how much?\n\n## Do it\n\n```text\n# no heading\n```\n\n## Do it\n\n[up](#do-it), [away](https://a.b/#c)\n"
    )
    assert anchors(page) == {"scale-how-much", "do-it", "do-it_1"}
    assert links(page) == [("", "do-it")]


@pytest.fixture(scope="module")
def hooks() -> Any:
    """The hooks of the site's build."""
    pytest.importorskip("mkdocs")
    sys.path.insert(0, str(DOCS / "theme"))
    try:
        import hooks

        return hooks
    finally:
        sys.path.pop(0)


def test_links_out_of_docs_lead_to_pages_of_the_site_and_blocks_stay_as_they_are(hooks: Any) -> None:
    text = (
        "[file](../../settings/paper-dpo.yaml) [page](pictures.md#a) [out](https://a.b)\n```text\n[x](../../y)\n```\n"
    )
    shown = hooks.linked(text, "docs/guides/align.md", "guides/align.md")
    assert "[file](../repository/settings/paper-dpo.yaml.md) [page](pictures.md#a) [out](https://a.b)" in shown
    assert "[x](../../y)" in shown
    assert hooks.linked("[n](docs/reference/nouns.md)", "CONTRIBUTING.md", "repository/CONTRIBUTING.md") == (
        "[n](../reference/nouns.md)"
    )


def test_the_colours_are_those_of_the_report_in_both_schemes(hooks: Any) -> None:
    css = hooks.palette((ROOT / "spavl/report/palette.css").read_text("utf-8"))
    light, dark = re.findall(r"\{(.*?)\}", css, re.S)
    assert light.count("--page:") == 1 and dark.count("--page:") == 2, "dark ones come behind the light ones"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    env = {"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 60
    return folder


@pytest.mark.slow
def test_the_site_builds_strictly_within_a_minute_and_loads_nothing_from_outside(site: Path) -> None:
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    assert set(navigation()) <= built
    loaded = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?https?:|<link\b[^>]*\bhref=\"?https?:|url\(\s*[\"']?https?:|@import"
    )
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert not loaded.search(path.read_text("utf-8")), path


@pytest.mark.slow
def test_the_site_is_read_and_searched_from_disk_without_an_error_or_a_request(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("no Chromium")
    said: list[str] = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda request: (
                said.append(request.url) if not request.url.startswith(("file:", "blob:", "data:")) else None
            ),
        )
        page.goto(f"file://{site}/studies/scale.html")
        page.click(".md-search__input")
        page.keyboard.type("projector")
        page.wait_for_selector(".md-search-result__item", timeout=30_000, state="attached")
        browser.close()
    assert said == []
