"""A stage of one's own is one file and one line of the settings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import spavl
from spavl.errors import DataError, SettingsError
from spavl.pipeline.report import funnel_of
from spavl.report.data import Step
from tests.pipeline.instant import Instant, settings_of, write_pictures

ROOT = Path(__file__).parents[2]
LEAVE_OUT = """
import spavl


def only_questions(queries, at):
    return [query for query in queries if query.question_type != "hard_statement"]


STAGE = spavl.Stage(
    name="only questions", after="ask", reads=spavl.Query, writes=spavl.Query, work=only_questions, noun="kept ones"
)
"""
ASK_A_MODEL = """
from dataclasses import replace

import spavl


def again(responses, at):
    replies = at.call([spavl.Prompt(f"Once more: {r.response}", item=r.query.image.image_id) for r in responses])
    longer = [replace(r, response=f"{r.response} {a.text}") for r, a in zip(responses, replies)]
    return spavl.Made(longer, {"asked again": len(replies)})


def models(settings):
    return [spavl.ModelUse(label="birch", setting="build.stages", sampling=settings.build.respond.sampling)]


STAGE = spavl.Stage(
    name="again", after="respond", reads=spavl.Response, writes=spavl.Response, work=again, models=models,
    kept="asked again",
)
"""
PAIRS_OF_ONE_JUDGE = """
import spavl

STAGE = spavl.Stage(
    name="first pairs", after="pair", reads=spavl.PreferencePair, writes=spavl.PreferencePair,
    work=lambda pairs, at: pairs[:1],
)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures and a settings file; what was imported from it is forgotten afterwards."""
    write_pictures(tmp_path / "pictures")
    Instant.fails.clear()
    write_settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_stage", raising=False)
    return tmp_path


def write_settings(folder: Path, *targets: str) -> None:
    """`my.yaml` with stages of one's own."""
    settings = settings_of(folder, build={"stages": list(targets)})
    (folder / "my.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json"), allow_unicode=True))


def opened(folder: Path, code: str, *, target: str = "my_stage:STAGE", allow_code: bool = True) -> spavl.PipelineRun:
    """The run with a stage of one's own, whose file is written anew."""
    sys.modules.pop("my_stage", None)
    (folder / "my_stage.py").write_text(code)
    write_settings(folder, target)
    return spavl.open_run("my.yaml", allow_code=allow_code)


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command `spavl`, which does not have the current folder on Python's path."""
    script = "import sys; sys.path.pop(0); from spavl.__main__ import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-c", script, *words], cwd=folder, env=environment, capture_output=True,
                          text=True, check=False)  # fmt: skip


def test_its_effect_is_in_the_tables_after_it_in_run_json_in_the_plan_and_in_the_terminal(place: Path) -> None:
    before = spavl.open_run("my.yaml", allow_code=True)
    planned, counts = before.check().calls, before.build()
    assert counts["respond"] == {"ok": 7 * 3 * 3}
    (place / "my_stage.py").write_text(LEAVE_OUT)
    write_settings(place, "my_stage:STAGE")
    done = command(place, "build", "my.yaml", "--allow-code")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^only questions +7 left out, 14 made +\d", done.stdout, re.MULTILINE), done.stdout
    assert done.stdout.index("\nask ") < done.stdout.index("\nonly questions") < done.stdout.index("\nrespond ")
    plan = command(place, "check", "my.yaml", "--allow-code").stdout
    assert "Stages: collect → ask → only questions → respond → grade → match → judge → pair\n" in plan
    after = spavl.open_run("my.yaml", allow_code=True)
    known = json.loads((place / "run" / "run.json").read_text())
    assert known["counts"]["only questions"] == {"made": 14, "left out": 7}
    assert known["stages"][2] == {"name": "only questions", "noun": "kept ones", "kept": "made"}
    assert Step(name="kept ones", count=14, losses={"left out": 7}) in list(funnel_of(known))
    assert {q.question_type for q in after.records(spavl.Query)} == {"easy_question", "hard_question"}
    for kind in (spavl.Response, spavl.PreferencePair):
        assert {r.query.question_type for r in after.records(kind)} == {"easy_question", "hard_question"}
    assert after.check().calls == planned, "what a stage leaves out is not known before it ran"


def test_the_models_that_it_asks_are_planned_and_called_through_the_store(place: Path) -> None:
    run = opened(place, ASK_A_MODEL)
    assert [(e.model, e.calls) for e in run.check().estimates if e.stage == "again"] == [("birch", 63)]
    assert run.build()["again"] == {"asked again": 63}
    assert all(" Answer of birch to: Once more: " in r.response for r in run.records(spavl.Response))
    assert run.manifest()["spent"]["again"]["calls"] == 63


