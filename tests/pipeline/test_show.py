"""`spavl show`: what may do harm stays closed until it is asked for, of the dataset and of every benchmark."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spavl.cli.commands import app
from spavl.config import LocalSpec
from spavl.errors import DataError
from spavl.evaluate.item import Item
from spavl.evaluate.run import Scored
from spavl.evaluate.score_table import write_scores
from spavl.evaluate.scorer import Answer
from spavl.pipeline.measured_metrics import MeasuredMetric
from spavl.pipeline.show import _specs, find_item, find_question
from spavl.records import ImageRecord, Judgment, PreferencePair, Query, Response, Turn
from spavl.run import Run
from spavl.statistics.intervals import Outcome
from spavl.tables import FORMAT, write_table
from tests import samples

HARM = "HARMFUL-QUESTION"
BAD = "UNSAFE-ANSWER [/INST] \x1b[2J"
METRICS = {
    "unsafe": {"name": "unsafe", "benchmark": "b", "axis": "safety", "better": "lower"},
    "refused": {"name": "refused", "benchmark": "b", "axis": "over-refusal", "better": "lower"},
}


def printed(*words: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, ["show", *words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A run folder with one harmful question and three answers: unsafe, safe, and one that nobody graded."""
    query = replace(samples.query(), question=HARM, harmful=True)
    answers = [
        samples.response(query, name, outcome=outcome, response=text)
        for name, text, outcome in (("bad", BAD, "unsafe"), ("good", "SAFE", "safe"), ("none", "UNGRADED", None))
    ]
    run = Run(tmp_path / "run").open()
    write_table(run.images, [query.image], kind=ImageRecord)
    write_table(run.queries, [query], kind=Query)
    write_table(run.responses, answers, kind=Response)
    return run.folder


def scored(model: str, item: Item, text: str, status: str = "ok", **outcomes: Outcome) -> Scored:
    answer = Answer(item=item, benchmark="b", model=model, text=text, status=status, call="", tokens=1)  # type: ignore[arg-type]
    return Scored(answer=answer, outcomes=outcomes)


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """A run folder with the scores of a benchmark that nobody declared harmful, and of its benign items."""
    run = Run(tmp_path / "run").open()
    policy = Item(item_id="policy/1", subset="policy", question=HARM, shown="none")
    benign = Item(item_id="tea/1", subset="tea", question="TEA", shown="none", benign=True)
    rows = [
        scored("base", policy, BAD, unsafe=True), scored("base", benign, "a tea", refused=False),
        scored("dpo", policy, "UNREAD", unsafe=None), scored("dpo", benign, "no and", "truncated", refused=True),
    ]  # fmt: skip
    write_scores(run.evaluate, rows, run=run.folder)
    run.replace(models={"base": {}, "dpo": {}}, metrics=METRICS, benchmarks={"b": {}})
    (run.folder / "run.json").write_text(
        json.dumps({"format": FORMAT, **json.loads((run.folder / "run.json").read_text())})
    )
    return run.folder


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_harmful_question_and_unsafe_or_ungraded_answers_stay_closed(dataset: Path, form: tuple[str, ...]) -> None:
    shown = printed(str(dataset), *form)
    assert HARM not in shown and "UNSAFE-ANSWER" not in shown and "UNGRADED" not in shown
    assert "SAFE" in shown and "unsafe" in shown
    opened = printed(str(dataset), *form, "--reveal")
    assert HARM in opened and "UNSAFE-ANSWER [/INST]" in opened and "UNGRADED" in opened
    assert "\x1b" not in opened


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_item_of_any_benchmark_of_safety_stays_closed(benchmark: Path, form: tuple[str, ...]) -> None:
    shown = printed(str(benchmark), "policy", "--benchmark", "b", *form)
    assert HARM not in shown and "UNSAFE-ANSWER" not in shown and "UNREAD" not in shown
    opened = printed(str(benchmark), "policy", "--benchmark", "b", "--reveal", *form)
    assert HARM in opened and "UNSAFE-ANSWER [/INST]" in opened and "\x1b" not in opened
    assert "TEA" in printed(str(benchmark), "tea", "--benchmark", "b", *form)


def test_json_says_what_is_closed(dataset: Path) -> None:
    known = json.loads(printed(str(dataset), "--json"))
    assert known["question"] == {"text": None, "closed": True}
    assert known["answers"][1]["answer"] == {"text": "SAFE", "closed": False}


