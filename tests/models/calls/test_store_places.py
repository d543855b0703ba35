"""Call stores in places where there can be none, that are not there, that cannot be written, or that are cut short."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spavl.cli import INTERRUPTED, STOPPED
from spavl.errors import DataError, RunError
from spavl.models.calls import maintenance
from spavl.models.calls.repair import check, repair
from spavl.models.calls.store import CallStore
from tests.models.calls.stored import fill

ROOT = Path(__file__).parents[3]
AS_NOBODY = """
import os, sys
from pathlib import Path
from spavl.models.calls import maintenance, repair
os.setgid(65534), os.setuid(65534)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.sqlite"


@pytest.mark.parametrize("place", ["file/calls.sqlite", "file/deeper/calls.sqlite", "/proc/nothing/calls.sqlite"])
def test_a_folder_that_cannot_be_made_is_a_sentence(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="folder of the call store cannot be made") as error:
        CallStore(tmp_path / place)
    assert "store=FILE" in error.value.try_
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("use", [CallStore, maintenance.count, maintenance.compact, check, repair])
def test_a_folder_is_called_a_folder_and_nothing_is_left_beside_it(use, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunError, match="This is a folder"):
        use(tmp_path / "folder")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("use", [maintenance.count, maintenance.compact, check, repair])
def test_what_is_no_store_gets_no_lock_file_and_advice(use, path: Path) -> None:
    path.write_bytes(b"no store at all, but long enough to be told from an empty file" * 20)
    with pytest.raises(RunError, match="not a database") as error:
        use(path)
    assert "moved away" in error.value.try_
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("left", [1 / 2, 0.9, 0.0])
def test_a_store_cut_short_is_salvaged_and_the_old_file_kept(left: float, path: Path) -> None:
    fill(path, 400)
    whole = path.read_bytes()
    cut = whole[: max(4096, int(len(whole) * left) // 4096 * 4096)]
    path.write_bytes(cut)
    assert not check(path).is_whole
    found = repair(path)
    assert found.kept is not None
    assert found.kept.read_bytes() == cut
    assert bool(found.whole) is (left > 0)
    assert check(path).is_whole
    assert sum(one.calls for one in maintenance.count(path)) == found.whole
    with CallStore(path) as store:
        assert len(store) == found.whole


def test_a_store_cut_within_its_first_page_is_moved_aside_and_begun_anew(path: Path) -> None:
    fill(path, 40)
    cut = path.read_bytes()[:100]
    path.write_bytes(cut)
    found = repair(path)
    assert found.kept is not None
    assert (found.whole, found.kept.read_bytes()) == (0, cut)
    assert check(path).is_whole


def test_an_empty_file_is_called_empty(path: Path) -> None:
    path.touch()
    with pytest.raises(RunError, match="file is empty"):
        maintenance.count(path)


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can become a user without rights")
@pytest.mark.parametrize("use", ["maintenance.count", "repair.check"])
def test_a_store_in_a_folder_that_cannot_be_written_is_read(use: str, path: Path) -> None:
    folder = Path("/tmp") / f"read-only-{os.getpid()}"
    folder.mkdir()
    try:
        fill(folder / "calls.sqlite", 5)
        folder.chmod(0o555)
        script = f"{AS_NOBODY}print({use}(Path(sys.argv[1])))"
        command = [sys.executable, "-c", script, str(folder / "calls.sqlite")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert "calls=5" in done.stdout or "whole=5" in done.stdout
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.parquet"])
def test_an_export_replaces_a_file_only_when_told(name: str, path: Path) -> None:
    fill(path, 3)
    out = path.with_name(name)
    out.write_text("mine")
    with pytest.raises(DataError, match="there already") as error:
        maintenance.export(path, out)
    assert "--force" in error.value.try_
    assert out.read_text() == "mine"
    assert maintenance.export(path, out, force=True) == 3


def test_ctrl_c_while_modules_are_imported_is_a_line_and_status_130() -> None:
    script = (
        "import sys\nfrom spavl.__main__ import main\n"
        "class Stop:\n    def find_spec(self, name, *rest):\n        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr.strip()) == (INTERRUPTED, STOPPED.strip())