def test_a_stage_after_the_pairs_decides_what_is_exported(place: Path) -> None:
    run = opened(place, PAIRS_OF_ONE_JUDGE)
    counts = run.build()
    assert 0 < counts["first pairs"]["made"] < counts["pair"]["pair"]
    assert (
        sum(counts["export"].values()) == counts["first pairs"]["made"] == len(list(run.records(spavl.PreferencePair)))
    )


def test_a_changed_file_makes_its_table_and_those_after_it_anew(place: Path) -> None:
    opened(place, LEAVE_OUT).build()
    counts = opened(place, LEAVE_OUT.replace("hard_statement", "easy_question")).build()
    assert counts["only questions"] == {"made": 14, "left out": 7}
    run = opened(place, LEAVE_OUT.replace('!= "hard_statement"', '== "hard_statement"'))
    assert run.build()["respond"] == {"ok": 7 * 3}


def test_the_stage_taken_out_again_leaves_no_trace(place: Path) -> None:
    opened(place, LEAVE_OUT).build()
    write_settings(place)
    run = spavl.open_run("my.yaml", allow_code=True)
    counts = run.build()
    assert "only questions" not in counts
    assert "only questions" not in [stage["name"] for stage in run.manifest()["stages"]]
    assert counts["respond"] == {"ok": 63}


@pytest.mark.parametrize(
    ("code", "target", "message"),
    [
        (LEAVE_OUT, "my_stage:NOBODY", "KeyError: 'NOBODY'"),
        (LEAVE_OUT, "my_missing_stage:STAGE", "ModuleNotFoundError"),
        (LEAVE_OUT, "my_stage:only_questions", "This is no stage with a function"),
        (LEAVE_OUT.replace('"ask"', '"aks"'), "my_stage:STAGE", "comes after `aks`, which is no stage"),
        (LEAVE_OUT.replace('"only questions"', '"judge"'), "my_stage:STAGE", "There are two stages `judge`"),
        (LEAVE_OUT.replace("reads=spavl.Query", "reads=spavl.Match"), "my_stage:STAGE", "reads Match, which no stage"),
        (LEAVE_OUT.replace("reads=spavl.Query", "reads=None"), "my_stage:STAGE", "reads nothing, which no stage"),
        ("import spavl\n1/0\n", "my_stage:STAGE", "ZeroDivisionError"),
        ("def f(:\n", "my_stage:STAGE", "SyntaxError"),
    ],
)
def test_a_stage_that_cannot_be_is_a_sentence(place: Path, code: str, target: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as error:
        opened(place, code, target=target).build()
    assert target.split(":")[0] in error.value.where


def test_code_needs_permission(place: Path) -> None:
    with pytest.raises(SettingsError, match="refused unless you say so") as error:
        opened(place, LEAVE_OUT, allow_code=False).check()
    assert "--allow-code" in error.value.try_


def test_an_error_in_its_function_is_a_sentence_with_file_and_line(place: Path) -> None:
    with pytest.raises(DataError, match="The stage `only questions` failed: AttributeError") as error:
        opened(place, LEAVE_OUT.replace("query.question_type", "query.kind")).build()
    assert error.value.where == f"{place / 'my_stage.py'}:6"


def test_records_of_another_class_are_a_sentence(place: Path) -> None:
    with pytest.raises(DataError, match="writes Query, and made a dict"):
        opened(place, LEAVE_OUT.replace("[query for", "[{} for")).build()


def test_a_stage_in_a_notebook_is_named_by_main_and_made_anew_when_its_cell_changes(place: Path) -> None:
    """A notebook has no file: its cells are compiled one by one, and Python finds their text in its cache of lines."""
    notebook = """
import linecache, sys
import spavl

def cell(text):
    linecache.cache["<cell>"] = (len(text), None, text.splitlines(True), "<cell>")
    exec(compile(text, "<cell>", "exec"), vars(sys.modules["__main__"]))
    return spavl.open_run("my.yaml", allow_code=True).build()["only questions"]

text = sys.stdin.read()
print(cell(text), cell(text.replace('"hard_statement"', '"none of them"')))
"""
    write_settings(place, "__main__:STAGE")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", notebook], input=LEAVE_OUT, cwd=place, env=environment, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'left out': 7, 'made': 14} {'made': 21}\n"
