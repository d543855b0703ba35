"""One process writes into a call store at a time, on a local disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from spavl.errors import RunError
from spavl.models.calls.lock import Mount, file_system, lock_store, mounted, refuse_network_disk
from spavl.models.calls.store import CallStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "calls.sqlite"


def test_a_second_writer_gets_an_error_that_names_the_first(path: Path) -> None:
    with CallStore(path), pytest.raises(RunError, match=r"is being written by process \d+ on .*\n.*\n.*store=FILE"):
        CallStore(path)
    CallStore(path).close()


def test_a_lock_is_free_after_release_and_its_file_stays(tmp_path: Path) -> None:
    lock = lock_store(tmp_path / "calls.sqlite")
    lock.release()
    other = lock_store(tmp_path / "calls.sqlite")
    lock.release()
    with pytest.raises(RunError, match="is being written by process"):
        lock_store(tmp_path / "calls.sqlite")
    other.release()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["calls.sqlite.holder", "calls.sqlite.lock"]


HOLD_THE_STORE = """
import sys, time
from spavl.models.calls.store import CallStore

store = CallStore(sys.argv[1])
print("open", flush=True)
time.sleep(60)
"""


def test_a_writer_in_another_process_is_noticed_and_its_death_frees_the_store(path: Path) -> None:
    command = [sys.executable, "-c", HOLD_THE_STORE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            with pytest.raises(RunError, match=f"process {other.pid} "):
                CallStore(path)
        finally:
            other.kill()
    CallStore(path).close()


def test_a_network_disk_is_refused(tmp_path: Path) -> None:
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path), "nfs4")]
    with pytest.raises(RunError, match=r"network file system \(nfs4\)") as raised:
        refuse_network_disk(tmp_path / "deep" / "calls.sqlite", mounts)
    assert "store=" in raised.value.try_


def test_the_deepest_and_latest_mount_decides_the_file_system() -> None:
    mounts = [Mount("/", "ext4"), Mount("/data", "nfs"), Mount("/data/local disk", "xfs"), Mount("/data", "overlay")]
    assert file_system(Path("/data/x"), mounts) == "overlay"
    assert file_system(Path("/data/local disk/x"), mounts) == "xfs"
    assert file_system(Path("/database"), mounts) == "ext4"
    assert file_system(Path("/x"), []) == ""


def test_the_file_system_of_this_machine_is_found_in_the_list_of_its_mounts(tmp_path: Path) -> None:
    assert file_system(tmp_path, mounted()) in {mount.kind for mount in mounted()} - {""}


def test_a_network_drive_of_windows_is_found_by_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    drives = [
        SimpleNamespace(mountpoint="C:\\", fstype="NTFS", opts="rw,fixed"),
        SimpleNamespace(mountpoint="Z:\\", fstype="NTFS", opts="rw,remote"),
    ]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: drives)
    assert mounted() == [Mount("C:\\", "NTFS"), Mount("Z:\\", "remote")]
