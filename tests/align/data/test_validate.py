"""Invalid pairs are found before the first step, by id."""

from dataclasses import replace

import pytest

from spavl.align.data.validate import ROW_ISSUES, PairRules, find_issues, refuse_rows, report_issues
from spavl.errors import DataError
from spavl.models.families import ChatTurn, ControlTokens
from spavl.pictures import Picture
from spavl.preferences.pairs import Pair

RULES = PairRules(ControlTokens(["<image>", "</s>"]))


def invalid(pairs, tmp_path):
    """A valid pair, and invalid ones with every issue that can be found without a model."""
    file = pairs[0].pictures[0].source.read_bytes()
    (tmp_path / "cut.png").write_bytes(file[: len(file) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    one = pairs[0]
    return [
        replace(one, pair_id="fine"),
        replace(one, pair_id="none", pictures=(Picture("outside:here", None),)),
        replace(one, pair_id="gone", pictures=(Picture("gone", tmp_path / "gone.png"),)),
        replace(one, pair_id="cut", pictures=(one.pictures[0], Picture("cut", tmp_path / "cut.png"))),
        replace(one, pair_id="text", pictures=(Picture("text", (tmp_path / "text.png").read_bytes()),)),
        replace(one, pair_id="question", question="  "),
        replace(one, pair_id="answer", rejected=""),
        replace(one, pair_id="single", rejected="", unpaired=True),
        replace(one, pair_id="equal", rejected=f"{one.chosen} "),
        replace(one, pair_id="token", chosen="look <image> here"),
        replace(one, pair_id="end", question="what </s> then"),
        Pair("row 7", (), "", "", "", malformed="`chosen` is a number, not a text"),
        replace(one, pair_id="turns", earlier=(ChatTurn("assistant", "so"),)),
        replace(one, pair_id="in a turn", earlier=(ChatTurn("user", "<image>"), ChatTurn("assistant", "so"))),
    ]


def test_single_answers_are_for_kto_and_those_that_are_wanted_for_sft(pairs):
    wanted = replace(pairs[0], rejected="", unpaired=True)
    unwanted = replace(pairs[0], chosen="", unpaired=True)

    def issues(answers):
        return find_issues([wanted, unwanted, pairs[1]], replace(RULES, answers=answers))

    assert issues("unpaired") == {}
    assert issues("chosen") == {1: "single answer"}
    assert issues("pairs") == {0: "single answer", 1: "single answer"}


def test_every_kind_of_issue_is_found(pairs, tmp_path):
    rows = invalid(pairs, tmp_path)
    found = {rows[number].pair_id: issue for number, issue in find_issues(rows, RULES).items()}
    assert found == {
        "none": "missing picture",
        "gone": "missing picture",
        "cut": "unreadable picture",
        "text": "unreadable picture",
        "question": "empty question",
        "answer": "empty answer",
        "single": "single answer",
        "equal": "equal answers",
        "token": "control token",
        "end": "control token",
        "row 7": "malformed row",
        "turns": "turns out of order",
        "in a turn": "control token",
    }
    of_the_model = {"too long", "refused picture", "several pictures", "no picture to corrupt"}
    of_others = {"repeated pair", "contradictory pair"}
    assert {*found.values(), *of_the_model, *of_others} == set(ROW_ISSUES)


def test_one_message_names_them_all_and_says_what_to_do(pairs, tmp_path):
    rows = invalid(pairs, tmp_path)
    findings = report_issues(rows, find_issues(rows, RULES), lambda _: "refuse")
    with pytest.raises(DataError) as error:
        refuse_rows(findings, skip_with="align.data.invalid=skip")
    message = str(error.value)
    assert "unreadable picture (2: cut, text)" in message and "equal answers (1: equal)" in message
    assert "align.data.invalid=skip" in message


def test_what_is_skipped_is_counted_and_named(pairs, tmp_path):
    rows = invalid(pairs, tmp_path)
    findings = report_issues(rows, find_issues(rows, RULES), lambda _: "skip")
    refuse_rows(findings, skip_with="")
    assert sum(len(finding.rows) for finding in findings) == 13
    assert any(finding.render().startswith("skip: missing picture (2: none, gone)") for finding in findings)


def test_a_long_list_of_ids_is_cut_when_shown(pairs):
    many = [replace(pairs[0], pair_id=f"n{i}", rejected="") for i in range(20)]
    assert "n7 and 12 more" in report_issues(many, find_issues(many, RULES), lambda _: "refuse")[0].render()
