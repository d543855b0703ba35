"""Code of the user's own, named `package.module:name` in the settings and run only where that is allowed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from spavl.errors import DataError, SettingsError, SpavlError

OWN_MODULES = frozenset({"spavl.miniworld.oracle"})
"""Modules of spavl that are written to be named in settings; all else that is within reach needs permission."""


def import_own(target: str, *, name: str, allow_code: bool, error: type[SpavlError] = SettingsError) -> Any:
    """The class or function that a setting names.

    Args:
        target: `package.module:name`.
        name: label of the settings entry, for messages.
        allow_code: import it from outside spavl too.
        error: class of the error.

    Raises:
        SpavlError: it lies outside spavl and is not allowed, or is not there; of the class `error`.
    """
    require_permission(target, name=name, allow_code=allow_code, error=error)
    _look_here()
    module, _, attribute = target.partition(":")
    try:
        return vars(import_module(module))[attribute]
    except SpavlError:
        raise
    except (ImportError, KeyError, ValueError) as cause:
        raise error(
            f"`{name}` cannot be built: {type(cause).__name__}: {cause}", where=target,
            try_="name it as package.module:name, in a package that Python finds",
        ) from cause  # fmt: skip
    except Exception as cause:
        what = f"The code of `{name}` cannot be run: {type(cause).__name__}: {cause}"
        raise error(what, where=f"{target} {line_of(cause)}".strip(), try_="mend it and run again") from cause


@contextmanager
def own_errors(
    what: str, target: str, *, error: type[SpavlError] = DataError,
    try_: str = "mend it and run again: what was made before is kept",
) -> Iterator[None]:  # fmt: skip
    """Turns what code of the user's own raises into a sentence with its file and line.

    Args:
        what: what is wrong, such as: The guard `mine` failed.
        target: `package.module:name` of the code.
        error: class of the error.
        try_: what mends it.

    Raises:
        SpavlError: the code raised; of the class `error`, or as it was raised.
    """
    try:
        yield
    except (SpavlError, CancelledError):
        raise
    except Exception as cause:
        file = vars(sys.modules[target.partition(":")[0]]).get("__file__")  # none in a notebook
        where = f"{target} {line_of(cause, Path(file) if file else None)}".strip()
        raise error(f"{what}: {type(cause).__name__}: {cause}", where=where, try_=try_) from cause


def line_of(error: Exception, file: Path | None = None) -> str:
    """File and line of the user's code that an error came from: `my_stage.py:12`; empty where it is not known.

    Args:
        error: as it was caught.
        file: the user's file; None: any that is no part of spavl or of Python's import.
    """
    ours = str(Path(__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith((ours, "<frozen")) and "importlib" not in f.filename]
    found = [f for f in theirs if file is None or Path(f.filename) == file] or theirs
    return f"{found[-1].filename}:{found[-1].lineno}" if found else ""


def _look_here() -> None:
    """Let Python find modules of the current folder, as `python -m spavl` does and the command `spavl` does not."""
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.append(here)  # last: a file here hides no installed package


def require_permission(target: str, *, name: str, allow_code: bool, error: type[SpavlError] = SettingsError) -> None:
    """Refuse code from outside spavl where it is not allowed.

    Args:
        target: `package.module:name`.
        name: label of the settings entry, for messages.
        allow_code: whether it is allowed.
        error: class of the error.

    Raises:
        SpavlError: it is refused; of the class `error`.
    """
    if target.partition(":")[0] not in OWN_MODULES and not allow_code:
        raise error(
            f"`{name}` runs code of its own, which is refused unless you say so", where=target,
            try_="if you have read that code, run again with --allow-code",
        )  # fmt: skip
