"""The layers hold: imports go down only, rooms on one floor are strangers, heavy libraries keep to their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Container, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import spavl

PACKAGE = Path(spavl.__file__).parent

FLOORS = {
    "errors": 0, "spavl": 0, "visible_text": 0, "plural": 0, "amounts": 0,
    "records": 1, "progress": 1, "atomic": 1, "pictures": 1, "rows": 1, "strict_yaml": 1, "threads": 1,
    "locks": 1, "own_code": 1,
    "config": 2, "tables": 2, "taxonomy": 2, "statistics": 2,
    "models": 3, "run": 3, "similarity": 3,
    "judging": 4, "preferences": 4, "labels": 4,
    "dataset": 5, "align": 5, "evaluate": 5, "report": 5, "miniworld": 5,
    "audit": 5, "contamination": 5, "interchange": 5, "web": 5,
    "pipeline": 6,
    "bridges": 7, "review": 7, "serve": 7, "study": 7,
    "api": 8,
    "cli": 9,
    "__main__": 10,
}  # fmt: skip

TORCH = (
    "align/*.py", "models/backends/local*.py", "models/sampling.py", "models/families/*.py",
    "models/trees/*.py", "miniworld/train*.py", "miniworld/real/assemble.py", "miniworld/real/teach.py",
    "miniworld/real/__main__.py",
)  # fmt: skip
WEB = ("web/shell.py", "review/app.py", "serve/app.py")
INSPECT = tuple(f"bridges/inspect/{name}.py" for name in ("export", "provider", "tasks", "entry_point"))
HEAVY = {
    "torch": (*TORCH, "models/backends/device.py"),
    "transformers": TORCH,
    "peft": TORCH,
    "accelerate": TORCH,
    "safetensors": TORCH,
    "matplotlib": ("report/*figure*.py", "report/sheet.py"),
    "datasets": ("align/*.py", "preferences/sources.py", "dataset/collect/hub.py"),
    "duckdb": ("tables/query.py", "tables/kept.py"),
    "datasketch": ("dataset/near_duplicates.py", "similarity/texts.py"),
    "ray": ("pipeline/ray_*.py", "study/ray_*.py"),
    "usearch": ("dataset/collect/index.py",),
    "rapidocr": ("dataset/collect/ocr.py",),
    "onnxruntime": ("dataset/collect/ocr.py",),
    "aiohttp": (
        "models/backends/endpoint*.py",
        "models/calls/rate_limit.py",
        "dataset/collect/connect.py",
        "dataset/collect/download.py",
    ),
    "lmms_eval": ("bridges/lmms/model.py",),
    "inspect_ai": INSPECT,
    "anyio": INSPECT,
    "fastapi": WEB,
    "starlette": WEB,
    "uvicorn": ("web/listening.py",),
    "markdown_it": ("review/guidelines.py",),
    "stamina": ("dataset/collect/download.py",),
}
"""Where a heavy library may be imported, even inside a function; others import that module late."""
OPTIONAL = (
    "torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "jaxtyping", "datasets", "matplotlib",
    "ray", "rapidocr", "lmms_eval", "inspect_ai", "onnxruntime", "usearch",
    "fastapi", "starlette", "uvicorn", "python_multipart",
)  # fmt: skip
"""Packages that the base install lacks."""
OUTSIDE = (
    *TORCH, *INSPECT, *HEAVY["lmms_eval"], *HEAVY["matplotlib"], "report/paper.py", *WEB, "web/listening.py",
    "review/serve.py",
)  # fmt: skip
"""Modules that import one of them at once."""


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """(path inside the package, tree) of every module."""
    paths = [
        path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in ("data", "prompts")
    ]
    return tuple((path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text("utf-8"))) for path in paths)


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of everything imported anywhere in a module; a relative import keeps its dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "spavl":
                yield from ((f"spavl.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield module, node.lineno


def room_of(path: str) -> str:
    """`models/calls/store.py` → models; `run.py` → run; `__init__.py` → spavl."""
    first = path.split("/")[0].removesuffix(".py")
    return "spavl" if first == "__init__" else first


def test_every_room_has_a_floor_and_every_import_goes_down() -> None:
    wrong = []
    for path, tree in modules():
        room = room_of(path)
        if path == "__init__.py":  # it names what the rooms offer, and imports nothing: see tests/test_public.py
            continue
        assert room in FLOORS, f"{path}: give the room `{room}` a floor"
        for name, line in imports(tree):
            if not name.startswith("spavl."):
                continue
            other = "spavl" if name.split(".")[1].startswith("__") else name.split(".")[1]
            if other != room and FLOORS[other] >= FLOORS[room]:
                wrong.append(f"{path}:{line}: {room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})")
    assert not wrong, "\n".join(wrong)


def test_the_rooms_are_found_at_all() -> None:
    found = {room_of(path) for path, _ in modules()}
    assert {"errors", "records", "tables", "models", "dataset", "pipeline", "cli"} <= found


def test_imports_are_absolute_so_that_the_floors_can_be_read() -> None:
    assert not [f"{p}:{line}" for p, tree in modules() for name, line in imports(tree) if name.startswith(".")]


def test_heavy_libraries_are_imported_only_where_they_are_named() -> None:
    wrong = [
        f"{path}:{line}: {name}"
        for path, tree in modules()
        for name, line in imports(tree)
        if name.split(".")[0] in HEAVY and not any(fnmatch(path, place) for place in HEAVY[name.split(".")[0]])
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_outside_the_rooms_of_extras_import_without_their_packages() -> None:
    """The base install has no torch and no matplotlib: a module that needs them is imported late."""
    light = [
        "spavl." + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for path, _ in modules()
        if not any(fnmatch(path, place) for place in OUTSIDE) and path != "__main__.py"
    ]
    assert len(light) > 30
    script = (
        "import sys, importlib\n"
        f"for name in {OPTIONAL!r}:\n"
        "    sys.modules[name] = None  # importing it raises ImportError\n"
        f"for name in {light!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        print(f'{name}: {type(error).__name__}: {error}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not done.stdout, done.stdout


def test_no_modules_import_each_other_in_a_loop() -> None:
    """Only imports that run at import time count; those for type checkers and inside functions do not."""
    trees = {dotted(path): tree for path, tree in modules()}
    graph = {name: {to for to in at_import(tree, trees) if to in trees} for name, tree in trees.items()}
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join([*above[above.index(name) :], name])
        if name not in done:
            for to in sorted(graph[name] - {name}):
                walk(to, (*above, name))
            done.add(name)

    for name in graph:
        walk(name, ())
    assert len(done) > 100


def dotted(path: str) -> str:
    """`models/calls/store.py` → spavl.models.calls.store."""
    return ("spavl." + path.removesuffix(".py").replace("/", ".")).removesuffix(".__init__")


def at_import(tree: ast.Module, known: Container[str]) -> Iterator[str]:
    """Modules that are imported while this one is: of `from package import module` the module, else the package."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module
