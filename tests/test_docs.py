"""What the docs say of the package is true of the package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests import generate_docs

ROOT = generate_docs.ROOT


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "nouns.md", "benchmarks.md"])
def test_a_generated_page_is_fresh(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text("utf-8") == generate_docs.pages()[name], "run `make docs`"


def test_the_map_in_the_tour_is_the_tree() -> None:
    assert (ROOT / "docs" / "tour.md").read_text("utf-8") == generate_docs.tour(), "run `make docs`"


@pytest.mark.parametrize("name", generate_docs.SIMULATED)
def test_the_table_of_a_page_on_methods_is_what_was_measured(name: str) -> None:
    page = (ROOT / "docs" / "methods" / name).read_text("utf-8")
    assert page == generate_docs.simulated(name), "run `make docs`"


def test_every_term_of_the_glossary_is_found_in_the_code() -> None:
    page = generate_docs.nouns_page()
    for names in generate_docs.CLASSES.values():
        assert [name for name in names if f"**`{name}`**" not in page] == []


def test_every_path_that_the_docs_name_is_there() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        named = re.findall(r"`((?:spavl|tests|bench|settings)/[\w./-]+)`", page.read_text("utf-8"))
        assert [path for path in named if not (ROOT / path).exists()] == [], page


def test_every_link_into_the_repository_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_no_path_of_a_machine_and_no_registry_stands_in_a_tracked_file() -> None:
    texts = [p for p in Path(ROOT / "spavl").rglob("*") if p.suffix in (".py", ".md", ".yaml", ".j2", ".json")]
    for path in texts:
        assert not re.search(r"(^|[^\w.])/(work|root|home/\w+)/", path.read_text("utf-8")), path


def test_the_docstring_of_a_package_names_modules_that_are_there() -> None:
    for path in (ROOT / "spavl").rglob("__init__.py"):
        doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        named = {*re.findall(r"\b(\w+)\.py\b", doc), *re.findall(r"`(\w+)` \(", doc)}
        there = {one.stem for one in path.parent.iterdir()}
        assert named - there == set(), path
