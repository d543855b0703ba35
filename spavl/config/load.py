"""From a YAML file and `key.path=value` words to checked settings; every mistake in one message."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from copy import copy
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from spavl.config.base import Section
from spavl.errors import SettingsError
from spavl.strict_yaml import load_yaml

S = TypeVar("S", bound=Section)


def load_settings(
    kind: type[S], path: Path | None, words: Sequence[str] = (), *, defaults: dict[str, Any] | None = None
) -> S:
    """Read a settings file, lay the words over it, and check the whole once.

    Args:
        kind: the section to fill.
        path: a YAML file; None for defaults alone.
        words: `key.path=value`; the value is read as YAML; a number in the path indexes a list.
        defaults: a tree under the file's (a preset).

    Raises:
        SettingsError: with all mistakes, each naming the setting and where it stands.
    """
    tree = merge(defaults or {}, read_yaml(path) if path else {})
    problems: list[str] = []
    for word in words:
        try:
            apply_override(tree, word)
        except ValueError as error:
            problems.append(str(error))
    try:
        settings = kind.model_validate(tree)
    except ValidationError as error:
        problems += [_sentence(kind, e) for e in error.errors()]
    if problems:
        where = ", ".join(filter(None, [str(path) if path else "", "the words on the command line" if words else ""]))
        raise SettingsError(
            "\n".join(dict.fromkeys(problems)), where=where, try_="`spavl settings` explains every setting"
        )
    return settings


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's tree.

    Raises:
        SettingsError: missing, unreadable, or no mapping at the top.
    """
    try:
        tree = load_yaml(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"There is no settings file `{path}`", try_="`spavl init` writes a commented one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"`{path}` cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"`{path}` is not YAML: {' '.join(str(error).split())}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsError(f"`{path}` holds no settings: the top must be `key: value` lines")
    return tree


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `under`, mapping by mapping; neither is changed."""
    out = dict(under)
    for key, value in over.items():
        below = out.get(key)
        out[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return out


def apply_override(tree: dict[str, Any], word: str) -> None:
    """Set one `key.path=value` word in a tree, in place."""
    path, equals, value = word.partition("=")
    if not equals or not path:
        raise ValueError(f"`{word}` is not of the form `key.path=value`")
    try:
        parsed = load_yaml(value)
    except yaml.YAMLError:
        parsed = value
    keys = path.split(".")
    node: Any = tree
    for key in keys[:-1]:
        node = _descend(node, key, word)
    if isinstance(node, list):
        _index(node, keys[-1], word)
        node[int(keys[-1])] = parsed
    elif isinstance(node, dict):
        node[keys[-1]] = parsed
    else:
        raise ValueError(f"`{word}`: `{keys[-2]}` is a value, not a section")


def _descend(node: Any, key: str, word: str) -> Any:
    """One section or list further down, copied on the way, so that what a preset holds is never changed."""
    place: Any = key
    if isinstance(node, list):
        _index(node, key, word)
        place = int(key)
    elif not isinstance(node, dict):
        raise ValueError(f"`{word}`: `{key}` stands under a value, not under a section")
    elif node.get(key) is None:  # a section that the file leaves out, or leaves empty
        node[key] = {}
    if isinstance(node[place], dict | list):
        node[place] = copy(node[place])
    return node[place]


def _index(node: list[Any], key: str, word: str) -> None:
    if not (key.isascii() and key.isdigit()) or int(key) >= len(node):
        raise ValueError(f"`{word}`: the list has {len(node)} items, counted from 0; `{key}` is none of them")


_PLAIN = {
    "dict_type": "should be a section: `key: value` lines",
    "model_type": "should be a section: `key: value` lines",
    "model_attributes_type": "should be a section: `key: value` lines",
    "tuple_type": "should be a list: [one, another]",
    "list_type": "should be a list: [one, another]",
}
"""What pydantic says in Python's words, in those of a settings file."""


def _sentence(kind: type[BaseModel], error: Any) -> str:
    """One pydantic error as a sentence that names the setting as the user writes it."""
    names, sections = _place(kind, error["loc"])
    name = ".".join(names)
    if error["type"] == "extra_forbidden":
        return f"`{name}` is not a setting{_suggestion(names[-1], sections)}"
    if error["type"] == "missing":
        return f"`{name}` is missing"
    if error["type"] == "union_tag_not_found":
        kinds = [str(s.model_fields["kind"].default) for s in _place(kind, (*error["loc"], "kind"))[1]]
        return f"`{name}.kind` is missing (one of: {', '.join(kinds)})"
    if error["type"] == "value_error":
        message = error["msg"].removeprefix("Value error, ")
        return f"`{name}`: {message}" if name else message
    message = _PLAIN.get(error["type"], error["msg"][:1].lower() + error["msg"][1:])
    shown = reprlib.repr(error["input"])  # short even where anchors make a small file a huge tree
    return f"`{name}` is {shown if len(shown) < 60 else shown[:57] + '…'}: {message}"


def _suggestion(name: str, sections: Sequence[type[BaseModel]]) -> str:
    known = sorted({f for section in sections for f in section.model_fields})
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else f" (there are: {', '.join(known)})" if known else ""


def _place(kind: type[BaseModel], loc: Sequence[Any]) -> tuple[list[str], list[type[BaseModel]]]:
    """A place as the user writes it, and the sections that its last name may stand in.

    Where a list holds sections of several kinds, pydantic puts the kind into the place; the user does not.
    """
    names: list[str] = []
    here = [kind]
    for step in loc[:-1]:
        tagged = [s for s in here if "kind" in s.model_fields and s.model_fields["kind"].default == step]
        if tagged:
            here = tagged
            continue
        names.append(str(step))
        found = [s.model_fields[step].annotation for s in here if step in s.model_fields]
        here = [inner for hint in found for inner in sections_in(hint)] or here
    return [*names, *(str(step) for step in loc[-1:])], here


def sections_in(hint: Any) -> Iterator[type[BaseModel]]:
    """The sections that a field of this type holds: one, or several kinds in a list."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    elif get_origin(hint) is Annotated:
        yield from sections_in(get_args(hint)[0])
    else:
        for part in get_args(hint):
            yield from sections_in(part)
