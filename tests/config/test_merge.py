"""Properties of merging and of overrides, for any tree and any text."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from spavl.config import Settings, load_settings
from spavl.config.load import apply_override, merge
from spavl.errors import SettingsError
from tests.config.samples import MODEL

LABELS = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False)
TREES = st.dictionaries(
    LABELS,
    st.recursive(LEAVES, lambda deep: st.lists(deep, max_size=3) | st.dictionaries(LABELS, deep, max_size=3)),
    max_size=4,
)


@given(TREES, TREES)
def test_merging_changes_neither_tree_and_every_value_of_the_upper_one_wins(under: Any, over: Any) -> None:
    before = copy.deepcopy((under, over))
    found = merge(under, over)
    assert (under, over) == before
    assert set(found) == {*under, *over}
    for key, value in over.items():
        if not (isinstance(value, dict) and isinstance(under.get(key), dict)):
            assert found[key] == value
    assert {k: found[k] for k in under if k not in over} == {k: v for k, v in under.items() if k not in over}


@given(TREES)
def test_merging_with_nothing_is_nothing(tree: Any) -> None:
    assert merge(tree, {}) == merge({}, tree) == merge(tree, tree) == tree


@given(st.lists(LABELS, min_size=1, max_size=4), LEAVES)
def test_an_override_puts_its_value_where_its_path_says(path: list[str], value: Any) -> None:
    tree: dict[str, Any] = {}
    apply_override(tree, f"{'.'.join(path)}={yaml.safe_dump(value).removesuffix('...' + chr(10))}")
    for key in path:
        (only,) = tree
        assert only == key
        tree = tree[key]
    assert tree == value


@given(TREES, st.text(max_size=12), st.text(max_size=12))
def test_any_override_is_applied_or_refused_with_a_sentence(tree: Any, path: str, value: str) -> None:
    override = f"{path}={value}"
    tree = copy.deepcopy(tree)
    try:
        apply_override(tree, override)
    except ValueError as error:
        assert override in str(error)


@given(st.lists(st.text(max_size=20), max_size=3))
def test_any_overrides_load_or_are_refused_as_a_settings_error(overrides: list[str]) -> None:
    try:
        load_settings(Settings, None, overrides)
    except SettingsError as error:
        assert error.what


@given(st.sampled_from(["models.0.path", "align.loss.beta", "build.collect.heldout.0", "seed", "models.0.options"]))
def test_a_preset_is_never_changed_by_overrides(path: str) -> None:
    preset = {
        "seed": 1, "align": {"loss": {"beta": 0.5}}, "build": {"collect": {"heldout": ["weapon"]}},
        "models": [dict(MODEL)],
    }  # fmt: skip
    before = copy.deepcopy(preset)
    with contextlib.suppress(SettingsError):
        load_settings(Settings, None, [f"{path}=9"], defaults=preset)
    assert preset == before
