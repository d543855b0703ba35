"""What the bridge to lmms-eval does without lmms-eval: messages, its scores as a benchmark, its logs beside ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spavl.bridges.chat import Shown
from spavl.bridges.lmms.log import read_sample_log
from spavl.bridges.lmms.messages import chat_turns, cut_at, sampling_for
from spavl.bridges.lmms.routes import compare_routes, write_routes
from spavl.bridges.lmms.task_benchmark import Asked, ScoredTask, task_benchmark, without_score
from spavl.errors import DataError
from spavl.evaluate.benchmark import Benchmark
from spavl.evaluate.run import score, summarise
from spavl.evaluate.score_table import write_scores
from spavl.evaluate.scorer import Answer
from spavl.models.base import Prompt, Sampling

POPE = {"max_new_tokens": 128, "temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False}
"""`generation_kwargs` of lmms-eval's POPE."""
ANSWERS = ("yes", "no", "Yes.", "no")
TARGETS = ("yes", "yes", "yes", "no")
AFTER = "\nAnswer the question using a single word or phrase."


def logged(number: int) -> dict[str, Any]:
    """A sample as lmms-eval 0.7.3 gives it for POPE: five metrics, all with the one score of the answer."""
    answer, target = ANSWERS[number].lower(), TARGETS[number]
    one = {"question_id": str(number), "score": float(answer == target), "prediction": answer, "ground_truth": target}
    return {
        "doc_id": number, "target": target, "doc_hash": "0", "token_counts": [{"output_tokens": 1}],
        "filtered_resps": [ANSWERS[number]], "pope_accuracy": one, "pope_f1_score": one,
    }  # fmt: skip


def scored_task() -> ScoredTask:
    """POPE in small for two models, of which the second answered nothing rightly but the last."""
    asked = {
        str(n): Asked(Prompt(f"question {n}{AFTER}", item=str(n)), Sampling(max_tokens=128), ANSWERS[n])
        for n in range(4)
    }
    task = ScoredTask("pope", "0.7.3", higher={"pope_accuracy": True})
    for model in ("base", "aligned"):
        task.asked[model] = asked
        task.samples[model] = [logged(n) for n in range(4)]
        task.reported[model] = {"alias": "pope", "pope_accuracy,none": 0.5, "pope_f1_score,none": 2 / 3,
                                "pope_accuracy_stderr,none": "N/A"}  # fmt: skip
    return task


def answers(benchmark: Benchmark, texts: tuple[str, ...] = ANSWERS) -> list[Answer]:
    return [
        Answer(item=item, benchmark="pope", model="base", text=text, status="ok", call="", tokens=1)
        for item, text in zip(benchmark.items, texts, strict=True)
    ]


