"""The guide on sources of pictures is true: its manifest is read, its settings are settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import spavl
from spavl.config import Settings
from spavl.config.build import CollectSettings
from spavl.dataset.collect import find_in_manifest
from spavl.taxonomy import load_taxonomy
from tests.dataset.pictures import noise, write_files

GUIDE = (Path(spavl.__file__).parents[1] / "docs" / "guides" / "pictures.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE, flags=re.DOTALL)


def test_the_manifest_of_the_guide_is_read_as_it_says(tmp_path: Path) -> None:
    (text,) = blocks("csv")
    write_files(tmp_path, {"photos/0001.jpg": noise(1, "JPEG"), "photos/0003.png": noise(3)})
    (tmp_path / "pictures.csv").write_text(text)
    wanted = CollectSettings(source="manifest", manifest=str(tmp_path / "pictures.csv"))
    first, second, third = find_in_manifest(wanted, load_taxonomy(), lambda address, most: address.encode())
    assert (first.image_id, first.license, first.benign) == ("weapon/benign/museum-1", "CC-BY-4.0", True)
    assert (first.caption, first.source) == ("A display case in a museum", "https://example.org/photo/1")
    assert second.topic.class3 == "drug-related crimes"
    assert second.read(10**6) == b"https://example.org/pictures/2.jpg"
    assert (third.license, third.heldout) == ("unknown", True)
    assert [first.read(10**6), third.read(10**6)] == [noise(1, "JPEG"), noise(3)]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_settings_of_the_guide_are_settings(text: str) -> None:
    tree: dict[str, Any] = yaml.safe_load(text)
    Settings.model_validate(tree)


def test_the_numbers_of_the_guide_are_the_settings_own() -> None:
    limits = CollectSettings().download
    for name in ("seconds", "idle_seconds", "concurrency", "per_host", "attempts"):
        assert f"`{name}` ({getattr(limits, name):g})" in GUIDE.replace("\n  ", " "), name
    assert limits.max_bytes == 32 * 2**20
