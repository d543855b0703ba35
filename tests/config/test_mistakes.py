"""Every mistake in the settings is a sentence that names the setting, and all of them come in one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from spavl.config import Settings, load, load_settings
from spavl.errors import SettingsError
from tests.config.samples import MODEL, problems, written


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
def test_an_unknown_setting_is_named_with_the_nearest_in_file_and_override_alike(
    error: str, nearest: str, tmp_path: Path
) -> None:
    message = f"`{error}` is not a setting; did you mean `{nearest}`?"
    assert problems(f"{error}=1") == message
    tree: Any = 1
    for key in reversed(error.split(".")):
        tree = {key: tree}
    assert problems(path=written(tmp_path, yaml.safe_dump(tree))) == message


@pytest.mark.parametrize("former", [name for name in load.FORMER_NAMES if name.startswith("align.")])
def test_a_setting_that_was_renamed_is_answered_with_its_name_of_today(former: str) -> None:
    today = load.name_today(former)
    assert problems(f"{former}=1") == f"`{former}` is called `{today}` now"
    assert "is not a setting" not in problems(f"{today}=[[]]"), "and that is a setting"


@pytest.mark.parametrize("former", [name for name in load.FORMER_NAMES if not name.startswith("align.")])
def test_a_setting_that_moved_is_answered_with_its_place_of_today(former: str) -> None:
    today = load.name_today(former)
    assert today is not None
    if "benchmarks" not in former:
        assert problems(f"{former}=1") == f"`{former}` is called `{today}` now"
    section, _, key = today.replace("[]", "").partition(".")
    value = f"{{name: g, {key}: 1}}" if "[]" in today else "1"
    target = f"{section}=[{value}]" if "[]" in today else f"{today}=1"
    try:
        load_settings(Settings, None, [target])
    except SettingsError as error:
        assert "is not a setting" not in error.what, "and that is a setting"


def test_guards_and_judges_are_short_and_have_names_of_their_own() -> None:
    settings = load_settings(Settings, None, ["guards=[{name: guard}, {name: md, model: g}]", "judges=[{name: judge}]"])
    assert [guard.asks for guard in settings.guards] == ["guard", "g"] and settings.judges[0].asks == "judge"
    assert (settings.build.grade.guards, settings.build.judge.judges) == (("guard",), ("judge",)), "named by default"
    assert (
        problems("guards=[{name: g}, {name: g}]") == "`guards`: `g` stands twice; every guard needs a name of its own"
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("kind: rubrik", "`rubrik` is no kind of guard (did you mean `rubric`?): there are rubric, md-judge"),
        ("kind: policy", "guard `g` of kind `policy` needs `policy`, a text file"),
        ("threshold: 0", "`guards.0.threshold` is 0"),
        ("threshold: 5", "`threshold` is 5, and the scale `severity` ends at 4"),
        ("grades: thought", "`guards.0.grades` is 'thought'"),
        ("kind: 'package.module:'", "`guards.0.kind`"),
    ],
)
def test_a_wrong_guard_is_a_sentence(entry: str, message: str) -> None:
    assert message in problems(f"guards=[{{name: g, {entry}}}]")


def test_a_renamed_setting_inside_a_list_is_answered_with_its_name_of_today() -> None:
    found = problems("evaluate.benchmarks=[{kind: miniworld, per_arm: 3}]")
    assert found == "`evaluate.benchmarks.0.per_arm` is called `evaluate.benchmarks.0.per_subset` now"


def test_an_unknown_setting_like_no_other_is_answered_with_what_there_is() -> None:
    assert "is not a setting (there are: align, audit, build, ceilings, evaluate" in problems("zzzzzz=1")


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
    assert problems("evaluate.benchmarks=[{kind: pope, images: p}]") == "`evaluate.benchmarks.0.path` is missing"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=many", "`seed` is 'many'"),
        ("limit=0", "`limit` is 0: should be greater than 0"),
        ("limit=-3", "`limit` is -3"),
        ("out=2024", "`out` is 2024"),
        ("build=7", "`build` is 7: should be a section"),
        ("build.collect=[1]", "`build.collect` is [1]: should be a section"),
        ("models=asker", "`models` is 'asker': should be a list"),
        ("models=[asker]", "`models.0` is 'asker': should be a section"),
        ("build.respond.models=asker", "`build.respond.models` is 'asker': should be a list"),
        ("align.loss.kind=dpo", "'kto' or 'sft'"),
        ("align.method=kto", "`align.method=dpo align.loss.kind=kto`"),
        ("align.method=rloo", "align.ppo.estimator=rloo"),
        ("align.loss.gamma=0.5", "`sigmoid` does not read `gamma`: `simpo` does"),
        ("align.loss={kind: sft, label_smoothing: 0.1}", "`sigmoid`, `robust` do"),
        ("align.loss.kind=simpo", "`simpo` needs a `beta` of its own"),
        ("align.loss.kind=robust", "`robust` needs `label_smoothing`"),
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
def test_a_wrong_value_is_named_shown_and_explained(override: str, message: str) -> None:
    assert message in problems(override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "`seed` is not of the form `key.path=value`"),
        ("=3", "`=3` is not of the form `key.path=value`"),
        ("seed.deep=1", "`seed` is {'deep': 1}"),
        ("models.0.path=x", "`models` is {'0': {'path': 'x'}}: should be a list"),
        (".=1", "`` is not a setting"),
        ("align..beta=1", "`align.` is not a setting"),
    ],
)
def test_an_override_that_leads_nowhere_is_a_sentence(override: str, message: str) -> None:
    assert message in problems(override)


@pytest.mark.parametrize(
    ("override", "message"),
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
def test_an_override_that_does_not_fit_the_file_says_where(override: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, yaml.safe_dump({"seed": 1, "models": [MODEL]}))
    assert message in problems(override, path=path)


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


def test_two_models_of_one_name_are_refused_without_printing_all_models() -> None:
    message = problems(
        "models=[{name: a, kind: local, path: s1}, {name: b, kind: local, path: p}, {name: a, kind: local, path: s2}]"
    )
    assert message == "`models`: `a` stands twice; every model needs a name of its own"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("build.respond.models=[a, b, a]", "`build.respond.models`: `a` stands twice"),
        ("build.ask.types=[hard_question, hard_question]", "`build.ask.types`: `hard_question` stands twice"),
        (
            "evaluate.benchmarks=[{kind: miniworld}, {kind: miniworld}]",
            "`evaluate.benchmarks`: `miniworld` stands twice",
        ),
    ],
)
def test_what_would_be_done_twice_into_one_place_is_refused(override: str, message: str) -> None:
    assert problems(override) == message


def test_a_setting_without_a_value_and_a_list_with_a_wrong_one_are_told_plainly() -> None:
    assert problems("out=") == "`out` has no value: it should be text"
    assert problems("seed=1.5") == "`seed` is 1.5: should be a whole number"
    assert problems("build.ask.types=[ok]").count("build.ask.types") == 1
    assert problems("build.ask.types=[]") == "`build.ask.types` is []: needs at least 1 item"
