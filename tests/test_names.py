"""Behaviour is chosen by what is declared (axis, direction, flags, kind), never by how something is called.

Held by the syntax tree of every module: a metric's name stands only where the metric is defined; and no name of a
metric, subset, benchmark, model or stage is compared with a literal, searched for one, or tested for its beginning.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_layering import modules

NAMES = frozenset({"name", "subset", "metric", "benchmark", "label", "group", "responder", "grader", "scorer", "stage"})
"""Variables, fields and keys that hold what something is called."""
ROOMS = ("judging", "evaluate", "report", "pipeline", "dataset", "miniworld", "statistics", "cli")
"""Where guards, metrics, subsets and models are handled."""
FILES = {"dataset/collect/folder.py": "hidden files", "pipeline/align.py": "a checkpoint's folder, or an adapter's"}
"""Modules that ask for the names of files, and of which."""
RESPONDERS = dict.fromkeys(
    ("pipeline/stages.py", "pipeline/failures.py"),
    "the unsafe rate of a responder in `run.json`, which is no metric of a benchmark",
)
"""Modules in which a metric's name is that of something else."""
SEARCHES = frozenset({"startswith", "endswith", "find", "index", "count"})
"""Methods of a text that look into it."""


def is_a_name(node: ast.AST) -> bool:
    """Whether an expression holds what something is called: `name`, `item.subset`, `row["metric"]`."""
    if isinstance(node, ast.Name):
        return node.id in NAMES
    if isinstance(node, ast.Attribute):
        return node.attr in NAMES
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value in NAMES
    lowered = (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("lower", "strip")
    )
    return lowered and is_a_name(node.func.value)  # type: ignore[attr-defined]


def is_text(node: ast.AST) -> bool:
    """Whether an expression is a literal text, or several."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return bool(node.elts) and all(is_text(one) for one in node.elts)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def choices_by_name(tree: ast.AST) -> Iterator[ast.AST]:
    """Expressions that compare a name with a literal, or look into it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(map(is_a_name, sides)) and any(map(is_text, sides)):
                yield node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEARCHES:
            if is_a_name(node.func.value) and node.args and is_text(node.args[0]):
                yield node
        elif isinstance(node, ast.Match) and is_a_name(node.subject):
            yield node


def defined_metrics(tree: ast.AST) -> Iterator[ast.Constant]:
    """The literals that name a metric: `Metric(name="…")`, or `replace(metric, name="…")` of one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Metric", "replace"):
            for given in node.keywords:
                if given.arg == "name" and isinstance(given.value, ast.Constant):
                    yield given.value


def test_no_behaviour_is_chosen_by_how_something_is_called() -> None:
    wrong = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"  # type: ignore[attr-defined]
        for path, tree in modules() if path.startswith(ROOMS) and path not in FILES for node in choices_by_name(tree)
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_a_metrics_name_stands_only_where_the_metric_is_defined() -> None:
    trees = list(modules())
    defining = {id(node): node.value for _, tree in trees for node in defined_metrics(tree)}
    assert {"unsafe_rate", "policy_unsafe_rate", "unsafe_rate_heldout", "pope_accuracy"} <= set(defining.values())
    wrong = [
        f"{path}:{node.lineno}: {node.value!r}"
        for path, tree in trees if path not in RESPONDERS for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in set(defining.values()) and id(node) not in defining
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_the_page_names_no_metric() -> None:
    names = {node.value for _, tree in modules() for node in defined_metrics(tree)}
    pages = list((Path(__file__).parents[1] / "spavl/report").rglob("*.j2"))
    assert len(pages) > 5
    assert not [(page.name, name) for page in pages for name in names if name in page.read_text("utf-8")]


@pytest.mark.parametrize(
    "code",
    [
        '"unsafe" in row["subset"]', 'name.startswith("unsafe")', 'metric.name == "x"', 'subset in ("harm", "policy")',
        'item.subset.lower().endswith("y")', 'name != "blind"', 'name.find("is_")', "match name:\n    case _: pass",
    ],
)  # fmt: skip
def test_a_choice_by_name_is_found(code: str) -> None:
    assert list(choices_by_name(ast.parse(code)))


@pytest.mark.parametrize("code", ['kind == "picture"', "name == other", "name in names", 'text.startswith("a")'])
def test_a_choice_by_what_is_declared_is_left_alone(code: str) -> None:
    assert not list(choices_by_name(ast.parse(code)))
