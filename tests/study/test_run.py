"""A study is run: results of every arm and seed, nothing trained twice, and a training that fails stops no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from spavl.config.study import load_study
from spavl.errors import RunError
from spavl.progress import NoProgress
from spavl.run import Run
from spavl.study.check import check_study
from spavl.study.results import outcomes, read_results
from spavl.study.run import StudyMade, prepare_study, run_study
from tests.study.samples import planned, write_study


class Lines(NoProgress):
    """Keeps the lines that are logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("studies")
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def made(place: Path) -> StudyMade:
    """A study of two sizes, run once."""
    return run_study(planned(place, "scale", kind="scale", sizes=[4, 8], seeds=[1]))


def test_every_training_has_a_row_for_every_metric_beside_the_model_before_training(made: StudyMade) -> None:
    results = read_results(made.folder)
    assert results == list(made.results)
    metrics = {one.metric for one in results}
    assert {(one.arm, one.seed, one.pairs) for one in results} == {("base", None, 0), ("4", 1, 4), ("8", 1, 8)}
    assert len(results) == 3 * len(metrics)
    assert {one.subset for one in results} == {"seen", "held-out", "all"}
    assert {one.base for one in results} == {"base"}
    assert all(one.is_base == (one.arm == "base") for one in results)


def test_rates_are_those_of_the_outcomes_in_the_runs(made: StudyMade) -> None:
    for one in made.results:
        found = outcomes(made.folder, one)
        assert len(found.outcomes) == one.n
        assert found.rate().value == one.rate
    assert {one.run.split("/")[:2] == ["..", "runs"] for one in made.results} == {True}


def test_what_was_made_is_said_in_the_studys_folder(made: StudyMade) -> None:
    facts = json.loads((made.folder / "study.json").read_text())
    assert (facts["wanted"], facts["distinct"], facts["reused"], facts["failed"]) == (2, 2, 0, 0)
    assert [one["for"] for one in facts["trainings"]] == [[["4", 1]], [["8", 1]]]
    assert all(one["seconds"] > 0 for one in facts["trainings"])
    assert load_study(made.folder / "study.yaml") == made.plan.study
    assert made.page.is_file()


def test_a_run_of_a_training_is_a_run_like_any_other(made: StudyMade) -> None:
    one = next(iter(made.plan.trainings.values()))
    assert list(Run(one.folder).manifest()["models"]) == ["base", "model"]
    assert list(Run(one.folder).aligned()) == ["model"]


def test_the_same_study_again_trains_and_asks_nothing(made: StudyMade, place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path("studies/runs").rglob("*.safetensors")}
    lines = Lines()
    again = run_study(prepare_study(made.plan.study, place / "scale.yaml"), lines)
    assert (again.reused, [one.rate for one in again.results]) == (2, [one.rate for one in made.results])
    assert "  2 trainings of 2 found finished" in lines.lines
    assert {one.reused for one in again.results} == {True}, "the model before training among them"
    assert before == {path: path.stat().st_mtime_ns for path in Path("studies/runs").rglob("*.safetensors")}
    checked = check_study(again.plan)
    assert (checked.left, checked.training.amount, checked.evaluation.amount) == (0, 0.0, 0.0)


def test_another_study_takes_what_is_there_and_trains_the_rest(made: StudyMade, place: Path) -> None:
    modes = {"as-set": {}, "rank-2": {"rank": 2}}
    plan = planned(place, "freeze", kind="freeze", modes=modes, size=8, seeds=[1])
    checked = check_study(plan)
    assert (checked.wanted, checked.left, checked.scored) == (2, 1, 8)
    assert checked.training.basis == "by the trainings that are finished"
    found = run_study(plan)
    assert found.reused == 1
    assert {(one.arm, one.reused) for one in found.results if not one.is_base} == {("as-set", True), ("rank-2", False)}


def test_only_losses_with_a_reference_have_pairs_scored(made: StudyMade) -> None:
    arms = {"dpo": {"loss.beta": 0.4}, "simpo": {"loss.kind": "simpo", "loss.beta": 2.0, "loss.sft_anchor": 0.0}}
    checked = check_study(planned(Path.cwd(), "losses", kind="method", arms=arms, size=8, seeds=[1]))
    assert (checked.left, checked.scored, checked.distinct_scored) == (2, 8, 8)
    live = planned(Path.cwd(), "live", kind="method", arms={"a": {}, "b": {"loss.beta": 0.4}}, size=8, seeds=[1],
                   changed={"align.reference.mode": "live"})  # fmt: skip
    assert check_study(live).scored == 0


