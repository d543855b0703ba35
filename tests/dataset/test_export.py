"""The exported dataset as `datasets.load_dataset` opens it: the published columns first, pictures decoded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import DatasetDict, load_dataset
from PIL import Image

from spavl.dataset.export import GROUP_ROWS, SCHEMA, export
from spavl.errors import DataError
from spavl.preferences.forms import FORMS
from spavl.records import ImageRecord, ImageRef, PreferencePair, Turn
from spavl.tables import write_table
from tests import samples
from tests.tiny import picture

PUBLISHED = ["image", "question", "chosen", "rejected", "image_name"]
"""Columns of the train split of `sqrti/SPA-VL`, in its order."""


def record(run: Path, n: int, *, heldout: bool = False) -> ImageRecord:
    """A record with a real picture in the run folder."""
    name = f"images/{n}.png"
    data = picture(run / name, seed=n, size=8).read_bytes()
    return samples.image(
        f"weapon/{n}", image_file=name, image_sha256=hashlib.sha256(data).hexdigest(), heldout=heldout
    )  # fmt: skip


def pairs_of(run: Path, count: int = 4, heldout: tuple[int, ...] = ()) -> list[PreferencePair]:
    """Two pairs for each picture."""
    return [
        samples.pair(
            samples.query(record(run, n, heldout=n in heldout), kind), pair_id=f"{n}/{kind}", chosen=f"Chosen {n}."
        )
        for n in range(count) for kind in ("easy_question", "hard_question")
    ]  # fmt: skip


def exporting(pairs: list[PreferencePair], *, folder: Path, out: Path) -> dict[str, int]:
    """Export pairs by way of their table."""
    write_table(folder / "6-pairs.parquet", pairs, PreferencePair)
    return export(folder / "6-pairs.parquet", folder=folder, out=out, made_from="these pairs")


def opened(folder: Path, cache: Path) -> DatasetDict:
    """The splits of a dataset folder."""
    return load_dataset(str(folder), cache_dir=str(cache))


def test_the_folder_opens_with_decoded_pictures_and_the_published_columns_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pairs = pairs_of(run)
    assert exporting(pairs, folder=run, out=run / "dataset") == {"train": 8}
    train = opened(run / "dataset", tmp_path / "cache")["train"]
    assert train.column_names[:5] == PUBLISHED
    assert set(train.column_names) > {"class1", "class2", "class3", "question_type", "license", "image_sha256", "judge"}
    row = train[2]
    assert isinstance(row["image"], Image.Image)
    assert row["image"].tobytes() == Image.open(run / "images" / "1.png").tobytes()
    assert (row["question"], row["chosen"], row["rejected"]) == (
        pairs[2].query.question,
        "Chosen 1.",
        "The worse answer.",
    )
    assert (row["image_name"], row["class3"], row["question_type"]) == ("1.png", "weapon", "easy_question")
    assert (row["chosen_safe"], row["rejected_safe"], row["benign"]) == (True, False, False)


def test_a_follow_up_keeps_the_turns_before_it_and_is_read_back_with_its_picture_in_the_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    image = record(run, 0)
    shown = ImageRef(Path(image.image_file), image.image_sha256)
    earlier = (Turn("user", "What is it?", (shown,)), Turn("assistant", "A cup."))
    follow_up = samples.query(image, "follow_up", images=(), earlier=earlier, question="Whose cup?")
    pairs = [samples.pair(samples.query(image), pair_id="0/easy"), samples.pair(follow_up, pair_id="0/follow")]
    exporting(pairs, folder=run, out=run / "dataset")
    first, second = opened(run / "dataset", tmp_path / "cache")["train"]
    assert first["earlier"] is None
    assert second["earlier"] == [
        {"role": "user", "text": "<image>\nWhat is it?"}, {"role": "assistant", "text": "A cup."},
    ]  # fmt: skip
    read = FORMS[0].read(second)
    assert [(turn.role, turn.text, len(turn.pictures)) for turn in read.turns] == [
        ("user", "What is it?", 1), ("assistant", "A cup.", 0), ("user", "Whose cup?", 0),
    ]  # fmt: skip
    assert [len(turn.pictures) for turn in FORMS[0].read(first).turns] == [1]


def test_what_is_held_out_is_never_in_train(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert exporting(pairs_of(run, heldout=(1, 3)), folder=run, out=run / "dataset") == {"train": 4, "heldout": 4}
    splits = opened(run / "dataset", tmp_path / "cache")
    assert set(splits["train"]["image_id"]) == {"weapon/0", "weapon/2"}
    assert set(splits["heldout"]["image_id"]) == {"weapon/1", "weapon/3"}


def test_a_split_that_is_empty_now_leaves_no_file_of_before(tmp_path: Path) -> None:
    run = tmp_path / "run"
    exporting(pairs_of(run, heldout=(1,)), folder=run, out=run / "dataset")
    exporting(pairs_of(run), folder=run, out=run / "dataset")
    assert [p.name for p in (run / "dataset" / "data").iterdir()] == ["train.parquet"]
    assert set(opened(run / "dataset", tmp_path / "cache")) == {"train"}


def test_a_grade_that_is_not_known_stays_unknown(tmp_path: Path) -> None:
    run = tmp_path / "run"
    exporting([samples.pair(samples.query(record(run, 0)), chosen_outcome=None)], folder=run, out=run / "dataset")
    assert opened(run / "dataset", tmp_path / "cache")["train"][0]["chosen_safe"] is None
    assert "Without a verdict: 1 chosen, 0 rejected." in (run / "dataset" / "README.md").read_text("utf-8")


def test_a_harmless_question_about_a_harmful_picture_is_benign_and_its_system_turn_is_kept(tmp_path: Path) -> None:
    run = tmp_path / "run"
    asked = samples.query(record(run, 0), "benign_question", harmful=False, system="Be brief.")
    exporting([samples.pair(asked)], folder=run, out=run / "dataset")
    row = opened(run / "dataset", tmp_path / "cache")["train"][0]
    assert (row["benign"], row["system"]) == (True, "Be brief.")


def test_the_card_has_yaml_metadata_and_says_what_is_in_the_dataset(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pairs = [*pairs_of(run, 2), samples.pair(samples.query(record(run, 5, heldout=True)), chosen_outcome="unsafe")]
    exporting(pairs, folder=run, out=run / "dataset")
    card = (run / "dataset" / "README.md").read_text("utf-8")
    head = yaml.safe_load(card.split("---\n")[1])
    assert [f["split"] for f in head["configs"][0]["data_files"]] == ["train", "heldout"]
    assert "5 rows" in card
    assert "| Malicious Use | 5 |" in card
    assert "| domain | pairs of `train` and `heldout` |" in card
    assert "with a verdict: chosen 20.0 %, rejected 100.0 %. Without a verdict: 0 chosen, 0 rejected." in card
    assert "CC0 (5)" in card and "may quote harmful answers" in card and "written by `spavl build`" in card
    assert "- `image`: picture (bytes, path)\n- `question`: string" in card
    assert str(tmp_path) not in card


def test_the_same_pairs_make_the_same_bytes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for out in ("one", "two"):
        exporting(pairs_of(run), folder=run, out=tmp_path / out)
    assert (tmp_path / "one/data/train.parquet").read_bytes() == (tmp_path / "two/data/train.parquet").read_bytes()


def test_rows_are_written_in_groups_so_that_no_dataset_is_too_large(tmp_path: Path) -> None:
    run = tmp_path / "run"
    of = samples.query(record(run, 0))
    pairs = [samples.pair(of, pair_id=str(n)) for n in range(2 * GROUP_ROWS + 1)]
    exporting(pairs, folder=run, out=run / "dataset")
    file = pq.ParquetFile(run / "dataset" / "data" / "train.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [GROUP_ROWS, GROUP_ROWS, 1]
    assert file.read()["pair_id"].to_pylist() == [p.pair_id for p in pairs]


def test_memory_holds_a_few_large_pictures_and_not_all_of_them(tmp_path: Path) -> None:
    """150 rows of 2 MiB are 300 MiB in all; a group ends at 64 MiB."""
    run = tmp_path / "run"
    (run / "images").mkdir(parents=True)
    (run / "images" / "0.png").write_bytes(bytes(2**21))
    of = samples.query(samples.image(image_file="images/0.png"))
    pool = pa.default_memory_pool()
    before = pa.total_allocated_bytes()
    pairs = [samples.pair(of, pair_id=str(n)) for n in range(150)]
    tracked = pa.proxy_memory_pool(pool)
    pa.set_memory_pool(tracked)
    try:
        exporting(pairs, folder=run, out=run / "dataset")
        assert tracked.max_memory() < 250 * 2**20
    finally:
        pa.set_memory_pool(pool)
    assert pa.total_allocated_bytes() - before < 2**20


def test_a_missing_picture_is_an_error_and_the_old_dataset_stays(tmp_path: Path) -> None:
    run = tmp_path / "run"
    pairs = pairs_of(run)
    exporting(pairs, folder=run, out=run / "dataset")
    (run / "images" / "3.png").unlink()
    with pytest.raises(DataError) as error:
        exporting(pairs, folder=run, out=run / "dataset")
    assert error.value.where.endswith("3.png")
    assert "makes no call" in error.value.try_
    assert pq.read_table(run / "dataset" / "data" / "train.parquet").num_rows == 8


def test_every_column_is_declared_and_described_alike() -> None:
    features = json.loads(SCHEMA.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == SCHEMA.names
    assert features["image"] == {"_type": "Image"}
