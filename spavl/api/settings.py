"""Settings as a notebook gives them: a file, a mapping, or settings that were loaded before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from spavl.config import Settings, load_settings

SettingsSource = str | Path | Mapping[str, Any] | Settings
"""Where settings come from: a YAML file, a mapping as such a file holds it, or settings that were loaded before."""


def loaded(settings: SettingsSource | None, overrides: Sequence[str] = ()) -> Settings:
    """Settings, checked.

    Args:
        settings: where they come from; None for defaults alone.
        overrides: `key.path=value` words that win over them.

    Raises:
        SettingsError: something in the settings is wrong; it lists all mistakes.
    """
    file = Path(settings) if isinstance(settings, str | Path) else None
    return load_settings(Settings, file, overrides, defaults=_tree(settings))


def _tree(settings: SettingsSource | None) -> dict[str, Any]:
    """Settings that are given as such, as plain data that may be changed; empty where a file has them."""
    if isinstance(settings, Settings):
        return settings.model_dump()
    return deepcopy(dict(settings)) if isinstance(settings, Mapping) else {}
