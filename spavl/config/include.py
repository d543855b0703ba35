"""Settings files that include others: rosters of models, and whatever else several runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spavl.errors import SettingsError

JOINED = ("models", "guards", "judges")
"""Lists whose entries are joined by their `name`; every other list of the file above replaces the one below."""


def include(tree: dict[str, Any], path: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """A file's settings over those of the files that it includes, which are named relative to it.

    Of several files the later wins, and the file itself over all of them. Sections are merged setting by setting;
    lists of models, guards and judges are joined, and two entries of one name are merged.

    Args:
        tree: what the file holds.
        path: the file.
        read: the mapping that a YAML file holds.

    Raises:
        SettingsError: a file is not there or holds no settings, includes itself, or `include` is no list of files.
    """
    return _included(tree, path, read, (path.resolve(),))


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Two trees merged mapping by mapping; neither is changed.

    Args:
        under: values that hold where `over` has none.
        over: values that win.
    """
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _included(
    tree: dict[str, Any], path: Path, read: Callable[[Path], dict[str, Any]], within: tuple[Path, ...]
) -> dict[str, Any]:
    under: dict[str, Any] = {}
    for name in _files(tree, path):
        file = path.parent / name
        if file.resolve() in within:
            chain = " includes ".join(f"`{one.name}`" for one in (*within, file.resolve()))
            raise SettingsError(f"A settings file includes itself: {chain}", where=str(path),
                                try_="take one of them out of `include`")  # fmt: skip
        if not file.is_file():
            raise SettingsError(f"`include` names `{name}`, and there is no such file", where=str(path),
                                try_=f"name it from the folder of this file: `{file}` was looked for")  # fmt: skip
        below = _included(read(file), file, read, (*within, file.resolve()))
        under = _over(under, below)
    return _over(under, {key: value for key, value in tree.items() if key != "include"})


def _files(tree: dict[str, Any], path: Path) -> list[str]:
    named = tree.get("include") or []
    listed = [named] if isinstance(named, str) else named
    if isinstance(listed, list) and all(isinstance(one, str) for one in listed):
        return listed
    raise SettingsError("`include` should be a list of settings files", where=str(path),
                        try_="write `include: [settings/rosters/vllm.yaml]`")  # fmt: skip


def _over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """One tree merged over another, with the lists of named entries joined."""
    joined = {key: _joined(under[key], over[key]) for key in JOINED if _are_lists(under.get(key), over.get(key))}
    kept = {key: under[key] for key in JOINED if key in under and key in over and over[key] is None}
    return {**merge(under, over), **joined, **kept}


def _are_lists(under: Any, over: Any) -> bool:
    return isinstance(under, list) and isinstance(over, list)


def _joined(under: list[Any], over: list[Any]) -> list[Any]:
    """The entries of both lists; of two with one name and kind what the upper one says, and else what the lower."""
    entries = list(under)
    for entry in over:
        same = [place for place, below in enumerate(under) if _same(below, entry)]
        if not same:
            entries.append(entry)
        elif entry.get("kind", entries[same[0]].get("kind")) == entries[same[0]].get("kind"):
            entries[same[0]] = merge(entries[same[0]], entry)
        else:
            entries[same[0]] = entry
    return entries


def _same(below: Any, entry: Any) -> bool:
    both = isinstance(below, dict) and isinstance(entry, dict)
    return both and "name" in entry and below.get("name") == entry["name"]
