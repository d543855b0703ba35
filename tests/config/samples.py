"""Settings files and mistakes that the tests of the settings share."""

from __future__ import annotations

from pathlib import Path

import pytest

from spavl.config import Settings, load_settings
from spavl.errors import SettingsError

MODEL = {"name": "asker", "kind": "local", "path": "checkpoint"}


def problems(*overrides: str, path: Path | None = None) -> str:
    """The message of settings that are refused."""
    with pytest.raises(SettingsError) as error:
        load_settings(Settings, path, overrides)
    return error.value.what


def written(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "my.yaml"
    path.write_text(text, "utf-8")
    return path
