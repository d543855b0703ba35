"""A guard is measured on labelled examples before it votes: blind, always-safe and silent ones are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.building.guards import policy_items, write_examples
from spavl.cli.commands import app
from spavl.config import Settings
from spavl.errors import DataError, NothingMade, SettingsError
from spavl.evaluate.loaders.labelled import labelled_examples
from spavl.pipeline.build import build
from spavl.pipeline.check import check
from spavl.pipeline.guard_agreement import guards_together
from spavl.pipeline.qualification import Qualification, qualification_file
from spavl.pipeline.qualify import _Asked, _guard, _probe, qualify
from spavl.pipeline.session import Session
from spavl.pipeline.show import find_question
from spavl.progress import NoProgress
from spavl.records import Response
from spavl.tables import read_table
from tests.pipeline.instant import Log, settings_of, write_pictures

ORACLE, FAULTY = "spavl.miniworld.oracle", "spavl.miniworld.faulty_guards"
GUARDS = {
    "seeing": f"{ORACLE}:Guard", "blind": f"{FAULTY}:BlindGuard", "lenient": f"{FAULTY}:AlwaysSafeGuard",
    "silent": f"{FAULTY}:SilentGuard", "second": "tests.pipeline.instant:Instant",
}  # fmt: skip
FREE = {"required": False}
"""Guards that were never measured may vote."""


def world(folder: Path, **changed: Any) -> Settings:
    """Settings with the guards of the miniature world beside those of a small build."""
    base = settings_of(folder).model_dump(mode="json")
    for name, target in GUARDS.items():
        options = {"error": 0.0} if name == "seeing" else {}
        base["models"].append({"kind": "python", "name": name, "target": target, "version": name, "options": options})
    return Settings.model_validate({**base, **changed})


def building(folder: Path, **grade: Any) -> dict[str, Any]:
    """The settings of a small build with other guards."""
    return {**settings_of(folder).build.model_dump(mode="json"), "grade": grade}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty labelled examples of the miniature world, half of them decided by the picture alone."""
    return write_examples(tmp_path_factory.mktemp("examples"), twins=15, plain=10)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session of the small build."""
    with Session(world(tmp_path), NoProgress(), allow_code=True) as opened:
        yield opened


def limits(session: Session) -> Any:
    """What a guard must reach."""
    return session.settings.build.grade.qualification


def measured(session: Session, name: str, examples: Path) -> Qualification:
    """A guard's qualification, which is kept as it was found."""
    found = qualify(session, name, examples)
    kept = json.loads(qualification_file(session.run.folder, name).read_text())
    assert kept["identity"] == found.identity and kept["refused"] == found.faults(limits(session))
    return found


def test_a_guard_that_sees_may_vote(session: Session, examples: Path) -> None:
    found = measured(session, "seeing", examples)
    assert found.faults(limits(session)) == []
    assert (found.sensitivity.value, found.specificity.value, found.unread.count) == (1.0, 1.0, 0)
    assert found.pictures.contrast is not None and found.pictures.contrast.value == 1.0
    assert found.pictures.changed_swapped is not None and (found.pictures.changed_swapped.value or 0) > 0.2
    assert {"sensitivity", "specificity"} == set(next(iter(found.categories.values())))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("blind", "it is blind to the pictures"),
        ("lenient", "sensitivity is 0.0 %"),
        ("silent", "have no readable verdict"),
    ],
)
def test_a_guard_that_must_not_vote_is_refused_for_what_it_is(
    name: str, why: str, session: Session, examples: Path
) -> None:
    faults = measured(session, name, examples).faults(limits(session))
    assert any(why in fault for fault in faults), faults


def test_a_blind_guard_with_fine_rates_is_refused_by_the_pairs_that_only_the_picture_decides(
    tmp_path: Path, session: Session
) -> None:
    found = qualify(session, "blind", write_examples(tmp_path / "few", twins=3, plain=40))
    assert (found.sensitivity.value, round(found.specificity.value or 0, 2)) == (1.0, 0.87)
    assert [fault[:29] for fault in found.faults(limits(session))] == ["it is blind to the pictures, "]
    assert found.pictures.changed_swapped is not None and found.pictures.changed_swapped.value == 0.0


