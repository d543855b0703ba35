"""A settings file may include others: what they share is written once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.config import Settings, load_settings
from spavl.config.include import include
from spavl.errors import SettingsError

ENDPOINT = {"kind": "endpoint", "url": "http://localhost:8000/v1", "model": "m", "identity": "lab/m/1"}


def written(path: Path, **tree: object) -> Path:
    """A settings file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tree))
    return path


def test_the_file_stands_above_those_that_it_includes_and_models_are_joined_by_name(tmp_path: Path) -> None:
    written(tmp_path / "rosters" / "base.yaml", seed=1, models=[{"name": "one", **ENDPOINT}],
            build={"match": {"groups": 3, "per_question": 2}, "respond": {"models": ["one", "two"]}})  # fmt: skip
    written(tmp_path / "rosters" / "more.yaml", include=["base.yaml"], seed=2,
            models=[{"name": "two", **ENDPOINT, "identity": "lab/two/1"}])  # fmt: skip
    mine = written(
        tmp_path / "my.yaml", include="rosters/more.yaml", build={"match": {"groups": 4}},
        models=[{"name": "one", "url": "http://localhost:9000/v1"}, {"name": "asker", **ENDPOINT, "identity": "a/b/c"}],
    )  # fmt: skip
    loaded = load_settings(Settings, mine, ["build.match.per_question=5"])
    assert (loaded.seed, loaded.include) == (2, ())
    assert (loaded.build.match.groups, loaded.build.match.per_question) == (4, 5)
    assert [model.name for model in loaded.models] == ["one", "two", "asker"]
    assert loaded.models[0].model_dump()["url"] == "http://localhost:9000/v1"
    assert loaded.models[0].model_dump()["identity"] == "lab/m/1", "what is left out stays as it is below"
    assert loaded.build.respond.models == ("one", "two")


def test_a_model_of_another_kind_replaces_the_one_below(tmp_path: Path) -> None:
    written(tmp_path / "base.yaml", models=[{"name": "one", **ENDPOINT}])
    mine = written(tmp_path / "my.yaml", include=["base.yaml"], models=[{"name": "one", "kind": "local", "path": "x"}])
    (model,) = load_settings(Settings, mine).models
    assert (model.kind, model.name) == ("local", "one")


def test_other_lists_are_replaced_and_an_empty_section_leaves_what_is_below(tmp_path: Path) -> None:
    written(tmp_path / "base.yaml", models=[{"name": "one", **ENDPOINT}], build={"respond": {"models": ["one"]}})
    mine = tmp_path / "my.yaml"
    mine.write_text("include: [base.yaml]\nmodels:\nbuild: {respond: {models: []}}\n")
    loaded = load_settings(Settings, mine)
    assert [model.name for model in loaded.models] == ["one"]
    assert loaded.build.respond.models == ()


@pytest.mark.parametrize(("included", "says"), [
    (["nowhere.yaml"], "`include` names `nowhere.yaml`, and there is no such file"),
    (["my.yaml"], "A settings file includes itself: `my.yaml` includes `my.yaml`"),
    (["round.yaml"], "`my.yaml` includes `round.yaml` includes `my.yaml`"),
    ([3], "`include` should be a list of settings files"),
    ({"a": 1}, "`include` should be a list of settings files"),
    (["list.yaml"], "list.yaml` holds no settings"),
    (["."], "there is no such file"),
])  # fmt: skip
def test_what_cannot_be_included_is_a_sentence(tmp_path: Path, included: object, says: str) -> None:
    written(tmp_path / "round.yaml", include=["my.yaml"])
    (tmp_path / "list.yaml").write_text("- one\n")
    with pytest.raises(SettingsError) as error:
        load_settings(Settings, written(tmp_path / "my.yaml", include=included))
    assert says in error.value.what
    assert str(tmp_path) in error.value.what + error.value.where


def test_one_file_may_be_included_twice_by_two_ways(tmp_path: Path) -> None:
    written(tmp_path / "base.yaml", seed=7)
    written(tmp_path / "a.yaml", include=["base.yaml"], seed=8)
    written(tmp_path / "b.yaml", include=["base.yaml"])
    assert load_settings(Settings, written(tmp_path / "my.yaml", include=["a.yaml", "b.yaml"])).seed == 7
    assert load_settings(Settings, written(tmp_path / "my.yaml", include=["b.yaml", "a.yaml"])).seed == 8


def test_an_override_can_include_nothing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="files are included by a settings file alone"):
        load_settings(Settings, written(tmp_path / "my.yaml"), ["include=[other.yaml]"])


NAMED = st.lists(st.sampled_from("abcd"), unique=True).map(lambda names: [{"name": name} for name in names])


@settings(max_examples=30, deadline=None)
@given(below=NAMED, above=NAMED)
def test_no_entry_is_lost_and_none_stands_twice(below: list[dict[str, str]], above: list[dict[str, str]]) -> None:
    here = Path(__file__)  # any file that is there; what it holds is told below
    tree = {"include": here.name, "models": above}
    joined = include(tree, here.parent / "my.yaml", lambda path: {"models": below})["models"]
    names = [entry["name"] for entry in joined]
    assert set(names) == {entry["name"] for entry in [*below, *above]}
    assert len(set(names)) == len(names)
