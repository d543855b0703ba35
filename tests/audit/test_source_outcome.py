"""What source and length tell of pairs, and how much of that is who is unsafe how often."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from spavl.audit.finding import Finding, weighed
from spavl.audit.source_outcome import Tells, alone_findings, what_tells
from spavl.config import AuditSettings
from tests.audit.pairs import dataset, row


def tells(folder: Path, rows: list[dict[str, Any]]) -> Tells:
    """What is told of the pairs of harmful questions."""
    (found,) = (one for one in what_tells(dataset(folder, rows).rows) if one.group == "harmful")
    return found


def alone(folder: Path, rows: list[dict[str, Any]]) -> dict[tuple[str, str], Finding]:
    """The findings by kind and questions, weighed."""
    found = weighed(alone_findings(dataset(folder, rows).rows, AuditSettings()))
    return {(one.kind, one.subject): one for one in found}


def of_unsafe_responders(count: int, favourite: float = 0.5) -> list[dict[str, Any]]:
    """Pairs of a safe and an unsafe answer, `birch` unsafe in nine of ten; every fourth is of two safe answers, where
    `birch` is chosen with the chance `favourite`."""
    rng = random.Random(0)
    found = []
    for n in range(count):
        names = ("amber", "birch") if rng.random() < 0.9 else ("birch", "amber")
        alike = n % 4 == 0
        if alike:
            names = ("birch", "amber") if rng.random() < favourite else ("amber", "birch")
        found.append(row(n, benign=False, chosen_source=names[0], rejected_source=names[1], rejected_safe=alike))
    return found


def test_a_source_that_tells_by_being_unsafe_tells_nothing_in_pairs_of_equal_outcomes(tmp_path: Path) -> None:
    found = tells(tmp_path, of_unsafe_responders(600))
    assert found.source is not None and found.source > 0.75
    assert found.unsafe_rate == pytest.approx(found.source, abs=0.02), "all of it is who is unsafe"
    assert found.alike == 150 and found.source_alike == pytest.approx(0.5, abs=0.08)
    finding = alone(tmp_path, of_unsafe_responders(600))["source_alone", "harmful questions"]
    assert finding.weight == "fault" and "in 150 pairs of equal outcomes" in finding.what


def test_preference_for_a_source_is_left_where_outcomes_are_equal(tmp_path: Path) -> None:
    found = tells(tmp_path, of_unsafe_responders(600, favourite=0.9))
    assert found.source_alike is not None and found.source_alike > 0.8


def test_a_source_and_a_length_by_chance_tell_nothing(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [
        row(n, benign=False, chosen_source=one, rejected_source=other, chosen="x" * rng.randint(5, 90),
            rejected="y" * rng.randint(5, 90))
        for n in range(500) for one, other in [rng.sample([f"m{k}" for k in range(40)], 2)]
    ]  # fmt: skip
    found = tells(tmp_path, rows)
    for auc in (found.source, found.length, found.length_bands):
        assert auc is not None and abs(auc - 0.5) < 0.07
    known = alone(tmp_path, rows)
    assert set(known) == {("length_alone", "harmful questions"), ("source_alone", "harmful questions")}
    for one in known.values():
        assert one.weight == "note" and one.rate is not None and one.rate.low <= 0.5 <= one.rate.high


def test_shorter_answers_that_are_better_are_told_as_well_as_longer_ones(tmp_path: Path) -> None:
    rng = random.Random(2)
    words = [sorted((rng.randint(5, 90), rng.randint(5, 90))) for _ in range(300)]
    rows = [row(n, benign=False, chosen="x" * a, rejected="y" * b) for n, (a, b) in enumerate(words)]
    found = tells(tmp_path, rows)
    assert found.length is not None and found.length > 0.7


def test_harmful_and_harmless_questions_are_apart_and_without_sources_nothing_is_told_of_them(tmp_path: Path) -> None:
    bare = {"chosen_source": None, "rejected_source": None}
    rows = [row(0, benign=True), row(1, benign=False), row(2, benign=None, **bare),
            row(3, benign=False, question_type="benign_question")]  # fmt: skip
    found = {one.group: one for one in what_tells(dataset(tmp_path, rows).rows)}
    assert set(found) == {"all", "harmful", "harmless"} and found["harmless"].pairs == 2
    assert (found["all"].pairs, found["all"].source, found["all"].source_alike) == (0, None, None)


@pytest.mark.parametrize("pictures", [1, 3, 5])
def test_few_pictures_have_wide_intervals_however_many_pairs_they_have(pictures: int, tmp_path: Path) -> None:
    rng = random.Random(pictures)
    longer = [rng.random() < 0.5 for _ in range(pictures)]
    rows = [
        row(n, benign=False, image_id=f"picture {n % pictures}", chosen="x" * (30 if longer[n % pictures] else 20),
            rejected="y" * (20 if longer[n % pictures] else 30))
        for n in range(300)
    ]  # fmt: skip
    finding = alone(tmp_path, rows)["length_alone", "harmful questions"]
    assert finding.rate is not None and finding.rate.high - finding.rate.low > 0.3 and finding.weight != "fault"
