"""A user error is one sentence (what, where, what to try), exit status 2, no stack trace, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.end_to_end.conftest import SMALL, RunCommand, manifest


def assert_user_error(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 2, the words in the message, no stack trace."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_an_unknown_setting_is_named_with_the_nearest_one(spavl: RunCommand) -> None:
    assert_user_error(
        spavl("build", "small.yaml", "build.match.per_questoin=2", check=False), "per_questoin", "`per_question`"
    )


def test_a_wrong_type_is_named_with_the_value(spavl: RunCommand) -> None:
    assert_user_error(
        spavl("build", "small.yaml", "build.match.groups=many", check=False), "build.match.groups", "many"
    )


def test_a_settings_file_that_is_not_there(spavl: RunCommand) -> None:
    assert_user_error(spavl("build", "nothing.yaml", check=False), "nothing.yaml", "spavl init")


def test_an_example_settings_file_is_valid_but_for_its_pictures(spavl: RunCommand, tmp_path: Path) -> None:
    spavl("init", "my.yaml")
    assert_user_error(spavl("init", "my.yaml", check=False), "my.yaml", "--force")
    assert_user_error(spavl("check", "my.yaml", check=False), "folder of pictures", "pictures")


def test_a_folder_without_pictures(spavl: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    overrides = ("build.collect.source=folder", "build.collect.folder=empty")
    assert_user_error(spavl("build", "small.yaml", *overrides, check=False), "no pictures", "empty")


def test_files_that_are_no_pictures_are_named_and_the_others_are_used(spavl: RunCommand, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "cyber"
    folder.mkdir(parents=True)
    for n in range(3):
        Image.new("RGB", (48, 48), (90 * n, 40, 40)).save(folder / f"{n}.png")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "words.png").write_text("no picture at all")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    overrides = ("build.collect.source=folder", "build.collect.folder=pictures")
    done = spavl("build", "small.yaml", *overrides, check=False)
    reasons = {Path(r["file"]).name: r["reason"] for r in json.loads((tmp_path / "run" / "rejected.json").read_text())}
    assert "not a JPEG" in reasons["words.png"]
    assert "damaged" in reasons["cut.png"]
    assert manifest(tmp_path / "run")["counts"]["collect"]["made"] == 3
    assert "words.png" in done.stdout


def test_a_model_that_is_not_listed(spavl: RunCommand) -> None:
    assert_user_error(spavl("build", "small.yaml", "build.judge.judges=jugde", check=False), "jugde", "`judge`")


def test_a_checkpoint_that_is_not_there(spavl: RunCommand) -> None:
    assert_user_error(spavl("build", "small.yaml", "models.3.path=no/such/folder", check=False), "no/such/folder")


def test_two_models_with_one_identity_are_refused(spavl: RunCommand) -> None:
    assert_user_error(
        spavl("build", "small.yaml", "models.4.path=miniworld:responders/amber", check=False), "amber", "grove"
    )


def test_a_class_outside_spavl_needs_allow_code(spavl: RunCommand) -> None:
    assert_user_error(spavl("build", "small.yaml", "models.0.target=os:getcwd", check=False), "--allow-code")


def test_a_taxonomy_with_a_duplicate(spavl: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "a" / "x.png")
    (tmp_path / "tree.yaml").write_text("domains: {one: {two: [a, b]}, three: {four: [a]}}")
    overrides = ("build.collect.source=folder", "build.collect.folder=pictures", "build.collect.taxonomy=tree.yaml")
    assert_user_error(
        spavl("build", "small.yaml", *overrides, check=False), "`a` stands 2 times", "one / two", "three / four"
    )


def test_a_run_folder_of_another_format_version(spavl: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"format": "99"}')
    assert_user_error(spavl("build", "small.yaml", check=False), "format version 99", "--out")


def test_a_report_of_a_folder_that_holds_no_run(spavl: RunCommand) -> None:
    assert_user_error(spavl("report", "nowhere", check=False), "nowhere")
    assert_user_error(spavl("show", "nowhere", check=False), "nowhere")


@contextmanager
def serving(status: int, body: str, kind: str = "application/json") -> Iterator[str]:
    """A real HTTP server that always gives one reply."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def assert_calls_failed(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """A build whose calls all failed shows what was made, then says why there is no pair; running again may mend it."""
    assert done.returncode == 3, done.stdout + done.stderr
    assert "What was made" in done.stdout
    assert "No match became a pair: no question was written" in done.stderr
    assert "Traceback" not in done.stderr
    assert [word for word in words if word not in done.stderr] == []


def _write_far(url: str, tmp_path: Path) -> None:
    far = {"name": "asker", "kind": "endpoint", "url": url, "model": "m", "identity": "far/m/1", "attempts": 2}
    settings = {**SMALL, "models": [far, *SMALL["models"][1:]], "limit": 30}
    (tmp_path / "far.yaml").write_text(yaml.safe_dump(settings))


def test_an_unreachable_server(spavl: RunCommand, tmp_path: Path) -> None:
    _write_far("http://127.0.0.1:9/v1", tmp_path)
    assert_user_error(spavl("check", "far.yaml", check=False), "127.0.0.1:9")
    assert_calls_failed(spavl("build", "far.yaml", check=False), "127.0.0.1:9")


@pytest.mark.parametrize(
    ("status", "body", "kind", "word"),
    [
        (401, '{"error": {"message": "no"}}', "application/json", "401"),
        (500, '{"error": {"message": "broken"}}', "application/json", "500"),
        (200, "<html><body>Please log in</body></html>", "text/html", "web page"),
    ],
)
def test_a_server_that_answers_with_nothing_usable(
    spavl: RunCommand, tmp_path: Path, status: int, body: str, kind: str, word: str
) -> None:
    with serving(status, body, kind) as url:
        _write_far(url, tmp_path)
        assert_calls_failed(spavl("build", "far.yaml", check=False), "asker", word)
