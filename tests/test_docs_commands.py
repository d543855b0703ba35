"""Commands on the pages of the docs: each is one, with options that it has; those that are marked are run."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer._click.exceptions import UsageError
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.cli.settings_help import explain
from tests import doc_pages
from tests.doc_pages import Block, spavl_words

TUTORIAL = doc_pages.ROOT / "docs" / "tutorial.md"
GENERATED = doc_pages.ROOT / "docs" / "reference"
PAGES = [page for page in doc_pages.pages() if GENERATED not in page.parents]
ROOT_COMMAND = typer.main.get_command(app)
PLANNED = {"study", "serve"} - ROOT_COMMAND.commands.keys()  # type: ignore[attr-defined]
"""Commands that pages name and that are not there yet."""
IN_TEXT = re.compile(r"`(spavl [a-z][^`\n]*)`")


def every_command() -> list[tuple[str, list[str]]]:
    """(place, words) of every command of spavl in a block."""
    return [
        (block.place, words)
        for page in PAGES
        for block in doc_pages.blocks(page)
        for command in block.commands()
        if (words := spavl_words(command)) is not None
    ]


def in_sentences() -> list[tuple[str, list[str]]]:
    """(page, words) of every command that stands inside a sentence and has more than a name."""
    found = []
    for page in PAGES:
        for text in IN_TEXT.findall(doc_pages.outside_blocks(page)):
            words = [word.strip("[]") for word in text.split()[1:] if not word.startswith("[-")]
            if len(words) > 1:
                found.append((str(page.relative_to(doc_pages.ROOT)), words))
    return found


def wrong(words: list[str]) -> str:
    """What is wrong with a command; empty where it is one.

    The parser of the command itself reads the words. Values are not looked at, for files are not there.
    """
    command: Any = ROOT_COMMAND
    words = list(words)
    if words and words[0] in PLANNED:
        return ""
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            break
        if words[0] not in command.commands:
            return f"`{words[0]}` is no command"
        command = command.commands[words.pop(0)]
    context = command.context_class(command, info_name="spavl")
    try:
        values, rest, _ = command.make_parser(context).parse_args(list(words))
    except UsageError as error:
        return error.format_message()
    if rest and rest != ["…"]:
        return f"`{rest[0]}` is one word too many"
    overrides = [word for value in values.values() if isinstance(value, (list, tuple)) for word in value]
    return "; ".join(f"`{word}`: no such setting" for word in overrides if not _is_setting(word))


def _is_setting(word: Any) -> bool:
    """Whether a word is no override, or one of a setting that there is."""
    found = re.match(r"^([a-z_]+(?:\.[a-z_]+)*)=", word) if isinstance(word, str) else None
    return found is None or found[1] in settings()


@cache
def settings() -> set[str]:
    """The names of all settings."""
    return set(re.findall(r"^([a-z_]+(?:\.[a-z_\[\]]+)*) = ", explain(), re.M))


def test_every_command_in_a_block_is_one_with_options_and_settings_that_there_are() -> None:
    commands = every_command()
    assert len(commands) > 60
    assert [f"{place}: {' '.join(words)}: {said}" for place, words in commands if (said := wrong(words))] == []


def test_every_command_in_a_sentence_is_one_with_options_that_there_are() -> None:
    commands = in_sentences()
    assert len(commands) > 30
    assert [f"{place}: {' '.join(words)}: {said}" for place, words in commands if (said := wrong(words))] == []


@pytest.mark.parametrize(
    "words",
    [["biuld", "my.yaml"], ["build", "my.yaml", "--limits", "20"], ["store", "cuont"], ["build", "my.yaml", "out.a=1"],
     ["build", "my.yaml", "build.match.per_qestion=2"], ["audit"], ["align", "a.yaml", "--name"]],
)  # fmt: skip
def test_a_command_that_is_none_is_found(words: list[str]) -> None:
    assert wrong(words) or words == ["audit"]


def test_every_setting_that_a_page_names_in_full_is_one() -> None:
    sections = {name.split(".")[0] for name in settings() if "." in name} - {"models", "guards", "judges", "roster"}
    named = re.compile(rf"`((?:{'|'.join(sorted(sections))})(?:\.(?!html|json|yaml)[a-z_]+)+)`")
    known = {".".join(name.split(".")[:n]) for name in settings() for n in range(1, 6)}
    for page in PAGES:
        if "decisions" in page.parts:
            continue
        assert [name for name in named.findall(doc_pages.outside_blocks(page)) if name not in known] == [], page


def marked(slow: bool) -> list[Block]:
    """Blocks that are to be run, but for those of the tutorial, which has a test of its own."""
    found = [b for p in PAGES if p != TUTORIAL for b in doc_pages.blocks(p) if b.mark.startswith("run")]
    return [block for block in found if ("slow" in block.mark) == slow]
