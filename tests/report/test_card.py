"""The card of a model says what the report says, and keeps what you wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.pipeline.report import write_run_report
from spavl.report.card import BEGIN, END, with_evaluation
from tests.pipeline.scored_runs import ALL, texts, write_run
from tests.report.sample import sample


def test_a_card_has_one_section_with_the_numbers_of_the_report_and_keeps_all_else(tmp_path: Path) -> None:
    data = sample(tmp_path)
    first = with_evaluation("---\ntags: x\n---\n# Mine\n", data.models[1], data)
    own = first.replace("# Mine", "# Mine, edited") + "\nMy last words.\n"
    again = with_evaluation(own, data.models[1], data)
    assert again == own and again.count(BEGIN) == again.count(END) == 1
    assert "| Unsafe answers | 480 | 47.3\u202f% | 0.4\u202f% (0.1–1.5\u202f%) | −51.3 to −42.5 | better |" in again
    assert "DPO is safer (unsafe answers fell from 47.3" in again and again.endswith("My last words.\n")


def test_a_card_whose_end_mark_is_lost_loses_no_word_and_gets_no_section_twice(tmp_path: Path) -> None:
    data = sample(tmp_path)
    cut = f"# Mine\n\n{BEGIN}\nmy own last words\n"
    made = with_evaluation(cut, data.models[1], data)
    assert "my own last words" in made and made.count(BEGIN) == made.count(END) == 1
    assert with_evaluation(made, data.models[1], data) == made


def test_a_card_says_by_which_test_its_verdicts_are_and_names_no_protocols_that_are_not_known(tmp_path: Path) -> None:
    made = with_evaluation("", sample(tmp_path).models[1], sample(tmp_path))
    assert "every verdict of its test alone.\n" in made and "Protocols" not in made


def test_cards_of_others_and_cards_that_are_no_text_are_left_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"base": texts(60, 1, 78), "dpo": texts(20, 1, 78), "ppo": texts(20, 1, 78)},
                    ALL[:1], weights={"dpo": {"in_run": ""}})  # fmt: skip
    cards = [run.align / name / "checkpoint" / "README.md" for name in ("dpo", "ppo")]
    for card, held in zip(cards, (b"# another dpo", "# caf\u00e9".encode("latin-1")), strict=True):
        card.parent.mkdir(parents=True)
        card.write_bytes(held)
    write_run_report(run.folder)
    assert [card.read_bytes() for card in cards] == [b"# another dpo", "# caf\u00e9".encode("latin-1")]


@pytest.mark.parametrize(
    ("linked", "own"),
    [("align", True), ("align/dpo", True), ("align/dpo/checkpoint", True), ("align/dpo/checkpoint", False)],
)
def test_the_card_of_a_model_that_lies_behind_a_link_is_filled_and_that_of_another_is_not(
    tmp_path: Path, linked: str, own: bool
) -> None:
    run = write_run(tmp_path / "run", {"base": texts(60, 1, 78), "dpo": texts(20, 1, 78)}, ALL[:1])
    checkpoint = run.align / "dpo/checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "README.md").write_text("# dpo\n")
    (run.folder / linked).rename(tmp_path / "disk")
    (run.folder / linked).symlink_to(tmp_path / "disk")
    other = tmp_path / "other/checkpoint"
    other.mkdir(parents=True)
    spec = {"path": str(checkpoint if own else other)}
    run.note(weights={"dpo": {"spec": spec, "in_run": ""}})  # as of what resolves to a place outside the run
    write_run_report(run.folder)
    assert ("Unsafe answers" in (checkpoint / "README.md").read_text()) is own


def test_the_report_of_a_run_fills_the_cards_of_its_models(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"base": texts(60, 1, 78), "dpo": texts(20, 1, 78)}, ALL[:1])
    card = run.align / "dpo" / "checkpoint" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text("# dpo\n")
    write_run_report(run.folder, out=tmp_path / "elsewhere.html")
    assert card.read_text() == "# dpo\n", "a page elsewhere changes nothing in the run"
    for _ in range(2):
        write_run_report(run.folder)
    assert card.read_text().count("| Unsafe answers | 100 | 60.0\u202f% | 20.0\u202f% (") == 1
