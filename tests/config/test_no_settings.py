"""What is said of a file that holds no settings: what it is, what helps, and nothing of its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import Settings
from spavl.config.load import load_settings
from spavl.errors import SettingsError

SECRET = "placeholder-of-a-harmful-text"
ROWS = "use `--pairs`, or `kind: file` under `evaluate.benchmarks`"


def told(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        load_settings(Settings, path)
    return error.value.render()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.jsonl", f'{{"question": "{SECRET}"}}\n{{"question": "{SECRET}"}}\n'.encode()),
        ("one.jsonl", f'{{"question": "{SECRET}"}}\n'.encode()),
        ("items.csv", f"question,answer\n{SECRET},a: b: c\n".encode()),
        ("items.json", f'["{SECRET}"]'.encode()),
        ("items.parquet", b"PAR1\xff\xfe" + SECRET.encode()),
    ],
)
def test_a_table_that_is_named_as_settings_is_told_as_one_and_never_quoted(
    tmp_path: Path, name: str, content: bytes
) -> None:
    message = told(tmp_path / name, content)
    assert ROWS in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.png", b"\x89PNG\r\n\x1a\n" + SECRET.encode()), ("my.yaml", SECRET.encode("utf-16")),
     ("bare.yaml", SECRET.encode("utf-16-le"))],
)  # fmt: skip
def test_a_picture_or_another_encoding_is_no_text_in_utf_8(tmp_path: Path, name: str, content: bytes) -> None:
    message = told(tmp_path / name, content)
    assert "is not text in UTF-8" in message and "saved as UTF-8" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "text", [f"a: 1\nb: *{SECRET}\n", f"a: !{SECRET} 1\n", f"a: b: {SECRET}\n", f"a: '{SECRET}\n", SECRET,
             f"{SECRET * 2}: 1\n{SECRET * 2}: 2\n"],
)  # fmt: skip
def test_what_is_no_yaml_is_told_by_its_place_without_its_text(tmp_path: Path, text: str) -> None:
    message = told(tmp_path / "my.yaml", text.encode())
    assert SECRET not in message
    assert "line" in message or "`key: value` lines" in message
