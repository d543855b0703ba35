"""The tutorial: its commands do what its page says, and the page is what a program wrote."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from spavl.config import Settings
from tests import doc_pages, generate_tutorial, processes
from tests.generate_tutorial import FILES, PAGE, environment, outputs, page, shortened

BLOCKS = list(doc_pages.blocks(PAGE))
RUN = [block for block in BLOCKS if block.mark.startswith("run")]


def forked(words: list[str], folder: Path) -> str:
    """What a command of the page prints; torch is imported once for all of them."""
    if words[0] != "spavl":
        return generate_tutorial.in_a_process(words, folder)
    done = processes.start("-m", *words, cwd=folder, env=environment()).wait(600)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_files_on_the_page_are_those_of_the_examples() -> None:
    shown = {block.mark.removeprefix("file: "): block.text for block in BLOCKS if block.mark.startswith("file: ")}
    assert shown == {"first.yaml": (FILES / "first.yaml").read_text("utf-8")}


def test_the_settings_of_the_tutorial_are_settings_and_name_what_the_folder_has() -> None:
    settings = Settings.model_validate(yaml.safe_load((FILES / "first.yaml").read_text("utf-8")))
    targets = {spec.target for spec in settings.models if spec.kind == "python"}
    source = (FILES / "my_models.py").read_text("utf-8")
    assert targets and all(re.search(rf"^class {target.split(':')[1]}\(", source, re.M) for target in targets)


def test_the_page_names_every_step_from_init_to_report_in_order() -> None:
    commands = [words[0] for block in RUN for one in block.commands() if (words := doc_pages.spavl_words(one))]
    order = [
        commands.index(name) for name in ("init", "check", "build", "audit", "align", "evaluate", "compare", "report")
    ]
    assert order == sorted(order)
    assert all(block.text.count("\n") > len(block.commands()) for block in RUN), "outputs are missing"


def test_of_a_long_output_first_and_last_lines_are_kept_and_what_is_left_out_is_marked() -> None:
    assert shortened("1\n2\n3\n4\n5  \n", "run: first 1, last 2") == "1\n…\n4\n5\n"
    assert shortened("\n1\n2\n", "run: first 1, last 2") == "1\n2\n"
    assert shortened("1\n2\n3\n4\n", "run: first 0, last 1") == "…\n4\n"
    assert shortened("1\n2\n3\n4\n", "run: first 1, last 0") == "1\n…\n"
    assert shortened("1\n2 a\n3\n", "run: from 2 ") == "2 a\n3\n"


def test_a_page_is_written_with_new_outputs_and_stays_as_it_is_elsewhere() -> None:
    found = {block.line: [(command, "new\n") for command in block.commands()] for block in RUN}
    written = page(found, 61)
    assert written.count("\nnew\n") == sum(len(block.commands()) for block in RUN)
    assert "<!-- time -->1 minutes<!-- /time -->" in written
    marks = re.compile(r"^```(?:console|yaml|json)\n.*?^```$|<!-- time -->.*?<!-- /time -->", re.M | re.S)
    assert marks.sub("", written) == marks.sub("", PAGE.read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_tutorial_runs_and_its_proof_is_that_of_the_page(tmp_path: Path) -> None:
    made = outputs(tmp_path, forked)
    assert [made[block.line][0][0] for block in RUN] == [block.commands()[0] for block in RUN]
    run = tmp_path / "runs" / "first"
    assert (run / "report.html").exists()
    rates = json.loads((run / "run.json").read_text())["models"]
    base, dpo = (rates[name]["unsafe_rate"]["value"] for name in ("base", "dpo"))
    assert base - dpo >= 0.2 and "closer" in rates
    last = [made[block.line][-1][1].splitlines() for block in RUN]
    said = [line for block, lines in zip(RUN, last, strict=True) for line in lines if line.startswith("Next:")]
    assert said and all(line in PAGE.read_text("utf-8") for line in said if "clean" not in line)
