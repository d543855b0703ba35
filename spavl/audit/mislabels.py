"""Labels that the words of a dataset speak against: the likeliest mislabels first.

Confident learning (Northcutt, Jiang & Chuang 2021): a classifier is taught by four fifths of the pictures and asked
about the last one. Of every label it counts how many examples are surely of the other one (its probability is at least
the mean that examples of that label get) and how many are surely right; their share is the estimated rate of wrong
labels, and so many of the examples that it speaks against most are doubtful. Two labels are looked at: which answer is
preferred, by the difference of the words of both answers; and whether an answer is safe, by the words of question and
answer.

Where words do not tell a label out of fold (Tjur's coefficient of discrimination, 2009), nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix, hstack, vstack

from spavl.audit.by_picture import Counted, rates_of
from spavl.audit.finding import Finding, percent
from spavl.audit.suspects import write_kind
from spavl.audit.words import FOLDS, Features, probability, slices, taught_weights, write_features
from spavl.config import AuditSettings
from spavl.progress import Progress
from spavl.tables import write_batches
from spavl.tables.query import query

MISLABELS, OUTCOMES = "likely_mislabels", "doubtful_outcomes"
"""Their kinds."""
FEW_PICTURES = "a classifier of words needs pairs of more pictures: it is asked of others than it is taught by"
"""Why nothing is said of the labels of a few pictures."""
SCATTER = 2_654_435_761
"""Multiplied by it, numbers of pairs have bits without an order (Knuth, TAOCP 3, §6.4)."""
Weights = Mapping[int, np.ndarray]
"""By fold: what the other folds taught."""
_SCORES = pa.schema([("number", pa.int64()), ("pair_id", pa.string()), ("detail", pa.string()),
                     ("label", pa.bool_()), ("p", pa.float64())])  # fmt: skip
"""Columns of a table of labels with the probability of the label 1, out of fold."""
_MEANS = "SELECT avg(p) FILTER (label), avg(1 - p) FILTER (NOT label), count(*) FROM scores"
_DOUBTFUL = """
WITH seen AS (
    SELECT *, CASE WHEN label THEN 1 - p ELSE p END AS other, CASE WHEN label THEN {off} ELSE {on} END AS sure_other,
        CASE WHEN label THEN {on} ELSE {off} END AS sure_own FROM scores
), rates AS (
    SELECT label, count(*) AS n, count(*) FILTER (other >= sure_other) AS wrong,
        count(*) FILTER (other < sure_other AND 1 - other >= sure_own) AS good FROM seen GROUP BY label
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY label ORDER BY other DESC, number, detail) AS place FROM seen
)
SELECT number, min(pair_id), string_agg(detail, ' and ' ORDER BY detail), max(other) FROM placed
JOIN rates USING (label)
WHERE other > 0.5 AND place <= round(n * wrong / greatest(1, wrong + good)) GROUP BY number
"""


@dataclass(frozen=True, slots=True)
class Doubts:
    """What words say of labels."""

    findings: tuple[Finding, ...]
    """One for each label that they tell."""
    not_possible: Mapping[str, str]
    """Kinds that nothing can be said of, and why."""
    tables: Mapping[str, Path]
    """Suspected pairs by kind; those that nothing can be said of have none."""


def doubts(rows: Path, folder: Path, progress: Progress, settings: AuditSettings) -> Doubts:
    """Labels that words speak against.

    Args:
        rows: the table of an opened dataset.
        folder: of the tables.
        progress: shows a bar.
        settings: of the audit.

    Raises:
        RunError: the table is damaged, or the disk is full.
    """
    pairs, graded = query("SELECT count(*), count(coalesce(chosen_safe, rejected_safe)) FROM pairs "
                          "WHERE malformed = ''", pairs=rows)[0]  # fmt: skip
    few = f"needs {settings.least_taught:,} pairs to be taught by"
    not_possible = {MISLABELS: f"a classifier of words {few}"} if pairs < settings.least_taught else {}
    if graded < settings.least_taught:
        not_possible[OUTCOMES] = f"a classifier of words {few} whose answers are graded safe or unsafe"
    wanted = {kind: label for kind, label in LABELS.items() if kind not in not_possible}
    if not wanted:
        return Doubts((), not_possible, {})
    features = folder / "words.parquet"
    with progress.bar("Reading words") as on_progress:
        write_features(rows, pairs, features)
        taught = _taught(features)
        if len({fold for some in taught for fold in some.fold.tolist()}) < 2:
            return Doubts((), not_possible | dict.fromkeys(wanted, FEW_PICTURES), {})
        weights = {kind: _weights(label, taught) for kind, label in wanted.items()}
        del taught
        _write_scores(features, weights, folder, lambda done: on_progress(done, pairs))
    found = {kind: _finding(kind, rows, folder, settings) for kind in wanted}
    findings = tuple(one for one in found.values() if isinstance(one, Finding))
    not_possible |= {kind: one for kind, one in found.items() if isinstance(one, str)}
    return Doubts(findings, not_possible, {one.kind: folder / f"{one.kind}.parquet" for one in findings})


@dataclass(frozen=True, slots=True)
class Examples:
    """Labels with what they are told by."""

    rows: csr_matrix
    """Features."""
    labels: np.ndarray
    """1 or 0."""
    place: np.ndarray
    """Which of the pairs each is of."""
    detail: tuple[str, ...]
    """What each label is."""


def _preferences(some: Features) -> Examples:
    """Which answer is preferred: half of the pairs the other way round, so that both labels are as frequent."""
    sign = np.where(some.number * SCATTER >> 16 & 1, 1.0, -1.0)
    difference = some.answers[0] - some.answers[1]
    rows = csr_matrix(difference.multiply(sign[:, None]))
    count = len(sign)
    return Examples(rows, (sign > 0).astype(float), np.arange(count), ("the rejected answer reads as better",) * count)


def _outcomes(some: Features) -> Examples:
    """Whether each graded answer is unsafe."""
    parts, labels, places, details = [], [], [], []
    for side, name in enumerate(("chosen", "rejected")):
        graded = np.flatnonzero(~np.isnan(some.safe[side]))
        parts.append(hstack([some.question[graded], some.answers[side][graded]], format="csr"))
        labels.append(1 - some.safe[side][graded])
        places.append(graded)
        details += [f"the {name} answer is graded {'unsafe' if bad else 'safe'} and reads otherwise"
                    for bad in labels[-1]]  # fmt: skip
    return Examples(vstack(parts, format="csr"), np.concatenate(labels), np.concatenate(places), tuple(details))


LABELS: Mapping[str, Callable[[Features], Examples]] = {MISLABELS: _preferences, OUTCOMES: _outcomes}
"""How the labels of each kind are told."""


def _taught(path: Path) -> list[Features]:
    """Those of the pairs that classifiers are taught by."""
    found = (some.those(some.taught) for some in slices(path) if some.taught.any())
    return list(found)


def _weights(label: Callable[[Features], Examples], taught: list[Features]) -> Weights:
    """A classifier for every fold; none where the others have but one label."""
    examples = [(label(some), some.fold) for some in taught]
    rows, labels = (
        vstack([one.rows for one, _ in examples], format="csr"),
        np.concatenate([o.labels for o, _ in examples]),
    )
    folds = np.concatenate([fold[one.place] for one, fold in examples])
    found = {}
    for fold in range(FOLDS):
        others = folds != fold
        if len(set(labels[others])) == 2:
            found[fold] = taught_weights(rows[others], labels[others])
    return found


def _write_scores(path: Path, weights: Mapping[str, Weights], folder: Path, on_progress: Callable[[int], None]) -> None:
    """A table of scores for every kind."""
    for kind, own in weights.items():

        def tables(kind: str = kind, own: Weights = own) -> Iterator[pa.Table]:
            done = 0
            for some in slices(path):
                done += len(some.number)
                on_progress(done)
                yield _scored(some, LABELS[kind](some), own)

        write_batches(folder / f"{kind}_scores.parquet", _SCORES, tables())


def _scored(some: Features, examples: Examples, weights: Weights) -> pa.Table:
    p = np.full(len(examples.labels), np.nan)
    folds = some.fold[examples.place]
    for fold, own in weights.items():
        here = folds == fold
        p[here] = probability(examples.rows[here], own)
    known = np.flatnonzero(~np.isnan(p))
    places = examples.place[known]
    ids, details = ([names[int(k)] for k in at] for names, at in ((some.pair_id, places), (examples.detail, known)))
    return pa.table([some.number[places], ids, details, examples.labels[known] > 0, p[known]], schema=_SCORES)


def _finding(kind: str, rows: Path, folder: Path, settings: AuditSettings) -> Finding | str:
    """What is found of a kind, or why nothing can be said."""
    scores, path = folder / f"{kind}_scores.parquet", folder / f"{kind}.parquet"
    on, off, count = query(_MEANS, scores=scores)[0]
    if on is None or off is None:
        return "all answers have the same label"
    discrimination = on + off - 1
    if discrimination < settings.least_discrimination:
        needed = f"{settings.least_discrimination:.2f} is needed"
        return f"words tell the label too little: {max(0.0, discrimination):.2f} out of fold (Tjur's), and {needed}"
    write_kind(kind, _DOUBTFUL.format(on=on, off=off), path, scores=scores)
    of = "CASE WHEN number IN (SELECT number FROM scores) THEN number IN (SELECT number FROM found) END"
    rate = rates_of(rows, [Counted(of)], level=settings.level, found=path, scores=scores)[0][""]
    what = "the rejected answer is the better one" if kind == MISLABELS else "an answer is graded wrongly"
    return Finding(
        kind=kind, rate=rate, limit=settings.limits.of(kind), pairs=rate.count,
        what=f"In {percent(rate)} of pairs words say that {what} ({rate.count:,} of {rate.n:,}; confident learning on "
        f"{count:,} labels, out of fold, discrimination {discrimination:.2f}).",
        try_=f"look at the surest in the table of findings, then clean with `--drop {kind}`",
    )  # fmt: skip
