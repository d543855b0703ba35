"""What `import spavl` offers: every name is there, typed, explained, and imported only when it is used."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import spavl

FILE = Path(spavl.__file__)
HEAVY = ("torch", "transformers", "duckdb", "pyarrow", "numpy", "pydantic", "rich", "PIL", "aiohttp", "scipy")


def blocks(condition: str) -> list[ast.If]:
    """The `if` blocks of the package's own file under some condition."""
    body = ast.parse(FILE.read_text("utf-8")).body
    return [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == condition]


def for_type_checkers() -> dict[str, str]:
    """Module by name of the imports that only type checkers see."""
    (block,) = blocks("TYPE_CHECKING")
    return {
        alias.name: str(node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def modules_after(script: str) -> set[str]:
    """Names of all modules that are imported when a script has run."""
    end = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"{script}\n{end}"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_imports_nothing_of_spavl_nor_any_heavy_library() -> None:
    found = modules_after("import spavl")
    assert {name for name in found if name.startswith("spavl")} == {"spavl"}
    assert found & set(HEAVY) == set()


def test_a_name_imports_only_what_it_needs() -> None:
    found = modules_after("import spavl; spavl.Query, spavl.TerminalProgress, spavl.SpavlError")
    assert found & set(HEAVY) == set()
    found = modules_after("import spavl; [spavl.__dict__.get(n) or getattr(spavl, n) for n in spavl.__all__]")
    assert found & {"torch", "transformers", "matplotlib", "datasets", "duckdb"} == set()


def test_type_checkers_see_what_a_notebook_gets() -> None:
    seen = for_type_checkers()
    assert {*seen, "__version__"} == set(spavl.__all__)
    assert {name: module for module, names in spavl._MODULES.items() for name in names} == seen
    assert (FILE.parent / "py.typed").exists()
    (hidden,) = blocks("not TYPE_CHECKING")
    assert [node.name for node in hidden.body if isinstance(node, ast.FunctionDef)] == ["__getattr__"], (
        "with it in sight a misspelt name would be of the type Any"
    )


@pytest.mark.parametrize("name", sorted(set(spavl.__all__) - {"__version__"}))
def test_every_name_is_there_and_explained(name: str) -> None:
    found = getattr(spavl, name)
    assert (inspect.getdoc(found) or "").split("\n")[0].endswith((".", ":")), name
    assert found is getattr(sys.modules[for_type_checkers()[name]], name)


def test_another_name_is_no_attribute_and_dir_lists_the_public_ones() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'biuld'"):
        spavl.biuld  # noqa: B018
    assert set(spavl.__all__) <= set(dir(spavl))


def test_names_are_offered_that_no_room_is_called_by() -> None:
    """A room that is imported becomes an attribute of the package, and would hide a function of its name."""
    rooms = {path.stem for path in FILE.parent.iterdir()}
    assert set(spavl.__all__) & rooms == set()
