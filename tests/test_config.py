"""Settings: from a file and words to checked values, and every mistake in one message."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from spavl.cli.settings_help import explain
from spavl.config import LocalSpec, Settings, load_settings
from spavl.config.load import apply_override, merge, read_yaml, sections_in
from spavl.errors import SettingsError

PACKAGE = Path(__file__).parents[1] / "spavl"

MODEL = {"name": "asker", "kind": "local", "path": "checkpoint"}
LABELS = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False)
TREES = st.dictionaries(
    LABELS,
    st.recursive(LEAVES, lambda deep: st.lists(deep, max_size=3) | st.dictionaries(LABELS, deep, max_size=3)),
    max_size=4,
)


def problems(*words: str, path: Path | None = None) -> str:
    """The message of settings that are refused."""
    with pytest.raises(SettingsError) as error:
        load_settings(Settings, path, words)
    return error.value.what


def written(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "my.yaml"
    path.write_text(text, "utf-8")
    return path


# --- what is right --------------------------------------------------------------------------------------------------


def test_nothing_said_gives_the_defaults() -> None:
    assert load_settings(Settings, None) == Settings()


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(Settings, written(tmp_path, "# only a comment\n")) == Settings()


def test_words_lie_over_the_file_which_lies_over_the_preset(tmp_path: Path) -> None:
    path = written(tmp_path, "seed: 2\nalign: {loss: {beta: 0.2}}\n")
    found = load_settings(
        Settings,
        path,
        ["align.loss.beta=0.3"],
        defaults={"seed": 1, "out": "preset", "align": {"loss": {"kind": "ipo"}}},
    )
    assert (found.out, found.seed, found.align.loss.beta, found.align.loss.kind) == ("preset", 2, 0.3, "ipo")


def test_a_number_in_a_word_is_a_place_in_a_list(tmp_path: Path) -> None:
    path = written(tmp_path, yaml.safe_dump({"models": [MODEL, {**MODEL, "name": "judge"}]}))
    found = load_settings(Settings, path, ["models.1.path=other", "models.0.batch_size=7"])
    assert [m.name for m in found.models] == ["asker", "judge"]
    assert [m.path for m in found.models if isinstance(m, LocalSpec)] == ["checkpoint", "other"]
    assert [m.batch_size for m in found.models if isinstance(m, LocalSpec)] == [7, 32]


def test_a_word_may_hold_a_whole_list_or_section() -> None:
    found = load_settings(
        Settings, None, ["models=[{name: a, kind: local, path: p}]", "align.loss={kind: ipo, beta: 0.5}"]
    )
    assert found.models == (LocalSpec(name="a", path="p"),)
    assert (found.align.loss.kind, found.align.loss.beta) == ("ipo", 0.5)


def test_a_word_replaces_a_list_and_does_not_add_to_it(tmp_path: Path) -> None:
    path = written(tmp_path, "build: {collect: {heldout: [weapon, malware]}}")
    found = load_settings(Settings, path, ["build.collect.heldout=[gamble]"])
    assert found.build.collect.heldout == ("gamble",)


def test_a_word_reaches_into_a_section_that_the_file_leaves_empty(tmp_path: Path) -> None:
    path = written(tmp_path, "align:\n  loss:\nbuild:\n")
    assert load_settings(Settings, path, ["align.loss.beta=0.7"]).align.loss.beta == 0.7


def test_exponents_without_a_point_are_numbers() -> None:
    """YAML 1.1 reads `2e-5` as text."""
    assert load_settings(Settings, None, ["align.optimiser.learning_rate=2e-5"]).align.optimiser.learning_rate == 2e-5


def test_a_value_may_hold_equals_signs_and_dots() -> None:
    assert load_settings(Settings, None, ["out=runs/a=b.c"]).out == "runs/a=b.c"


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", ["demo.yaml", "example.yaml"])
def test_the_files_that_ship_load(name: str) -> None:
    assert load_settings(Settings, PACKAGE / "data" / name).models


@pytest.mark.parametrize("path", sorted((PACKAGE.parent / "settings").glob("*.yaml")), ids=lambda p: p.name)
def test_the_recipes_beside_the_package_load(path: Path) -> None:
    assert load_settings(Settings, path)


def test_settings_survive_the_run_folder() -> None:
    """`settings.yaml` of a run is a settings file like any other."""
    first = load_settings(Settings, PACKAGE / "data" / "demo.yaml")
    again = yaml.safe_load(yaml.safe_dump(first.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
    assert Settings.model_validate(again) == first


# --- what is wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "nearest"),
    [
        ("sed", "seed"),
        ("align.los", "loss"),
        ("align.loss.bta", "beta"),
        ("build.collect.held_out", "heldout"),
        ("evaluate.benchmark", "benchmarks"),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest_in_file_and_word_alike(
    error: str, nearest: str, tmp_path: Path
) -> None:
    said = f"`{error}` is not a setting; did you mean `{nearest}`?"
    assert problems(f"{error}=1") == said
    tree: Any = 1
    for key in reversed(error.split(".")):
        tree = {key: tree}
    assert problems(path=written(tmp_path, yaml.safe_dump(tree))) == said


def test_an_unknown_setting_like_no_other_is_answered_with_what_there_is() -> None:
    assert "is not a setting (there are: align, build, evaluate" in problems("zzzzzz=1")


def test_an_unknown_setting_of_an_entry_in_a_list_is_found_and_its_kind_is_no_part_of_the_name() -> None:
    entry = "{name: b, kind: file, path: items.jsonl, lmit: 3}"
    assert problems(f"evaluate.benchmarks=[{entry}]") == (
        "`evaluate.benchmarks.0.lmit` is not a setting; did you mean `limit`?"
    )
    assert "`models.0.devise` is not a setting; did you mean `device`?" in problems(
        "models=[{name: a, kind: local, path: p, devise: cpu}]"
    )


def test_a_setting_of_another_kind_of_model_is_no_setting_of_this_one() -> None:
    assert "`models.0.url` is not a setting" in problems("models=[{name: a, kind: local, path: p, url: x}]")


def test_a_missing_setting_is_named_as_the_user_writes_it() -> None:
    assert problems("models=[{name: a}]") == "`models.0.kind` is missing (one of: local, endpoint, python)"
    assert problems("models=[{name: a, kind: endpoint, url: http://x, model: m}]") == "`models.0.identity` is missing"
    assert problems("evaluate.benchmarks=[{kind: pope, path: p}]") == "`evaluate.benchmarks.0.images` is missing"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed=many", "`seed` is 'many'"),
        ("limit=0", "`limit` is 0: input should be greater than 0"),
        ("limit=-3", "`limit` is -3"),
        ("out=2024", "`out` is 2024"),
        ("build=7", "`build` is 7: should be a section"),
        ("build.collect=[1]", "`build.collect` is [1]: should be a section"),
        ("models=asker", "`models` is 'asker': should be a list"),
        ("models=[asker]", "`models.0` is 'asker': should be a section"),
        ("build.respond.models=asker", "`build.respond.models` is 'asker': should be a list"),
        ("align.loss.kind=dpo", "'sigmoid' or 'ipo'"),
        ("align.loss.beta=0", "greater than 0"),
        ("align.loss.beta=.inf", "finite"),
        ("align.loss.beta=.nan", "`align.loss.beta` is nan"),
        ("align.freeze.vision=last:0", "`align.freeze.vision` is 'last:0'"),
        ("evaluate.level=1", "less than 1"),
        ("build.ask.types=[]", "`build.ask.types` is []"),
        ("models=[{name: a/b, kind: local, path: p}]", "`models.0.name` is 'a/b'"),
        ("models=[{name: a, kind: lokal, path: p}]", "'local', 'endpoint', 'python'"),
        ("build.collect.folder={a: 1}", "`build.collect.folder` is {'a': 1}"),
    ],
)
def test_a_wrong_value_is_named_shown_and_explained(word: str, said: str) -> None:
    assert said in problems(word)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed", "`seed` is not of the form `key.path=value`"),
        ("=3", "`=3` is not of the form `key.path=value`"),
        ("seed.deep=1", "`seed` is {'deep': 1}"),
        ("models.0.path=x", "`models` is {'0': {'path': 'x'}}: should be a list"),
        (".=1", "`` is not a setting"),
        ("align..beta=1", "`align.` is not a setting"),
    ],
)
def test_a_word_that_leads_nowhere_is_a_sentence(word: str, said: str) -> None:
    assert said in problems(word)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed.deep=1", "`seed` is a value, not a section"),
        ("seed.deep.er=1", "stands under a value"),
        ("models.1.path=x", "the list has 1 items, counted from 0; `1` is none of them"),
        ("models.-1.path=x", "`-1` is none of them"),
        ("models.².path=x", "`²` is none of them"),
        ("models.first.path=x", "`first` is none of them"),
        ("models.0.path.x=1", "`path` is a value, not a section"),
    ],
)
def test_a_word_that_does_not_fit_the_file_says_where(word: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path, yaml.safe_dump({"seed": 1, "models": [MODEL]}))
    assert said in problems(word, path=path)


def test_all_mistakes_come_in_one_message(tmp_path: Path) -> None:
    path = written(tmp_path, "sed: 1\nalign: {loss: {beta: hot}}\nmodels: [{name: a, kind: local}]\n")
    with pytest.raises(SettingsError) as error:
        load_settings(Settings, path, ["oot=x", "nonsense", "build.match.groups=99"])
    lines = error.value.what.splitlines()
    assert len(lines) == 6
    for part in ("sed", "align.loss.beta", "models.0.path", "oot", "nonsense", "build.match.groups"):
        assert any(part in line for line in lines), part
    assert str(path) in error.value.where
    assert "command line" in error.value.where


def test_two_models_of_one_name_are_refused_without_printing_the_roster() -> None:
    said = problems(
        "models=[{name: a, kind: local, path: s1}, {name: b, kind: local, path: p}, {name: a, kind: local, path: s2}]"
    )
    assert said == "`models`: `a` stands twice; every model needs a name of its own"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("build.respond.models=[a, b, a]", "`build.respond.models`: `a` stands twice"),
        ("build.ask.types=[hard_question, hard_question]", "`build.ask.types`: `hard_question` stands twice"),
        (
            "evaluate.benchmarks=[{kind: miniworld}, {kind: miniworld}]",
            "`evaluate.benchmarks`: `miniworld` stands twice",
        ),
    ],
)
def test_what_would_be_done_twice_into_one_place_is_refused(word: str, said: str) -> None:
    assert problems(word) == said


def test_a_key_twice_in_the_file_is_refused_with_both_lines(tmp_path: Path) -> None:
    said = problems(path=written(tmp_path, "seed: 1\nbuild: {}\nseed: 2\n"))
    assert "`seed` stands twice, in line 1 and in line 3" in said


def test_yaml_anchors_and_merges_work(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "models:\n- &m {name: a, kind: local, path: p}\n- {<<: *m, name: b}\n",
    )
    assert [m.name for m in load_settings(Settings, path).models] == ["a", "b"]


# --- files that are none --------------------------------------------------------------------------------------------


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        read_yaml(tmp_path / "none.yaml")
    assert "There is no settings file" in error.value.what
    assert "spavl init" in error.value.try_


@pytest.mark.parametrize(
    "data",
    [
        b"a: [1, 2", b"a: b: c", b"\tseed: 1", b"seed: 'open", b"\xff\xfe\x00", b"a: \x00", b"- 1\n- 2\n", b"words",
        b"42", b"? [a, b]\n: 1", b"!!python/object:os.system x", b"%YAML 9\n", b"seed: 2024-13-45", b"out: 2024-02-30",
        b"seed: " + b"9" * 5000, b"[" * 3000, b"{a: " * 2000, b"seed: 1\n---\nseed: 2\n", b"*undefined", b"a: 1\na: 2",
        b"&a [*a]", b"[]: 1",
    ],
    ids=lambda data: data[:18].decode("ascii", "replace"),
)  # fmt: skip
def test_a_file_that_holds_no_settings_is_a_sentence(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(data)
    with pytest.raises(SettingsError) as error:
        load_settings(Settings, path)
    assert str(path) in error.value.render()
    assert len(error.value.what) < 600


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_yaml(tmp_path)


@pytest.mark.parametrize("text", ["2024-13-45", "[open", "a: b: c", "@home", "9" * 5000])
def test_a_word_that_is_no_yaml_is_text(text: str) -> None:
    assert load_settings(Settings, None, [f"out={text}"]).out == text


def test_a_tree_that_grows_without_end_is_shown_short(tmp_path: Path) -> None:
    """Ten lists of ten, nine deep: a billion values if anyone prints them."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = written(tmp_path, "\n".join([*lines, "seed: *a8", "models: *a8", "out: *a8"]))
    assert len(problems(path=path)) < 5000


