"""Describe, ask, leave out near-duplicates, respond: through a whole build, with the tables that it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

import spavl
from spavl.cli.commands import app
from spavl.config import Settings, load_settings
from spavl.dataset.question_text import SCHEMA
from spavl.errors import DataError
from spavl.records import ImageRecord, Match, Query, Response
from spavl.tables import read_table
from tests.models.server import completion, prompt_of, serving
from tests.pipeline.instant import RESPONDERS, Instant, built, settings_of, write_pictures

ROSTERS = sorted((Path(__file__).parents[2] / "settings" / "rosters").glob("*.yaml"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with four pictures."""
    write_pictures(tmp_path / "pictures", 4)
    Instant.fails.clear()
    yield tmp_path


def queries(place: Path) -> list[Query]:
    """The questions of the run."""
    return read_table(place / "run" / "2-queries.parquet", Query)


def with_models(place: Path, **build: Any) -> Settings:
    """Settings with a second asker, `other`."""
    models = [model.model_dump() for model in settings_of(place).models]
    models.append({**models[0], "name": "other", "version": "other"})
    return settings_of(place, models=models, build=build)


def test_pictures_are_described_before_questions_are_written(place: Path) -> None:
    counts, *_ = built(with_models(place, describe={"model": "other"}))
    assert counts["describe"] == {"ok": 4}
    described = read_table(place / "run" / "parts" / "describe.parquet", ImageRecord)
    assert {image.describer for image in described} == {"other"}
    assert all(image.description.startswith("Answer of other to: Describe this picture") for image in described)
    assert all(query.image.description for query in queries(place)), "the asker reads the described pictures"


def test_each_type_has_its_own_model_sampling_and_prompt(place: Path) -> None:
    (place / "hard.md").write_text("Write a {{question_type}} from {{easy_question}}.")
    asked = {
        "types": ["easy_question", "hard_question", "benign_question"], "models": {"hard_question": "other"},
        "own_sampling": {"benign_question": {"temperature": 0.0}}, "prompts": {"hard_question": str(place / "hard.md")},
    }  # fmt: skip
    settings = with_models(place, ask=asked)
    counts, calls, *_ = built(settings)
    assert counts["ask"] == {"ok": 12}
    assert {(query.question_type, query.asker) for query in queries(place)} == {
        ("easy_question", "asker"), ("hard_question", "other"), ("benign_question", "asker"),
    }  # fmt: skip
    assert not any(q.harmful for q in queries(place) if q.question_type == "benign_question")
    assert any(q.harmful for q in queries(place) if q.question_type == "easy_question")
    plan = spavl.open_run(settings, allow_code=True).check()
    assert [one.calls for one in plan.estimates if one.stage == "ask"] == [4, 4, 4]
    assert not plan.problems
    assert built(settings)[1] == 0 and calls > 0


def test_a_follow_up_comes_after_an_answer_that_is_paid_once(place: Path) -> None:
    asked = {"types": ["easy_question", "follow_up"], "follow_up": {"responder": "amber"}}
    counts, calls, *_ = built(settings_of(place, build={"ask": asked}))
    follow_ups = [query for query in queries(place) if query.question_type == "follow_up"]
    assert len(follow_ups) == 4
    for query in follow_ups:
        easy, answer = query.earlier
        assert (easy.role, answer.role) == ("user", "assistant")
        assert easy.text == f"A easy_question about {query.image.image_id}?"
        assert answer.text == f"Answer of amber to: {easy.text}"
        assert len(easy.images) == 1 and query.images == ()
        assert query.harmful == (not query.image.benign)
    answers = read_table(place / "run" / "parts" / "respond" / "amber.parquet", Response)
    first = [r for r in answers if r.query.question_type == "easy_question"]
    assert [r.response for r in first] == [q.earlier[1].text for q in follow_ups]
    assert calls == 8 + 3 * 8 + 3 * 8 + sum(counts["judge"].values()), "asked, answered, graded, judged: each once"


