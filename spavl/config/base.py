"""Base class of every settings section: unknown keys are errors, values are frozen, fields carry their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """One section of the settings. The string under a field is its meaning, shown by `spavl settings`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_sections_are_left_out(cls, tree: Any) -> Any:
        """A section of which every line is commented out is None in YAML, and means nothing."""
        if not isinstance(tree, dict):
            return tree
        hints = {name: field.annotation for name, field in cls.model_fields.items()}
        inner = {name for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Section)}
        return {name: value for name, value in tree.items() if value is not None or name not in inner}


def refuse_twice(names: Sequence[str]) -> None:
    """Check that names differ.

    Args:
        names: labels that must be unique.

    Raises:
        ValueError: a name stands twice; it names the first such one, and pydantic makes a sentence of it.
    """
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ValueError(f"`{twice}` stands twice")


def each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, none of which stands twice.

    Args:
        names: labels that must be unique.

    Raises:
        ValueError: a name stands twice.
    """
    refuse_twice(names)
    return names
