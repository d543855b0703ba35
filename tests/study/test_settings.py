"""Settings of studies: every kind, every shipped file, and mistakes as sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from spavl.config.study import KINDS, FreezeStudy, ScaleStudy, load_study, nested
from spavl.errors import RunError, SettingsError
from spavl.run import Run
from spavl.study.source import open_source

SHIPPED = sorted((Path(__file__).parents[2] / "settings" / "studies").glob("*.yaml"))
RUNS = [path for path in SHIPPED if "kind" not in yaml.safe_load(path.read_text("utf-8"))]
STUDIES = [path for path in SHIPPED if path not in RUNS]


def written(folder: Path, **tree: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_the_shipped_studies_load_with_the_settings_that_they_name(path: Path) -> None:
    study = load_study(path)
    if study.settings is not None:
        assert open_source(study, path).settings.evaluate.benchmarks
    assert path.read_text("utf-8").startswith(f"# spavl study settings/studies/{path.name}\n")


def test_there_is_a_shipped_study_of_every_kind() -> None:
    assert {load_study(path).kind for path in STUDIES} == set(KINDS)


def test_dotted_keys_are_nested() -> None:
    assert nested({"a.b": 1, "a": {"c.d": 2, "e": [3]}}) == {"a": {"b": 1, "c": {"d": 2}, "e": [3]}}


def test_a_key_that_yaml_reads_as_no_text_is_a_mistake_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("kind: scale\nsettings: demo\nsizes: [1, 2]\nchanged: {align: {loss: {on: 1}}}\n")
    with pytest.raises(SettingsError, match=r"`align\.loss\.True` is not a setting"):
        open_source(load_study(path), path)


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, kind="scale", settings="demo", sizes=[10, 20])
    found = load_study(path, ["seeds=[7]", "sizes=[5, all]"])
    assert isinstance(found, ScaleStudy)
    assert (found.seeds, found.sizes) == ((7,), (5, "all"))
    assert isinstance(load_study(written(tmp_path, settings="demo"), ["kind=freeze"]), FreezeStudy)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"settings": "demo"}, "`kind` is missing"),
        ({"kind": "scales", "settings": "demo"}, "`kind` is 'scales'"),
        ({"kind": ["scale"], "settings": "demo"}, "`kind` is"),
        ({"kind": "scale", "sizes": [1, 2]}, "a study is about one run"),
        ({"kind": "scale", "sizes": [1, 2], "settings": "demo", "run": "r"}, "a study is about one run"),
        ({"kind": "scale", "sizes": [1], "settings": "demo"}, "`sizes`"),
        ({"kind": "scale", "sizes": [0, 2], "settings": "demo"}, "`sizes.0`"),
        ({"kind": "scale", "sizes": [1, 2], "settings": "demo", "seeds": [1, 1]}, "`1` stands twice"),
        ({"kind": "scale", "sizes": [1, 2], "settings": "demo", "bags": "auto"}, "`bags` is not a setting"),
        ({"kind": "scale", "sizes": [1, 2], "size": 3, "settings": "demo"}, "this one has `sizes`"),
        ({"kind": "freeze", "settings": "demo", "modes": {"a": {}, "b": {"tower": 1}}}, "`tower` is no setting"),
        ({"kind": "mix", "settings": "demo", "shares": [0.1, 2]}, "`shares.1`"),
    ],
)
def test_a_mistake_is_a_sentence_that_names_the_setting(tree: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load_study(written(tmp_path, **tree))
    assert said in error.value.render()
    assert "Traceback" not in error.value.render()


def test_a_change_of_the_runs_settings_that_is_none_is_said_with_both_files(tmp_path: Path) -> None:
    path = written(tmp_path, kind="scale", settings="demo", sizes=[1, 2], changed={"align.loss.betta": 0.2})
    with pytest.raises(SettingsError, match=r"align.loss.betta.*is not a setting; did you mean `beta`") as error:
        open_source(load_study(path), path)
    assert str(path) in error.value.where


def test_settings_that_are_not_there_are_said_with_those_that_ship(tmp_path: Path) -> None:
    path = written(tmp_path, kind="scale", settings="none.yaml", sizes=[1, 2])
    with pytest.raises(SettingsError, match="no settings file") as error:
        open_source(load_study(path), path)
    assert "demo" in error.value.try_


def test_settings_of_a_run_that_are_empty_are_defaults_and_those_that_are_none_are_said(tmp_path: Path) -> None:
    run = tmp_path / "run"
    Run(run).open().note(stages=[])
    path = written(tmp_path, kind="scale", run=str(run), sizes=[1, 2])
    for align in "", "{saving: }":
        (run / "settings.yaml").write_text(f"seed: 1\nalign: {align}\n")
        assert open_source(load_study(path), path).settings.align.saving.merged is True
    (run / "settings.yaml").write_text("seed: 1\nalign: 3\n")
    with pytest.raises(SettingsError, match="`align"):
        open_source(load_study(path), path)


def test_a_run_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, kind="scale", run=str(tmp_path / "none"), sizes=[1, 2])
    with pytest.raises(RunError, match="no run in this folder"):
        open_source(load_study(path), path)
