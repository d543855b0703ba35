"""The look at safety, over-refusal and skill while training, and which checkpoint is chosen by it.

What is looked at comes from outside (`Panel`); this room knows only the three numbers. The choice: least unsafe among
the steps whose over-refusal is at most a and whose skill is at most b below the model before training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from spavl.align.policy.policy import Policy
from spavl.config.align import ValidationSettings


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """Shares between 0 and 1 on the panel's items."""

    unsafe: float
    over_refusal: float
    skill: float


Validate = Callable[[Policy], ValidationScores]
"""Lets the policy's model answer the panel's items and grades what it says. The model must be left as it was."""


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Scores at a step; step 0 is the model before training."""

    step: int
    scores: ValidationScores


def within_limits(look: ValidationResult, before: ValidationScores, limits: ValidationSettings) -> bool:
    """Over-refusal at most a, skill at most b below that before training."""
    lost = before.skill - look.scores.skill
    return look.scores.over_refusal <= limits.over_refusal + 1e-9 and lost <= limits.skill_loss + 1e-9


def select_checkpoint(looks: Sequence[ValidationResult], limits: ValidationSettings) -> ValidationResult | None:
    """The least unsafe step within the limits; of equals the one with more skill, then the earlier. None: no step is.

    `looks` starts with step 0, which itself is never chosen.
    """
    allowed = [look for look in looks[1:] if within_limits(look, looks[0].scores, limits)]
    return min(allowed, key=lambda look: (look.scores.unsafe, -look.scores.skill, look.step), default=None)


def write_results(path: Path, looks: Sequence[ValidationResult]) -> None:
    """One JSON line a look: step, unsafe, over_refusal, skill."""
    path.write_text("".join(json.dumps({"step": one.step, **asdict(one.scores)}) + "\n" for one in looks))


def read_results(path: Path, *, up_to: int) -> list[ValidationResult]:
    """The looks of a training that is taken up after step `up_to`."""
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [ValidationResult(row.pop("step"), ValidationScores(**row)) for row in rows if row["step"] <= up_to]
