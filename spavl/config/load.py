"""From a YAML file and `key.path=value` overrides to validated settings; every mistake in one message."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Sequence
from copy import copy
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from spavl.config.base import Section
from spavl.config.include import include
from spavl.config.include import merge as merge
from spavl.errors import SettingsError
from spavl.plural import plural
from spavl.strict_yaml import load_yaml

S = TypeVar("S", bound=Section)


def load_settings(
    kind: type[S], path: Path | None, overrides: Sequence[str] = (), *, defaults: dict[str, Any] | None = None
) -> S:
    """Read a settings file, apply the overrides, and validate the whole once.

    Args:
        kind: class of the settings, usually `Settings`.
        path: a YAML file, with the files that it includes; None for defaults alone.
        overrides: `key.path=value`; the value is read as YAML; a number in the path indexes a list.
        defaults: values beneath those of the file (a preset).

    Raises:
        SettingsError: something is wrong; it lists all mistakes, each with its setting.
    """
    tree = merge(defaults or {}, include(read_yaml(path), path, read_yaml) if path else {})
    problems: list[str] = []
    for override in overrides:
        try:
            apply_override(tree, override)
        except ValueError as error:
            problems.append(str(error))
    try:
        settings = kind.model_validate(tree)
    except ValidationError as error:
        problems += [_sentence(kind, e) for e in _first_causes(error.errors())]
    if problems:
        sources = [str(path) if path else "", "the overrides on the command line" if overrides else ""]
        raise SettingsError(
            "\n".join(dict.fromkeys(problems)),
            where=", ".join(filter(None, sources)),
            try_="`spavl settings` explains every setting",
        )
    return settings


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds; empty where the file is.

    Args:
        path: the settings file.

    Raises:
        SettingsError: the file is missing, unreadable, or holds no mapping at the top.
    """
    try:
        tree = load_yaml(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"There is no settings file `{path}`", try_=_named_alike(path)) from None
    except IsADirectoryError:
        raise SettingsError(f"`{path}` is a folder and no settings file", where=str(path.resolve()),
                            try_="name the file in it, such as `my.yaml`") from None  # fmt: skip
    except (UnicodeDecodeError, yaml.reader.ReaderError):
        help_ = _instead(path, "name the settings file, such as `my.yaml`, saved as UTF-8")
        raise SettingsError(f"`{path}` is not text in UTF-8", try_=help_) from None
    except OSError as error:
        raise SettingsError(f"`{path}` cannot be read: {error}") from error
    except yaml.YAMLError as error:
        help_ = _instead(path, "mend that line, or name the settings file")
        raise SettingsError(f"`{path}` is not YAML: {_mistake(error)}", try_=help_) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict) or path.suffix.lower() in TABLES:
        help_ = _instead(path, "`spavl init` writes a commented one")
        raise SettingsError(f"`{path}` holds no settings: the top must be `key: value` lines", try_=help_)
    return tree


TABLES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Ends of the names of tables, which are taken for settings files by mistake."""
_QUOTED = re.compile(r"""'.{2,}'|".{2,}\"""")


def _named_alike(path: Path) -> str:
    """What helps where a settings file is not there: one beside it that is called nearly so."""
    known = [one.name for one in path.parent.glob("*") if one.suffix in (".yaml", ".yml")]
    alike = get_close_matches(path.name, known, 1)
    return f"did you mean `{path.with_name(alike[0])}`?" if alike else "`spavl init` writes a commented one"


def _instead(path: Path, otherwise: str) -> str:
    """What helps where a file is no settings file."""
    if path.suffix.lower() in (*TABLES, ".json"):
        return "this is a table of rows: use `--pairs`, or `kind: file` under `evaluate.benchmarks`"
    return otherwise


def _mistake(error: yaml.YAMLError) -> str:
    """What is wrong with a YAML text, and where. Nothing of the text is quoted, for it may do harm."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return _QUOTED.sub("…", str(error))
    mark = error.problem_mark
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return _QUOTED.sub("…", error.problem or "") + place


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set one `key.path=value` in a tree, in place.

    Args:
        tree: the settings as nested mappings and lists.
        override: the key path and its value, read as YAML, or as text where it is none.

    Raises:
        ValueError: the override has no such form, or its path leads through a value or beyond a list.
    """
    path, equals, value = override.partition("=")
    if not equals or not path:
        raise ValueError(f"`{override}` is not of the form `key.path=value`")
    try:
        parsed = load_yaml(value)
    except yaml.YAMLError:
        parsed = value
    keys = path.split(".")
    node: Any = tree
    for key in keys[:-1]:
        node = _descend(node, key, override)
    if isinstance(node, list):
        _check_index(node, keys[-1], override)
        node[int(keys[-1])] = parsed
    elif isinstance(node, dict):
        node[keys[-1]] = parsed
    else:
        raise ValueError(f"`{override}`: `{keys[-2]}` is a value, not a section")


def _descend(node: Any, key: str, override: str) -> Any:
    """The section or list under a key, copied, so that what a preset holds is never changed."""
    index: Any = key
    if isinstance(node, list):
        _check_index(node, key, override)
        index = int(key)
    elif not isinstance(node, dict):
        raise ValueError(f"`{override}`: `{key}` stands under a value, not under a section")
    elif node.get(key) is None:  # a section that the file leaves out, or leaves empty
        node[key] = {}
    if isinstance(node[index], dict | list):
        node[index] = copy(node[index])
    return node[index]


