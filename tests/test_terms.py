"""The code speaks the field's standard terms: names of the first, private vocabulary do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import spavl

PACKAGE = Path(spavl.__file__).parent

OLD_WORDS = {
    "ballot": "comparison_prompt",
    "bunch": "rollout_batch",
    "checkup": "preflight_report",
    "doctor": "preflight_checks",
    "exam": "task",
    "eyes": "image_features",
    "fillers": "padding_batches",
    "lain": "packed",
    "looks": "results",
    "nought": "zero",
    "reinforce": "ppo",
    "road": "pipeline",
    "shelf": "group",
    "shelves": "groups",
    "shop": "session",
    "slip": "error",
    "spoil": "corruption",
    "spoilt": "corrupted",
    "told": "on_progress",
    "traffic": "rate_limit",
    "trunk": "shared_prefix",
    "watched": "metrics",
    "workshop": "session",
    "worn": "active_adapter",
}
"""Words that no name holds, not even as a part; the value is today's term."""

OLD_NAMES = {
    "": {
        "beside": "tmp", "exams": "tasks", "lam": "gae_lambda", "lay": "pack",
        "missing_end": "missing_eos_penalty", "setup": "prepare", "seen_by": "experience",
        "weigh": "compute_advantages", "watch": "progress",
    },
    "align": {
        "bunches": "batch_rollouts", "cast": "models", "clip": "max_grad_norm or clip_range",
        "drawing": "generation_config",
        "feed": "dataset", "judged": "loss_output", "kl": "kl_coef", "look": "validate", "panel": "validation",
        "parts": "freeze_plan", "place": "context", "plan": "schedule", "seen": "experience", "standard": "normalizer",
        "reader": "scalar_head", "say": "log", "faults": "find_issues", "fault": "row_issue",
    },
    "config": {"clip": "max_grad_norm or clip_range", "kl": "kl_coef", "panel": "validation", "words": "overrides",
               "layout": "packing", "rows": "data"},
    "evaluate": {"arm": "subset", "arms": "subsets"},
    "models": {"laid": "packed", "layout": "packing", "say": "log"},
    "pipeline": {"look": "show", "panel": "validation", "say": "log"},
}  # fmt: skip
"""Whole names that are not used in a room (in no room: ""), where the word alone has an everyday meaning elsewhere."""

OLD_CLASSES = (
    "Workshop", "Watch", "Silent", "Feed", "Pass", "Place", "Doctor", "Checkup", "Fault", "Trained", "Judged", "Cast",
    "Seen", "Standard", "Bunch", "Drawing", "Reader", "Look", "Exam", "Panel", "PanelScores", "ReinforceSettings",
    "Layout", "Encoded",
)  # fmt: skip


def names(path: Path) -> Iterator[tuple[str, int]]:
    """(name, line) of every class, function, parameter, variable and field that a module defines, and of itself."""
    yield path.stem, 1
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from ((alias.asname, node.lineno) for alias in node.names if alias.asname)


def modules() -> list[Path]:
    """Every module of the package."""
    return sorted(p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] not in ("data", "prompts"))


def term_for(name: str, room: str) -> str | None:
    """Today's term for an old name, or None where the name is not an old one."""
    if name in OLD_CLASSES:
        return "see docs/reference/nouns.md"
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("_")).lower()
    for word in plain.split("_"):
        if word in OLD_WORDS:
            return OLD_WORDS[word]
    return OLD_NAMES[""].get(plain) or OLD_NAMES.get(room, {}).get(plain)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_name_is_of_the_old_vocabulary(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    wrong = [f"line {line}: {name} → {term}" for name, line in names(path) if (term := term_for(name, room))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["Workshop", "shop", "spoilt", "_told", "trunk_ids", "Bunch", "missing_end"])
def test_an_old_name_is_recognised(name: str) -> None:
    assert term_for(name, "align")


@pytest.mark.parametrize("name", ["session", "Packing", "armature", "layout_width", "shared_prefix", "seen"])
def test_an_ordinary_name_is_left_alone(name: str) -> None:
    assert term_for(name, "report") is None
