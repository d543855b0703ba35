"""What is served is opened: what `spavl serve` does before its server starts."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from spavl.errors import MissingExtra, RunError
from spavl.serve.catalogue import Catalogue
from spavl.serve.index import CACHE

PORT: Final = 8764
"""Where the server listens unless another port is named."""
_PACKAGES: Final = ("fastapi", "uvicorn")
"""Packages of the extra `review` that it needs."""


def check_serve_packages() -> None:
    """Refuse to begin where the packages of the web app are not installed.

    Raises:
        MissingExtra: one is missing.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingExtra(f"The page needs {', '.join(missing)}, not installed", try_="pip install 'spavl[review]'")


def open_catalogue(folder: Path) -> Catalogue:
    """The runs under a folder, or the one that it is.

    Args:
        folder: that is served.

    Raises:
        RunError: there is no such folder, or no run and no study in it.
    """
    if not folder.is_dir():
        raise RunError("This is no folder", where=str(folder), try_="name a run folder, or the folder of your runs")
    found = Catalogue(folder)
    if not found.runs() and not found.studies():
        raise RunError("There is no run under this folder", where=str(folder), try_="`spavl demo` makes one")
    return found


def cache_folder() -> Path:
    """The folder of what is derived, made where it is missing; a temporary one where it cannot be made.

    Raises:
        RunError: neither can be.
    """
    try:
        CACHE.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(CACHE, os.W_OK):
            return CACHE
    except OSError:
        pass
    try:
        return Path(mkdtemp(prefix="spavl-serve-"))  # a new one: what lies in it is believed, so nobody else made it
    except OSError as error:
        raise RunError("There is no folder to keep the index of pairs in", where=str(CACHE),
                       try_="make room on the disk") from error  # fmt: skip
