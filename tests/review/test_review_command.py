"""The command `spavl review`: a review is drawn once and opened again, and what is wrong is said in a sentence."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.errors import MissingExtra, RunError, SpavlError
from spavl.labels.record import Label
from spavl.records import PreferencePair
from spavl.review import start
from spavl.review.access import TOKEN, access_token, address
from spavl.review.make import ReviewSettings
from spavl.review.serve import listen
from spavl.review.start import ReviewRequest, ended_words, next_command, start_review
from spavl.run import Run
from spavl.tables import write_table
from tests import samples
from tests.review.reviews import made, pair


def run_of(folder: Path, count: int = 12) -> Run:
    run = Run(folder).open()
    run.note()
    pairs = [samples.pair(samples.query(samples.image(f"weapon/{n}")), pair_id=f"pair-{n}") for n in range(count)]
    write_table(run.pairs, pairs, PreferencePair)
    return run


def test_a_review_is_drawn_then_opened_without_options_and_another_draw_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    asked = ReviewRequest(source=str(run.folder), settings=ReviewSettings(n=5))
    first = start_review(asked)
    first.review.store.add(Label(item_id=next(first.review.store.items()).item_id, annotator="ana", preference="tie"))
    again = start_review(ReviewRequest(source=str(run.folder)))
    assert again.review.folder == run.folder / "review/first" and again.remark == ""
    assert ended_words(again.review.store) == "1 label of 1 of 5 items, by 1 annotator"
    assert next_command(asked, again.review.store) == f"spavl agreement {run.folder} --name first"
    with pytest.raises(RunError, match="other settings"):
        start_review(ReviewRequest(source=str(run.folder), settings=ReviewSettings(n=6)))
    write_table(run.pairs, [samples.pair(samples.query(samples.image("other")), pair_id="x")], PreferencePair)
    changed = start_review(ReviewRequest(source=str(run.folder)))
    assert "pairs have changed" in changed.remark and len(changed.review.store) == 5
    for one in (first, again, changed):
        one.review.store.close()


def test_a_folder_of_a_review_and_a_file_of_pairs_can_be_reviewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{n},request {n},answer {n},answer that refuses" for n in range(9)]
    (tmp_path / "some.csv").write_text("pair_id,question,chosen,rejected\n" + "\n".join(lines) + "\n", "utf-8")
    found = start_review(ReviewRequest(source="some.csv", settings=ReviewSettings(n=4)))
    assert found.review.folder == Path("review-some/first") and len(found.review.store) == 4
    again = start_review(ReviewRequest(source="review-some/first"))
    assert again.review.token == found.review.token
    assert next_command(ReviewRequest(source="some.csv"), again.review.store).startswith("spavl labels export")
    with pytest.raises(RunError, match="not drawn anew"):
        start_review(ReviewRequest(source="review-some/first", out=Path("new"), settings=ReviewSettings(n=2)))
    found.review.store.close(), again.review.store.close()


def test_a_token_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = access_token(tmp_path)
    assert access_token(tmp_path) == first and len(first) >= 32
    assert stat.S_IMODE((tmp_path / TOKEN).stat().st_mode) == 0o600
    (tmp_path / TOKEN).write_text("", "utf-8")
    with pytest.raises(RunError, match="damaged"):
        access_token(tmp_path)


def test_the_usual_port_gives_way_and_a_named_one_does_not() -> None:
    taken = listen("127.0.0.1", None)
    other = listen("127.0.0.1", None)
    assert other.getsockname()[1] != taken.getsockname()[1]
    with pytest.raises(RunError, match=r"Another program listens at port \d+"):
        listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(RunError, match="no address"):
        listen("192.0.2.1", None)
    taken.close(), other.close()
    assert address("::1", 80, "a b") == "http://[::1]:80/?token=a+b"


def test_missing_packages_are_named_with_the_extra_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"fastapi.*\n.*spavl\[review\]"):
        start_review(ReviewRequest(source="anything"))


def test_what_cannot_be_reviewed_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for options, said in ((["nowhere"], "nowhere"), (["nowhere", "--order", "best"], "no order `best`")):
        raised = CliRunner().invoke(app, ["review", *options]).exception
        assert isinstance(raised, SpavlError) and said in raised.render()


def test_the_command_prints_its_address_serves_it_and_ends_by_ctrl_c_with_what_comes_next(tmp_path: Path) -> None:
    folder = made(tmp_path / "review", [pair(n) for n in range(3)])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "spavl", "review", str(folder), "--port", str(port), "--link", "ana"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path)
    assert running.stdout is not None
    lines = [running.stdout.readline() for _ in range(4)]
    assert lines[0].startswith(f"ana:  http://127.0.0.1:{port}/?token=") and "&me=" in lines[0]
    assert "3 items" in lines[1] and "Ctrl-C" in lines[3]
    link = re.search(r"http\S+", lines[0])
    assert link is not None
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert "answer of 0" in opener.open(link[0]).read().decode()
    running.send_signal(signal.SIGINT)
    rest, _ = running.communicate(timeout=30)
    assert running.returncode == 0 and "0 labels of 0 of 3 items" in rest and "spavl labels export" in rest


def test_the_help_names_an_example() -> None:
    shown = CliRunner().invoke(app, ["review", "--help"]).output
    assert "spavl review runs/first --n 500" in shown
