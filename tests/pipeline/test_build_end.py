"""How a build ends where models failed: typed records, reasons with counts, what it cost, and why there is no pair."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.cli.terminal import print_funnel
from spavl.errors import NothingMade
from spavl.models.backends.local import LocalModel
from spavl.models.base import Reply, failed_reply
from tests.pipeline.failing import Told, told_settings
from tests.pipeline.instant import built, write_pictures

DOWN = failed_reply("the server failed with 500")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with pictures; every model answers."""
    write_pictures(tmp_path / "pictures", 2)
    Told.says.clear()
    yield tmp_path
    Told.says.clear()


def manifest(place: Path) -> dict[str, Any]:
    """What `run.json` holds."""
    read: dict[str, Any] = json.loads((place / "run" / "run.json").read_text("utf-8"))
    return read


def said(place: Path, *words: str) -> tuple[int, str]:
    """Exit status and output of `spavl build`."""
    file = place / "my.yaml"
    file.write_text(yaml.safe_dump(told_settings(place).model_dump(mode="json")))
    done = CliRunner().invoke(app, ["build", str(file), "--allow-code", *words], env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_a_responder_that_always_fails_costs_its_own_answers_and_is_named_with_its_reason(place: Path) -> None:
    Told.says["amber"] = DOWN
    counts, *_ = built(told_settings(place))
    assert counts["respond"] == {"ok": 12, "failed": 6}
    assert counts["grade"] == {"ok": 12, "skipped": 6}
    assert counts["pair"]["pair"] > 0
    (first,) = manifest(place)["failures"]
    assert {name: first[name] for name in ("stage", "model", "status", "reason", "count")} == {
        "stage": "respond", "model": "amber", "status": "failed", "reason": "the server failed with 500", "count": 6
    }  # fmt: skip
    rows = pq.read_table(place / "run" / "3-responses.parquet").to_pylist()
    failed = [row for row in rows if row["response_status"] == "failed"]
    assert {(row["responder"], row["response_detail"]) for row in failed} == {("amber", "the server failed with 500")}
    assert first["example"] in {row["response_id"] for row in failed}
    Told.says.clear()
    counts, calls, _, _ = built(told_settings(place))
    assert counts["respond"] == {"ok": 18}
    assert manifest(place)["failures"] == []
    assert calls >= 6


def test_the_end_line_says_what_failed_how_often_and_where_all_of_it_stands(place: Path) -> None:
    Told.says["amber"] = DOWN
    status, text = said(place)
    assert status == 3
    assert "6 records failed; running the same command again asks for them." in text
    assert "6 × respond, amber: the server failed with 500 (failed)" in text
    assert "parts/respond/amber.parquet" in text


def test_the_three_commonest_reasons_are_printed_and_numbers_have_their_nouns(capsys) -> None:  # type: ignore[no-untyped-def]
    reasons = [
        {"stage": "judge", "model": "m", "status": "failed", "reason": f"reason {n}", "count": n, "example": "an/id",
         "table": "5-judgments.parquet"}
        for n in (9, 5, 3, 2)
    ]  # fmt: skip
    made = {"stages": [{"name": "judge"}], "counts": {"judge": {"ok": 4, "failed": 1}}, "again": {"judge": 1},
            "failures": reasons}  # fmt: skip
    assert print_funnel(made) == 1
    text = capsys.readouterr().out
    assert "1 record failed; running the same command again asks for it." in text
    assert [f"reason {n}" in text for n in (9, 5, 3, 2)] == [True, True, True, False]


def test_pictures_are_counted_from_found_to_made_and_judges_that_never_meet_are_said_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = {"exact duplicate": 1, "found": 8, "made": 5, "unreadable": 2}
    rate = {"value": None, "low": 0.0, "high": 1.0, "n": 0, "unreadable": 0}
    print_funnel({"stages": [{"name": "collect"}], "counts": {"collect": counts},
                  "judges_agree": {"same": {"one ~ two": rate}, "alpha": None}})  # fmt: skip
    text = " ".join(capsys.readouterr().out.split())
    assert "8 found, 1 exact duplicate, 2 unreadable, 5 made" in text
    assert "Judges agree: one ~ two – (no match on which both are steady)." in text


def test_what_is_final_is_no_failure_of_the_command(place: Path) -> None:
    Told.says["birch"] = Reply("", status="invalid", detail="too long for this server")
    status, text = said(place)
    assert status == 0
    assert "6 × respond, birch: too long for this server (invalid)" in text
    assert "asks for" not in text


def test_an_empty_answer_is_asked_again_of_a_server_and_final_of_weights(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Told.says["birch"] = Reply("")
    status, text = said(place)
    assert (status, "6 records failed; running the same command again" in text) == (3, True)
    Told.says.clear()
    monkeypatch.setattr(LocalModel, "generate", lambda model, requests: [Reply("")] * len(requests))
    for again in (False, True):
        status, text = said(place, "models.3={kind: local, name: amber, path: 'miniworld:base'}")
        assert (status, "records failed" in text) == (0, False), text
        assert "6 × respond, amber: the model answered without a word (empty)" in text
        (kept,) = [line for line in text.splitlines() if line.startswith("kept, ")]
        assert ("respond" in kept) == again, "no table is remade for them"


def test_failures_of_the_asker_are_counted_and_named(place: Path) -> None:
    Told.says["asker"] = DOWN
    with pytest.raises(NothingMade) as error:
        built(told_settings(place))
    assert error.value.exit_status == 3
    assert error.value.try_.startswith("run the same command again")
    assert manifest(place)["counts"]["ask"] == {"failed": 2, "skipped": 4}
    assert "no question was written; 2 calls of ask to `asker` failed (the server failed with 500)" in error.value.what


NOTHING = {
    "guard failed": ({"guard": DOWN}, 3, ["no answer has a readable grade", "18 calls of grade to `guard` failed"]),
    "guard unreadable": ({"guard": Reply("perhaps")}, 2, ["no answer has a readable grade"]),
    "judge failed": ({"judge": DOWN}, 3, ["of 6 matches, 6 without two readable verdicts", "12 calls of judge"]),
    "orders disagree": ({"judge": Reply("[[A]]")}, 2, ["of 6 matches, 6 read differently in the two orders"]),
    "ties": ({"judge": Reply("[[C]]")}, 2, ["of 6 matches, 6 ended as a tie"]),
    "one safety group": (
        {"guard": Reply("safe")}, 2,
        ["all 3 responders are in one safety group", "amber 0 %, birch 0 %, cedar 0 %"],
    ),
    "two responders failed": (
        {"amber": DOWN, "birch": DOWN}, 3,
        ["answers of one responder alone were graded (cedar)", "6 calls of respond to `amber` failed"],
    ),
    "all answers are filtered": (
        dict.fromkeys(("amber", "birch", "cedar"), Reply("", status="filtered", detail="cut")), 2,
        ["no question was answered", "6 calls of respond to `amber` failed (cut)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", NOTHING)
def test_no_pair_is_told_with_its_reason_and_counts(what: str, place: Path) -> None:
    says, status, sentences = NOTHING[what]
    Told.says.update(says)
    with pytest.raises(NothingMade) as error:
        built(told_settings(place))
    assert error.value.what.startswith("No match became a pair: ")
    for sentence in sentences:
        assert sentence in error.value.what
    assert error.value.exit_status == status
    assert not (place / "run" / "dataset").exists()


def test_a_build_without_a_pair_shows_what_was_made_before_it_says_why(place: Path) -> None:
    Told.says["judge"] = DOWN
    with pytest.raises(NothingMade):
        said(place)
    done = CliRunner().invoke(app, ["build", str(place / "my.yaml"), "--allow-code"], env={"COLUMNS": "200"})
    assert "What was made" in done.output
    assert "12 failed" in done.output
    assert "12 × judge, judge: the server failed with 500 (failed)" in done.output


def test_a_dataset_stays_where_a_later_build_makes_no_pair(place: Path) -> None:
    built(told_settings(place))
    before = (place / "run" / "dataset" / "data" / "train.parquet").read_bytes()
    (place / "calls.sqlite").unlink()
    shutil.rmtree(place / "run" / "parts")
    for table in (place / "run").glob("*.parquet"):
        table.unlink()
    Told.says["judge"] = DOWN
    with pytest.raises(NothingMade):
        built(told_settings(place))
    assert (place / "run" / "dataset" / "data" / "train.parquet").read_bytes() == before


def test_tokens_and_cost_are_those_of_the_records_whoever_paid(place: Path) -> None:
    built(told_settings(place))
    first = manifest(place)["spent"]
    assert first["respond"] == {"calls": 18, "stored": 0, "tokens": 18 * 110, "cost": pytest.approx(0.18)}
    built(told_settings(place))
    assert manifest(place)["spent"] == first, "nothing was made, and the records are the same"
    shutil.rmtree(place / "run")
    _, calls, _, _ = built(told_settings(place))
    again = manifest(place)["spent"]
    assert calls == 0
    for stage in ("ask", "respond", "grade", "judge"):
        assert again[stage]["calls"] == 0
        assert again[stage]["earlier_tokens"] == again[stage]["tokens"] > 0, "an earlier run paid for all of it"
        assert again[stage]["earlier_cost"] == pytest.approx(again[stage]["cost"])
        assert again[stage]["tokens"] == first[stage]["tokens"] > 0
        assert again[stage]["cost"] == pytest.approx(first[stage]["cost"])


def test_a_further_responder_adds_its_cost_to_that_of_the_others(place: Path) -> None:
    built(told_settings(place, build={"respond": {"models": ["amber", "birch"]}}))
    assert manifest(place)["spent"]["respond"]["tokens"] == 12 * 110
    built(told_settings(place))
    assert manifest(place)["spent"]["respond"]["tokens"] == 18 * 110


def test_a_call_that_was_not_sent_has_the_reason_of_those_that_were_cut_short(place: Path) -> None:
    why = "`amber` was given up for this run: status 503"
    Told.says["amber"] = failed_reply(f"not sent: {why}")
    built(told_settings(place))
    assert [(one["reason"], one["count"]) for one in manifest(place)["failures"]] == [(why, 6)]


@pytest.mark.parametrize("dead", ["amber", "judge"])
def test_where_nothing_was_made_for_calls_failed_no_other_judge_is_advised(dead: str, place: Path) -> None:
    Told.says.update(dict.fromkeys(("amber", "birch", "cedar") if dead == "amber" else ("judge",), DOWN))
    with pytest.raises(NothingMade) as error:
        built(told_settings(place))
    assert error.value.try_ == "run the same command again, which asks for what failed"


def test_where_a_ceiling_kept_calls_back_it_is_advised_to_raise_it(place: Path) -> None:
    settings = told_settings(place)
    ceilings = settings.ceilings.model_copy(update={"minutes": 1e-9})
    with pytest.raises(NothingMade) as error:
        built(settings.model_copy(update={"ceilings": ceilings}))
    assert error.value.try_.startswith("raise `ceilings.minutes`, then run the same command again")
