"""A build with several judges, with balance, and with judges that fail: what is made, noted, shown and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from spavl.cli.terminal import print_funnel
from spavl.config import PythonSpec, Settings
from spavl.errors import NothingMade
from spavl.models.base import Reply
from spavl.pipeline.quality import balance_rows, judge_panel, judges, note_judges, warn_of_unmatched
from spavl.pipeline.session import Session
from spavl.pipeline.show import find_question
from spavl.progress import NoProgress
from spavl.records import Judgment, PreferencePair
from spavl.run import Run
from spavl.tables import read_table
from tests.pipeline.failing import Told
from tests.pipeline.instant import RESPONDERS, Log, built, settings_of, write_pictures

JUDGES = ("one", "two", "three")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with pictures; every model answers."""
    write_pictures(tmp_path / "pictures", 4)
    Told.says.clear()
    yield tmp_path
    Told.says.clear()


def judged_by(place: Path, *names: str, **build: Any) -> Settings:
    """Settings of a build by told models with these judges."""
    models = [
        PythonSpec(name=name, target="tests.pipeline.failing:Told", version=name).model_dump()
        for name in ("asker", "guard", *JUDGES, *RESPONDERS)
    ]
    entries = [{"name": name} for name in names]
    return settings_of(place, models=models, judges=entries, build={"judge": {"judges": list(names)}, **build})


def manifest(place: Path) -> dict[str, Any]:
    """What `run.json` holds."""
    read: dict[str, Any] = json.loads((place / "run" / "run.json").read_text("utf-8"))
    return read


# --- judges -----------------------------------------------------------------------------------------------------------


def test_three_judges_of_which_one_is_garbage_make_the_pairs_of_the_other_two(place: Path) -> None:
    Told.says["two"] = Reply("I would choose A.")
    counts, _, _, lines = built(judged_by(place, *JUDGES))
    assert counts["judge"] == {"ok": 48, "unreadable": 24}
    assert counts["pair"] == {"pair": 12}
    assert "warning: the verdicts of the judge `two` cannot be read: 24 of 24" in lines
    pairs = read_table(place / "run" / "6-pairs.parquet", PreferencePair)
    assert {(p.judge, p.judges_for, p.judges_against) for p in pairs} == {("one", ("one", "three"), ())}
    noted = manifest(place)
    assert list(noted["judges"]) == list(JUDGES)
    assert [of["table"] for of in noted["judges"].values()] == [f"parts/judge/{name}.parquet" for name in JUDGES]
    assert noted["judges_agree"]["same"]["one ~ three"]["value"] == 1.0
    assert noted["judges_agree"]["same"]["one ~ two"]["n"] == 0
    assert noted["swap_agreement"] == 1.0


@pytest.mark.parametrize("garbage", ["I would choose A.", "", "[[A]] or [[B]]", "[[D]]", "tie"])
def test_garbage_alone_makes_no_pair_and_an_error_and_never_ties(place: Path, garbage: str) -> None:
    Told.says["one"] = Reply(garbage) if garbage else Reply("?")
    with pytest.raises(NothingMade) as error:
        built(judged_by(place, "one"))
    assert "of 12 matches, 12 without two readable verdicts" in error.value.what
    assert "the verdicts of the judge `one` cannot be read: 24 of 24" in error.value.what
    assert error.value.exit_status == 2
    assert not (place / "run" / "dataset").exists()
    assert manifest(place)["judges"]["one"]["unreadable"] == 24


def test_a_judge_that_follows_the_position_makes_no_pair_and_its_bias_is_shown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Told.says["one"] = Reply("[[A]]")
    with pytest.raises(NothingMade, match="12 read differently in the two orders"):
        built(judged_by(place, "one"))
    noted = manifest(place)
    assert noted["judges"]["one"]["position_bias"]["value"] == 1.0
    print_funnel(noted)
    printed = capsys.readouterr().out
    assert "Judges, with 95 % intervals" in printed and "[62.6, 100.0]" in printed


def test_the_audit_of_several_judges_is_printed_reported_and_shown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built(judged_by(place, *JUDGES))
    noted, run = manifest(place), Run(place / "run")
    print_funnel(noted)
    printed = capsys.readouterr().out
    assert "Judges agree: one ~ two 100.0 % of 12" in printed
    assert "AUC of length alone" in printed
    assert [one.name for one in judges(run, None)] == list(JUDGES)
    assert judges(run, None)[0].bias is not None
    assert [one.name for one in judges(run, None)[0].categories] == ["Security threats"]
    agreement = judge_panel(noted)
    assert agreement is not None and agreement.alpha == 1.0
    shown = find_question(place / "run", "weapon", reveal=True)
    assert {(v.judge, v.order) for v in shown.verdicts} == {(name, order) for name in JUDGES for order in ("ab", "ba")}


def test_a_quorum_that_no_number_of_judges_can_meet_is_refused(place: Path) -> None:
    with pytest.raises(ValidationError, match=r"`pair.quorum` is 2, and `judge.judges` names 1"):
        judged_by(place, "one", pair={"quorum": 2})


def test_another_quorum_makes_pairs_anew_without_a_call(place: Path) -> None:
    Told.says |= {"two": Reply("[[C]]"), "three": Reply("[[C]]")}
    with pytest.raises(NothingMade, match="12 ended as a tie"):
        built(judged_by(place, *JUDGES))
    counts, calls, _, _ = built(judged_by(place, *JUDGES, pair={"quorum": 1}))
    assert (counts["pair"], calls) == ({"pair": 12}, 0)


