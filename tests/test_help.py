"""The command line answers at once and says what to do."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.text import Text

from spavl.cli.commands import app

COMMANDS = sorted(c.name or c.callback.__name__ for c in app.registered_commands if c.callback)
HEAVY = ("torch", "transformers", "peft", "accelerate", "matplotlib", "datasets", "duckdb", "pyarrow", "numpy")


def spavl(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line as a user has it, in a terminal 200 columns wide."""
    return subprocess.run(
        [sys.executable, "-m", "spavl", *arguments], capture_output=True, text=True, check=False, cwd=folder,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "PYTHONPATH": str(Path(__file__).parents[1])}, timeout=60,
    )  # fmt: skip


def test_help_imports_no_heavy_library() -> None:
    script = (
        "import sys, runpy, json\n"
        "sys.argv = ['spavl', '--help']\n"
        "try:\n    runpy.run_module('spavl', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert json.loads(done.stdout.strip().splitlines()[-1]) == []


def test_no_word_of_a_help_text_is_lost_as_markup() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    texts = [text for command in commands.values() for one in command.params if (text := getattr(one, "help", None))]
    assert len(texts) > 50 and [text for text in texts if Text.from_markup(text).plain != text] == []


BARE = """
import typer
app = typer.Typer(rich_markup_mode="rich", help="x")
@app.callback()
def main(): pass
@app.command()
def one(): "One [bold]command[/bold]."
app()
"""


def test_help_answers_hardly_later_than_that_of_an_app_without_commands() -> None:
    """Seconds of the processor, side by side, so that neither the machine nor what else it does decides."""

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    both = [(seconds("-m", "spavl"), seconds("-c", BARE)) for _ in range(5)]
    ours, bare = (min(times) for times in zip(*both, strict=True))
    assert ours < 2 * bare


def test_the_help_names_every_command() -> None:
    page = spavl("--help").stdout
    assert len(COMMANDS) >= 9
    assert [command for command in COMMANDS if not re.search(rf"^\W*{command}\s+\S", page, re.MULTILINE)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    done = spavl(command, "--help")
    assert done.returncode == 0
    (example,) = re.findall(r"Example: (.*)", done.stdout)
    assert example.startswith(f"spavl {command}") or f"&& spavl {command}" in example


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_a_command_is_one_it_understands(command: str) -> None:
    """Each example is parsed by the command's own parser, and nothing is run."""
    import shlex

    from typer.main import get_command

    example = re.search(r"Example: \[bold\](.*)\[/bold\]", commands()[command].epilog or "")
    assert example
    arguments = shlex.split(example.group(1).split(" && ")[0])
    context = get_command(app).commands[arguments[1]].make_context(arguments[1], arguments[2:])  # type: ignore[attr-defined]
    assert context.params


def commands() -> dict[str, object]:
    """Typer's commands by name."""
    from typer.main import get_command

    return dict(get_command(app).commands)  # type: ignore[attr-defined]


def test_a_wrong_command_is_a_sentence_and_exit_status_2() -> None:
    done = spavl("bild")
    assert done.returncode == 2
    assert "No such command 'bild'" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_command_prints_the_help() -> None:
    done = spavl()
    assert done.returncode in (0, 2)
    assert "demo" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_option_is_a_sentence_and_exit_status_2() -> None:
    done = spavl("build", "my.yaml", "--limit", "0")
    assert done.returncode == 2
    assert "--limit" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_user_error_is_printed_as_what_where_try_with_paths_unbroken(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 240) / "settings.yaml"
    done = spavl("build", str(long))
    assert done.returncode == 2
    assert str(long) in done.stderr, "a path that is wrapped cannot be copied"
    assert "  try:   " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_settings_file_with_three_mistakes_names_all_three(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("sed: 1\nalign: {loss: {beta: hot}}\n")
    done = spavl("build", "my.yaml", "build.match.groops=3", folder=tmp_path)
    assert done.returncode == 2
    for word in ("did you mean `seed`", "align.loss.beta", "did you mean `groups`", "my.yaml"):
        assert word in done.stderr, word


def test_a_bug_keeps_its_stack_trace_and_exit_status_1() -> None:
    script = (
        "import sys\nfrom spavl.cli import commands, settings_help\n"
        "def broken(section):\n    raise ZeroDivisionError('ours')\n"
        "settings_help.explain = broken\nsys.argv = ['spavl', 'settings']\nsys.exit(commands.run())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError: ours" in done.stderr


def test_settings_prints_every_setting_and_init_writes_a_file_that_loads(tmp_path: Path) -> None:
    assert "align.loss.beta = 0.1" in spavl("settings", "align.loss").stdout
    assert spavl("init", "my.yaml", folder=tmp_path).returncode == 0
    again = spavl("init", "my.yaml", folder=tmp_path)
    assert again.returncode == 2
    assert "--force" in again.stderr

    from spavl.config import Settings, load_settings

    assert load_settings(Settings, tmp_path / "my.yaml").models
