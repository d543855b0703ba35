"""Settings files that are no settings: missing, unreadable, not YAML, or too large to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import Settings, load_settings
from spavl.config.load import read_yaml
from spavl.errors import SettingsError
from tests.config.samples import problems, written


def test_a_key_twice_in_the_file_is_refused_with_both_lines(tmp_path: Path) -> None:
    message = problems(path=written(tmp_path, "seed: 1\nbuild: {}\nseed: 2\n"))
    assert "`seed` stands twice, in line 1 and in line 3" in message


def test_yaml_anchors_and_merges_work(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "models:\n- &m {name: a, kind: local, path: p}\n- {<<: *m, name: b}\n",
    )
    assert [m.name for m in load_settings(Settings, path).models] == ["a", "b"]


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        read_yaml(tmp_path / "none.yaml")
    assert "There is no settings file" in error.value.what
    assert "spavl init" in error.value.try_
    (tmp_path / "nine.yaml").touch()
    (tmp_path / "scale.yaml").touch()
    with pytest.raises(SettingsError) as error:
        read_yaml(tmp_path / "scale.yml")
    assert error.value.try_ == f"did you mean `{tmp_path / 'scale.yaml'}`?"


@pytest.mark.parametrize(
    "data",
    [
        b"a: [1, 2", b"a: b: c", b"\tseed: 1", b"seed: 'open", b"\xff\xfe\x00", b"a: \x00", b"- 1\n- 2\n", b"words",
        b"42", b"? [a, b]\n: 1", b"!!python/object:os.system x", b"%YAML 9\n", b"seed: 2024-13-45", b"out: 2024-02-30",
        b"seed: " + b"9" * 5000, b"[" * 3000, b"{a: " * 2000, b"seed: 1\n---\nseed: 2\n", b"*undefined", b"a: 1\na: 2",
        b"&a [*a]", b"[]: 1",
    ],
    ids=lambda data: data[:18].decode("ascii", "replace"),
)  # fmt: skip
def test_a_file_that_holds_no_settings_is_a_sentence(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(data)
    with pytest.raises(SettingsError) as error:
        load_settings(Settings, path)
    assert str(path) in error.value.render()
    assert len(error.value.what) < 600


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder and no settings file"):
        read_yaml(tmp_path)


@pytest.mark.parametrize("text", ["2024-13-45", "[open", "a: b: c", "@home", "9" * 5000])
def test_an_override_that_is_no_yaml_is_text(text: str) -> None:
    assert load_settings(Settings, None, [f"out={text}"]).out == text


def test_a_tree_that_grows_without_end_is_shown_short(tmp_path: Path) -> None:
    """Ten lists of ten, nine deep: a billion values if anyone prints them."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = written(tmp_path, "\n".join([*lines, "seed: *a8", "models: *a8", "out: *a8"]))
    assert len(problems(path=path)) < 5000
