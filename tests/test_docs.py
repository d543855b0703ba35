"""What is written about the house is true of the house."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import generate_docs

ROOT = generate_docs.ROOT


@pytest.mark.parametrize("name", ["settings.md", "commands.md", "nouns.md", "benchmarks.md"])
def test_a_generated_page_is_fresh(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text("utf-8") == generate_docs.pages()[name], "run `make docs`"


def test_the_map_in_the_readme_is_the_tree() -> None:
    assert (ROOT / "README.md").read_text("utf-8") == generate_docs.readme(), "run `make docs`"


def test_every_link_into_the_repository_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_no_path_of_a_machine_and_no_registry_stands_in_a_tracked_file() -> None:
    texts = [p for p in Path(ROOT / "spavl").rglob("*") if p.suffix in (".py", ".md", ".yaml", ".j2", ".json")]
    for path in texts:
        assert not re.search(r"(^|[^\w.])/(work|root|home/\w+)/", path.read_text("utf-8")), path
