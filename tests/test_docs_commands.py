"""Commands on the pages of the docs: each is one, with options that it has; those that are marked are run."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer._click.exceptions import UsageError
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.cli.settings_help import explain
from spavl.config.study import KINDS
from tests import doc_pages, processes
from tests.doc_pages import Block, spavl_words
from tests.end_to_end.conftest import environment, write_pairs

TUTORIAL = doc_pages.ROOT / "docs" / "tutorial.md"
GENERATED = doc_pages.ROOT / "docs" / "reference"
PAGES = [page for page in doc_pages.pages() if GENERATED not in page.parents]
ROOT_COMMAND = typer.main.get_command(app)
IN_TEXT = re.compile(r"`(spavl [a-z][^`\n]*)`")


def every_command() -> list[tuple[str, list[str]]]:
    """(place, words) of every command of spavl in a block, fenced or indented."""
    fenced = [(b.place, one) for page in PAGES for b in doc_pages.blocks(page) for one in b.commands()]
    indented = [
        (str(page.relative_to(doc_pages.ROOT)), one)
        for page in PAGES
        for one in re.findall(r"^ {4}(?:\$ )?(spavl [a-z].*)$", doc_pages.outside_blocks(page), re.M)
    ]
    return [(place, words) for place, one in fenced + indented if (words := spavl_words(one)) is not None]


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
    known = settings_of_studies() if command.name == "study" else settings()
    return "; ".join(f"`{word}`: no such setting" for word in overrides if not _is_setting(word, known))


def _is_setting(word: Any, known: set[str]) -> bool:
    """Whether a word is no override, or one of a setting that there is."""
    found = re.match(r"^([a-z_]+(?:\.[a-z_]+)*)=", word) if isinstance(word, str) else None
    return found is None or found[1] in known


def settings_of_studies() -> set[str]:
    """The names of the settings of studies of any kind."""
    return {name for kind in KINDS.values() for name in kind.model_fields}


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
     ["build", "my.yaml", "build.match.per_qestion=2"], ["study", "a.yaml", "sedes=[1]"], ["align", "a.yaml", "--name"],
     ["audit", "runs/first", "runs/second"]],
)  # fmt: skip
def test_a_command_that_is_none_is_found(words: list[str]) -> None:
    assert wrong(words)


def test_every_setting_that_a_page_names_in_full_is_one() -> None:
    sections = {name.split(".")[0] for name in settings() if "." in name} - {"models", "guards", "judges", "roster"}
    named = re.compile(rf"`((?:{'|'.join(sorted(sections))})(?:\.(?!html|json|yaml|md)[a-z_]+)+)`")
    known = {".".join(name.split(".")[:n]) for name in settings() for n in range(1, 6)}
    for page in PAGES:
        if "decisions" in page.parts:
            continue
        assert [name for name in named.findall(doc_pages.outside_blocks(page)) if name not in known] == [], page


def marked(slow: bool) -> list[Block]:
    """Blocks that are to be run, but for those of the tutorial, which has a test of its own."""
    found = [b for p in PAGES if p != TUTORIAL for b in doc_pages.blocks(p) if b.mark.startswith("run")]
    return [block for block in found if ("slow" in block.mark) == slow]


def by_place(block: Block) -> str:
    """The name of a block's test."""
    return block.place


def lay_out(folder: Path) -> None:
    """Files of pairs under the names that the pages use: TRL's form, LLaMA-Factory's, and the Hub's."""
    write_pairs(folder / "train.parquet", 6)
    (folder / "pairs.parquet").write_bytes((folder / "train.parquet").read_bytes())
    (folder / "data" / "pictures").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (48, 48), (40 * number, 90, 120)).save(folder / "data" / "pictures" / f"{number}.png")
    trl = [
        {"images": [f"data/pictures/{n}.png"], "prompt": f"<image>request {n}", "chosen": "answer that refuses",
         "rejected": f"answer {n}"}
        for n in range(6)
    ]  # fmt: skip
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in trl))
    mine = [
        {"images": [f"pictures/{n}.png"], "talk": [{"from": "human", "value": f"<image>request {n}"}],
         "good": {"from": "gpt", "value": "answer that refuses"}, "bad": {"from": "gpt", "value": f"answer {n}"}}
        for n in range(6)
    ]  # fmt: skip
    (folder / "data" / "mine.json").write_text(json.dumps(mine))
    columns = {"messages": "talk", "chosen": "good", "rejected": "bad", "images": "images"}
    said = {"mine": {"file_name": "mine.json", "ranking": True, "formatting": "sharegpt", "columns": columns}}
    (folder / "data" / "dataset_info.json").write_text(json.dumps(said))


@pytest.mark.parametrize("block", marked(slow=False), ids=by_place)
def test_a_marked_block_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in block.commands():
        words = spavl_words(command)
        assert words is not None, command
        done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
        assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small demo run, also under the name `first`, and the files that pages show with their names."""
    folder = tmp_path_factory.mktemp("demo")
    lay_out(folder)
    done = processes.start("-m", "spavl", "demo", "--limit", "16", cwd=folder, env=environment()).wait(600)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(folder / "runs" / "demo", folder / "runs" / "first")
    for page in PAGES:
        for block in doc_pages.blocks(page):
            if block.kind == "yaml" and (named := re.match(r"# ([\w-]+\.yaml)\n", block.text)):
                (folder / named[1]).write_text(block.text)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", marked(slow=True), ids=by_place)
def test_a_marked_block_runs_on_a_run(block: Block, demo: Path) -> None:
    for command in block.commands():
        words = spavl_words(command)
        if words is not None:
            done = processes.run("-m", "spavl", *words, cwd=demo, env=environment())
            assert done.returncode in (0, 4), f"{command}\n{done.stdout}\n{done.stderr}"  # 4: a limit or fault
