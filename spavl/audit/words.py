"""Words of questions and answers as hashed features on disk, and a logistic regression over them.

DuckDB cuts texts into words and hashes them and every two that follow each other; a slice of them at a time becomes a
sparse matrix. A classifier of this size is taught in seconds and says how surely words alone tell a label: it is a
measure of the labels and no judge of answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack
from scipy.special import expit

from spavl.audit.by_picture import PICTURES, WHOLE
from spavl.tables.query import literal, query

FEATURES = 1 << 16
"""Hashed features of a text."""
MOST_CHARACTERS = 2_000
"""Of a text, those that are read."""
TAUGHT = 10_000
"""About as many pairs classifiers are taught by at most, those of all folds together: whole pictures, by chance."""
FOLDS = 5
"""Parts of the pictures; each is scored by a classifier that the others teach."""
SLICE = 4_096
"""Pairs that are held at once."""
LOOSENESS = 10.0
"""Weight of the data against that of the ridge on the weights."""
MOST_STEPS = 20
"""Most Newton steps."""
ENOUGH = 1e-2
"""Mean change of a weight by which the steps end."""
_WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}]|[\p{L}\p{N}]+"
"""A word; in Chinese and Japanese a character."""
_CUT = f"regexp_extract_all(lower(left({{text}}, {MOST_CHARACTERS})), '{{word}}')"
_HASHED = """
list_distinct([(hash(word) % {features})::INTEGER for word in list_concat({words},
    [{words}[place] || ' ' || {words}[place + 1] for place in range(1, len({words}))])])
"""
_TEXTS = ("question", "chosen", "rejected")
_COPY = """
COPY (
    WITH cut AS (
        SELECT number, pair_id, {pictures} AS cluster, chosen_safe, rejected_safe, {cut} FROM pairs WHERE {where}
    )
    SELECT number, pair_id, (('0x' || md5(cluster)[9:16])::BIGINT % {folds})::INTEGER AS fold,
        ('0x' || md5(cluster)[1:8])::BIGINT < {taught} AS taught, chosen_safe, rejected_safe, {hashed}
    FROM cut
) TO {path} (FORMAT parquet, ROW_GROUP_SIZE {slice})
"""


@dataclass(frozen=True, slots=True)
class Features:
    """The features of some pairs."""

    number: np.ndarray
    """Places in the dataset."""
    pair_id: Sequence[str]
    """Ids."""
    fold: np.ndarray
    """Parts of the pictures."""
    taught: np.ndarray
    """Which of them classifiers are taught by."""
    safe: tuple[np.ndarray, np.ndarray]
    """Whether the chosen and the rejected answers are safe: 1, 0, or NaN where they are not graded."""
    question: csr_matrix
    """Features of the questions, each row of length 1."""
    answers: tuple[csr_matrix, csr_matrix]
    """Those of the chosen and of the rejected answers."""

    def those(self, which: np.ndarray) -> Features:
        """Some of them.

        Args:
            which: True for those.
        """
        ids = [name for name, wanted in zip(self.pair_id, which, strict=True) if wanted]
        chosen, rejected = self.safe
        return Features(
            self.number[which], ids, self.fold[which], self.taught[which], (chosen[which], rejected[which]),
            self.question[which], (self.answers[0][which], self.answers[1][which]),
        )  # fmt: skip


def write_features(rows: Path, pairs: int, path: Path) -> None:
    """Write the features of all pairs.

    Args:
        rows: the table of an opened dataset.
        pairs: how many pairs it has.
        path: the table that is written.

    Raises:
        RunError: the table is damaged, or the disk is full.
    """
    cut = ", ".join(f"{_CUT.format(text=name, word=_WORD)} AS {name}_words" for name in _TEXTS)
    hashed = ", ".join(f"{_HASHED.format(words=f'{name}_words', features=FEATURES)} AS {name}" for name in _TEXTS)
    taught = int(2**32 * min(1.0, TAUGHT / max(1, pairs)))
    sql = _COPY.format(
        pictures=PICTURES, cut=cut, where=WHOLE, folds=FOLDS, taught=taught, hashed=hashed, path=literal(str(path)),
        slice=SLICE,
    )  # fmt: skip
    query(sql, None, pairs=rows)


def slices(path: Path) -> Iterator[Features]:
    """The features of all pairs, some thousands at a time.

    Args:
        path: from `write_features`.
    """
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(SLICE, use_threads=False):
            yield _features(batch)


def _features(batch: pa.RecordBatch) -> Features:
    def numbers(name: str, kind: str) -> np.ndarray:
        return np.array(batch.column(name).to_pylist(), dtype=kind)

    return Features(
        number=numbers("number", "i8"), pair_id=batch.column("pair_id").to_pylist(), fold=numbers("fold", "i8"),
        taught=numbers("taught", "?"), safe=(numbers("chosen_safe", "f8"), numbers("rejected_safe", "f8")),
        question=_matrix(batch.column("question")),
        answers=(_matrix(batch.column("chosen")), _matrix(batch.column("rejected"))),
    )  # fmt: skip


def _matrix(lists: pa.ListArray) -> csr_matrix:
    """A row of a list of features, of length 1, or of zeros where there are none."""
    ends = lists.offsets.to_numpy()
    sizes = np.diff(ends)
    values = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    places = lists.values.to_numpy()[ends[0] : ends[-1]]
    return csr_matrix((values, places, ends - ends[0]), shape=(len(lists), FEATURES))


def taught_weights(rows: csr_matrix, labels: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression, `[features]`: the last one is that of a feature that is always there.

    Args:
        rows: features of the examples, `[examples, features - 1]`.
        labels: 1 or 0 of each.
    """
    used = np.flatnonzero(rows.getnnz(axis=0))
    whole = hstack([rows[:, used], np.ones((rows.shape[0], 1))], format="csr")
    turned, signs = csr_matrix(whole.T), 2.0 * labels - 1

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (whole @ weights)
        pulls = -LOOSENESS * signs * expit(-margins)
        value = LOOSENESS * float(np.logaddexp(0, -margins).sum()) + float(weights @ weights) / 2
        return value, turned @ pulls + weights

    def curved(weights: np.ndarray, along: np.ndarray) -> np.ndarray:
        p = expit(whole @ weights)
        return np.asarray(turned @ (LOOSENESS * p * (1 - p) * (whole @ along)) + along)

    found = minimize(loss, np.zeros(whole.shape[1]), jac=True, hessp=curved, method="Newton-CG",
                     options={"maxiter": MOST_STEPS, "xtol": ENOUGH}).x  # fmt: skip
    weights = np.zeros(rows.shape[1] + 1)
    weights[used], weights[-1] = found[:-1], found[-1]
    return weights


def probability(rows: csr_matrix, weights: np.ndarray) -> np.ndarray:
    """Probability of the label 1, `[examples]`.

    Args:
        rows: features of the examples.
        weights: from `taught_weights`.
    """
    return np.asarray(expit(rows @ weights[:-1] + weights[-1]))
