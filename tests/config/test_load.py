"""Settings that are right: from the preset, the file and the overrides to validated values."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from spavl.config import LocalSpec, Settings, load_settings
from tests.config.samples import MODEL, written

PACKAGE = Path(__file__).parents[2] / "spavl"


def test_no_file_and_no_overrides_give_the_defaults() -> None:
    assert load_settings(Settings, None) == Settings()


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(Settings, written(tmp_path, "# only a comment\n")) == Settings()


def test_overrides_win_over_the_file_which_wins_over_the_preset(tmp_path: Path) -> None:
    path = written(tmp_path, "seed: 2\nalign: {loss: {beta: 0.2}}\n")
    found = load_settings(
        Settings,
        path,
        ["align.loss.beta=0.3"],
        defaults={"seed": 1, "out": "preset", "align": {"loss": {"kind": "ipo"}}},
    )
    assert (found.out, found.seed, found.align.loss.beta, found.align.loss.kind) == ("preset", 2, 0.3, "ipo")


def test_a_number_in_an_override_indexes_a_list(tmp_path: Path) -> None:
    path = written(tmp_path, yaml.safe_dump({"models": [MODEL, {**MODEL, "name": "judge"}]}))
    found = load_settings(Settings, path, ["models.1.path=other", "models.0.batch_size=7"])
    assert [m.name for m in found.models] == ["asker", "judge"]
    assert [m.path for m in found.models if isinstance(m, LocalSpec)] == ["checkpoint", "other"]
    assert [m.batch_size for m in found.models if isinstance(m, LocalSpec)] == [7, 32]


def test_an_override_may_hold_a_whole_list_or_section() -> None:
    found = load_settings(
        Settings, None, ["models=[{name: a, kind: local, path: p}]", "align.loss={kind: ipo, beta: 0.5}"]
    )
    assert found.models == (LocalSpec(name="a", path="p"),)
    assert (found.align.loss.kind, found.align.loss.beta) == ("ipo", 0.5)


def test_an_override_replaces_a_list_and_does_not_add_to_it(tmp_path: Path) -> None:
    path = written(tmp_path, "build: {collect: {heldout: [weapon, malware]}}")
    found = load_settings(Settings, path, ["build.collect.heldout=[gamble]"])
    assert found.build.collect.heldout == ("gamble",)


def test_an_override_reaches_into_a_section_that_the_file_leaves_empty(tmp_path: Path) -> None:
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
