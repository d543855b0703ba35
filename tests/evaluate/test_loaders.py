"""Fixtures have the published schema and harmless placeholder content."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.config.benchmarks import MmSafetyBenchmark, PopeBenchmark, SpaVlBenchmark
from spavl.errors import DataError
from tests.evaluate.benchmark_files import json_lines, opened, picture


def test_pope_files_restart_their_ids_and_share_pictures(tmp_path):
    images = tmp_path / "val2014"
    images.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (images / name).write_bytes(picture("green"))
    for kind in ("random", "popular"):
        json_lines(
            tmp_path / f"coco_pope_{kind}.json",
            [
                {"question_id": n, "image": name, "text": f"Is there a thing {n} in the image?", "label": label}
                for n, (name, label) in enumerate([("a.jpg", "yes"), ("a.jpg", "no"), ("b.jpg", "yes")], start=1)
            ],
        )
    made = opened(PopeBenchmark(path=str(tmp_path), images=str(images), partial=True), tmp_path)
    assert [i.item_id for i in made.items][:4] == [
        "coco_pope_popular/1",
        "coco_pope_popular/2",
        "coco_pope_popular/3",
        "coco_pope_random/1",
    ]
    assert {i.cluster for i in made.items} == {"a.jpg", "b.jpg"}
    assert made.items[1].expected == "no"
    assert made.metrics[0].name == "pope_accuracy"


def test_a_pope_label_is_yes_or_no(tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture("green"))
    path = json_lines(tmp_path / "pope.json", [{"question_id": 1, "image": "a.jpg", "text": "?", "label": "perhaps"}])
    with pytest.raises(DataError, match='yes or no, not "perhaps"'):
        opened(PopeBenchmark(path=str(path), images=str(tmp_path), partial=True), tmp_path)


def hub_rows(split, count):
    return [
        {
            "image": {"bytes": picture("grey"), "path": f"{n}.jpg"},
            "question": f'placeholder "{split}" question {n}\n',
            "class1": "domain",
            "class2": "category",
            "class3": f"subcategory {n % 2}",
        }
        for n in range(count)
    ]


def test_the_test_split_of_spa_vl(tmp_path):
    for split in ("harm", "help"):
        pq.write_table(pa.Table.from_pylist(hub_rows(split, 3)), tmp_path / f"{split}-00000-of-00001.parquet")
    made = opened(SpaVlBenchmark(partial=True, path=str(tmp_path)), tmp_path)
    assert [i.item_id for i in made.items] == [f"{s}/{n:04d}" for s in ("harm", "help") for n in range(3)]
    assert [i.benign for i in made.items] == [False] * 3 + [True] * 3
    assert [i.harmful for i in made.items] == [True] * 3 + [False] * 3
    assert made.items[0].question == 'placeholder "harm" question 0\n', "kept as it is"
    assert made.items[1].group == "subcategory 1"
    assert len(list((tmp_path / "pictures").iterdir())) == 1, "equal pictures are kept once"


def test_a_missing_split_is_named(tmp_path):
    pq.write_table(pa.Table.from_pylist(hub_rows("harm", 1)), tmp_path / "harm-0.parquet")
    with pytest.raises(DataError, match=r"no help-\*\.parquet"):
        opened(SpaVlBenchmark(partial=True, path=str(tmp_path)), tmp_path)


@pytest.fixture
def mm_safetybench(tmp_path):
    folder = tmp_path / "data"
    (folder / "processed_questions").mkdir(parents=True)
    for scenario in ("01-Illegal_Activitiy", "10-Legal_Opinion"):
        questions = {
            str(n): {"Rephrased Question": f"typo text {n}", "Rephrased Question(SD)": f"sd text {n}"} for n in range(3)
        }
        (folder / "processed_questions" / f"{scenario}.json").write_text(json.dumps(questions))
        for variant in ("SD", "SD_TYPO", "TYPO"):
            (folder / "imgs" / scenario / variant).mkdir(parents=True)
            for n in range(3):
                (folder / "imgs" / scenario / variant / f"{n}.jpg").write_bytes(picture("white"))
    tiny = [
        {"Scenario": "01-Illegal_Activitiy", "Sampled_ID_List": [1]},
        {"Scenario": "10-Legal_Opinion", "Sampled_ID_List": [0, 2]},
    ]
    (folder / "TinyVersion_ID_List.json").write_text(json.dumps(tiny))
    return folder


def test_mm_safetybench_pairs_each_picture_with_its_own_wording(tmp_path, mm_safetybench):
    made = opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench)), tmp_path)
    assert len(made.items) == 2 * 3 * 3
    wording = {i.item_id: i.question for i in made.items}
    assert wording["01-Illegal_Activitiy/0/SD"] == "sd text 0"
    assert wording["01-Illegal_Activitiy/0/TYPO"] == wording["01-Illegal_Activitiy/0/SD_TYPO"] == "typo text 0"
    assert len({i.cluster for i in made.items}) == 6


def test_mm_safetybench_keeps_advice_apart_from_harm(tmp_path, mm_safetybench):
    made = opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench)), tmp_path)
    assert {i.group for i in made.items if i.subset.startswith("policy-")} == {"10-Legal_Opinion"}
    assert [m.name for m in made.metrics][:2] == ["unsafe_rate", "policy_unsafe_rate"]
    assert {i.group for i in made.items if i.harmful} == {"01-Illegal_Activitiy"}
    assert [sum(m.counts(i) for i in made.items) for m in made.metrics] == [9, 9] + [3] * 6


def test_the_tiny_list_is_what_it_names(tmp_path, mm_safetybench):
    made = opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench), tiny=True, variants=("SD",)), tmp_path)
    assert [i.item_id for i in made.items] == [
        "01-Illegal_Activitiy/1/SD",
        "10-Legal_Opinion/0/SD",
        "10-Legal_Opinion/2/SD",
    ]


def pope_rows(count, name="a.jpg"):
    return [{"question_id": n, "image": name, "text": "?", "label": ("yes", "no")[n % 2]} for n in range(1, count + 1)]


@pytest.mark.parametrize("form", ["lines", "lines with CRLF", "array", "array with a byte order mark"])
def test_pope_files_are_lines_or_arrays(tmp_path, form):
    """Those on COCO are lines, two of them with CRLF; those that SEEM labelled are arrays."""
    (tmp_path / "a.jpg").write_bytes(picture("green"))
    text = json.dumps(pope_rows(4))
    if form.startswith("lines"):
        text = ("\r\n" if "CRLF" in form else "\n").join(map(json.dumps, pope_rows(4)))
    text = "\ufeff" + text if "byte order" in form else text
    (tmp_path / "aokvqa_pope_seem_random.json").write_bytes(text.encode())
    made = opened(PopeBenchmark(path=str(tmp_path), images=str(tmp_path), partial=True), tmp_path)
    assert [item.item_id for item in made.items] == [f"aokvqa_pope_seem_random/{n}" for n in range(1, 5)]


@pytest.mark.parametrize("limit", [6, 12])
def test_a_part_of_pope_is_of_all_files_and_balanced(tmp_path, limit):
    """Yes and no come in turn in the files: every second question would be all yes."""
    (tmp_path / "a.jpg").write_bytes(picture("green"))
    for kind in ("random", "popular", "adversarial"):
        json_lines(tmp_path / f"coco_pope_{kind}.json", pope_rows(60))
    made = opened(PopeBenchmark(path=str(tmp_path), images=str(tmp_path), partial=True, limit=limit), tmp_path)
    answers = [item.expected for item in made.items]
    assert len(answers) == limit and answers.count("yes") == answers.count("no")
    assert {item.group.rpartition("_")[2] for item in made.items} == {"random", "popular", "adversarial"}


def test_rows_of_pope_that_are_wrong_and_pictures_that_are_missing_are_counted(tmp_path):
    rows = [*pope_rows(3), {"question_id": 9, "image": "a.jpg", "text": "", "label": "no"}, {"image": "a.jpg"}]
    json_lines(tmp_path / "pope.json", rows)
    with pytest.raises(DataError, match="2 of 5") as error:
        opened(PopeBenchmark(path=str(tmp_path), images=str(tmp_path), partial=True), tmp_path)
    assert "line 4: The field `text` is empty" in error.value.what and "line 5" in error.value.what
    json_lines(tmp_path / "pope.json", [*pope_rows(3), {**pope_rows(1)[0], "image": "b.jpg"}])
    with pytest.raises(DataError, match="missing or cannot be read: 2 of 2"):
        opened(PopeBenchmark(path=str(tmp_path), images=str(tmp_path), partial=True), tmp_path)


@pytest.mark.parametrize("limit", [1, 2, 6, 11, 18, 2499])
def test_any_limit_takes_all_scenarios_and_variants_of_mm_safetybench_alike(tmp_path, mm_safetybench, limit):
    made = opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench), limit=limit), tmp_path)
    assert len(made.items) == min(limit, 18)
    counts = [
        sum(item.item_id.startswith(scenario) and item.item_id.endswith(f"/{variant}") for item in made.items)
        for scenario in ("01-Illegal_Activitiy", "10-Legal_Opinion")
        for variant in ("SD", "SD_TYPO", "TYPO")
    ]
    assert max(counts) - min(counts) <= 1
    assert all(sum(metric.counts(item) for item in made.items) for metric in made.metrics)


def test_the_tiny_list_is_found_in_the_repository_s_root_above_the_questions(tmp_path, mm_safetybench):
    (mm_safetybench / "TinyVersion_ID_List.json").rename(mm_safetybench.parent / "TinyVersion_ID_List.json")
    made = opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench), tiny=True, variants=("SD",)), tmp_path)
    assert len(made.items) == 3
    (mm_safetybench.parent / "TinyVersion_ID_List.json").unlink()
    with pytest.raises(DataError, match=r"no TinyVersion_ID_List\.json in this folder or the one above"):
        opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench), tiny=True), tmp_path)


def test_a_tiny_list_that_names_other_questions_is_refused(tmp_path, mm_safetybench):
    listed = [{"Scenario": "01-Illegal_Activitiy", "Sampled_ID_List": [1, 77]}]
    (mm_safetybench / "TinyVersion_ID_List.json").write_text(json.dumps(listed))
    with pytest.raises(DataError, match="names `01-Illegal_Activitiy/77`"):
        opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench), tiny=True), tmp_path)


def test_gaps_between_ids_are_no_matter_and_a_missing_wording_is_told_by_id(tmp_path, mm_safetybench):
    file = mm_safetybench / "processed_questions" / "10-Legal_Opinion.json"
    questions = json.loads(file.read_text())
    del questions["1"]
    questions["2"].pop("Rephrased Question(SD)")
    file.write_text(json.dumps(questions))
    with pytest.raises(DataError, match=r"10-Legal_Opinion\.json, id 2: .* `Rephrased Question\(SD\)` is missing"):
        opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench)), tmp_path)
    made = opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench), variants=("TYPO",)), tmp_path)
    assert [item.item_id for item in made.items][3:] == ["10-Legal_Opinion/0/TYPO", "10-Legal_Opinion/2/TYPO"]


def test_missing_pictures_of_mm_safetybench_are_counted_and_can_be_gone_without(tmp_path, mm_safetybench):
    for number in range(3):
        (mm_safetybench / "imgs" / "10-Legal_Opinion" / "SD" / f"{number}.jpg").unlink()
    with pytest.raises(DataError, match="missing or cannot be read: 3 of 18"):
        opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench)), tmp_path)
    made = opened(MmSafetyBenchmark(partial=True, path=str(mm_safetybench)), tmp_path, missing_pictures="skip")
    assert len(made.items) == 18 and sum(bool(item.missing) for item in made.items) == 3


def test_a_variant_that_there_is_not_is_refused_by_name():
    with pytest.raises(ValueError, match="'text', 'SD', 'SD_TYPO' or 'TYPO'"):
        MmSafetyBenchmark(path="x", variants=("photo",))


def test_a_part_of_spa_vl_is_of_all_subcategories(tmp_path):
    for split in ("harm", "help"):
        pq.write_table(pa.Table.from_pylist(hub_rows(split, 20)), tmp_path / f"{split}-0.parquet")
    made = opened(SpaVlBenchmark(partial=True, path=str(tmp_path), limit=4), tmp_path)
    assert [(item.subset, item.group) for item in made.items].count(("harm", "subcategory 0")) == 2
    assert len(made.items) == 8


def test_a_damaged_picture_inside_the_table_of_spa_vl_is_told_by_its_row(tmp_path):
    for split in ("harm", "help"):
        rows = hub_rows(split, 2)
        rows[1]["image"] = {"bytes": b"words", "path": "1.jpg"}
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{split}-0.parquet")
    with pytest.raises(DataError, match="2 of 4") as error:
        opened(SpaVlBenchmark(partial=True, path=str(tmp_path)), tmp_path)
    assert "harm-0.parquet, row 2: not a JPEG" in error.value.what
