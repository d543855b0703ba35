"""What a complete docstring is, checked: `python -m tests.docstrings [PATH ...]` lists what is missing.

House style (Google): the first line says what the thing is or returns, and ends in a full stop; `Args:` names every
parameter; `Raises:` names every error of ours that the function itself raises; a tensor's shape stands in its
annotation (jaxtyping) or in its entry, written `[B, T]`. A method that overrides one of another library says so with
`@override` and needs only the first line. Every field of a dataclass or settings section has its meaning beneath it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "spavl"
Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef | ast.Module

SECTION = re.compile(r"^(Args|Raises|Returns|Yields|Example|Examples|Attributes|Note):$", re.M)
SHAPED = re.compile(r"\b(Float|Int|Bool|Integer|Shaped|Num|UInt8)\[")
OLD_RAISES = re.compile(r"\bRaises [A-Z]\w*")
ROUND_SHAPE = re.compile(r"(?<![\w(])\((?:[A-Z]|\d+)(?:, (?:[A-Z]|\d+))*,?\)(?!\w)")
DECLARED = ("dataclass", "BaseModel", "Section", "NamedTuple", "TypedDict")


def problems(path: Path) -> Iterator[str]:
    """What is missing in a module, one line each: `file:line name: what`."""
    tree = ast.parse(path.read_text("utf-8"))
    where = path.relative_to(PACKAGE.parent).as_posix()
    for name, node, parent in public(tree):
        for what in (*first_line(node), *shapes_in(node), *parts(node, parent)):
            line = 1 if isinstance(node, ast.Module) else node.lineno
            yield f"{where}:{line} {name or 'module'}: {what}"


def public(tree: ast.Module) -> Iterator[tuple[str, Documented, ast.ClassDef | None]]:
    """The module, its public classes and functions, and their public methods with the class they stand in."""
    yield "", tree, None
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node, None
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, Function) and is_public(method.name):
                        yield f"{node.name}.{method.name}", method, node


def is_public(name: str) -> bool:
    """Whether others call it by name: `__init__` is explained in its class, `__len__` and its like are Python's own."""
    return name == "__call__" or not name.startswith("_")


def first_line(node: Documented) -> Iterator[str]:
    """Whether there is a docstring whose first line is a sentence."""
    doc = ast.get_docstring(node)
    if not doc:
        yield "no docstring"
    elif not doc.splitlines()[0].endswith((".", "?", ":")):
        yield f"the first line is no whole sentence: {doc.splitlines()[0]!r}"


def shapes_in(node: Documented) -> Iterator[str]:
    """Whether shapes are written [B, T], and errors under `Raises:`."""
    doc = ast.get_docstring(node) or ""
    for found in ROUND_SHAPE.findall(doc):
        yield f"write the shape {found} as [{found.strip('(),')}]"
    if OLD_RAISES.search(doc):
        yield "write errors under `Raises:`"


def parts(node: Documented, parent: ast.ClassDef | None) -> Iterator[str]:
    """Whether parameters, fields and errors are explained."""
    if isinstance(node, ast.ClassDef):
        yield from class_parts(node)
    elif isinstance(node, Function) and not is_override(node):
        yield from function_parts(node, ast.get_docstring(node) or "")


def class_parts(node: ast.ClassDef) -> Iterator[str]:
    """Whether fields have their meaning beneath them, and the constructor's parameters stand in the class's `Args:`."""
    marks = " ".join([*map(ast.unparse, node.decorator_list), *map(ast.unparse, node.bases)])
    if any(mark in marks for mark in DECLARED):
        for place, field in enumerate(node.body):
            if isinstance(field, ast.AnnAssign) and not ast.unparse(field.target).startswith("_"):
                after = node.body[place + 1] if place + 1 < len(node.body) else None
                if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
                    yield f"field `{ast.unparse(field.target)}` has no meaning beneath it"
    for method in node.body:
        if isinstance(method, Function) and method.name == "__init__":
            doc = f"{ast.get_docstring(node) or ''}\n\n{ast.get_docstring(method) or ''}"
            yield from function_parts(method, doc)


def function_parts(node: Function, doc: str) -> Iterator[str]:
    """Whether `Args:` and `Raises:` name what the function takes and raises, with shapes where tensors are taken."""
    named = entries(doc, "Args")
    given = {argument.arg: argument for argument in arguments(node)}
    if missing := [name for name in given if name not in named]:
        yield f"`Args:` lacks {', '.join(missing)}"
    if unknown := [name for name in named if name not in given]:
        yield f"`Args:` names {', '.join(unknown)}, which it does not take"
    for name, argument in given.items():
        kind = ast.unparse(argument.annotation) if argument.annotation else ""
        if re.search(r"\bTensor\b", kind) and not SHAPED.search(kind) and "[" not in named.get(name, "["):
            yield f"`{name}` is a tensor without a shape"
    returned = ast.unparse(node.returns) if node.returns else ""
    if returned in ("Tensor", "torch.Tensor") and "[" not in doc and "calar" not in doc:
        yield "returns a tensor without a shape"
    raised = {name for name in raises(node) if name.endswith(("Error", "Extra", "Failed"))}
    if missing := sorted(raised - entries(doc, "Raises").keys() - {"AssertionError", "NotImplementedError"}):
        yield f"`Raises:` lacks {', '.join(missing)}"


def arguments(node: Function) -> list[ast.arg]:
    """Parameters but `self`, `cls` and those whose name starts with an underscore."""
    args = node.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    every += [one for one in (args.vararg, args.kwarg) if one]
    return [one for one in every if one.arg not in ("self", "cls") and not one.arg.startswith("_")]


def entries(doc: str, section: str) -> dict[str, str]:
    """The entries of a section by name: `name: text`, continued on lines that are indented further."""
    blocks = SECTION.split(doc)
    found: dict[str, str] = {}
    for title, body in zip(blocks[1::2], blocks[2::2], strict=True):
        if title != section:
            continue
        name = ""
        for line in body.splitlines():
            if line.strip() and not line.startswith(" "):
                break
            if start := re.match(r"    [*`]*(\w+)`?(?: \([^)]*\))?: *(.*)", line):
                name = start[1]
                found[name] = start[2]
            elif name:
                found[name] += " " + line.strip()
    return found


def raises(node: Function) -> Iterator[str]:
    """Names of the errors in `raise Name(…)` statements of the function itself, not of functions inside it."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Call) and isinstance(inner.exc.func, ast.Name):
            yield inner.exc.func.id
        if not isinstance(inner, Function | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(inner)


def is_override(node: Function) -> bool:
    """Whether another library decides its parameters, or Typer, which has their help beside each of them."""
    marks = [ast.unparse(one).split("(")[0].split(".")[-1] for one in node.decorator_list]
    return any(mark in ("override", "overload", "command", "callback") for mark in marks)


def modules(roots: list[Path]) -> Iterator[Path]:
    """Every module of the package below some folders or files."""
    for root in roots:
        for path in sorted(root.rglob("*.py") if root.is_dir() else [root]):
            if path.resolve().relative_to(PACKAGE).parts[0] not in ("data", "prompts"):
                yield path.resolve()


if __name__ == "__main__":
    lines = [line for path in modules([Path(word) for word in sys.argv[1:]] or [PACKAGE]) for line in problems(path)]
    print("\n".join([*lines, f"{len(lines)} problems"]))