def write_log(folder: Path, **changed: Any) -> Path:
    """A log as `lmms_eval --log_samples` writes it: lists of one answer unwrapped, `arguments` and `doc` left out."""
    path = folder / "20260101_000000_samples_pope.jsonl"
    lines = [
        logged(n) | {"filtered_resps": ANSWERS[n], "input": f"question {n}{AFTER}", "resps": [[ANSWERS[n]]]} | changed
        for n in range(4)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_messages_become_turns_of_words_and_pictures() -> None:
    picture = b"bytes of a picture"
    content = [{"type": "image", "url": picture}, {"type": "text", "text": "Is there a teapot?"}]
    (turn,) = chat_turns([{"role": "user", "content": content}], "task pope")
    assert list(turn.parts) == [Shown(picture), "Is there a teapot?"]
    with pytest.raises(DataError, match="video"):
        chat_turns([{"role": "user", "content": [{"type": "video", "url": "a.mp4"}]}], "task of videos")


def test_the_tasks_wishes_become_our_sampling() -> None:
    assert sampling_for(POPE) == Sampling(max_tokens=128)
    assert sampling_for({"temperature": 0.7, "top_p": 0.9, "do_sample": True}, seed=3) == Sampling(0.7, 0.9, 1024, 3)
    assert sampling_for({"temperature": 0.7, "do_sample": False}).temperature == 0


@pytest.mark.parametrize(
    ("until", "left"),
    [(None, "one\n\ntwo; three"), ("\n\n", "one"), (["; ", "\n\n"], "one"), (["", "!"], "one\n\ntwo; three")],
)
def test_an_answer_ends_at_the_first_of_the_words_that_end_it(until: Any, left: str) -> None:
    assert cut_at("one\n\ntwo; three", until) == left


def test_a_metric_that_is_the_mean_of_its_samples_is_taken_over_and_f1_is_only_reported() -> None:
    task = scored_task()
    benchmark = task_benchmark(task, "skill")
    assert benchmark is not None
    assert [metric.name for metric in benchmark.metrics] == ["pope_accuracy"]
    assert without_score(task) == ["pope_f1_score"]
    rate = summarise(score(benchmark, answers(benchmark)))["pope_accuracy"]
    assert (rate.value, rate.n, rate.unreadable) == (0.5, 4, 0)
    assert [item.expected for item in benchmark.items] == list(TARGETS)


def test_an_answer_that_lmms_eval_did_not_see_has_no_outcome() -> None:
    benchmark = task_benchmark(scored_task(), "skill")
    assert benchmark is not None
    rate = summarise(score(benchmark, answers(benchmark, ("another answer", *ANSWERS[1:]))))["pope_accuracy"]
    assert rate.unreadable == 1


def test_a_task_without_sample_scores_is_no_benchmark() -> None:
    task = scored_task()
    for model in task.reported:
        task.reported[model] = {"pope_f1_score,none": 2 / 3}
    assert task_benchmark(task, "skill") is None


def table_of(folder: Path) -> Path:
    benchmark = task_benchmark(scored_task(), "skill")
    assert benchmark is not None
    (path,) = write_scores(folder, score(benchmark, answers(benchmark)), run=folder)
    return path


def test_a_log_of_samples_beside_our_scores_says_where_the_two_routes_differ(tmp_path: Path) -> None:
    log = read_sample_log(write_log(tmp_path))
    assert (log.task, log.metrics, log.mean("pope_accuracy")) == ("pope", ["pope_accuracy", "pope_f1_score"], 0.5)
    routes = compare_routes(log, table_of(tmp_path), "pope_accuracy", "pope_accuracy")
    assert [one.differs for one in routes.items] == [False] * 4
    assert routes.sentence == (
        "pope_accuracy 50.00% here, pope_accuracy 50.00% in the log, on 4 items: 0 answers have other words; "
        "0 scores differ, 0 of them on the same words"
    )
    lenient = write_log(tmp_path, pope_accuracy=1)
    differing = compare_routes(read_sample_log(lenient), table_of(tmp_path), "pope_accuracy", "pope_accuracy")
    assert [one.differs for one in differing.items] == [False, True, True, False]
    write_routes(differing, tmp_path / "routes.csv")
    assert (tmp_path / "routes.csv").read_text("utf-8").splitlines()[2] == "1,1,no,no,0.0,1.0,True"


def test_items_of_other_ids_are_paired_by_place_only_where_the_questions_are_the_same(tmp_path: Path) -> None:
    log = read_sample_log(write_log(tmp_path))
    other = [
        line | {"doc_id": line["doc_id"] + 100}
        for line in map(json.loads, write_log(tmp_path).read_text().splitlines())
    ]
    path = tmp_path / "x_samples_pope.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in other), "utf-8")
    routes = compare_routes(read_sample_log(path), table_of(tmp_path), "pope_accuracy", "pope_accuracy")
    assert [(one.item_id, one.doc_id) for one in routes.items] == [(str(n), str(n + 100)) for n in range(4)]
    other[2]["input"] = "something else"
    path.write_text("".join(json.dumps(line) + "\n" for line in other), "utf-8")
    with pytest.raises(DataError, match="asks another question"):
        compare_routes(read_sample_log(path), table_of(tmp_path), "pope_accuracy", "pope_accuracy")
    with pytest.raises(DataError, match="scores no sample by `exact_match`"):
        compare_routes(log, table_of(tmp_path), "pope_accuracy", "exact_match")


def test_a_log_of_another_task_with_the_same_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="asks none of our questions"):
        compare_routes(
            read_sample_log(write_log(tmp_path, input="something else")), table_of(tmp_path), "pope_accuracy",
            "pope_accuracy",
        )  # fmt: skip


def test_a_metric_that_weighs_its_items_is_not_laid_beside_single_samples(tmp_path: Path) -> None:
    benchmark = task_benchmark(scored_task(), "skill")
    assert benchmark is not None
    weighed = [replace(one, weights={"pope_accuracy": 2.0}) for one in score(benchmark, answers(benchmark))]
    (table,) = write_scores(tmp_path, weighed, run=tmp_path)
    with pytest.raises(DataError, match="weighs its items"):
        compare_routes(read_sample_log(write_log(tmp_path)), table, "pope_accuracy", "pope_accuracy")


def test_unread_outcomes_are_said_beside_the_two_numbers(tmp_path: Path) -> None:
    benchmark = task_benchmark(scored_task(), "skill")
    assert benchmark is not None
    given = [replace(one, status="failed") if n == 0 else one for n, one in enumerate(answers(benchmark))]
    (table,) = write_scores(tmp_path, score(benchmark, given), run=tmp_path)
    routes = compare_routes(read_sample_log(write_log(tmp_path)), table, "pope_accuracy", "pope_accuracy")
    assert "on 4 items (1 of them unread here, which count as differing)" in routes.sentence


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no sample"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"doc_id": 1}', "no sample of lmms-eval"),
        ("[1]", "no sample of lmms-eval"),
    ],
)
def test_a_file_that_is_no_log_is_refused_in_a_sentence(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "a_samples_pope.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=why):
        read_sample_log(path)


def test_a_log_of_two_runs_in_one_file_is_refused(tmp_path: Path) -> None:
    path = write_log(tmp_path)
    path.write_text(path.read_text("utf-8") * 2, "utf-8")
    with pytest.raises(DataError, match="twice"):
        read_sample_log(path)