def test_pairs_are_scored_once_for_each_model(made: StudyMade) -> None:
    models = {"one": {"model": "miniworld:base"}, "two": {"model": "miniworld:responders/amber"}}
    checked = check_study(planned(Path.cwd(), "models", kind="families", models=models, size=12, seeds=[9]))
    assert (checked.scored, checked.distinct_scored) == (24, 24)


def test_an_error_that_nobody_foresaw_is_one_failed_training(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a full card: torch raises what is no error of ours."""

    def full(*given: object, **more: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("spavl.study.training.train_on", full)
    found = run_study(planned(place, "full", kind="method", arms={"a": {}, "b": {"loss.beta": 0.7}}, size=8, seeds=[3]))
    assert [one.why.split(" (")[0] for one in found.failed] == ["RuntimeError: out of memory"] * 2
    assert all("Traceback" in path.read_text() for path in place.glob("**/error.txt"))


def test_a_training_that_fails_is_said_and_the_others_go_on(place: Path) -> None:
    lines = Lines()
    arms = {"well": {}, "too-short": {"data.max_tokens": 1}}
    plan = planned(place, "failing", kind="method", arms=arms, size=8, seeds=[1])
    found = run_study(plan, lines)
    assert len(found.failed) == 1
    assert {one.arm for one in found.results} == {"base", "well"}
    assert any("too-short, seed 1: not made." in line for line in lines.lines)
    facts = json.loads((found.folder / "study.json").read_text())
    assert [(one["for"][0][0], one["status"]) for one in facts["trainings"]][1] == ("too-short", "failed")


def test_a_check_counts_no_finished_training_where_the_model_before_training_is_gone(place: Path) -> None:
    plan = planned(place, "baseless", kind="scale", sizes=[4, 8], seeds=[7], trainings="baseless")
    run_study(plan)
    for folder in Path("baseless").glob("base-*"):
        shutil.rmtree(folder)
    checked = check_study(plan)
    assert (checked.left, checked.training.amount) == (0, 0.0)
    assert checked.evaluation.basis == "only models before training are left, and stored answers are not asked again"
    again = run_study(plan)
    assert (again.reused, again.failed) == (2, [])


@pytest.mark.parametrize("file", ["evaluate/model/*.parquet", "run.json"])
def test_a_damaged_file_of_one_training_is_told_and_the_others_have_results(place: Path, file: str) -> None:
    plan = planned(place, "damaged", kind="scale", sizes=[4, 8], seeds=[6])
    run_study(plan)
    damaged = next(list(plan.trainings.values())[1].folder.glob(file))
    damaged.write_text("junk")
    lines = Lines()
    found = run_study(plan, lines)
    assert [one.id for one in found.failed] == [list(plan.trainings)[1]]
    assert str(damaged) in found.failed[0].why and "delete" in found.failed[0].why
    assert any("8 pairs, seed 6: not made." in line for line in lines.lines)
    assert {one.arm for one in read_results(found.folder)} == {"base", "4"}
    assert str(damaged) in (found.folder / "study.md").read_text()
    assert check_study(plan).distinct == 2
    damaged.unlink()
    again = run_study(plan)
    assert (again.failed, {one.arm for one in again.results}) == ([], {"base", "4", "8"})


def test_a_study_that_is_worked_on_is_left_alone(made: StudyMade) -> None:
    from spavl.study.run import _locked

    lock = _locked(made.folder)
    try:
        with pytest.raises(RunError, match="The study is being worked on by"):
            run_study(made.plan)
    finally:
        lock.release()


def weights(made: StudyMade) -> dict[str, bytes]:
    """The adapters of a study by id of the training; answers are drawn by the whole adapter's hash, and may differ."""
    return {
        one.id: (one.made / "adapter" / "adapter_model.safetensors").read_bytes()
        for one in made.plan.trainings.values()
    }


@pytest.mark.slow
def test_trainings_side_by_side_give_the_same_weights(place: Path) -> None:
    alone = run_study(planned(place, "alone", kind="scale", sizes=[4, 8], seeds=[5], trainings="one-by-one"))
    beside = run_study(planned(place, "beside", kind="scale", sizes=[4, 8], seeds=[5], trainings="beside", at_once=2))
    assert not beside.failed
    assert weights(alone) == weights(beside)
    assert len(alone.results) == len(beside.results)


@pytest.mark.slow
def test_trainings_on_ray_give_the_same_weights(place: Path) -> None:
    pytest.importorskip("ray")
    alone = run_study(planned(place, "alone", kind="scale", sizes=[4, 8], seeds=[5], trainings="one-by-one"))
    changed = {"runner": "ray"}
    path = write_study(place, "ray", kind="scale", sizes=[4, 8], seeds=[5], trainings="on-ray", changed=changed)
    found = run_study(prepare_study(load_study(path), path))
    assert not found.failed
    assert weights(alone) == weights(found)
