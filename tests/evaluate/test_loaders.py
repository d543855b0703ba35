"""Fixtures have the published schema and harmless placeholder content."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from spavl.config.evaluate import FileBenchmark, MmSafetyBenchmark, PopeBenchmark, SpaVlBenchmark
from spavl.errors import DataError
from spavl.evaluate import BenchmarkTools
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.parse import REFUSES
from spavl.models.base import Sampling


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 6), colour).save(buffer, "PNG")
    return buffer.getvalue()


def opened(spec, tmp_path):
    tools = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16), pictures=tmp_path / "pictures", seed=0, unsafe=lambda: REFUSES
    )
    return open_benchmark(spec, tools)


def json_lines(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_a_file_of_one_s_own(tmp_path):
    (tmp_path / "cup.png").write_bytes(picture("red"))
    path = json_lines(
        tmp_path / "mine.jsonl",
        [
            {"question": "What is this?", "image": "cup.png", "expected": "a cup", "subset": "skill", "id": "a"},
            {"question": "Is there a cup?", "image": "cup.png", "expected": "yes", "subset": "yes-no"},
            {"question": "placeholder request"},
            {"question": "Describe it.", "image": "cup.png", "subset": "benign", "group": "kitchen"},
        ],
    )
    made = opened(FileBenchmark(name="mine", path=str(path), prompt="{question} Be brief."), tmp_path)
    assert [i.item_id for i in made.items] == ["a", "2", "3", "4"]
    assert [i.subset for i in made.items] == ["skill", "yes-no", "harm", "benign"]
    assert [i.shown for i in made.items] == ["picture", "picture", "none", "picture"]
    assert made.items[0].cluster == made.items[1].cluster != made.items[2].cluster
    assert [m.name for m in made.metrics] == ["unsafe_rate", "over_refusal_rate", "skill_accuracy", "pope_accuracy"]
    assert made.prompt_for(made.items[0]).text == "What is this? Be brief."
    assert [(i.harmful, i.benign) for i in made.items] == [(False, False), (False, False), (True, False), (False, True)]


def test_a_file_declares_what_its_rows_are(tmp_path):
    for name in ("cup", "jug"):
        (tmp_path / f"{name}.png").write_bytes(picture("red"))
    talk = [{"role": "user", "text": "first", "images": ["cup.png"]}, {"role": "assistant", "text": "reply"}]
    rows = [
        {"question": "?", "subset": "probes", "harmful": True, "heldout": True, "images": ["cup.png", "jug.png"]},
        {"question": "?", "benign": True, "system": "be brief", "earlier": talk},
        {"question": "?", "subset": "yes-no", "expected": "no", "harmful": False},
    ]
    made = opened(FileBenchmark(name="mine", path=str(json_lines(tmp_path / "mine.jsonl", rows))), tmp_path)
    first, second, third = made.items
    assert (first.harmful, first.heldout, first.subset, len(first.images)) == (True, True, "probes", 2)
    assert (second.benign, second.subset, second.system, second.shown) == (True, "benign", "be brief", "picture")
    assert [(t.role, t.text, len(t.images)) for t in second.earlier] == [
        ("user", "first", 1),
        ("assistant", "reply", 0),
    ]
    assert (third.harmful, third.benign) == (False, False)
    assert [m.name for m in made.metrics] == ["unsafe_rate", "over_refusal_rate", "pope_accuracy"]
    assert [sum(m.counts(i) for i in made.items) for m in made.metrics] == [1, 1, 1]


def test_zero_is_an_id_an_answer_a_subject_and_a_cluster(tmp_path):
    rows = [{"question": "?", "subset": "skill", "id": n, "expected": n, "group": n, "cluster": n} for n in range(2)]
    made = opened(FileBenchmark(name="mine", path=str(json_lines(tmp_path / "mine.jsonl", rows))), tmp_path)
    assert [(i.item_id, i.expected, i.group, i.cluster) for i in made.items] == [("0",) * 4, ("1",) * 4]


def test_a_row_with_the_former_name_of_subset_is_refused_and_never_scored_as_harm(tmp_path):
    path = json_lines(tmp_path / "mine.jsonl", [{"question": "Describe it.", "arm": "benign"}])
    with pytest.raises(DataError, match="`arm` is called `subset` now"):
        opened(FileBenchmark(name="mine", path=str(path)), tmp_path)


def test_a_parquet_file_with_pictures_inside(tmp_path):
    path = tmp_path / "mine.parquet"
    pq.write_table(
        pa.Table.from_pylist(
            [{"question": "?", "image": {"bytes": picture("blue"), "path": "x.png"}, "subset": "benign"}]
        ),
        path,
    )
    made = opened(FileBenchmark(name="mine", path=str(path)), tmp_path)
    image = made.items[0].images[0]
    assert image.path.parent == tmp_path / "pictures" and image.path.read_bytes() == picture("blue")
    assert image.path.name == image.sha256


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": "cup.png"}, "`question` is missing"),
        ({"question": "?", "subset": "hram"}, "no subset `hram`"),
        ({"question": "?", "subset": "skill"}, "`expected` is missing"),
        ({"question": "?", "image": "../secret.png"}, "outside its folder"),
        ({"question": "?", "image": "/etc/hostname"}, "outside its folder"),
        ({"question": "?", "image": "gone.png"}, "cannot be read"),
        ({"question": "?", "image": "https://example.org/a.png"}, "cannot be read"),
        ({"question": "?", "image": 7}, "bytes are not in the table"),
        ({"question": "?", "harmful": "yes"}, "true or false, not 'yes'"),
        ({"question": "?", "harmful": True, "benign": True}, "both harmful and benign"),
        ({"question": "?", "harmful": False, "benign": False}, "neither harmful nor benign"),
        ({"question": "?", "earlier": [{"role": "system", "text": "x"}]}, "holds turns"),
        ({"question": "?", "earlier": ["x"]}, "holds turns"),
        ([], "no JSON object"),
    ],
)
def test_a_wrong_row_is_an_error_with_its_line(tmp_path, row, message):
    path = json_lines(tmp_path / "mine.jsonl", [{"question": "fine"}, row])
    with pytest.raises(DataError, match=message) as error:
        opened(FileBenchmark(name="mine", path=str(path)), tmp_path)
    assert str(tmp_path) in error.value.where


def test_a_file_that_is_missing_or_not_json_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        opened(FileBenchmark(name="m", path=str(tmp_path / "none.jsonl")), tmp_path)
    (tmp_path / "m.jsonl").write_text('{"question": "a"}\n{oops')
    with pytest.raises(DataError, match="not JSON") as error:
        opened(FileBenchmark(name="m", path=str(tmp_path / "m.jsonl")), tmp_path)
    assert error.value.where.endswith("m.jsonl:2")
    (tmp_path / "m.csv").write_text("question\n?")
    with pytest.raises(DataError, match=r"\.jsonl or \.parquet"):
        opened(FileBenchmark(name="m", path=str(tmp_path / "m.csv")), tmp_path)
    (tmp_path / "m.parquet").write_text("PAR")
    with pytest.raises(DataError, match="not a readable Parquet"):
        opened(FileBenchmark(name="m", path=str(tmp_path / "m.parquet")), tmp_path)


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
    with pytest.raises(DataError, match="yes or no, not `perhaps`"):
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
