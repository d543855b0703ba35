"""Suspected pairs: nearly identical answers, overused pictures, order of the table, what a dataset covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from spavl.audit.facts import Facts, coverage_of, diversity_findings, facts_of
from spavl.audit.not_possible import NEEDS, not_possible
from spavl.audit.shares import share_findings
from spavl.audit.suspects import SUSPICIONS, join_suspects, suspect_findings, write_suspects
from spavl.config import AuditSettings
from spavl.preferences.picture_hashes import picture_hashes
from spavl.progress import NoProgress
from spavl.taxonomy import load_taxonomy
from tests.audit.pairs import dataset, row

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def suspects(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> dict[str, list[int]]:
    """Numbers of the suspected pairs by kind."""
    opened, how = dataset(folder, rows), AuditSettings(**settings)
    kinds = write_suspects(opened.rows, picture_hashes(opened, NoProgress()), folder, how)
    join_suspects(kinds, folder / "findings.parquet")
    found: dict[str, list[int]] = {}
    for one in pq.read_table(folder / "findings.parquet").to_pylist():
        found.setdefault(one["kind"], []).append(one["number"])
    named = {one.kind: one.pairs for one in suspect_findings(opened.rows, kinds, how)}
    assert named == {one.kind: len(found.get(one.kind, [])) for one in SUSPICIONS if one.what}
    return found


def test_answers_of_nearly_the_same_words_are_suspected_and_equal_ones_are_another_kind(tmp_path: Path) -> None:
    text = " ".join(WORDS * 2)
    rows = [
        row(0, chosen=text, rejected=text + " more"), row(1, chosen=text, rejected=text),
        row(2, chosen=text, rejected=" ".join(WORDS[:6])), row(3, chosen="yes", rejected="no"),
        row(4, chosen=text.upper(), rejected=text + "!"),
        row(5, chosen="一二三四五六七八九十", rejected="一二三四五六七八九"),
    ]  # fmt: skip
    found = suspects(tmp_path, rows)
    assert found["near_identical"] == [4, 0, 5] and found["same_answers"] == [1]
    assert suspects(tmp_path, rows, same_words=0.95)["near_identical"] == [4]


def test_pairs_that_a_picture_has_beyond_others_are_suspected_and_as_many_are_left(tmp_path: Path) -> None:
    rows = [row(n, image_id="much" if n < 20 else f"picture-{n}") for n in range(40)]
    assert len(suspects(tmp_path, rows)["overused_pictures"]) == 10
    assert len(suspects(tmp_path, rows, most_per_picture=3)["overused_pictures"]) == 17
    assert "overused_pictures" not in suspects(tmp_path, rows[12:])


def test_the_surest_of_a_kind_stand_first(tmp_path: Path) -> None:
    def judged(against: int, out_of: int) -> dict[str, list[str]]:
        names = [f"judge {n}" for n in range(out_of)]
        return {"judges_against": names[:against], "judges_for": names[against:]}

    assert suspects(tmp_path, [row(0, **judged(1, 3)), row(1, **judged(0, 3)), row(2, **judged(2, 3))])["disputed"] == [
        2,
        0,
    ]


def facts(folder: Path, rows: list[dict[str, Any]]) -> tuple[Facts, dict[str, str]]:
    """The facts of a dataset, and what is said of its diversity by kind."""
    opened = dataset(folder, rows)
    found = facts_of(opened.rows, AuditSettings())
    return found, {one.kind: one.what for one in diversity_findings(opened.rows, found, AuditSettings())}


def test_a_dataset_of_the_taxonomy_covers_all_its_subcategories_and_names_what_is_empty(tmp_path: Path) -> None:
    names = [topic.class3 for topic in load_taxonomy().topics]
    types = ("easy_question", "hard_question", "hard_statement")
    cells = [(name, kind) for name in names[:-1] for kind in types]
    rows = [row(n, class3=name, question_type=kind) for n, (name, kind) in enumerate(cells)][1:]
    found, said = facts(tmp_path, rows)
    assert found.coverage is not None and found.coverage.cells == 53 * 3
    assert found.coverage.empty == [f"{names[0]} / easy_question", *(
        f"{names[-1]} / {kind}" for kind in ("easy_question", "hard_question", "hard_statement"))]  # fmt: skip
    assert (
        f"4 of 159 cells (53 subcategories × 3 types of questions) have no pair: {names[0]} / easy"
        in said["empty_cells"]
    )


def test_a_dataset_of_other_subcategories_covers_its_own(tmp_path: Path) -> None:
    opened = dataset(tmp_path, [row(n, class3=f"own {n % 2}", question_type=None) for n in range(4)])
    found = coverage_of(opened.rows)
    assert found is not None and dict(found.counts) == {"own 0": (2,), "own 1": (2,)} and found.types == ("any",)
    assert coverage_of(dataset(tmp_path, [row(0, class3=None)]).rows) is None


def test_openings_of_refusals_are_counted_with_their_entropy(tmp_path: Path) -> None:
    rows = [row(n, chosen=f"I cannot {'help' if n % 4 else 'say'} with answer {n}", chosen_outcome="refusal")
            for n in range(32)]  # fmt: skip
    found, said = facts(tmp_path, rows)
    assert found.openings == (("i cannot help with", 24), ("i cannot say with", 8))
    assert found.entropy == pytest.approx(0.811, abs=1e-3) and "(0.8 bits)" in said["refusal_openings"]


def test_unsafe_shares_are_told_by_domain_and_outcomes_by_both_answers(tmp_path: Path) -> None:
    rows = [row(n, class1=f"domain {n % 2}", chosen_safe=n % 10 > 0, rejected_safe=n % 2 == 0) for n in range(60)]
    found, _ = facts(tmp_path, rows)
    assert {name: (one and one.value, other and other.value) for name, (one, other) in found.unsafe.items()} == {
        "domain 0": (0.2, 0.0), "domain 1": (0.0, 1.0), "all": (0.1, 0.5),
    }  # fmt: skip
    assert found.outcomes == {"safe over unsafe": 30, "both safe": 24, "both unsafe": 0, "unsafe over safe": 6}


def test_shares_speak_of_safe_rejected_answers_harmless_help_and_the_most_one_sided_sources(tmp_path: Path) -> None:
    rows = [row(n, chosen_outcome="safe_completion", chosen_source="amber" if n % 8 else "birch",
                rejected_source="birch" if n % 8 else "amber") for n in range(48)]  # fmt: skip
    said = {one.kind: one.what for one in share_findings(dataset(tmp_path, rows).rows, AuditSettings())}
    assert "of rejected answers are safe (32 of 48)" in said["safe_rejected"]
    assert "(24 of 48)" in said["benign_compliance"]
    assert "(0 of 48)" in said["both_unsafe"]
    assert said["one_sided_sources"].startswith("`amber` is chosen over `birch` in 87.5 %")


def test_two_unsafe_answers_are_counted_where_both_are_graded(tmp_path: Path) -> None:
    graded = [(False, False), (False, None), (True, None), (True, False)] * 12
    rows = [row(n, chosen_safe=chosen, rejected_safe=rejected) for n, (chosen, rejected) in enumerate(graded)]
    said = {one.kind: one.what for one in share_findings(dataset(tmp_path, rows).rows, AuditSettings())}
    assert "(12 of 24)" in said["both_unsafe"]


def test_every_kind_that_needs_what_a_dataset_lacks_is_told_in_a_sentence(tmp_path: Path) -> None:
    bare = dict.fromkeys(("class1", "class3", "question_type", "chosen_safe", "rejected_safe", "chosen_source",
                          "rejected_source", "benign", "image_id", "image"))  # fmt: skip
    rows = dataset(tmp_path, [row(n, **bare) for n in range(3)]).rows
    told = not_possible(rows, {"malformed"}, {"doubtful_outcomes": "few"})
    assert set(told) >= {*NEEDS, "position_bias", "judge_agreement", "text_only", "doubtful_outcomes"}
    assert (
        told["flipped_labels"].count("graded safe or unsafe") == 2
        and told["duplicate_pictures"] == "no pair shows a picture"
    )
