"""A push to the Hub, by the Hub's own client against a stand-in of its server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from spavl.errors import SettingsError, SpavlError
from spavl.interchange.push import push
from spavl.pipeline.exports import ExportRequest, export
from spavl.progress import NoProgress
from tests.interchange.conversations import write_source
from tests.interchange.hub_server import TOKEN, Hub, Repo, serving

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the Hub's client, of its own
REPO = "someone/pairs"
SCRIPT = """
import sys
from pathlib import Path
from spavl.errors import SpavlError
from spavl.interchange.push import push

for word in sys.argv[2:]:
    try:
        print(push(Path(sys.argv[1]), "someone/pairs", public=word == "public"))
    except SpavlError as error:
        print(error.render().replace(chr(10), " "))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with pictures as files."""
    tmp = tmp_path_factory.mktemp("push")
    rows = [{"question": f"q{n}", "chosen": "a", "rejected": "b", "images": [f"images/{n}.png"]} for n in range(3)]
    request = ExportRequest(
        source=str(write_source(tmp / "source", rows)), form="ms-swift", out=tmp / "out", cache=tmp / "cache"
    )
    return export(request, NoProgress()).folder


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as server:
        yield server


def in_a_process(hub: Hub, folder: Path, home: Path, *words: str) -> list[str]:
    """What a process of its own says of several pushes."""
    env = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN,
           "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "*"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), *words], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout.splitlines()


Pushed = Callable[..., str]
"""Pushes to a server, publicly or not; what came of it as one line."""


@pytest.fixture
def pushed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Pushed:
    """A push in this process, whose client is told of the server."""

    def go(hub: Hub, *, public: bool = False, token: str = TOKEN) -> str:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", token)
        monkeypatch.setenv("NO_PROXY", "*")
        try:
            found = push(folder, REPO, public=public)
        except SpavlError as error:
            found = " ".join(error.render().split())
        assert hub.unknown == []
        assert token not in found
        return found

    return go


def files_of(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_a_push_is_private_and_gated_before_the_first_file_and_goes_on_where_it_stopped(
    hub: Hub, folder: Path, tmp_path: Path
) -> None:
    first, again = in_a_process(hub, folder, tmp_path, "private", "private")
    assert hub.unknown == []
    repo = hub.repos[REPO]
    assert first == again == f"{hub.address}/datasets/{REPO}"
    assert repo.files == files_of(folder)
    assert repo.seen[:3] == ["create private=True", 'settings {"gated": "manual"}', "commit"]
    assert (repo.private, repo.gated) == (True, "manual")
    assert set(hub.sent.values()) == {1}


def test_a_push_that_the_hub_refuses_is_a_sentence_and_is_taken_up_again(
    hub: Hub, folder: Path, pushed: Pushed
) -> None:
    hub.repos[REPO] = Repo(private=True, files={"export.json": b"{}", "train.csv": b"old", "LICENSE": b"mine"})
    hub.refusals = [403]
    refused, done = pushed(hub), pushed(hub)
    assert "The Hub refuses: not now (status 403)" in refused
    assert "HF_TOKEN" in refused
    assert done.startswith("http")
    assert hub.repos[REPO].files == {**files_of(folder), "LICENSE": b"mine"}
    assert set(hub.sent.values()) == {1}


def test_a_push_that_breaks_off_sends_only_what_is_missing_the_next_time(
    hub: Hub, folder: Path, pushed: Pushed
) -> None:
    hub.lost_files = 1
    broken = pushed(hub)
    assert "not all of the way" in broken
    assert "run the same command again" in broken
    assert pushed(hub).startswith("http")
    assert hub.repos[REPO].files == files_of(folder)
    assert set(hub.sent.values()) == {1}


def test_only_public_that_is_asked_for_makes_it_public_and_it_stays_gated(hub: Hub, pushed: Pushed) -> None:
    pushed(hub, public=True)
    repo = hub.repos[REPO]
    assert (repo.private, repo.gated) == (False, "manual")
    assert repo.seen[0] == "create private=True"
    assert repo.seen[-1] == 'settings {"visibility": "public"}'
    assert "is public, and the push is to be private" in pushed(hub)


def test_a_repository_with_other_data_is_left_alone(hub: Hub, pushed: Pushed) -> None:
    hub.repos[REPO] = Repo(private=True, files={"thesis.pdf": b"mine", "README.md": b"words"})
    assert "1 file that `spavl export` did not put there" in pushed(hub)
    assert hub.repos[REPO].files == {"thesis.pdf": b"mine", "README.md": b"words"}


def test_a_wrong_token_is_a_sentence(hub: Hub, pushed: Pushed) -> None:
    assert "(status 401)" in pushed(hub, token="hf_wrong")
    assert hub.repos == {}


def test_a_hub_that_is_not_there_is_a_sentence(pushed: Pushed) -> None:
    with serving() as gone:
        pass
    refused = pushed(gone)
    assert "The Hub cannot be reached" in refused
    assert "run the same command again" in refused


def test_without_a_token_in_the_environment_nothing_begins(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(SettingsError, match="HF_TOKEN"):
        push(folder, REPO, public=False)
    request = ExportRequest(source="nowhere", form="jsonl", out=tmp_path / "out", repo=REPO)
    with pytest.raises(SettingsError, match="HF_TOKEN"):
        export(request, NoProgress())
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(SettingsError, match="OWNER/NAME"):
        push(folder, "pairs", public=False)
    assert json.loads((folder / "export.json").read_text())["form"] == "ms-swift"
