"""`spavl import` says what it read, left out and did not read, and what comes next."""

import json

import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from tests.interchange.import_files import beavertails, by_model, meta_folder, published, vlguard
from tests.preferences.test_pairs import row


def ran(*words):
    return CliRunner().invoke(app, ["import", *map(str, words)], terminal_width=500, env={"COLUMNS": "500"})


def test_the_command_prints_what_was_left_out_and_what_comes_next(tmp_path):
    good = {"question": "q", "chosen": "x", "rejected": "y", "score": 1}
    lines = [json.dumps(good), json.dumps({**good, "rejected": "x"})]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    done = ran(tmp_path / "train.jsonl", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "1 pair of 2 rows read" in done.output and "score" in done.output
    assert {"chosen", "rejected", "same"} <= set(done.output.split())  # the table may be narrow
    assert f"spavl align SETTINGS --pairs {tmp_path / 'out'}" in done.output
    assert "as before: no file has changed" in ran(tmp_path / "train.jsonl", "--out", tmp_path / "out").output


def test_an_opinion_is_chosen_on_the_command_line(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps(beavertails(0)))
    done = ran(tmp_path / "train.jsonl", "--out", tmp_path / "out", "--as", "beavertails-v")
    assert isinstance(done.exception, Exception) and "--prefer" in str(done.exception)
    done = ran(tmp_path / "train.jsonl", "--out", tmp_path / "out", "--as", "beavertails-v", "--prefer", "safer")
    assert done.exit_code == 0 and "two-responses" in done.output


def test_what_meta_files_say_is_counted_on_the_screen(tmp_path):
    meta = meta_folder(
        tmp_path / "meta", images=[{"image": "0.png", "class1": "a", "class2": "b", "class3": "c"}], prefer={},
        answers=[by_model("0.png", "q0", Otter="c0")], safety=[],
    )  # fmt: skip
    done = ran(published(tmp_path / "hub", [row(0)]), "--out", tmp_path / "out", "--meta", meta)
    assert "1 of 1" in done.output and "no model gave this answer" in done.output


def test_requests_without_a_second_answer_are_no_pairs(tmp_path):
    done = ran(vlguard(tmp_path), "--out", tmp_path / "out")
    assert done.exit_code == 0 and "3 labelled requests of 4 rows read" in done.output
    assert "No pairs: each request has one answer" in done.output and "spavl qualify" in done.output


@pytest.mark.parametrize("words", [["--as", "other"], ["--prefer", "nicer"], ["--limit", "0"]])
def test_a_wrong_option_is_the_users_slip(words, tmp_path):
    assert ran(tmp_path, "--out", tmp_path / "out", *words).exit_code == 2