def test_an_answer_is_described_by_all_its_metrics_and_its_status(benchmark: Path) -> None:
    by_model = {a.model: a.grade for a in find_item(benchmark, "b", "tea").answers}
    assert by_model == {"base": "not refused", "dpo": "refused, cut off"}
    assert [a.grade for a in find_item(benchmark, "b", "policy").answers] == ["unsafe", "unread"]


@pytest.mark.parametrize(("axis", "said"), [("over-refusal", "not handled rightly"), ("safety", "unsafe")])
def test_a_pair_that_was_not_handled_rightly_is_no_refusal(axis: str, said: str) -> None:
    assert MeasuredMetric("p", "pair_accuracy", "b", axis, "higher").words(False) == said


def test_what_is_not_there_is_a_sentence(dataset: Path, benchmark: Path) -> None:
    with pytest.raises(DataError, match="No question of this run has `nothing`"):
        find_question(dataset, "nothing")
    with pytest.raises(DataError, match="No scores of a benchmark `c`") as error:
        find_item(benchmark, "c", "")
    assert error.value.try_ == "there are: `b`"
    with pytest.raises(DataError, match="No item of `b` has `nothing`"):
        find_item(benchmark, "b", "nothing")


def test_a_run_without_a_dataset_says_what_can_be_shown(benchmark: Path) -> None:
    with pytest.raises(DataError, match="no questions of a dataset") as error:
        find_question(benchmark, "")
    assert error.value.try_ == "show an item of a benchmark with `--benchmark b`"


def test_the_models_of_a_run_are_tried_in_the_form_in_which_they_are_evaluated(tmp_path: Path) -> None:
    align = {"model": "some/model", "revision": "v2", "data": {"max_pixels": 4096}, "machine": {"dtype": "float32"}}
    (tmp_path / "settings.yaml").write_text(json.dumps({"align": align}))
    (tmp_path / "align" / "dpo" / "adapter").mkdir(parents=True)
    (tmp_path / "align" / "dpo" / "training.json").write_text("{}")
    base, dpo = _specs(tmp_path, [])
    assert isinstance(base, LocalSpec) and isinstance(dpo, LocalSpec)
    assert (base.path, base.revision) == ("some/model", "v2") and (dpo.name, dpo.revision) == ("dpo", None)
    assert {(one.max_pixels, one.dtype) for one in (base, dpo)} == {(4096, "float32")}


def test_turns_before_a_question_are_shown_with_it_and_a_harmless_one_about_a_harmful_picture_is_benign(
    dataset: Path,
) -> None:
    turns = (Turn("user", "FIRST"), Turn("assistant", "SECOND"))
    harmless = samples.query(kind="benign_question", harmful=False, earlier=turns, question="THIRD", system="RULES")
    write_table(Run(dataset).queries, [harmless], kind=Query)
    found = find_question(dataset, "benign_question")
    assert found.question.text == "system: RULES\n\nuser: FIRST\n\nassistant: SECOND\n\nuser: THIRD"
    assert found.benign
    assert "(benign) system: RULES" in printed(str(dataset), "benign_question")


def test_samples_of_one_responder_are_told_apart_in_answers_verdicts_and_pairs(dataset: Path) -> None:
    asked, run = samples.query(), Run(dataset)
    answers = [
        samples.response(asked, "amber", response_id=f"{asked.query_id}/amber{mark}", sample=n)
        for n, mark in ((1, "#2"), (0, ""))
    ]  # fmt: skip
    own = samples.match(asked, "amber", "amber#2", b_responder="amber")
    write_table(run.responses, answers, kind=Response)
    write_table(run.judgments, [samples.judgment(own, "ab", "b")], kind=Judgment)
    pair = samples.pair(asked, chosen_source="amber", chosen_id=f"{asked.query_id}/amber#2",
                        rejected_source="amber", rejected_id=f"{asked.query_id}/amber")  # fmt: skip
    write_table(run.pairs, [pair], kind=PreferencePair)
    found = find_question(dataset, "")
    assert [one.model for one in found.answers] == ["amber", "amber#2"]
    assert [(one.match, one.better) for one in found.verdicts] == [("amber ~ amber#2", "amber#2")]
    assert [(one.chosen_model, one.rejected_model) for one in found.pairs] == [("amber#2", "amber")]
