"""Two runs side by side: scores paired where the items are the same, and the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spavl.errors import SpavlError
from spavl.pipeline.compare import Comparison, compare_runs
from spavl.pipeline.compare_words import verdict_sentence
from spavl.run import Run, changes

MOST_CHANGES: Final = 400
"""Most differences of settings that are listed."""
LEFT_OUT: Final = ("out", "store")
"""Settings that say where things lie, and nothing of what was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoRuns:
    """Two runs side by side."""

    comparison: Comparison | None
    """Their scores; None where they cannot be compared."""
    why_not: str
    """Why they cannot; empty: they can."""
    verdicts: Sequence[str]
    """A sentence for each model."""
    changes: Sequence[tuple[str, str, str]]
    """Path of each setting that differs, its value in the first run and in the second."""
    counts: Sequence[tuple[str, str, str]]
    """What each run holds: name, in the first, in the second."""


def two_runs(first: Run, second: Run, *, base: str = "") -> TwoRuns:
    """Two runs side by side.

    Args:
        first: its models come first, and its first model is the base unless another is named.
        second: the other.
        base: name of the model that the others are compared with; empty: the first.

    Raises:
        RunError: `run.json` or the settings of one are damaged.
    """
    found, why = None, ""
    try:
        found = compare_runs([first.folder, second.folder], base=base or None)
    except SpavlError as error:
        why = f"{error.what}. {error.try_}".strip()
    before, after = (
        {name: value for name, value in run.settings_before().items() if name not in LEFT_OUT}
        for run in (first, second)
    )
    return TwoRuns(
        comparison=found, why_not=why,
        verdicts=[] if found is None else [verdict_sentence(model, found) for model in found.models],
        changes=[_change(line) for line in changes(before, after)[:MOST_CHANGES]], counts=list(_counts(first, second)),
    )  # fmt: skip


def _change(line: str) -> tuple[str, str, str]:
    path, _, values = line.partition(": ")
    before, _, after = values.partition(" → ")
    return path, before, after


def _counts(first: Run, second: Run) -> Sequence[tuple[str, str, str]]:
    """Records of each stage in both runs."""
    known = [run.manifest() for run in (first, second)]
    stages = {one["name"]: one for manifest in known for one in manifest.get("stages", ()) if one["noun"]}
    rows = []
    for name, stage in stages.items():
        both = [manifest.get("counts", {}).get(name, {}).get(stage["kept"]) for manifest in known]
        rows.append((str(stage["noun"]), *("—" if one is None else f"{one:,}" for one in both)))
    return rows  # type: ignore[return-value]
