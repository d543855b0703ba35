"""A file or folder is there whole or not at all, whoever else writes it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spavl.atomic import atomic_write, remove_abandoned, write_text
from spavl.errors import RunError


def test_a_file_takes_the_place_of_the_old_one_and_nothing_is_left_over(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_fails_half_way_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "a") as tmp:
        tmp.write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_many_writers_of_one_file_never_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_text(tmp_path / "a", str(number) * 1000), range(400)))
    assert len(set((tmp_path / "a").read_text()) - set("0123456789")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with atomic_write(tmp_path / "folder") as tmp:
            tmp.mkdir()
            (tmp / name).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if (self / "new").exists():
            raise OSError(errno.EACCES, "denied")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(RunError, match="Permission denied"), atomic_write(tmp_path / "folder") as tmp:
        tmp.mkdir()
        (tmp / "new").touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("place", ["file/a.txt", "/proc/nothing/a.txt"])
def test_a_wrong_path_is_not_told_to_make_room(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written") as error:
        write_text(tmp_path / place, "text")
    assert "room" not in error.value.try_
    assert "check the path" in error.value.try_


def test_an_input_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"tokenizer\.json"), atomic_write(tmp_path / "a"):
        (tmp_path / "elsewhere" / "tokenizer.json").read_text()


def test_what_a_killed_process_left_is_removed_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom spavl.atomic import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as tmp:\n    tmp.mkdir()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "folder")], check=False)
    assert done.returncode != 0
    (left,) = tmp_path.iterdir()
    living = tmp_path / f"folder.{os.getpid()}-abc.tmp"
    living.touch()
    remove_abandoned(tmp_path / "folder")
    assert (left.exists(), living.exists()) == (False, True)
