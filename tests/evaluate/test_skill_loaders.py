"""Loaders of skills: the original layouts with their quirks, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from spavl.config.benchmarks import (
    GqaBenchmark,
    MathVistaBenchmark,
    MmBenchBenchmark,
    MmmuBenchmark,
    MmVetBenchmark,
    ScienceQaBenchmark,
    SeedBenchBenchmark,
    TextVqaBenchmark,
    VizWizBenchmark,
    VqaV2Benchmark,
)
from spavl.errors import DataError
from spavl.evaluate import Answer, Benchmark, Scored, compare, score, summarise
from spavl.evaluate.loaders.choices import list_in, with_options
from spavl.evaluate.score_table import check_scores, write_scores
from tests.evaluate import skill_files as files
from tests.evaluate.skill_files import opened_skill

SORRY = "I'm sorry, I cannot help with that."


def rates(made: Benchmark, *texts: str) -> dict[str, float | None]:
    """Every metric of these answers, an item each."""
    answers = [
        Answer(item=item, benchmark=made.name, model="m", text=text, status="ok", call="", tokens=1)
        for item, text in zip(made.items, texts, strict=True)
    ]
    return {name: rate.value for name, rate in summarise(score(made, answers)).items()}


def test_scienceqa_takes_the_split_and_writes_hint_and_options(tmp_path: Path) -> None:
    folder = files.scienceqa(tmp_path / "sqa")
    made = opened_skill(ScienceQaBenchmark(path=str(folder), partial=True), tmp_path)
    assert [item.item_id for item in made.items] == ["test/12", "test/13"]
    assert made.items[0].question == "Context: Look at the picture.\nWhich one is flat?\nA. cup\nB. bowl\nC. plate"
    assert [item.expected for item in made.items] == ["C", "A"], "from places that begin at 0"
    assert made.prompt_for(made.items[0]).text.endswith("from the given choices directly.")
    whole = opened_skill(ScienceQaBenchmark(path=str(folder), partial=True, with_picture=False), tmp_path)
    assert [item.shown for item in whole.items] == ["none", "picture", "picture"]
    mini = opened_skill(ScienceQaBenchmark(path=str(folder), partial=True, split="minitest"), tmp_path)
    assert [item.item_id for item in mini.items] == ["minitest/12"]


def test_a_refusal_is_wrong_and_told_apart_from_a_lost_skill(tmp_path: Path) -> None:
    made = opened_skill(ScienceQaBenchmark(path=str(files.scienceqa(tmp_path / "s")), partial=True), tmp_path)
    assert rates(made, "plate", SORRY) == {
        "scienceqa_accuracy": 0.5, "scienceqa_accuracy_official": 0.0, "scienceqa_accuracy_lmms_eval": 0.0,
        "scienceqa_no_option_rate": 0.5,
        "scienceqa_refusal_rate": 0.5,
    }  # fmt: skip
    assert rates(made, "C. plate", "B")["scienceqa_accuracy_official"] == 0.5
    by_rule = rates(made, "The answer is C", "a")
    assert by_rule["scienceqa_accuracy_official"] == by_rule["scienceqa_accuracy_lmms_eval"] == 0.5


def test_an_id_that_the_split_lists_and_the_problems_lack_is_named(tmp_path: Path) -> None:
    folder = files.scienceqa(tmp_path / "sqa")
    files.as_json(folder / "pid_splits.json", {"test": ["7", "8"]})
    with pytest.raises(DataError, match="id 8"):
        opened_skill(ScienceQaBenchmark(path=str(folder), partial=True), tmp_path)


@pytest.mark.parametrize("rotated", [True, False], ids=["rotations in the file", "rotations made"])
def test_mmbench_asks_every_question_in_all_rotations(tmp_path: Path, rotated: bool) -> None:
    path = files.mmbench(tmp_path / "mmbench_dev.tsv", rotated=rotated)
    made = opened_skill(MmBenchBenchmark(path=str(path), partial=True), tmp_path)
    by_id = {item.item_id: item for item in made.items}
    assert sorted(map(int, by_id)) == [241, 252, 1_000_241, 1_000_252, 2_000_241, 2_000_252, 3_000_241]
    assert Counter(item.unit for item in made.items) == {"241": 4, "252": 3}
    for item in made.items:
        right = {"241": "bowl", "252": "fork"}[item.unit]
        assert item.options["ABCD".index(item.expected)] == right and f"{item.expected}. {right}" in item.question
        assert item.images[0].sha256 == by_id["241"].images[0].sha256, "by base64, or by the number of a row"
    assert by_id["1000252"].question == "A hint.\nWhich one is it?\nA. knife\nB. spoon\nC. fork"
    assert by_id["241"].question.startswith("Which one is it?"), "an empty hint is written nan"


def test_mmbench_counts_a_question_once_and_only_if_all_rotations_are_right(tmp_path: Path) -> None:
    path = files.mmbench(tmp_path / "mmbench_dev.tsv", rotated=True)
    made = opened_skill(MmBenchBenchmark(path=str(path), partial=True), tmp_path)
    right = [item.expected for item in made.items]
    all_right = rates(made, *right)
    assert (all_right["mmbench_accuracy"], all_right["mmbench_vanilla_accuracy"]) == (1.0, 1.0)
    always_a = rates(made, *["A"] * len(right))
    assert always_a["mmbench_accuracy"] == always_a["mmbench_accuracy_official"] == 0.0
    assert always_a["mmbench_vanilla_accuracy"] == 0.5
    one_refused = ["I'm sorry, I cannot help." if i.item_id == "2000241" else i.expected for i in made.items]
    assert rates(made, *one_refused)["mmbench_accuracy"] == 0.5
    once = opened_skill(MmBenchBenchmark(path=str(path), partial=True, circular=False), tmp_path)
    assert rates(once, "C", "B")["mmbench_accuracy"] == 0.5


def test_a_limit_takes_whole_units_of_mmbench(tmp_path: Path) -> None:
    path = files.mmbench(tmp_path / "mmbench_dev.tsv", rotated=False)
    made = opened_skill(MmBenchBenchmark(path=str(path), partial=True, limit=5), tmp_path)
    assert len({item.unit for item in made.items}) == 1 and len(made.items) in (3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\tC\tnaming", "\t\tnaming"), "scored by the benchmark's server"),
        (("cup\tmug", "\tmug"), "Option A is empty"),
        (("\t241\tdev", "\t999\tdev"), "that of row"),
        (("241\tWhich", "first\tWhich"), "`index` is a number"),
    ],
)
def test_a_row_of_mmbench_that_cannot_be_asked_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = files.mmbench(tmp_path / "mmbench_dev.tsv", rotated=False)
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(DataError, match=message):
        opened_skill(MmBenchBenchmark(path=str(path), partial=True), tmp_path)


def test_seed_bench_passes_videos_over_and_shows_several_pictures(tmp_path: Path) -> None:
    folder = files.seed_bench(tmp_path / "seed")
    made = opened_skill(
        SeedBenchBenchmark(path=str(folder), images=str(folder / "pictures"), partial=True), tmp_path
    )  # fmt: skip
    assert [(item.item_id, item.group, len(item.images)) for item in made.items] == [
        ("q1", "scene", 1), ("q3", "instances counting", 2),
    ]  # fmt: skip
    found = rates(made, "B. thing b", "As an AI model I cannot see.")
    assert (found["seed_bench_accuracy"], found["seed_bench_accuracy_official"]) == (0.5, 0.5)


def test_textvqa_shows_ocr_tokens_only_where_that_is_said(tmp_path: Path) -> None:
    folder = files.textvqa(tmp_path / "t")
    images = str(folder / "train_images")
    plain = opened_skill(TextVqaBenchmark(path=str(folder), images=images, partial=True), tmp_path)
    shown = opened_skill(TextVqaBenchmark(path=str(folder), images=images, ocr=True, partial=True), tmp_path)
    assert plain.items[0].question == "What does thing 34602 say?"
    assert shown.items[0].question == "What does thing 34602 say?\nReference OCR token: STOP, 4"
    assert plain.protocol() != shown.protocol()
    assert {item.cluster for item in plain.items} == {"abc"}


def test_soft_accuracy_by_our_reading_and_by_the_official_rule(tmp_path: Path) -> None:
    folder = files.textvqa(tmp_path / "t")
    made = opened_skill(
        TextVqaBenchmark(path=str(folder), images=str(folder / "train_images"), partial=True), tmp_path
    )  # fmt: skip
    found = rates(made, "The answer is stop.", "Stop sign")
    assert found["textvqa_accuracy"] == pytest.approx((1.0 + 0.9) / 2)
    assert found["textvqa_accuracy_official"] == pytest.approx(0.9 / 2), "which takes no sentence for its answer"
    assert rates(made, SORRY, "stop")["textvqa_refusal_rate"] == 0.5


def test_vqav2_joins_questions_and_annotations_by_their_number(tmp_path: Path) -> None:
    folder = files.vqav2(tmp_path / "v")
    made = opened_skill(VqaV2Benchmark(path=str(folder), images=str(folder / "val2014"), partial=True), tmp_path)
    assert [item.item_id for item in made.items] == ["42000", "42001", "42002"]
    assert [item.cluster[-6:] for item in made.items] == ["42.jpg", "42.jpg", "43.jpg"]
    assert made.items[0].answers == ("2",) * 6 + ("two",) + ("3",) * 3
    found = rates(made, "two", "There are 3 cups.", SORRY)
    assert found["vqav2_accuracy"] == pytest.approx((1.0 + 0.9 + 0) / 3)
    assert found["vqav2_accuracy_official"] == pytest.approx(1 / 3)


def test_a_question_without_annotations_is_named(tmp_path: Path) -> None:
    folder = files.vqav2(tmp_path / "v")
    files.as_json(folder / "v2_mscoco_val2014_annotations.json", {"annotations": []})
    with pytest.raises(DataError, match="no answers to this question"):
        opened_skill(VqaV2Benchmark(path=str(folder), images=str(folder / "val2014"), partial=True), tmp_path)


def test_vizwiz_knows_questions_that_cannot_be_answered(tmp_path: Path) -> None:
    folder = files.vizwiz(tmp_path / "v")
    made = opened_skill(VizWizBenchmark(path=str(folder), images=str(folder / "val"), partial=True), tmp_path)
    found = rates(made, "a cup", "Unanswerable")
    assert (found["vizwiz_accuracy"], found["vizwiz_refusal_rate"]) == (1.0, 0.0)
    assert "'Unanswerable'" in made.prompt


def test_gqa_has_a_picture_for_a_cluster(tmp_path: Path) -> None:
    folder = files.gqa(tmp_path / "g")
    made = opened_skill(GqaBenchmark(path=str(folder), images=str(folder / "images"), partial=True), tmp_path)
    assert [(item.item_id, item.cluster, item.expected) for item in made.items] == [
        ("200", "n0", "yes"), ("201", "n0", "no"), ("202", "n1", "yes"),
    ]  # fmt: skip
    found = rates(made, "Yes.", "It is no", SORRY)
    assert found["gqa_accuracy"] == pytest.approx(2 / 3)
    assert found["gqa_accuracy_official"] == pytest.approx(1 / 3)


def test_mathvista_reads_choices_by_text_or_letter_and_numbers_as_precise_as_was_asked(tmp_path: Path) -> None:
    made = opened_skill(MathVistaBenchmark(path=str(files.mathvista(tmp_path / "m")), partial=True), tmp_path)
    assert [item.expected for item in made.items] == ["B", "14", "1.2", "[0, 2]"]
    assert made.items[0].question.splitlines() == [
        "Question: What is it in 1?", "Choices:", "(A) [0, 2]", "(B) [1, 3]", "(C) [0, 2]",
        "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.",
        "Solution:",
    ]  # fmt: skip
    assert "(Unit: cm)" in made.items[1].question and "one decimal place" in made.items[2].question
    assert (
        rates(made, "The answer is (B)", "It is 14 cm.", "about 1.24", "The list is [0,2].")["mathvista_accuracy"] == 1
    )
    assert rates(made, "A", "15", "1.3", SORRY)["mathvista_accuracy"] == 0
    beside = rates(made, "B", "There are 14 of them, and 1 cup.", "1.2", "[0, 2]")
    assert beside["mathvista_accuracy"] == 0.75, "14 and 1 are two numbers, though 1 is an example of the hint"
    official = rates(made, "[1, 3]", "14", "1.249", "It is [0, 2]")
    assert official["mathvista_accuracy_official"] == 1.0, "over those that need no language model"


def test_mmmu_shows_the_pictures_that_question_and_options_name(tmp_path: Path) -> None:
    made = opened_skill(MmmuBenchmark(path=str(files.mmmu(tmp_path / "m")), partial=True), tmp_path)
    assert [len(item.images) for item in made.items] == [3, 1, 1]
    assert [item.subset for item in made.items] == ["multiple-choice", "multiple-choice", "open"]
    assert made.items[0].options == ("<image 2>", "<image 3>", "It's none") and made.items[1].expected == "I"
    assert {item.group for item in made.items} == {"Kitchen_Science"}
    assert made.items[2].answers == ("12", "twelve")
    assert made.items[2].question.endswith("\n\nAnswer the question using a single word or phrase.")
    found = rates(made, "(B)", "I", "There are 12 cups.")
    assert found["mmmu_accuracy"] == found["mmmu_accuracy_official"] == 1.0
    assert rates(made, SORRY, "A or B", SORRY)["mmmu_no_option_rate"] == 1.0
    by_rule = rates(made, "B.thing", "I", "12")
    assert by_rule["mmmu_accuracy_official"] == pytest.approx(2 / 3) and by_rule["mmmu_accuracy_lmms_eval"] == 1.0


def test_mm_vet_is_graded_and_grouped_by_capabilities(tmp_path: Path) -> None:
    made = opened_skill(MmVetBenchmark(path=str(files.mm_vet(tmp_path / "m")), partial=True), tmp_path)
    assert [(item.group, item.notes["reference"]) for item in made.items] == [
        ("math, ocr", "-1<AND>-5"), ("rec", "red<OR>the red one"),
    ]  # fmt: skip
    assert rates(made, "x is -1", SORRY) == {"mm_vet_score": 0.5, "mm_vet_refusal_rate": 0.5}


def test_a_list_in_a_text_is_read_and_never_run() -> None:
    assert list_in("['a', \"b's\"]") == ["a", "b's"] and list_in(["x"]) == ["x"]
    assert list_in(None) == list_in("") == list_in("[]") == []
    for text in ("__import__('os')", "[1", "{'a': 1}", "open('x')"):
        with pytest.raises(DataError):
            list_in(text)


def test_a_question_has_two_options_at_least_and_letters_for_all() -> None:
    assert with_options("Which?", ["cup", "mug"], "Hint") == "Hint\nWhich?\nA. cup\nB. mug"
    for options in (["cup"], ["thing"] * 11):
        with pytest.raises(DataError, match="2 to 10 options"):
            with_options("Which?", options)


def test_two_models_are_compared_on_units_and_weighted_rates_and_the_table_holds_them(tmp_path: Path) -> None:
    path = files.mmbench(tmp_path / "mmbench_dev.tsv", rotated=True)
    made = opened_skill(MmBenchBenchmark(path=str(path), partial=True), tmp_path)

    def scored(model: str, texts: list[str]) -> list[Scored]:
        said = [
            Answer(item=item, benchmark=made.name, model=model, text=text, status="ok", call="", tokens=1)
            for item, text in zip(made.items, texts, strict=True)
        ]
        return score(made, said)

    base = scored("base", ["A"] * len(made.items))
    aligned = scored("aligned", [SORRY if i.unit == "252" else i.expected for i in made.items])
    found = compare(made, base, aligned)
    assert (found["mmbench_accuracy"].n, found["mmbench_accuracy"].difference) == (2, 0.5)
    assert found["mmbench_vanilla_accuracy"].difference == 0.0, "one question gained, and one lost by a refusal"
    assert found["mmbench_refusal_rate"].difference == pytest.approx(3 / 7)
    table = write_scores(tmp_path / "scores", [*base, *aligned], run=tmp_path)[0]
    columns = check_scores(table)
    assert {"is_mmbench_accuracy", "is_mmbench_accuracy_official", "weight_mmbench_vanilla_accuracy"} <= columns
