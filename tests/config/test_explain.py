"""Every setting is explained with its default, its choices and its meaning (`spavl settings`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from spavl.cli.settings_help import explain
from spavl.config import Settings
from spavl.config.load import sections_in
from spavl.errors import SettingsError


def every_setting(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(key path, field) of every setting, those of entries in lists under `key[]`."""
    for name, field in kind.model_fields.items():
        key = f"{prefix}{name}"
        inner = list(sections_in(field.annotation))
        if isinstance(field.annotation, type) and inner:
            yield from every_setting(inner[0], f"{key}.")
        else:
            yield key, field
            for section in inner:
                yield from every_setting(section, f"{key}[].")


def test_every_setting_is_explained_with_its_default() -> None:
    text = explain()
    keys = [key for key, _ in every_setting(Settings)]
    assert len(keys) > 100
    assert [key for key in keys if f"\n{key} = " not in text] == []


def test_the_defaults_that_are_explained_are_those_that_hold() -> None:
    """A stage's own sampling is not the default of sampling."""
    shown = dict(re.findall(r"^(\S+) = (.*?)(?:   one of:.*)?$", explain(), re.MULTILINE))

    def check(section: BaseModel, prefix: str) -> None:
        for name, value in section:
            if isinstance(value, BaseModel):
                check(value, f"{prefix}{name}.")
            else:
                expected = "none" if value is None else str(list(value)) if isinstance(value, tuple) else str(value)
                assert shown[f"{prefix}{name}"] == expected, f"{prefix}{name}"

    check(Settings(), "")
    assert shown["build.ask.sampling.temperature"] == "0.7"


def test_choices_are_listed() -> None:
    line = next(line for line in explain("align.loss").splitlines() if line.startswith("align.loss.kind"))
    assert all(choice in line for choice in get_args(type(Settings().align.loss).model_fields["kind"].annotation))


def test_a_section_is_explained_alone() -> None:
    text = explain("build.match")
    assert "build.match.groups = 5" in text
    assert "align" not in text
    assert "models[].path" in explain("models")


def test_an_unknown_section_gets_a_suggestion() -> None:
    with pytest.raises(SettingsError) as error:
        explain("build.mach")
    assert "build.match" in error.value.try_
