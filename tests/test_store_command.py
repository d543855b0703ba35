"""`spavl store` on the command line: what it prints, and that texts stay closed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.cli.store_commands import store_app
from tests.models.calls.stored import fill, flip
from tests.test_help import spavl

SUBCOMMANDS = sorted(c.callback.__name__ for c in store_app.registered_commands if c.callback)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


def said(*words: object) -> tuple[int, str]:
    """Exit status and output of `spavl store …`."""
    done = CliRunner().invoke(app, ["store", *map(str, words)], env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_there_is_a_command_for_each_thing() -> None:
    assert SUBCOMMANDS == ["check", "compact", "count", "explain", "export", "forget"]


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_every_command_explains_itself_with_an_example_that_it_understands(command: str) -> None:
    known = get_command(store_app).commands[command]  # type: ignore[attr-defined]
    example = re.search(r"Example: \[bold\](.*)\[/bold\]", known.epilog or "")
    assert example
    words = shlex.split(example.group(1))
    assert words[:3] == ["spavl", "store", command]
    assert known.make_context(command, words[3:]).params
    assert said(command, "--help")[0] == 0


def test_counts_are_a_table_with_an_end_line(path: Path) -> None:
    fill(path, 12)
    status, text = said("count", path)
    assert status == 0
    assert re.search(r"endpoint:alpha +ok +12 +84 +36 +6\.00", text)
    assert f"12 calls in {path}" in text
    assert "Next:" in text


def test_an_explained_call_shows_its_texts_only_when_they_are_asked_for(path: Path) -> None:
    keys = fill(path, 3, text="Placeholder of an answer", thought="Placeholder of a thought", detail="why it was so")
    for words, is_open in (([], False), (["--reveal"], True)):
        status, text = said("explain", keys[1][:10], path, *words)
        assert status == 0
        assert "endpoint:alpha" in text
        assert "why it was so" in text
        for closed in ("Placeholder of an answer", "Placeholder of a thought", "Question 1?"):
            assert (closed in text) is is_open


def test_damage_is_exit_status_2_until_it_is_mended(path: Path) -> None:
    keys = fill(path, 40)
    flip(path, "Answer 000017")
    status, text = said("check", path)
    assert status == 2
    assert "39 whole rows, 1 damaged, 0 unreadable" in text
    assert keys[17] in text
    assert "--repair" in text
    status, text = said("check", path, "--repair")
    assert status == 0
    assert "run your last command again" in text
    status, text = said("check", path)
    assert (status, "All 39 rows" in text) == (0, True)


def test_nothing_but_calls_without_an_answer_can_be_forgotten(path: Path) -> None:
    fill(path, 5, status="invalid")
    for refused in ("ok", "refused", "truncated", "anything"):
        assert said("forget", path, "--status", refused)[0] == 2
    status, text = said("forget", path, "--status", "invalid", "--model", "alpha")
    assert (status, "5 invalid calls were dropped" in text) == (0, True)


def test_compact_and_export_say_what_they_did(path: Path, tmp_path: Path) -> None:
    fill(path, 5)
    assert "MiB now" in said("compact", path)[1]
    assert f"5 calls in {tmp_path / 'out.jsonl'}" in said("export", tmp_path / "out.jsonl", path)[1]


def test_a_store_that_is_not_there_is_a_sentence_and_is_not_made(tmp_path: Path) -> None:
    for words in (["count"], ["check"], ["check", "--repair"], ["explain", "ab"], ["compact"], ["export", "x.jsonl"]):
        done = spavl("store", *words, folder=tmp_path)
        assert done.returncode == 2
        assert "There is no call store" in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_replaces_a_file_with_force_alone(path: Path, tmp_path: Path) -> None:
    fill(path, 5)
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    done = spavl("store", "export", str(out), str(path), folder=tmp_path)
    assert (done.returncode, out.read_text()) == (2, "mine")
    assert "--force" in done.stderr
    assert said("export", out, path, "--force")[0] == 0