def _check_index(node: list[Any], key: str, override: str) -> None:
    if not (key.isascii() and key.isdigit()) or int(key) >= len(node):
        raise ValueError(f"`{override}`: the list has {len(node)} items, counted from 0; `{key}` is none of them")


_PLAIN = {
    "dict_type": "should be a section: `key: value` lines",
    "model_type": "should be a section: `key: value` lines",
    "model_attributes_type": "should be a section: `key: value` lines",
    "tuple_type": "should be a list: [one, another]",
    "list_type": "should be a list: [one, another]",
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
}
"""Messages of pydantic that speak of Python types, said in terms of a settings file."""


FORMER_NAMES = {
    "align.batching.layout": "packing",
    "align.freeze.targets": "target_modules",
    "align.loss.spoil": "corruption",
    "align.optimiser.clip": "max_grad_norm",
    "align.panel": "validation",
    "align.ppo.clip": "clip_range",
    "align.ppo.drawing_budget": "generation_token_budget",
    "align.ppo.kl": "kl_coef",
    "align.ppo.lam": "gae_lambda",
    "align.ppo.missing_end": "missing_eos_penalty",
    "align.ppo.standardise": "normalize_reward",
    "align.ppo.value_clip": "value_clip_range",
    "align.reinforce": "ppo",
    "align.reward.held_out": "align.validation.held_out",
    "align.reward.measure_every": "align.validation.measure_every",
    "align.rows": "data",
    "align.data.broken": "invalid",
    "evaluate.benchmarks.per_arm": "per_subset",
    "build.grade.guard": "guards",
    "build.judge.judge": "judges",
    "build.grade.model": "guards[].model",
    "build.grade.show_image": "guards[].show_image",
    "build.grade.prompt": "guards[].prompt",
    "build.grade.sampling": "guards[].sampling",
    "build.judge.model": "judges[].model",
    "build.judge.prompt": "judges[].prompt",
    "build.judge.sampling": "judges[].sampling",
    "evaluate.judge_prompt": "guards[].prompt",
    "evaluate.judge_sees_image": "guards[].show_image",
    "evaluate.judge_sampling": "guards[].sampling",
}
"""Settings that had another name before, with the last part of today's name; one with dots is the whole of it."""


def name_today(name: str) -> str | None:
    """Today's name of a setting that was renamed; None where it was not.

    Args:
        name: its former name, dotted, with or without places in lists.
    """
    parts = name.split(".")
    former = FORMER_NAMES.get(".".join(part for part in parts if not part.isdigit()))
    if former is None or "." in former:
        return former
    return ".".join([*parts[:-1], former])


def _first_causes(errors: Sequence[Any]) -> list[Any]:
    """The errors without those of lists that are too short only because a value in them is wrong."""
    within = {tuple(error["loc"][:depth]) for error in errors for depth in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or tuple(error["loc"]) not in within]


def _sentence(kind: type[BaseModel], error: Any) -> str:
    """One pydantic error as a sentence that names the setting as the user writes it."""
    names, sections = _location(kind, error["loc"])
    name = ".".join(names)
    if error["type"] == "extra_forbidden":
        today = name_today(name)
        if today is not None:
            return f"`{name}` is called `{today}` now"
        return f"`{name}` is not a setting{_suggestion(names[-1], sections)}"
    if error["type"] == "missing":
        return f"`{name}` is missing"
    if error["type"] == "union_tag_not_found":
        kinds = [str(s.model_fields["kind"].default) for s in _location(kind, (*error["loc"], "kind"))[1]]
        return f"`{name}.kind` is missing (one of: {', '.join(kinds)})"
    if error["type"] == "value_error":
        message = error["msg"].removeprefix("Value error, ")
        return f"`{name}`: {message}" if name else message
    if error["type"] == "union_tag_invalid":
        return f"`{name}.kind` is {error['ctx']['tag']!r}: should be one of {error['ctx']['expected_tags']}"
    message = _PLAIN.get(error["type"], error["msg"].removeprefix("Input ").removeprefix("Value error, "))
    message = message[:1].lower() + message[1:]
    if error["type"] == "too_short":
        message = f"needs at least {plural(error['ctx']['min_length'], 'item')}"
    if error["input"] is None:
        return f"`{name}` has no value: it {message}"
    shown = reprlib.repr(error["input"])  # short even where anchors make a small file a huge tree
    return f"`{name}` is {shown if len(shown) < 60 else shown[:57] + '…'}: {message}"


def _suggestion(name: str, sections: Sequence[type[BaseModel]]) -> str:
    known = sorted({f for section in sections for f in section.model_fields})
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else f" (there are: {', '.join(known)})" if known else ""


def _location(kind: type[BaseModel], loc: Sequence[Any]) -> tuple[list[str], list[type[BaseModel]]]:
    """The key path of a mistake as the user writes it, and the sections that its last name may stand in.

    Where a list holds sections of several kinds, pydantic puts the kind into the path; the user does not.
    """
    names: list[str] = []
    here = [kind]
    loc = [step for step in loc if step != "[key]"]  # a mistake in a mapping's key stands under that key
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
    """The sections that a field of some type holds: one, or several kinds in a list.

    Args:
        hint: the field's annotation.
    """
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    elif get_origin(hint) is Annotated:
        yield from sections_in(get_args(hint)[0])
    else:
        for part in get_args(hint):
            yield from sections_in(part)
