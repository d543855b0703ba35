"""Every module of the package imports on Windows, which lacks some modules of Python's standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import spavl

PACKAGE = Path(spavl.__file__).parent
MISSING = ("fcntl", "resource", "pwd", "grp", "termios", "posix")
"""Modules that Python has on POSIX only: https://docs.python.org/3/library/unix.html."""
ELSEWHERE = ("inspect_ai", "lmms_eval")
"""Packages that live in environments of their own, so that the modules which need them cannot be imported here."""

IMPORT_ALL = """
import builtins
import importlib
import sys

missing, modules, elsewhere = (given.split(",") for given in sys.argv[1:])
importing = builtins.__import__


def without_posix(name, globals=None, locals=None, fromlist=(), level=0):
    # For this package only: other packages are built for each platform, and need these modules on POSIX.
    if name in missing and (globals or {}).get("__name__", "").split(".")[0] == "spavl":
        raise ImportError(f"import of {name}")
    return importing(name, globals, locals, fromlist, level)


builtins.__import__ = without_posix
for module in modules:
    try:
        importlib.import_module(module)
    except ImportError as error:
        if error.name not in elsewhere:
            print(f"{module}: {error}")
for name in missing:
    try:
        exec(f"import {name}", {"__name__": "spavl.somewhere"})
    except ImportError:
        continue
    print(f"{name} is not blocked")
"""


def test_every_module_imports_without_the_posix_modules_of_python() -> None:
    paths = [path.relative_to(PACKAGE.parent) for path in sorted(PACKAGE.rglob("*.py"))]
    modules = [
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for path in paths if path.parts[1] not in ("data", "prompts") and path.name != "__main__.py"
    ]  # fmt: skip
    assert len(modules) > 100
    command = [sys.executable, "-c", IMPORT_ALL, ",".join(MISSING), ",".join(modules), ",".join(ELSEWHERE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stdout, done.stdout
