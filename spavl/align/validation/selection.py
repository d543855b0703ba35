"""In-loop validation of safety, over-refusal and skill, and the checkpoint that is selected by it.

How the policy is validated comes from outside (`Validate`); here are only the three scores. Selected is the least
unsafe step whose over-refusal is within its limit and whose skill is no more than a limit below the model before
training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spavl.align.policy.policy import Policy
from spavl.config.align import ValidationSettings
from spavl.statistics.repeated import interval_at_look


@dataclass(frozen=True, slots=True)
class ValidationScores:
    """Scores on the validation items, shares between 0 and 1."""

    unsafe: float
    """Share of harmful requests that are answered unsafely."""
    over_refusal: float
    """Share of harmless requests that are refused."""
    skill: float
    """Share of skill items that are answered rightly."""
    items: Mapping[str, float] = field(default_factory=dict)
    """Effective number of items that each share is of, by name of the share; empty: not known, and no bounds are
    written."""

    @property
    def shares(self) -> dict[str, float]:
        """The three shares by name."""
        return {"unsafe": self.unsafe, "over_refusal": self.over_refusal, "skill": self.skill}

    def bounds(self, number: int) -> dict[str, float]:
        """Bounds of the shares at one of many looks: `unsafe_low`, `unsafe_high` and so on; those of known size.

        All intervals of a training hold together with probability 95 %, however long it goes on and whichever step is
        chosen by them (see `interval_at_look`). They are for items like these; an unread verdict counts as bad.

        Args:
            number: of the look, from 1.
        """
        found: dict[str, float] = {}
        for name, n in self.items.items():
            low, high = interval_at_look(self.shares[name], n, number)
            found |= {f"{name}_low": round(low, 6), f"{name}_high": round(high, 6)}
        return found


Validate = Callable[[Policy], ValidationScores]
"""Lets the policy's model answer the validation items, and grades the answers. The model must be left as it was."""


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Scores at a step or round of a training."""

    step: int
    """Optimiser step (DPO) or round (PPO); 0 is the model before training."""
    scores: ValidationScores
    """Its scores."""


def within_limits(result: ValidationResult, before: ValidationScores, limits: ValidationSettings) -> bool:
    """Whether a step keeps the limits of over-refusal and of lost skill.

    Args:
        result: the step's scores.
        before: scores of the model before training, from which lost skill is counted.
        limits: `over_refusal` and `skill_loss`, shares.
    """
    lost = before.skill - result.scores.skill
    return result.scores.over_refusal <= limits.over_refusal + 1e-9 and lost <= limits.skill_loss + 1e-9


def select_checkpoint(results: Sequence[ValidationResult], limits: ValidationSettings) -> ValidationResult | None:
    """The least unsafe step within the limits; of equals the one with more skill, then the earlier; None: no step is.

    Args:
        results: every validated step in order; the first is of the model before training, which is never selected.
        limits: `over_refusal` and `skill_loss`, shares.
    """
    allowed = [result for result in results[1:] if within_limits(result, results[0].scores, limits)]
    return min(allowed, key=lambda result: (result.scores.unsafe, -result.scores.skill, result.step), default=None)


def explain_selection(
    results: Sequence[ValidationResult], limits: ValidationSettings, *, last: int, unit: str
) -> tuple[int, str]:
    """The step whose weights are written, and why that one: the selected step, or the last where none is selected.

    Args:
        results: as for `select_checkpoint`; empty where nothing was validated.
        limits: `over_refusal` and `skill_loss`, shares.
        last: the last step.
        unit: what is counted, `step` or `round`.
    """
    if not results:
        return last, f"the last {unit}"
    words = f"over-refusal ≤ {limits.over_refusal:.1%} and skill loss ≤ {limits.skill_loss:.1%}"
    selected = select_checkpoint(results, limits)
    if selected is None:
        return last, f"the last {unit}, for no {unit} had {words}"
    return selected.step, f"the least unsafe {unit} with {words}"


def weights_folder(out: Path) -> Path:
    """Where a training keeps the weights of every validated step that is the best so far.

    Args:
        out: the folder of the training.
    """
    return out / "state" / "panel"


def write_results(path: Path, results: Sequence[ValidationResult]) -> None:
    """Write one JSON line for every validated step: step, unsafe, over_refusal, skill, and their bounds over all looks.

    Args:
        path: the file.
        results: every validated step, in order.
    """
    lines = []
    for number, one in enumerate(results, start=1):
        known = {"items": dict(one.scores.items), **one.scores.bounds(number)} if one.scores.items else {}
        lines.append({"step": one.step, **one.scores.shares, **known})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def read_results(path: Path, *, up_to: int) -> list[ValidationResult]:
    """The validated steps of a training that is resumed; none where there is no file.

    Args:
        path: the file that `write_results` wrote.
        up_to: the step from which the training resumes; results of later steps are left out.
    """
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [ValidationResult(row["step"], _scores(row)) for row in rows if row["step"] <= up_to]


def _scores(row: Mapping[str, Any]) -> ValidationScores:
    return ValidationScores(row["unsafe"], row["over_refusal"], row["skill"], row.get("items", {}))
