"""The command `spavl serve`: it prints an address that opens, ends by Ctrl-C, and says in a sentence what is wrong."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import MissingExtra, RunError
from spavl.serve import start
from spavl.serve.start import cache_folder, check_serve_packages, open_catalogue
from spavl.web import listening
from tests.serve.runs import scored


def test_the_command_counts_what_it_serves_prints_its_address_and_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scored(tmp_path / "runs/first")
    opened: list[str] = []
    monkeypatch.setattr(typer, "launch", opened.append)
    monkeypatch.setattr(listening, "serve", lambda app, at, *, on_start: (on_start(), at.close()))
    said = CliRunner().invoke(app, ["serve", "--open"])
    assert said.exit_code == 0 and "1 run, 0 studies: runs" in said.output and "Next:" in said.output
    assert len(opened) == 1 and opened[0].startswith("http://127.0.0.1:") and "?token=" in opened[0]


@pytest.mark.slow  # a process of its own; the test above tests the command too
def test_the_command_serves_pages_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    scored(tmp_path / "runs/first")
    command = [sys.executable, "-m", "spavl", "serve", "runs", "--port", "18764"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        address = re.search(r"http://127\.0\.0\.1:18764/\?token=\S+", lines[1])
        assert lines[0] == "1 run, 0 studies: runs\n" and address is not None
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"First run" in opener.open(address[0], timeout=20).read()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "Next:" in process.stdout.read() and not process.stderr.read()
    token = tmp_path / ".spavl/serve/access_token"
    assert token.stat().st_mode & 0o077 == 0 and token.read_text() in address[0]


def test_a_folder_without_runs_or_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run under this folder"):
        open_catalogue(tmp_path)
    with pytest.raises(RunError, match="no folder"):
        open_catalogue(tmp_path / "nothing")
    assert "Example" in CliRunner().invoke(app, ["serve", "--help"]).output


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="fastapi, uvicorn"):
        check_serve_packages()


def test_where_nothing_can_be_kept_here_a_temporary_folder_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    assert cache_folder() == Path(".spavl/serve")
    (tmp_path / ".spavl/serve").rmdir()
    (tmp_path / ".spavl").rmdir()
    (tmp_path / ".spavl").write_text("a file")
    first, second = cache_folder(), cache_folder()
    assert first.parent == second.parent == tmp_path / "temporary"
    assert first != second and first.stat().st_mode & 0o777 == 0o700  # nobody made it before, and nobody else reads it
