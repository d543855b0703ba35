"""The settings explained: each with its default and meaning, and a commented settings file to start from."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from spavl.atomic import write_text
from spavl.config import Settings
from spavl.config.load import name_today, sections_in
from spavl.errors import SettingsError


def explain(section: str = "") -> str:
    """The settings as text: `key.path = default`, and beneath it the meaning.

    Args:
        section: dotted path of a section or setting; all settings where it is empty.

    Raises:
        SettingsError: there is no such section.
    """
    lines = list(_lines(Settings, ""))
    chosen = [
        (key, text)
        for key, text in lines
        if not section or key == section or key.startswith((f"{section}.", f"{section}["))
    ]
    today = name_today(section)
    if today is not None:
        raise SettingsError(f"`{section}` is called `{today}` now", try_=f"`spavl settings {today}`")
    if not chosen:
        names = sorted({key.rsplit(".", 1)[0] for key, _ in lines if "." in key})
        near = get_close_matches(section, names, n=1)
        raise SettingsError(
            f"`{section}` is not a section of the settings",
            try_=f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(names)}",
        )
    return "\n".join(text for _, text in chosen)


def write_example(path: Path, *, force: bool) -> None:
    """Write the commented example settings.

    Args:
        path: the file to write.
        force: replace a file that is there.

    Raises:
        SettingsError: the file is there and `force` is off.
    """
    if path.exists() and not force:
        raise SettingsError(f"`{path}` is there already", try_="name another file, or `--force` to replace it")
    write_text(path, (files("spavl") / "data" / "example.yaml").read_text("utf-8"))


def _lines(kind: type[BaseModel], prefix: str, section: BaseModel | None = None) -> Iterator[tuple[str, str]]:
    """(key, text) of a section's settings; `section` holds its defaults where they differ from those of its class."""
    defaults = {name: field.get_default() for name, field in kind.model_fields.items()} | dict(section or ())
    doc = " ".join((kind.__doc__ or "").split())
    yield prefix or "settings", f"\n# {prefix or 'settings'}: {doc}"
    for name, field in kind.model_fields.items():
        key = f"{prefix}.{name}" if prefix else name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _lines(inner, key, defaults[name])
        else:
            yield key, _entry(key, field, defaults[name])
            for kind_of_item in sections_in(inner):
                yield from _lines(kind_of_item, f"{key}[]")


def _entry(key: str, field: FieldInfo, value: Any) -> str:
    default = "(needed)" if field.is_required() else _shown(value)
    choices = f"   one of: {', '.join(str(c) for c in get_args(field.annotation))}" if _is_choice(field) else ""
    meaning = " ".join((field.description or "").split())
    return f"{key} = {default}{choices}" + (f"\n    {meaning}" if meaning else "")


def _is_choice(field: FieldInfo) -> bool:
    from typing import Literal

    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) > 1


def _shown(value: Any) -> str:
    return "none" if value is None else str(list(value)) if isinstance(value, tuple) else str(value)
