"""Which answers people should label next: those whose labels would make the corrected rates surest."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spavl.atomic import write_text
from spavl.errors import DataError
from spavl.pipeline.calibrate import Answers, Calibrated
from spavl.pipeline.people import REVIEWS
from spavl.run import Run
from spavl.statistics.by_verdict import VerdictGroup, allocate, verdict_groups
from spavl.statistics.intervals import Outcome as Verdict

NEXT = "next.csv"
"""File of the chosen answers, in the folder of reviews."""
SEED = 0
"""Of the choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenAnswer:
    """An answer that people should label."""

    model: str
    """The model that gave it."""
    benchmark: str
    """What was asked."""
    item_id: str
    """Its item."""
    verdict: Verdict
    """What the guard says of it, which nobody is shown who labels it."""
    probability: float
    """With which it was chosen among those without a label on which the guard says the same."""


@dataclass(frozen=True, slots=True)
class _Stratum:
    """The answers of a model to a benchmark on which the guard says the same."""

    model: str
    benchmark: str
    answers: Answers
    verdict: Verdict
    group: VerdictGroup

    def drawn(self, wanted: int, random: np.random.Generator) -> list[ChosenAnswer]:
        """So many of those without a label, at random."""
        own = self.answers
        free = [item for item, said, label in zip(own.ids, own.verdicts, own.labels, strict=True)
                if said == self.verdict and label is None]  # fmt: skip
        return [
            ChosenAnswer(model=self.model, benchmark=self.benchmark, item_id=free[place], verdict=self.verdict,
                         probability=wanted / len(free))
            for place in sorted(random.permutation(len(free))[:wanted].tolist())
        ]  # fmt: skip


def next_answers(folder: Path, made: Calibrated, count: int) -> list[ChosenAnswer]:
    """The answers whose labels would make corrected rates surest, drawn at random within each verdict.

    The same calibration chooses the same.

    Args:
        folder: the run folder.
        made: the calibration.
        count: how many; fewer where there are no more without a label.

    Raises:
        DataError: all answers are labelled.
    """
    metrics = Run(folder).found().manifest()["metrics"]
    strata, of = list[_Stratum](), list[int]()
    for place, ((model, metric), own) in enumerate(made.open.items()):
        for verdict, group in verdict_groups(own.verdicts, own.labels).items():
            strata.append(_Stratum(model, metrics[metric]["benchmark"], own, verdict, group))
            of.append(place)
    groups = [stratum.group for stratum in strata]
    if not any(group.answers > group.labels for group in groups):
        raise DataError("All answers are labelled", where=str(folder), try_="more items in a benchmark")
    random = np.random.default_rng(SEED)
    wanted = allocate(groups, count, of)
    return [one for stratum, n in zip(strata, wanted, strict=True) for one in stratum.drawn(n, random)]


def write_chosen(folder: Path, chosen: Sequence[ChosenAnswer]) -> Path:
    """Write chosen answers to a file for whoever labels elsewhere. Returns the file.

    It has model, benchmark and id; words stay in the run, and no verdict is there to lead whoever labels. With a
    column `label` it is a file of labels.

    Args:
        folder: the run folder.
        chosen: from `next_answers`.

    Raises:
        RunError: it cannot be written.
    """
    path = folder / REVIEWS / NEXT
    path.parent.mkdir(exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("model", "benchmark", "item_id", "probability"))
    writer.writerows((one.model, one.benchmark, one.item_id, one.probability) for one in chosen)
    write_text(path, text.getvalue())
    return path
