"""What people say of pairs: how far they agree, who leans where, and which pairs are to be fixed."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spavl.labels.record import Answer, Item, Label
from spavl.pipeline.agreement import AgreementReport, agreement_of
from spavl.pipeline.agreement_words import agreement_sentence, agreement_shown, bias_rows, human_rows, judge_rows
from spavl.pipeline.pairs_to_fix import pairs_to_fix, write_to_fix
from spavl.pipeline.people import gathered
from tests.pipeline.labelled_world import labelled_pairs, pair

EVEN = {"ann": {}, "bob": {}}


def of_biases(report: AgreementReport, leaning: str) -> dict[tuple[str, str], float]:
    """Corrected p-values of the tendencies of one kind, by rater and group."""
    return {(one.who, one.group): one.p_corrected for one in report.biases if one.leaning == leaning}


def test_people_without_leanings_agree_as_often_as_they_were_made_to_and_lean_nowhere() -> None:
    report = agreement_of(labelled_pairs(500, EVEN, seed=1))
    whole = report.judges[0]
    assert (report.pairs, report.answers, report.overlap, dict(report.annotators)) == (
        500, 0, 500, {"ann": 500, "bob": 500})  # fmt: skip
    assert whole.same.low < 0.9 < whole.same.high and whole.same == whole.decided
    assert whole.kappa.low < 0.8 < whole.kappa.high, "of 90 % agreement half is chance, whichever answer is the first"
    alpha = next(one for one in report.human if (one.asked, one.coefficient) == ("preference", "alpha"))
    assert alpha.found.low < 0.64 < alpha.found.high and alpha.found.shares[0] == pytest.approx(0.5)
    assert not [one for one in report.biases if one.is_shown(0.95) and one.leaning != "unsafe"]
    sentence = agreement_sentence(report)
    assert sentence.startswith("500 pairs, 2 annotators: people agree with the judges on ") and "κ 0.78 [" in sentence


def test_agreement_stands_by_domain_question_type_source_and_whether_the_picture_is_needed() -> None:
    report = agreement_of(labelled_pairs(300, EVEN, seed=2))
    named = {(one.by, one.group): one.pairs for one in report.judges}
    assert named["domain", "tea"] == 100 and named["question type", "plain"] == 150
    assert named["source", "amber"] + named["source", "birch"] + named["source", "maple"] == 600
    assert 0 < named["picture needed", "yes"] + named["picture needed", "no"] < 300, (
        "those that divide people are in none"
    )


def test_one_who_follows_the_left_and_one_who_follows_length_are_each_found() -> None:
    report = agreement_of(labelled_pairs(400, {"ann": {"left": 0.4}, "bob": {"longer": 0.3}, "cem": {}}, seed=3))
    positions, lengths = of_biases(report, "position"), of_biases(report, "length")
    assert positions["ann", ""] < 0.001 and positions["bob", ""] > 0.05 and positions["cem", ""] > 0.05
    assert lengths["bob", ""] < 0.01 and lengths["cem", ""] > 0.001
    found = next(one for one in report.biases if (one.leaning, one.who) == ("position", "ann"))
    assert found.found.low < 0.4 < found.found.high
    assert "ann leans more than even shares to the answer on the left" in agreement_sentence(report)


def test_judges_who_like_length_a_source_or_err_in_a_domain_are_found() -> None:
    random = np.random.default_rng(4)
    items, labels = [], []
    for number in range(600):
        item = pair(number, random)
        longer, source = len(item.answers[0].text) > 30, "maple" in [answer.source for answer in item.answers]
        odd = item.about["class1"] == "cups" and random.random() < 0.4
        wrong = (longer and random.random() < 0.4) or odd
        maple = source and item.answers[0].source == "maple" and random.random() < 0.4
        items.append(item)
        for who in ("ann", "bob"):
            said = "second" if wrong or maple else "first"
            labels.append(Label(item_id=item.item_id, annotator=who, preference=said))  # type: ignore[arg-type]
    report = agreement_of(gathered(items, labels))
    assert of_biases(report, "length")["judges", ""] < 0.001
    assert (
        of_biases(report, "source")["judges", "maple"] < 0.001 and of_biases(report, "domain")["judges", "cups"] < 0.01
    )
    positions = agreement_of(gathered(items, labels), {"j": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 100}})
    assert of_biases(positions, "position")["j", ""] < 0.01


def test_pairs_that_people_judge_otherwise_are_ranked_and_written_without_words(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    items = [replace(pair(n, random), question="words to be closed") for n in range(5)]
    said = {0: ("second", "second"), 1: ("first", "first"), 2: ("second", "first"), 3: ("both_bad", "both_bad"), 4: ()}
    labels = [Label(item_id=f"pair-{n}", annotator=f"a{k}", preference=one, outcomes=("unsafe", "safe"),
                    severities=(3, None)) if n == 1
              else Label(item_id=f"pair-{n}", annotator=f"a{k}", preference=one)
              for n, some in said.items() for k, one in enumerate(some)]  # type: ignore[arg-type]  # fmt: skip
    found = pairs_to_fix(gathered(items, labels).of_kind("pair"))
    assert [(one.item_id, one.fault, one.say_so) for one in found] == [
        ("pair-0", "other answer better", 2), ("pair-1", "chosen answer unsafe", 2), ("pair-3", "both answers bad", 2),
        ("pair-2", "other answer better", 1),
    ]  # fmt: skip
    sentence = agreement_sentence(agreement_of(gathered(items, labels)))
    assert "3 pairs to fix and 1 that divide people" in sentence
    write_to_fix(tmp_path / "review/first/to-fix.csv", [replace(found[0], domain="=1+1"), *found[1:]])
    text = (tmp_path / "review/first/to-fix.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 4 and rows[0]["domain"] == "'=1+1" and rows[1]["severity"] == "3" and "closed" not in text


def test_single_answers_are_held_against_guards_and_severity_has_an_order() -> None:
    random = np.random.default_rng(6)
    items, labels = [], []
    for n in range(200):
        true = random.random() < 0.4
        guard = true if random.random() < 0.85 else not true
        items.append(Item(item_id=f"m/b/{n}", kind="answer", stratum="", question="request",
                          answers=(Answer(text="words", outcome="unsafe" if guard else "safe"),)))  # fmt: skip
        for who in ("ann", "bob"):
            outcome = "unsafe" if true else "refusal"
            severity = int(min(4, random.integers(2, 4))) if true else None
            labels.append(Label(item_id=f"m/b/{n}", annotator=who, outcomes=(outcome,), severities=(severity,)))  # type: ignore[arg-type]
    report = agreement_of(gathered(items, labels))
    assert report.guards is not None and report.guards_same is not None and report.guards.value is not None
    assert report.guards_same.low < 0.85 < report.guards_same.high and 0.55 < report.guards.value < 0.85
    scales = {one.asked: one.scale for one in report.human}
    assert scales["severity"] == "ordinal" and scales["outcome"] == "nominal"
    assert "200 answers, 2 annotators: with the guards on 8" in agreement_sentence(report)


def test_skipped_withdrawn_and_strange_labels_do_not_count() -> None:
    item = pair(0, np.random.default_rng(7))
    first = Label(item_id="pair-0", annotator="ann", preference="first")
    labels = [first, replace(first, status="withdrawn"), replace(first, annotator="bob", status="skipped"),
              replace(first, item_id="gone"), replace(first, annotator="cem")]  # fmt: skip
    people = gathered([item], labels)
    assert (people.annotators, people.skipped, people.strangers) == (("cem",), 1, 1)
    report = agreement_of(people)
    assert report.overlap == 0 and "no two annotators judged the same item" in agreement_sentence(report)


def test_all_is_plain_data_and_rows_for_the_page() -> None:
    report = agreement_of(labelled_pairs(60, EVEN, seed=8))
    plain = json.loads(json.dumps(report.as_plain_data()))
    assert plain["verdict"] == agreement_sentence(report) and plain["judges"][0]["same"]["n"] == 60
    shown = agreement_shown("first", report)
    assert [table.caption for table in shown.tables] == [
        "People with the judges",
        "People with each other",
        "Tendencies",
    ]
    for rows in (human_rows, judge_rows, bias_rows):
        assert all(isinstance(cell, str) for row in rows(report) for cell in row)


def test_items_drawn_with_other_probabilities_count_as_many_as_they_stand_for() -> None:
    random = np.random.default_rng(9)
    items = [replace(pair(n, random), probability=0.1 if n < 50 else 1.0) for n in range(100)]
    labels = [
        Label(item_id=f"pair-{n}", annotator="ann", preference="second" if n < 50 else "first") for n in range(100)
    ]
    report = agreement_of(gathered(items, labels))
    assert report.weighted and report.judges[0].same.value == pytest.approx(50 / 550)


def sided(shown: Sequence[str | None], said: str = "first") -> AgreementReport:
    """The agreement of one person who says the same of every pair, which stood on the screen in such orders."""
    random = np.random.default_rng(10)
    labels = [Label(item_id=f"pair-{n}", annotator="ann", preference=said, shown_first=one)  # type: ignore[arg-type]
              for n, one in enumerate(shown)]  # fmt: skip
    return agreement_of(gathered([pair(n, random) for n in range(len(shown))], labels))


def test_sides_that_are_not_known_or_not_drawn_at_random_are_no_leaning_to_the_left() -> None:
    assert not of_biases(sided([None] * 100), "position"), "a file that does not say where answers stood"
    assert not of_biases(sided(["first"] * 97 + ["second"] * 3), "position"), "one side was hardly ever seen"
    uneven = sided(["first"] * 75 + ["second"] * 25)
    (found,) = [one.found for one in uneven.biases if one.leaning == "position"]
    assert found.value == pytest.approx(0) and found.p > 0.5


def test_pairs_that_were_drawn_for_being_doubtful_count_in_no_share_and_the_sentence_says_so() -> None:
    random = np.random.default_rng(11)
    items = [replace(pair(n, random), probability=0.0 if n < 60 else 0.5) for n in range(100)]
    labels = [Label(item_id=f"pair-{n}", annotator="ann", preference="second" if n < 60 else "first")
              for n in range(100)]  # fmt: skip
    mixed, alone = agreement_of(gathered(items, labels)), agreement_of(gathered(items[:60], labels))
    assert mixed.judges[0].same.value == 1.0 and mixed.pairs == 100 and len(mixed.to_fix) == 60
    assert "60 of these were drawn for being doubtful and count in no share" in agreement_sentence(mixed)
    assert alone.judges[0].same.value == 0.0
    assert "all were drawn for being doubtful, so that no share is one of the dataset" in agreement_sentence(alone)


def test_who_says_nothing_of_an_answer_neither_divides_people_nor_makes_a_fault_doubtful() -> None:
    random = np.random.default_rng(12)
    labels = [
        label
        for n in range(12)
        for label in (
            Label(item_id=f"pair-{n}", annotator="ann", preference="first", outcomes=("unsafe", None)),
            Label(item_id=f"pair-{n}", annotator="bob", outcomes=(None, "safe_completion")),
        )
    ]
    report = agreement_of(gathered([pair(n, random) for n in range(12)], labels))
    assert (report.overlap, report.disagreed) == (12, 0)
    assert {(one.fault, one.say_so, one.annotators) for one in report.to_fix} == {("chosen answer unsafe", 1, 1)}
    few = agreement_of(gathered([pair(0, random)], labels[:2]))
    assert "there is too little to test any tendency" in agreement_sentence(few)


def test_a_domain_is_told_as_what_it_is_and_within_what_can_be() -> None:
    random = np.random.default_rng(13)
    labels = [Label(item_id=f"pair-{n}", annotator="ann", preference="first" if n % 3 else "second") for n in range(60)]
    report = agreement_of(gathered([pair(n, random) for n in range(60)], labels))
    assert "people agree with the judges less in tea than in the other domains (−100.0 [−100.0, " in agreement_sentence(
        report
    )
