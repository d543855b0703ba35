"""What `make docs-site` adds to the pages of `docs/`: files of the repository that they link to, and our colours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PALETTE = ROOT / "spavl" / "report" / "palette.css"
LANGUAGES = {".yaml": "yaml", ".py": "python", ".json": "json", ".toml": "toml", ".sh": "bash"}
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^(`{3,}).*?^\2`*\s*$)", re.M | re.S)
WHERE = "repository"
"""Folder of the site for pages that show files from outside `docs/`."""
BEGIN = ("CONTRIBUTING.md",)
"""Files from outside `docs/` that the navigation names."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file outside `docs/` that a page links to, and the colours of the report."""
    files.append(File.generated(config, "theme/palette.css", content=palette(PALETTE.read_text("utf-8"))))
    waiting, seen = [*BEGIN], set[str]()
    for file in files.documentation_pages():
        waiting += _outside(f"docs/{file.src_uri}", file.content_string)
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            text = _shown(ROOT / path)
            waiting += _outside(path, text) if path.endswith(".md") or (ROOT / path).is_dir() else []
            files.append(File.generated(config, shown_at(path), content=linked(text, path, shown_at(path))))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The text of a page, with its links out of `docs/` leading to pages of the site."""
    uri = page.file.src_uri
    return markdown if uri.startswith(f"{WHERE}/") else linked(markdown, f"docs/{uri}", uri)


def shown_at(path: str) -> str:
    """Where the site shows a file or folder of the repository: a source path of mkdocs.

    Args:
        path: from the root of the repository.
    """
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{WHERE}/{path.removesuffix('.md')}.md"


def linked(text: str, path: str, uri: str) -> str:
    """A text with its links as the site needs them; fenced blocks stay as they are.

    Args:
        text: Markdown.
        path: of its file, from the root of the repository: what links are relative to.
        uri: of its page, which they become relative to.
    """

    def changed(found: re.Match[str]) -> str:
        target = shown_at(_target(path, found[2]))
        return f"{found[1]}{os.path.relpath(target, PurePosixPath(uri).parent)}{found[3]}"

    parts = FENCE.split(text)
    return "".join(
        part if n % 3 == 1 else "" if n % 3 == 2 else LINK.sub(changed, part) for n, part in enumerate(parts)
    )


def palette(css: str) -> str:
    """The colours of the report, for a page whose scheme is chosen by a switch.

    Args:
        css: which has them under `:root`, and the dark ones under a media query.
    """
    light, dark = re.findall(r":root \{(.*?)\}", css, re.S)
    return f'[data-md-color-scheme="default"] {{{light}}}\n[data-md-color-scheme="slate"] {{{light}{dark}}}\n'


def _outside(path: str, text: str) -> Iterator[str]:
    """What a file links to that lies in the repository and not in `docs/`."""
    for part in FENCE.split(text)[::3]:
        for found in LINK.finditer(part):
            target = _target(path, found[2])
            if not target.startswith("docs/"):
                yield target


def _target(path: str, link: str) -> str:
    """What a link of a file leads to, from the root of the repository."""
    return os.path.normpath(PurePosixPath(path).parent / link)


def _shown(path: Path) -> str:
    """The page that shows a file or the list of a folder."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if one.is_file())
        return f"# {name}\n\n" + "".join(f"- [{one}]({path.name}/{one})\n" for one in inside)
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return text
    return f"# {name}\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n````\n"