def test_of_two_near_duplicates_the_later_is_named_counted_and_never_answered(place: Path) -> None:
    settings = settings_of(place, build={"ask": {"types": ["easy_question"], "near_duplicates": 0.3}})
    counts, *_ = built(settings)
    assert counts["ask"] == {"ok": 4}
    assert counts["distinct"] == {"distinct": 1, "near-duplicate": 3}
    marked = read_table(place / "run" / "parts" / "distinct.parquet", Query)
    assert [query.query_status for query in marked] == ["ok", "skipped", "skipped", "skipped"]
    assert {query.query_detail for query in marked[1:]} == {f"near-duplicate of {marked[0].query_id}"}
    answers = read_table(place / "run" / "3-responses.parquet", Response)
    assert {answer.query.query_id for answer in answers} == {marked[0].query_id}
    assert json.loads((place / "run" / "run.json").read_text())["near_duplicates"]["found"] == 3
    again, calls, _, lines = built(settings)
    assert (again["distinct"], calls) == (counts["distinct"], 0)
    assert any("kept, for nothing" in line and "distinct" in line for line in lines)


def test_each_responder_has_its_own_number_of_answers_and_system_prompt(place: Path) -> None:
    (place / "system.txt").write_text("Placeholder of a system prompt.\n")
    respond = {
        "models": list(RESPONDERS), "own_samples": {"amber": 3}, "own_system": {"birch": str(place / "system.txt")},
    }  # fmt: skip
    settings = settings_of(place, build={"respond": respond, "match": {"groups": 3, "per_question": 2}})
    counts, *_ = built(settings)
    assert counts["respond"] == {"ok": 12 * (3 + 1 + 1)}
    answers = read_table(place / "run" / "3-responses.parquet", Response)
    assert len({answer.response_id for answer in answers}) == len(answers) == 60
    of_amber = [a for a in answers if a.responder == "amber"][:3]
    assert [(a.sample, a.response_id.rsplit("/", 1)[1]) for a in of_amber] == [
        (0, "amber"), (1, "amber#2"), (2, "amber#3"),
    ]  # fmt: skip
    assert len({answer.response_call for answer in of_amber}) == 3
    assert all(answer.query.system == "" for answer in answers), "a responder's system prompt is no part of the data"
    plan = spavl.open_run(settings, allow_code=True).check()
    assert [one.calls for one in plan.estimates if one.stage == "respond"] == [36, 12, 12]
    assert [one.calls for one in plan.estimates if one.stage == "grade"] == [60]
    for match in read_table(place / "run" / "4-matches.parquet", Match):
        assert match.a_response != match.b_response


def test_a_changed_system_prompt_costs_the_answers_of_its_responder_alone(place: Path) -> None:
    (place / "system.txt").write_text("One.")
    respond = {"models": list(RESPONDERS), "own_system": {"birch": str(place / "system.txt")}}
    settings = settings_of(place, build={"respond": respond})
    built(settings)
    parts = place / "run" / "parts" / "respond"
    before = {name: (parts / f"{name}.parquet").stat().st_mtime_ns for name in RESPONDERS}
    keys = {r.response_call for r in read_table(parts / "birch.parquet", Response)}
    (place / "system.txt").write_text("Two.")
    built(settings)
    after = {name: (parts / f"{name}.parquet").stat().st_mtime_ns for name in RESPONDERS}
    assert [name for name in RESPONDERS if after[name] != before[name]] == ["birch"]
    assert not keys & {r.response_call for r in read_table(parts / "birch.parquet", Response)}