def test_an_example_without_another_to_swap_pictures_with_does_not_count_as_unchanged(
    tmp_path: Path, session: Session, examples: Path
) -> None:
    alone = labelled_examples(examples, tmp_path, "answer")[:1]
    found = _probe(_Asked(session, _guard(session, "seeing")), alone, [False], tmp_path)
    assert (found.examples, found.changed_blanked and found.changed_blanked.n) == (1, 1)
    assert found.changed_swapped is not None and (found.changed_swapped.n, found.changed_swapped.value) == (0, None)


def test_a_guard_that_is_sent_no_picture_is_not_asked_again_and_tells_nothing_apart(
    tmp_path: Path, examples: Path
) -> None:
    given = world(tmp_path, guards=[{"name": "text", "model": "blind", "kind": "md-judge"}])
    with Session(given, NoProgress(), allow_code=True) as session:
        found = qualify(session, "text", examples)
        assert session.store.calls + session.store.hits <= found.unread.n
    assert found.pictures.changed_swapped is None and found.pictures.contrast is not None
    assert found.pictures.contrast.count == 0


def test_a_build_refuses_a_guard_that_failed_and_check_says_so_before(tmp_path: Path, examples: Path) -> None:
    write_pictures(tmp_path / "pictures")
    voting = world(tmp_path, build=building(tmp_path, guards=["guard", "lenient", "silent"], qualification=FREE))
    with Session(voting, NoProgress(), allow_code=True) as session:
        qualify(session, "lenient", examples)
        with pytest.raises(SettingsError, match=r"The guard `lenient` failed its qualification: sensitivity is 0\.0 %"):
            build(session)
        assert not session.run.images.exists(), "nothing was made"
        assert any("`lenient` failed" in problem.what for problem in check(session).problems)


def test_where_several_guards_vote_each_was_measured_unless_the_settings_say_otherwise(tmp_path: Path) -> None:
    build_ = building(tmp_path, guards=["guard", "lenient"])
    said = "The guard `guard` was never measured, and several guards vote"
    with Session(world(tmp_path, build=build_), NoProgress(), allow_code=True) as session:
        with pytest.raises(SettingsError, match=said):
            build(session)
        assert not session.run.images.exists()


def test_a_qualification_is_of_the_guard_as_it_was(tmp_path: Path, examples: Path) -> None:
    build_ = building(tmp_path, guards=["seeing"], qualification={"required": True})
    with Session(world(tmp_path, build=build_), NoProgress(), allow_code=True) as session:
        with pytest.raises(SettingsError, match="`seeing` was never measured") as error:
            build(session)
        assert "spavl qualify" in error.value.try_
        qualify(session, "seeing", examples)
    changed = world(tmp_path, build=build_, guards=[{"name": "seeing", "sampling": {"max_tokens": 9}}])
    said = "`seeing` was measured with another model, prompt or policy"
    with Session(changed, NoProgress(), allow_code=True) as session, pytest.raises(SettingsError, match=said):
        build(session)


def voted(folder: Path, name: str, **grade: Any) -> tuple[Session, list[Response]]:
    """A build with several guards, and its answers with all votes; one that could make no pair has them too."""
    given = world(folder, out=str(folder / name), build=building(folder, qualification=FREE, **grade))
    with Session(given, NoProgress(), allow_code=True) as session:
        with suppress(NothingMade):
            build(session)
        return session, list(read_table(session.run.responses, Response))


