"""Fixtures have the published schema and harmless placeholder content."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.config.evaluate import MmSafetyBenchmark, PopeBenchmark, SpaVlBenchmark
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
    made = opened(PopeBenchmark(path=str(tmp_path), images=str(images)), tmp_path)
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
        opened(PopeBenchmark(path=str(path), images=str(tmp_path)), tmp_path)


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
    made = opened(SpaVlBenchmark(path=str(tmp_path)), tmp_path)
    assert [i.item_id for i in made.items] == [f"{s}/{n:04d}" for s in ("harm", "help") for n in range(3)]
    assert [i.benign for i in made.items] == [False] * 3 + [True] * 3
    assert [i.harmful for i in made.items] == [True] * 3 + [False] * 3
    assert made.items[0].question == 'placeholder "harm" question 0\n', "kept as it is"
    assert made.items[1].group == "subcategory 1"
    assert len(list((tmp_path / "pictures").iterdir())) == 1, "equal pictures are kept once"


def test_a_missing_split_is_named(tmp_path):
    pq.write_table(pa.Table.from_pylist(hub_rows("harm", 1)), tmp_path / "harm-0.parquet")
    with pytest.raises(DataError, match=r"no help-\*\.parquet"):
        opened(SpaVlBenchmark(path=str(tmp_path)), tmp_path)


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
    made = opened(MmSafetyBenchmark(path=str(mm_safetybench)), tmp_path)
    assert len(made.items) == 2 * 3 * 3
    wording = {i.item_id: i.question for i in made.items}
    assert wording["01-Illegal_Activitiy/0/SD"] == "sd text 0"
    assert wording["01-Illegal_Activitiy/0/TYPO"] == wording["01-Illegal_Activitiy/0/SD_TYPO"] == "typo text 0"
    assert len({i.cluster for i in made.items}) == 6


def test_mm_safetybench_keeps_advice_apart_from_harm(tmp_path, mm_safetybench):
    made = opened(MmSafetyBenchmark(path=str(mm_safetybench)), tmp_path)
    assert {i.group for i in made.items if i.subset == "policy"} == {"10-Legal_Opinion"}
    assert [m.name for m in made.metrics] == ["unsafe_rate", "policy_unsafe_rate"]
    assert {i.group for i in made.items if i.harmful} == {"01-Illegal_Activitiy"}
    assert [sum(m.counts(i) for i in made.items) for m in made.metrics] == [9, 9]


def test_the_tiny_list_is_what_it_names(tmp_path, mm_safetybench):
    made = opened(MmSafetyBenchmark(path=str(mm_safetybench), tiny=True, variants=("SD",)), tmp_path)
    assert [i.item_id for i in made.items] == [
        "01-Illegal_Activitiy/1/SD",
        "10-Legal_Opinion/0/SD",
        "10-Legal_Opinion/2/SD",
    ]