# --- properties -----------------------------------------------------------------------------------------------------


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
def test_a_word_puts_its_value_where_its_path_says(path: list[str], value: Any) -> None:
    tree: dict[str, Any] = {}
    apply_override(tree, f"{'.'.join(path)}={yaml.safe_dump(value).removesuffix('...' + chr(10))}")
    for key in path:
        (only,) = tree
        assert only == key
        tree = tree[key]
    assert tree == value


@given(TREES, st.text(max_size=12), st.text(max_size=12))
def test_any_word_is_put_or_refused_with_a_sentence(tree: Any, path: str, value: str) -> None:
    word = f"{path}={value}"
    tree = copy.deepcopy(tree)
    try:
        apply_override(tree, word)
    except ValueError as error:
        assert word in str(error)


@given(st.lists(st.text(max_size=20), max_size=3))
def test_any_words_load_or_are_refused_as_a_slip(words: list[str]) -> None:
    try:
        load_settings(Settings, None, words)
    except SettingsError as error:
        assert error.what


@given(st.sampled_from(["models.0.path", "align.loss.beta", "build.collect.heldout.0", "seed", "models.0.options"]))
def test_a_preset_is_never_changed_by_words_laid_over_it(path: str) -> None:
    preset = {
        "seed": 1, "align": {"loss": {"beta": 0.5}}, "build": {"collect": {"heldout": ["weapon"]}},
        "models": [dict(MODEL)],
    }  # fmt: skip
    before = copy.deepcopy(preset)
    with contextlib.suppress(SettingsError):
        load_settings(Settings, None, [f"{path}=9"], defaults=preset)
    assert preset == before


# --- explained ------------------------------------------------------------------------------------------------------


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