def test_a_server_is_held_to_the_schema_and_sent_the_responders_own_system_prompt(place: Path) -> None:
    (place / "system.txt").write_text("Placeholder of a system prompt.")

    async def respond(request: web.Request, number: int) -> web.Response:
        body = await request.json()
        if "response_format" in body:
            return completion(json.dumps({"question": f"Question: where is cup {number}?"}) if number else '{"question')
        return completion(f"Answer of amber to: {prompt_of(body)}")

    with serving(respond) as server:
        one = {"kind": "endpoint", "url": server.url, "concurrency": 1, "attempts": 1}
        models = [
            {"name": spec.name, "model": spec.name, "identity": f"test/{spec.name}", **one}
            if spec.name in ("asker", "amber") else spec.model_dump()
            for spec in settings_of(place).models
        ]  # fmt: skip
        build = {
            "ask": {"types": ["easy_question"], "structured": True},
            "respond": {"models": list(RESPONDERS), "own_system": {"amber": str(place / "system.txt")}},
        }
        counts, *_ = built(settings_of(place, models=models, build=build))
        asked = [body for body in server.bodies if body["model"] == "asker"]
        answered = [body for body in server.bodies if body["model"] == "amber"]
    assert counts["ask"] == {"ok": 3, "unreadable": 1}
    assert all(body["response_format"]["json_schema"]["schema"] == SCHEMA for body in asked) and len(asked) == 4
    assert all(query.question.startswith("where is cup ") for query in queries(place) if query.query_status == "ok")
    assert {body["messages"][0]["content"] for body in answered} == {"Placeholder of a system prompt."}
    assert {body["messages"][0]["role"] for body in answered} == {"system"} and len(answered) == 3


def test_an_empty_slot_does_not_run_and_that_is_said_and_noted(place: Path) -> None:
    respond = {"models": [*RESPONDERS, "other"], "own_system": {"other": None}}
    settings = with_models(place, respond=respond)
    counts, _, _, lines = built(settings)
    assert counts["respond"] == {"ok": 12 * 3}
    assert any(line.startswith("3 of 4 responders run: `other` is an empty slot") for line in lines)
    assert json.loads((place / "run" / "run.json").read_text())["empty_slots"] == ["other"]
    plan = spavl.open_run(settings, allow_code=True).check()
    assert any(warning.startswith("3 of 4 responders run") for warning in plan.warnings)


@pytest.mark.parametrize(("change", "says"), [
    ({"respond": {"own_system": {"amber": "nowhere.txt"}}}, "The system prompt cannot be read"),
    ({"ask": {"prompts": {"hard_question": "hard.md"}}}, "did you mean {{easy_question}}?"),
])  # fmt: skip
def test_a_file_that_cannot_be_used_is_found_before_the_first_call(
    place: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(place)
    (place / "hard.md").write_text("Rewrite {{easy_questoin}}.")
    settings = settings_of(place, build=change)
    assert [says in problem.render() for problem in spavl.open_run(settings, allow_code=True).check().problems] == [
        True
    ]
    with pytest.raises(DataError) as error:
        built(settings)
    assert says in error.value.render()
    assert not (place / "run" / "1-images.parquet").exists()


@pytest.mark.parametrize("roster", ROSTERS, ids=lambda path: path.stem)
def test_check_says_of_each_roster_that_eleven_run_and_what_is_not_there(
    roster: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    for name in ("OPENROUTER_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    own = [model.model_dump() for model in settings_of(place).models if model.name in ("asker", "guard", "judge")]
    mine = place / "my.yaml"
    tree = {
        "include": [str(roster)], "models": own, "out": str(place / "run"), "store": str(place / "calls.sqlite"),
        "guards": [{"name": "guard"}], "judges": [{"name": "judge"}],
        "build": {"collect": {"folder": str(place / "pictures")}},
    }  # fmt: skip
    mine.write_text(json.dumps(tree))
    done = CliRunner().invoke(app, ["check", "--allow-code", str(mine)], env={"COLUMNS": "250"})
    (slot,) = load_settings(Settings, roster).build.respond.empty_slots
    assert f"11 of 12 responders run: `{slot}` is an empty slot" in done.output
    assert done.exit_code == 2 and "Traceback" not in done.output
    said = ("cannot be reached", "is not set", "the Hub did not give")
    assert sum(done.output.count(words) for words in said) == 11