def test_several_guards_vote_and_a_silent_one_never_makes_an_answer_safe(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    _, alone = voted(tmp_path, "alone", guards=["guard"])
    session, three = voted(tmp_path, "three", guards=["guard", "second", "silent"])
    assert {r.response_id: r.safe for r in three} == {r.response_id: r.safe for r in alone}, "two of three are enough"
    assert [vote.guard for vote in three[0].votes] == ["guard", "second", "silent"] and not alone[0].votes
    assert {vote.status for r in three for vote in r.votes} == {"ok", "empty"}
    manifest = session.run.manifest()
    pairs = {(one["first"], one["second"]): one for one in manifest["guard_agreement"]}
    assert len(pairs) == 3 and pairs["guard", "second"]["same"]["value"] == pairs["guard", "second"]["kappa"] == 1.0
    assert pairs["guard", "silent"]["same"]["unreadable"] == len(three)
    assert manifest["counts"]["vote"] == {"ok": len(three)}
    assert "guard and second" in [one.name for one in guards_together(manifest["guard_agreement"])]
    shown = find_question(session.run.folder, "", reveal=True).answers[0].grade
    assert shown.endswith("silent: empty)") and "guard: " in shown


def test_what_only_a_silent_guard_could_have_called_unsafe_has_no_verdict(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    _, alone = voted(tmp_path, "alone", guards=["guard"])
    session, two = voted(tmp_path, "two", guards=["guard", "silent"], quorum=1)
    unsafe = {r.response_id for r in alone if r.safe is False}
    assert unsafe and {r.response_id for r in two if r.safe is False} == unsafe
    assert not any(r.safe for r in two)
    assert session.run.manifest()["counts"]["vote"] == {"ok": len(unsafe), "unreadable": len(two) - len(unsafe)}


def test_a_build_names_guards_that_vote_and_were_never_measured(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    build_ = {
        **settings_of(tmp_path).build.model_dump(mode="json"),
        "grade": {"guards": ["guard", "second"], "qualification": FREE},
    }
    with Session(world(tmp_path, build=build_), log := Log(), allow_code=True) as session:
        build(session)
    assert any("never measured on labelled examples: `guard`, `second`" in line for line in log.lines)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": "fine"}, "`label` is safe or unsafe, not"), ({"label": None}, "field `label` is missing"),
        ({"answer": ""}, "field `answer` is empty"), ({"image": "gone.png"}, "gone.png"),
        ({"verdict": "safe"}, "Columns that are not known: `verdict`"), ({"id": "0"}, "2 rows have it"),
    ],
)  # fmt: skip
def test_examples_that_cannot_be_used_are_a_sentence(
    row: dict[str, Any], said: str, tmp_path: Path, session: Session
) -> None:
    rows = [
        {"id": str(n), "question": "Why?", "answer": "So.", "label": label}
        for n, label in enumerate(("safe", "unsafe"))
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in [rows[0], {**rows[1], **row}]))
    with pytest.raises(DataError, match=said):
        qualify(session, "seeing", path)
    path.write_text(json.dumps(rows[0]))
    with pytest.raises(DataError, match="Examples of both labels are needed, and there is none that is unsafe"):
        qualify(session, "seeing", path)


def test_the_command_ends_with_four_where_the_guard_may_not_vote(tmp_path: Path, examples: Path) -> None:
    settings = tmp_path / "my.yaml"
    settings.write_text(json.dumps(world(tmp_path).model_dump(mode="json")))
    words = ["qualify", str(settings), "--examples", str(examples), "--allow-code", "--guard"]
    fine, refused = (CliRunner().invoke(app, [*words, name]) for name in ("seeing", "silent"))
    assert fine.exit_code == 0 and "`seeing` may vote" in fine.output
    assert (
        refused.exit_code == 4 and "`silent` may not vote" in refused.output and "no readable verdict" in refused.output
    )


def test_a_policy_guard_follows_its_policy_on_every_item_on_which_two_policies_differ(tmp_path: Path) -> None:
    items = policy_items(tmp_path)
    assert items.differ >= 50 and items.followed == items.differ
    assert items.identities == 2, "the policy enters the guard's identity"
