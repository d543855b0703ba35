"""Loaders of skills: the Hub's Parquet files, counts, and files that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spavl.config.benchmarks import (
    GqaBenchmark,
    MathVistaBenchmark,
    MmBenchBenchmark,
    MmmuBenchmark,
    MmVetBenchmark,
    PopeBenchmark,
    ScienceQaBenchmark,
    SeedBenchBenchmark,
    TextVqaBenchmark,
    VizWizBenchmark,
    VqaV2Benchmark,
)
from spavl.errors import DataError
from spavl.evaluate.loaders.skills import SKILLS
from tests.evaluate import skill_files as files
from tests.evaluate.skill_files import inline, opened_skill, parquet, people

TEN = people(("stop", 7), ("go", 3))
RATED = [{"answer": text, "answer_confidence": "yes", "answer_id": n} for n, text in enumerate(TEN, 1)]
CHOICES = {f"choice_{letter}": f"thing {letter}" for letter in "abcd"}


def pope_rows(*categories: str) -> list[dict[str, Any]]:
    return [
        {"id": "0", "question_id": str(n), "question": f"Is there a thing {n} in the image?", "answer": "yes",
         "image_source": "COCO_val2014_000000000042", "image": inline(0), "category": category}
        for category in categories for n in (1, 2)
    ]  # fmt: skip


def mmbench_rows() -> list[dict[str, Any]]:
    return [
        {"index": index, "question": "Which one?", "hint": "nan", "answer": "AB"[place], "A": ("cup", "mug")[place],
         "B": ("mug", "cup")[place], "C": "nan", "D": "nan", "category": "naming", "image": inline(0), "source": "x",
         "L2-category": "y", "comment": "nan", "split": "dev"}
        for place, index in enumerate((3, 1_000_003))
    ]  # fmt: skip


HUB: dict[str, tuple[Any, dict[str, list[dict[str, Any]]], list[tuple[str, str, int]]]] = {
    "pope": (
        PopeBenchmark,
        {"data/test-00000-of-00002": pope_rows("random"), "data/test-00001-of-00002": pope_rows("popular")},
        [("coco_pope_random/1", "yes", 1), ("coco_pope_random/2", "yes", 1), ("coco_pope_popular/1", "yes", 1),
         ("coco_pope_popular/2", "yes", 1)],
    ),
    "pope in a file a split": (
        PopeBenchmark, {"Full/adversarial-00000-of-00001": [
            {k: v for k, v in row.items() if k != "category"} for row in pope_rows("x")
        ]}, [("coco_pope_adversarial/1", "yes", 1), ("coco_pope_adversarial/2", "yes", 1)],
    ),
    "scienceqa": (
        ScienceQaBenchmark,
        {"ScienceQA-IMG/test-00000-of-00001": [
            {"image": inline(n), "question": "Which?", "choices": ["cup", "mug"], "answer": n, "hint": "",
             "subject": "s"} for n in (0, 1)],
         "ScienceQA-FULL/test-00000-of-00001": [
             {"image": None, "question": "Not asked", "choices": ["cup", "mug"], "answer": 0, "hint": ""}]},
        [("test/00000", "A", 1), ("test/00001", "B", 1)],
    ),
    "mmbench": (
        MmBenchBenchmark, {"en/dev-00000-of-00001": mmbench_rows(), "cn/dev-00000-of-00001": []},
        [("3", "A", 1), ("1000003", "B", 1)],
    ),
    "seed-bench": (
        SeedBenchBenchmark,
        {"data/test-00000-of-00001": [
            {"question_id": "7", "question_type_id": 2, "question": "Which?", "answer": "D", **CHOICES,
             "data_type": "image", "image": [inline(0)]},
            {"question_id": "8", "question_type_id": 10, "question": "Which?", "answer": "D", **CHOICES,
             "data_type": "video", "image": [inline(0), inline(1)]}]},
        [("7", "D", 1)],
    ),
    "textvqa": (
        TextVqaBenchmark,
        {"data/validation-00000-of-00001": [
            {"image_id": "a", "question_id": 5, "question": "Says?", "image": inline(0), "answers": TEN,
             "ocr_tokens": ["STOP"]}]},
        [("5", "stop", 1)],
    ),
    "vqav2": (
        VqaV2Benchmark,
        {"data/validation-00000-of-00001": [
            {"question_id": 9, "question": "Says?", "image_id": 1, "image": inline(0), "answers": RATED}]},
        [("9", "stop", 1)],
    ),
    "vizwiz": (
        VizWizBenchmark,
        {"data/val-00000-of-00001": [
            {"question_id": "VizWiz_val_00000000.jpg", "image": inline(0), "question": "Says?", "answers": TEN,
             "category": "other"}]},
        [("VizWiz_val_00000000.jpg", "stop", 1)],
    ),
    "gqa": (
        GqaBenchmark,
        {"testdev_balanced_instructions/testdev-00000-of-00001": [
            {"id": "201", "imageId": "n1", "question": "Is it?", "answer": "yes"},
            {"id": "202", "imageId": "n1", "question": "Is it not?", "answer": "no"}],
         "testdev_balanced_images/testdev-00000-of-00001": [{"id": "n1", "image": inline(0)}]},
        [("201", "yes", 1), ("202", "no", 1)],
    ),
    "mathvista": (
        MathVistaBenchmark,
        {"data/testmini-00000-of-00001": [
            {"pid": "1", "question": "How many?", "image": "images/1.jpg", "decoded_image": inline(0),
             "choices": ["2", "3"], "unit": None, "precision": None, "answer": "3", "question_type": "multi_choice",
             "answer_type": "text", "metadata": {"task": "t"}, "query": "…"}],
         "data/test-00000-of-00001": []},
        [("1", "B", 1)],
    ),
    "mm-vet": (
        MmVetBenchmark,
        {"data/test-00000-of-00001": [
            {"question_id": "v1_0", "image": inline(0), "question": "What?", "answer": "a cup", "image_source": "x",
             "capability": "rec,know"}]},
        [("v1_0", "a cup", 1)],
    ),
}  # fmt: skip
"""Settings class, files of rows by path, and what is read: (id, expected, pictures)."""


@pytest.mark.parametrize("name", HUB)
def test_the_parquet_files_of_the_hub(tmp_path: Path, name: str) -> None:
    kind, tables, expected = HUB[name]
    for path, rows in tables.items():
        if rows:
            parquet(tmp_path / "hub" / f"{path}.parquet", rows)
    made = opened_skill(kind(path=str(tmp_path / "hub"), partial=True), tmp_path)
    assert [(item.item_id, item.expected, len(item.images)) for item in made.items] == expected
    assert all(item.images[0].path.is_file() and item.images[0].sha256 for item in made.items)
    one = next(iter(tables))
    if len(tables) == 1:
        alone = opened_skill(kind(path=str(tmp_path / "hub" / f"{one}.parquet"), partial=True), tmp_path)
        assert [item.item_id for item in alone.items] == [item.item_id for item in made.items]


def test_pope_of_the_hub_has_the_ids_of_the_original_files(tmp_path: Path) -> None:
    parquet(tmp_path / "hub" / "test-0.parquet", pope_rows("random"))
    rows = [
        {"question_id": n, "image": "COCO_val2014_000000000042.jpg", "text": "Is there?", "label": "yes"}
        for n in (1, 2)
    ]
    files.as_json(tmp_path / "coco" / "coco_pope_random.json", rows)
    images = files.put(tmp_path / "val2014", "COCO_val2014_000000000042.jpg")
    hub = opened_skill(PopeBenchmark(path=str(tmp_path / "hub"), partial=True), tmp_path)
    original = opened_skill(PopeBenchmark(path=str(tmp_path / "coco"), images=str(images), partial=True), tmp_path)
    assert [item.item_id for item in hub.items] == [item.item_id for item in original.items]


@pytest.mark.parametrize("kind", SKILLS)
def test_what_is_not_there_is_said_with_where_to_get_it(tmp_path: Path, kind: Any) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(DataError) as raised:
            opened_skill(kind(path=str(path)), tmp_path)
        assert str(path) in str(raised.value) and "take " in str(raised.value)


ORIGINAL: list[tuple[Any, Callable[[Path], Path], str, str]] = [
    (ScienceQaBenchmark, files.scienceqa, "", "test: 2 of 2,017"),
    (MmBenchBenchmark, lambda folder: files.mmbench(folder / "mmbench_dev.tsv", rotated=True), "", "dev: 2 of 1,164"),
    (SeedBenchBenchmark, files.seed_bench, "pictures", "image: 2 of 14,233"),
    (TextVqaBenchmark, files.textvqa, "train_images", "val: 2 of 5,000"),
    (VqaV2Benchmark, files.vqav2, "val2014", "val: 3 of 214,354"),
    (VizWizBenchmark, files.vizwiz, "val", "val: 2 of 4,319"),
    (GqaBenchmark, files.gqa, "images", "testdev-balanced: 3 of 12,578"),
    (MathVistaBenchmark, files.mathvista, "", "testmini: 4 of 1,000"),
    (MmmuBenchmark, files.mmmu, "", "multiple-choice: 2 of 847"),
    (MmVetBenchmark, files.mm_vet, "", "open: 2 of 218"),
]
"""Settings class, what writes its files, the folder of pictures that is named, and the message on another count."""


def settings_of(kind: Any, write: Callable[[Path], Path], images: str, folder: Path, **more: Any) -> Any:
    folder.mkdir()
    path = write(folder)
    return kind(path=str(path), **({"images": str(folder / images)} if images else {}), **more)


@pytest.mark.parametrize(("kind", "write", "images", "message"), ORIGINAL)
def test_another_number_of_items_than_published_is_refused(
    tmp_path: Path, kind: Any, write: Callable[[Path], Path], images: str, message: str
) -> None:
    spec = settings_of(kind, write, images, tmp_path / "files")
    with pytest.raises(DataError, match=message):
        opened_skill(spec, tmp_path)


@pytest.mark.parametrize(("kind", "write", "images", "message"), ORIGINAL)
def test_every_skill_has_refusals_beside_it_and_another_protocol_under_another_prompt(
    tmp_path: Path, kind: Any, write: Callable[[Path], Path], images: str, message: str
) -> None:
    spec = settings_of(kind, write, images, tmp_path / "files", partial=True)
    made = opened_skill(spec, tmp_path)
    assert all(metric.axis == "skill" for metric in made.metrics)
    assert [metric.name for metric in made.metrics if metric.name.endswith("_refusal_rate")], message
    other = opened_skill(spec.model_copy(update={"prompt": "Say it: {question}"}), tmp_path)
    assert made.protocol() != other.protocol()
    assert len({metric.label for metric in made.metrics}) == len(made.metrics)


@pytest.mark.parametrize(("kind", "write", "images", "message"), ORIGINAL)
def test_the_protocol_does_not_depend_on_where_the_files_lie(
    tmp_path: Path, kind: Any, write: Callable[[Path], Path], images: str, message: str
) -> None:
    specs = [settings_of(kind, write, images, tmp_path / name, partial=True) for name in ("here", "there")]
    here, there = (opened_skill(spec, tmp_path) for spec in specs)
    assert here.protocol() == there.protocol(), message
    assert all(str(tmp_path) not in item.cluster for item in here.items)
    pictures = {item.images[0].sha256: item.cluster for item in here.items if item.images}
    assert len(set(pictures.values())) == len(pictures), "a picture is a cluster"


@pytest.mark.parametrize(
    ("kind", "write", "images"), [(k, w, i) for k, w, i, _ in ORIGINAL if i and k is not SeedBenchBenchmark]
)
def test_a_missing_picture_is_told_and_may_be_skipped(
    tmp_path: Path, kind: Any, write: Callable[[Path], Path], images: str
) -> None:
    spec = settings_of(kind, write, images, tmp_path / "files", partial=True)
    next(iter((tmp_path / "files" / images).iterdir())).unlink()
    with pytest.raises(DataError, match="missing or cannot be read: 1 of"):
        opened_skill(spec, tmp_path)
    assert any(item.missing for item in opened_skill(spec, tmp_path, missing_pictures="skip").items)


@pytest.mark.parametrize("kind", [TextVqaBenchmark, VqaV2Benchmark, VizWizBenchmark, GqaBenchmark, SeedBenchBenchmark])
def test_a_folder_of_pictures_that_is_not_named_is_asked_for(tmp_path: Path, kind: Any) -> None:
    write = next(w for k, w, _, _ in ORIGINAL if k is kind)
    spec = settings_of(kind, write, "", tmp_path / "files", partial=True)
    with pytest.raises(DataError, match="name their folder by `images`"):
        opened_skill(spec, tmp_path)
