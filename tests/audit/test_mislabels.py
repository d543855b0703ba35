"""Labels that words speak against: planted ones come first, and where words say nothing nothing is said."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix

from spavl.audit.mislabels import FEW_PICTURES, MISLABELS, OUTCOMES, Doubts, doubts
from spavl.audit.words import probability, taught_weights
from spavl.config import AuditSettings
from spavl.progress import NoProgress
from tests.audit.pairs import dataset, row

FEW = AuditSettings(least_taught=100)


def labelled(
    folder: Path, count: int, *, telling: bool = True, graded: bool = True
) -> tuple[Doubts, set[int], set[int]]:
    """What is doubted of pairs whose answers say by their words which is better, and the pairs with wrong labels."""
    rng = random.Random(3)
    noise = [f"word{n}" for n in range(200)]
    flipped, graded_wrongly, rows = set(), set(), []
    for n in range(count):
        chosen, rejected = (
            " ".join([*rng.choices(noise, k=8), word if telling else "same"]) for word in ("kind", "rude")
        )
        said = (
            {"chosen_safe": True, "rejected_safe": False} if graded else dict.fromkeys(("chosen_safe", "rejected_safe"))
        )
        if n % 20 == 0:
            flipped.add(n)
            chosen, rejected = rejected, chosen
            said = {"chosen_safe": said["rejected_safe"], "rejected_safe": said["chosen_safe"]}
        if n % 20 == 7 and graded:
            graded_wrongly.add(n)
            said["rejected_safe"] = True
        rows.append(row(n, chosen=chosen, rejected=rejected, **said))
    return doubts(dataset(folder, rows).rows, folder, NoProgress(), FEW), flipped, graded_wrongly


def test_planted_wrong_labels_are_the_doubtful_ones(tmp_path: Path) -> None:
    found, flipped, graded_wrongly = labelled(tmp_path, 400)
    for kind, planted in ((MISLABELS, flipped), (OUTCOMES, graded_wrongly)):
        table = pq.read_table(found.tables[kind]).to_pylist()
        ranked = [one["number"] for one in sorted(table, key=lambda one: -one["score"])]
        assert len(planted & set(ranked[: len(planted)])) >= 0.75 * len(planted), kind
        (finding,) = (one for one in found.findings if one.kind == kind)
        assert (
            finding.rate is not None and finding.rate.low <= 0.05 <= finding.rate.high and finding.pairs == len(ranked)
        )
    assert found.not_possible == {}


def test_where_words_tell_nothing_no_label_is_doubted(tmp_path: Path) -> None:
    found, _, _ = labelled(tmp_path, 200, telling=False)
    assert found.findings == () and found.tables == {}
    assert all("words tell the label too little" in why for why in found.not_possible.values())


def test_outcomes_that_are_not_graded_and_few_pairs_are_not_possible(tmp_path: Path) -> None:
    found, flipped, _ = labelled(tmp_path, 200, graded=False)
    assert set(found.not_possible) == {OUTCOMES} and "graded safe or unsafe" in found.not_possible[OUTCOMES]
    doubted = set(pq.read_table(found.tables[MISLABELS])["number"].to_pylist())
    assert len(doubted & flipped) >= 0.75 * len(flipped) and doubted <= flipped
    few, _, _ = labelled(tmp_path, 20)
    assert set(few.not_possible) == {MISLABELS, OUTCOMES} and "100 pairs" in few.not_possible[MISLABELS]


def test_weights_are_those_of_a_ridge_logistic_regression() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    random = np.random.default_rng(0)
    rows = random.normal(size=(80, 5))
    labels = (rows[:, 0] + random.normal(size=80) > 0).astype(float)
    theirs = sklearn.LogisticRegression(C=10.0, fit_intercept=False, tol=1e-10)
    theirs.fit(np.hstack([rows, np.ones((80, 1))]), labels)
    ours = taught_weights(csr_matrix(rows), labels)
    assert ours == pytest.approx(theirs.coef_[0], abs=0.02)
    sure = theirs.predict_proba(np.append(rows[0], 1.0)[None])[0, 1]
    assert probability(csr_matrix(rows), ours)[0] == pytest.approx(sure, abs=0.01)


def test_of_one_picture_nothing_is_doubted_and_the_reason_is_its_own(tmp_path: Path) -> None:
    found = doubts(dataset(tmp_path, [row(n, image_id="one") for n in range(120)]).rows, tmp_path, NoProgress(), FEW)
    assert found.not_possible == {MISLABELS: FEW_PICTURES, OUTCOMES: FEW_PICTURES} and found.findings == ()


def test_pictures_none_of_which_is_taught_by_leave_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spavl.audit.words.TAUGHT", 0)
    found = doubts(dataset(tmp_path, [row(n) for n in range(120)]).rows, tmp_path, NoProgress(), FEW)
    assert found.not_possible == {MISLABELS: FEW_PICTURES, OUTCOMES: FEW_PICTURES} and found.findings == ()
