"""What a benchmark is made with: the settings' sampling, a folder for pictures, and scorers by the settings' guards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spavl.config.evaluate import MissingPictures
from spavl.evaluate.parse import REFUSES
from spavl.evaluate.scorer import Scorer
from spavl.models.base import Sampling


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
    """The scorer of refusals: known phrases, or the guard that `evaluate.refusal_guard` names."""