def test_verdicts_on_two_axes_are_kept(place: Path) -> None:
    Told.says["one"] = Reply("because\nharmlessness: [[C]]\nhelpfulness: [[A]]")
    settings = judged_by(place, "one").model_dump(mode="json")
    settings["judges"] = [{"name": "one", "kind": "two-axis"}]
    with pytest.raises(NothingMade):
        built(Settings.model_validate(settings))
    found = read_table(place / "run" / "5-judgments.parquet", Judgment)
    assert {(j.order, j.winner, j.harmless, j.helpful) for j in found} == {
        ("ab", "a", "tie", "a"), ("ba", "b", "tie", "b")
    }  # fmt: skip


# --- policies and balance ---------------------------------------------------------------------------------------------


def test_why_there_is_no_match_is_told_for_the_policy_that_was_wanted(place: Path) -> None:
    Told.says["guard"] = Reply("safe")
    with pytest.raises(NothingMade, match="no question has two whole, different answers that its match policy"):
        built(judged_by(place, "one", match={"policy": "best-worst"}))
    with pytest.raises(NothingMade, match="all 3 responders are in one safety group"):
        built(judged_by(place, "one", match={"policy": "strong-weak"}))
    counts, *_ = built(judged_by(place, "one", match={"policy": "round-robin"}))
    assert counts["pair"] == {"pair": 12}


def test_balance_is_a_stage_of_its_own_whose_pairs_are_exported_and_shown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts, *_ = built(judged_by(place, "one"))
    assert "balance" not in counts and sum(counts["export"].values()) == 12
    settings = judged_by(place, "one", balance={"per_subcategory": 5})
    counts, calls, _, _ = built(settings)
    assert (counts["balance"], calls) == ({"kept": 5, "more than per_subcategory": 7}, 0)
    assert sum(counts["export"].values()) == 5
    run, noted = Run(place / "run"), manifest(place)
    kept, whole = read_table(run.balanced, PreferencePair), read_table(run.pairs, PreferencePair)
    assert len(whole) == 12 and [p for p in whole if p in kept] == kept
    assert run.last_pairs == run.balanced
    assert [of["pairs"] for of in noted["pairs_balance"].values()] == [12, 5]
    assert balance_rows(noted)[0].words == ("12", "5")
    print_funnel(noted)
    assert "balance" in capsys.readouterr().out
    left_out = next(p for p in whole if p not in kept)
    assert find_question(place / "run", left_out.query.query_id).pairs == ()
    built(judged_by(place, "one"))
    assert run.last_pairs == run.pairs
    assert list(manifest(place)["pairs_balance"]) == ["pair"]


def test_a_subcategory_that_falls_short_is_named(place: Path) -> None:
    _, _, _, lines = built(judged_by(place, "one", balance={"per_subcategory": 50}))
    assert "fewer than 50 pairs of 1 subcategory: weapon 12" in lines
    assert manifest(place)["short_subcategories"] == {"weapon": 12}


def test_the_size_of_a_batch_changes_no_pair_of_several_judges_and_of_balance(place: Path) -> None:
    found = []
    for size in (1, 2, 100):
        limits = {"per_subcategory": 7, "max_source_share": 0.5}
        built(judged_by(place, *JUDGES, batch_size=size, balance=limits, match={"policy": "round-robin"}))
        found.append(read_table(place / "run" / "7-balanced.parquet", PreferencePair))
    assert 0 < len(found[0]) <= 7
    assert found[0] == found[1] == found[2]


def test_a_wish_for_safe_completions_that_no_guard_can_tell_is_warned_of(place: Path) -> None:
    warned = "warning: `prefer_safe_completion` did nothing"
    settings = judged_by(place, "one", pair={"prefer_safe_completion": True})
    assert any(line.startswith(warned) for line in built(settings)[3])
    assert not any(line.startswith(warned) for line in built(judged_by(place, "one"))[3])
    Told.says["guard"] = Reply("safe completion")
    tree = judged_by(place, "one", pair={"prefer_safe_completion": True}, match={"policy": "round-robin"}).model_dump()
    tree["guards"] = [{"name": "guard", "kind": "outcome"}]
    assert not any(line.startswith(warned) for line in built(Settings.model_validate(tree))[3])


def test_the_audit_of_the_same_verdicts_is_noted_again_after_a_run_that_stopped_before_them(place: Path) -> None:
    given = judged_by(place, "one")
    built(given)
    noted = manifest(place)["judges"]
    with Session(given, NoProgress(), allow_code=True) as session:
        note_judges(session, [])
        assert session.run.manifest()["judges"] == {}
    built(given)
    assert manifest(place)["judges"] == noted


def test_what_was_noted_of_earlier_pairs_is_dropped_where_a_build_makes_none(place: Path) -> None:
    built(judged_by(place, "one"))
    assert manifest(place)["pairs_balance"]
    Told.says["two"] = Reply("[[C]]")
    with pytest.raises(NothingMade, match="12 ended as a tie"):
        built(judged_by(place, "two"))
    assert balance_rows(manifest(place)) == (), "they are of pairs that the run has no more"
    built(judged_by(place, "one"))
    assert balance_rows(manifest(place))


def test_a_responder_that_no_guard_could_grade_is_warned_of(place: Path) -> None:
    given, log = judged_by(place, "one"), Log()
    _, _, _, lines = built(given)
    assert not any("takes part in no match" in line for line in lines)
    with Session(given, log, allow_code=True) as session:
        graded = session.run.manifest()["responders"]
        session.run.replace(responders={name: of for name, of in graded.items() if name != RESPONDERS[0]})
        warn_of_unmatched(session)
    assert [line.startswith(f"warning: `{RESPONDERS[0]}` takes part in no match") for line in log.lines] == [True]
