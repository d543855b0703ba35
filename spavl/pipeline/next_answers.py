"""Which answers people should label next: those whose labels would make the corrected rates surest."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from itertools import count as numbers_from
from pathlib import Path

import numpy as np

from spavl.atomic import write_text
from spavl.errors import DataError
from spavl.labels.record import hash_of_answers
from spavl.pipeline.answer_labels import DRAWN
from spavl.pipeline.calibrate import Answers, Calibrated
from spavl.pipeline.people import REVIEWS
from spavl.run import Run
from spavl.statistics.by_verdict import VerdictGroup, allocate, verdict_groups
from spavl.statistics.intervals import Outcome as Verdict

NEXT = "next.csv"
"""File of the chosen answers, in the folder of reviews."""
COLUMNS = ("model", "benchmark", "item_id", "answers_hash", DRAWN)
"""Its columns."""
BY_VERDICT = "within verdicts"
"""How its answers were drawn."""
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
    answers_hash: str
    """Hash of the answer as it was when it was chosen."""
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
        free = [place for place, (said, label) in enumerate(zip(own.verdicts, own.labels, strict=True))
                if said == self.verdict and label is None]  # fmt: skip
        return [
            ChosenAnswer(model=self.model, benchmark=self.benchmark, item_id=own.ids[place], verdict=self.verdict,
                         answers_hash=hash_of_answers([own.texts[place]]), probability=wanted / len(free))
            for place in random.permutation(free)[:wanted].tolist()
        ]  # fmt: skip


def next_answers(folder: Path, made: Calibrated, count: int) -> list[ChosenAnswer]:
    """The answers whose labels would make corrected rates surest, drawn at random within each verdict, in random order.

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
    chosen = [one for stratum, n in zip(strata, wanted, strict=True) for one in stratum.drawn(n, random)]
    return [chosen[place] for place in random.permutation(len(chosen))]


def write_chosen(folder: Path, chosen: Sequence[ChosenAnswer]) -> Path:
    """Write chosen answers to a file for whoever labels elsewhere. Returns the file.

    It has model, benchmark and id; words stay in the run, and no verdict is there to lead whoever labels, nor the
    probability, which would tell it. With a column `label` it is a file of labels, and never written again.

    Args:
        folder: the run folder.
        chosen: from `next_answers`.

    Raises:
        RunError: it cannot be written.
    """
    path = _not_filled_in(folder / REVIEWS)
    path.parent.mkdir(exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((one.model, one.benchmark, one.item_id, one.answers_hash, BY_VERDICT) for one in chosen)
    write_text(path, text.getvalue())
    return path


def _not_filled_in(folder: Path) -> Path:
    """`next.csv`, or the first of the same name with a number that nobody has filled in: labels are never replaced."""
    for path in chain([folder / NEXT], (folder / f"next-{number}.csv" for number in numbers_from(2))):
        if not path.exists() or path.read_bytes().startswith(f"{','.join(COLUMNS)}\n".encode()):
            return path
    raise AssertionError
