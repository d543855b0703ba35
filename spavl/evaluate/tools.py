"""What a benchmark is made with: the settings' sampling, a folder for pictures, and scorers by the settings' guards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spavl.config.evaluate import MissingPictures
from spavl.errors import SettingsError
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.scorer import Scorer
from spavl.models.base import Sampling


def _no_guard(rubric: str) -> Scorer:
    raise SettingsError(f"A guard is needed that grades answers by `{rubric}`", where="evaluate.guard")


def _no_judge() -> Scorer:
    raise SettingsError("A judge is needed that compares answers", where="evaluate.judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkTools:
    """Handed to every function that makes a benchmark."""

    name: str
    """Name that the settings give the benchmark."""
    sampling: Sampling
    """How answers are sampled, as the settings say."""
    pictures: Path
    """Folder for pictures that come inside a table, written there under the hash of their bytes."""
    seed: int
    """Seed of the run."""
    unsafe: Callable[[], Scorer]
    """The scorer by the guard that `evaluate.guard` names: True is unsafe. A sentence is raised where none is named."""
    missing_pictures: MissingPictures = "refuse"
    """What is done about pictures that are missing or cannot be read, as the settings say."""
    refuses: Scorer = REFUSES
    """The scorer of refusals: by a guard of kind `refusal` where the settings have one, else by the forms of words."""
    rubric: Callable[[str], Scorer] = _no_guard
    """The scorer by a rubric of `spavl/prompts/rubrics`, or by the user's copy of the official one, asked of the model
    of the guard that `evaluate.guard` names: True is unsafe, or whatever the rubric asks for."""
    graded: Callable[[str], Scorer] = _no_guard
    """The scorer by a rubric that grades answers from 0 to 1."""
    preferred: Callable[[], Scorer] = _no_judge
    """The scorer by the judge that `evaluate.judge` names, in both orders, against the item's note `reference` or the
    answer of the first model: 1 is better, 0.5 a tie, 0 worse."""
