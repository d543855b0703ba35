"""The guideline page of a review: a Markdown file that its owner may rewrite, shown as HTML without any of its own."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from markupsafe import Markup

from spavl.errors import DataError
from spavl.visible_text import visible

GUIDELINES: Final = "guidelines.md"
"""Name of the file in the folder of a review."""


def keep_guidelines(folder: Path, given: Path | None) -> Path:
    """The guidelines of a review, copied into its folder the first time, or where others are given.

    Args:
        folder: of the review.
        given: a Markdown file; None: those that are there, or else the built-in ones.

    Raises:
        DataError: the file cannot be read, or is no UTF-8.
    """
    path = folder / GUIDELINES
    if given is not None:
        _text_of(given)
        if given.resolve() != path.resolve():
            shutil.copyfile(given, path)
    elif not path.exists():
        with as_file(files("spavl.review") / "pages" / GUIDELINES) as built_in:
            shutil.copyfile(built_in, path)
    return path


def shown_guidelines(path: Path) -> Markup:
    """The guidelines as HTML; HTML in them is shown as text, and links that are scripts are none.

    Args:
        path: the Markdown file.

    Raises:
        DataError: it cannot be read.
    """
    from markdown_it import MarkdownIt

    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(visible(_text_of(path))))


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("The guidelines are no UTF-8 text", where=str(path), try_="save the file as UTF-8") from None
    except OSError as error:
        raise DataError(f"The guidelines cannot be read: {error.strerror}", where=str(path)) from error
