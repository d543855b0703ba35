"""The schema of settings files for editors, the version, and shell completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

import spavl
from spavl.cli.commands import app
from spavl.cli.settings_help import explain, json_schema
from spavl.config import Settings, load_settings
from spavl.errors import SettingsError

ROOT = Path(__file__).parents[1]
SHIPPED = [
    *(ROOT / "settings").glob("*.yaml"),
    *(ROOT / "spavl/data" / name for name in ("example.yaml", "demo.yaml", "demo-real.yaml")),
]
SCHEMA = json.loads(json_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def properties(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, entry) of every setting anywhere in the schema."""
    for section in (SCHEMA, *SCHEMA["$defs"].values()):
        yield from section["properties"].items()


def command(*words: str, **environment: str) -> str:
    """What the command `spavl` prints, in a process of its own."""
    script = "import sys; sys.argv[0] = 'spavl'; from spavl.__main__ import main; main()"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, env=env, check=True)
    return done.stdout


def test_the_schema_is_one_and_is_printed() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(command("settings", "--schema")) == SCHEMA


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_settings_files_that_are_shipped_fit_the_schema(path: Path) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"sed": 1}, {"align": {"loss": {"beta": "hot"}}}, {"build": {"match": {"groups": 1}}},
        {"models": [{"name": "x", "kind": "local"}]}, {"models": [{"name": "x", "path": "y"}]},
        {"models": [{"name": "a b", "kind": "local", "path": "y"}]}, {"guards": [{"name": "g", "kind": "rubrik"}]},
        {"evaluate": {"benchmarks": [{"kind": "popes"}]}},
    ],
)  # fmt: skip
def test_what_spavl_refuses_does_not_fit_the_schema(wrong: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors(wrong))
    with pytest.raises(SettingsError):
        load_settings(Settings, None, defaults=wrong)


def test_a_section_whose_lines_are_all_commented_out_fits_the_schema() -> None:
    assert list(VALIDATOR.iter_errors({"build": None, "align": {"loss": None}})) == []


def test_every_setting_has_its_meaning_in_the_schema() -> None:
    found = list(properties(SCHEMA))
    assert len(found) > 100
    without = [name for name, entry in found if "description" not in entry and "$ref" not in str(entry.get("anyOf"))]
    assert without == []
    assert SCHEMA["properties"]["seed"]["description"] == Settings.model_fields["seed"].description


def test_init_says_how_an_editor_gets_the_schema() -> None:
    example = (files("spavl") / "data" / "example.yaml").read_text("utf-8")
    assert "`spavl settings --schema > spavl.schema.json`" in example
    assert "# yaml-language-server: $schema=spavl.schema.json" in example
    assert not [line for line in example.splitlines() if line.startswith("# yaml-language-server")], (
        "an editor would look for a schema that is not there yet"
    )


def test_sections_of_lists_are_explained_with_and_without_brackets() -> None:
    assert explain("guards") == explain("guards[]")
    assert explain("guards.kind") == explain("guards[].kind")
    assert "`package.module:Class`" in explain("guards.kind")
    assert all(section in explain() for section in ("# guards[]:", "# judges[]:", "# evaluate.benchmarks[]:"))


def test_the_version_is_printed() -> None:
    assert command("--version") == f"spavl {spavl.__version__}\n"
    assert CliRunner().invoke(app, ["--version"]).exit_code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_commands_and_options(shell: str) -> None:
    def completed(*words: str) -> str:
        line = " ".join(words)
        return command(_SPAVL_COMPLETE=f"complete_{shell}", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1),
                       _TYPER_COMPLETE_ARGS=line, _TYPER_COMPLETE_FISH_ACTION="get-args")  # fmt: skip

    assert "build" in completed("spavl", "bu") and "demo" not in completed("spavl", "bu")
    assert "--allow-code" in completed("spavl", "build", "--al")
    assert "align.loss" in completed("spavl", "settings", "align.l")


def test_completion_is_installed_for_the_shell_that_it_is_called_from(tmp_path: Path) -> None:
    script = "import sys; sys.argv = ['spavl', '--install-completion']; from spavl.__main__ import main; main()"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    words = ["bash", "-c", f'{sys.executable} -c "$0"; exit $?', script]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "complete -o default -F _spavl_completion spavl" in (tmp_path / ".bash_completions/spavl.sh").read_text()
    assert "spavl.sh" in (tmp_path / ".bashrc").read_text()
