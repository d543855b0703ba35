"""Datasets whose rows hold pictures: Parquet as the Hub has it, folders of `save_to_disk`, and what is wrong."""

from __future__ import annotations

import json
import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.config.build import CollectSettings
from spavl.config.sources import DatasetSettings
from spavl.dataset.collect import Candidate, find_in_dataset, hub
from spavl.dataset.collect.hub import choose_files
from spavl.dataset.collect.shards import Shards
from spavl.errors import DataError
from spavl.taxonomy import load_taxonomy
from tests.dataset.pictures import noise

TAXONOMY = load_taxonomy()
MOST = 10**7
FEATURES = {
    "info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["weapon", "cyber"], "_type": "ClassLabel"}}}
}  # fmt: skip


def spa_vl_rows(start: int, count: int, *, classes: bool) -> list[dict[str, Any]]:
    """Rows as those of `sqrti/SPA-VL`: two for each picture; the train split has no classes, but names of pictures."""
    rows = []
    for number in range(start, start + count):
        row = {"image": {"bytes": noise(number // 2), "path": f"{number // 2}.png"}, "question": "placeholder",
               "chosen": "placeholder", "rejected": "placeholder"}  # fmt: skip
        rows.append(
            row | ({"class1": "Malicious Use", "class2": "Security threats", "class3": ["weapon", "cyber"][number % 2]}
                   if classes else {"image_name": f"{number // 2}.png"})
        )  # fmt: skip
    return rows


def write_parquet(path: Path, rows: list[dict[str, Any]], **metadata: bytes) -> Path:
    """A Parquet file of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(metadata or None), path, row_group_size=3)
    return path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder laid out as the published dataset."""
    folder = tmp_path / "SPA-VL"
    write_parquet(folder / "data" / "train-00000-of-00002.parquet", spa_vl_rows(0, 8, classes=False))
    write_parquet(folder / "data" / "train-00001-of-00002.parquet", spa_vl_rows(8, 8, classes=False))
    write_parquet(folder / "validation" / "validation-00000-of-00001.parquet", spa_vl_rows(0, 4, classes=True))
    write_parquet(folder / "test" / "harm-00000-of-00001.parquet", spa_vl_rows(20, 2, classes=True))
    write_parquet(folder / "test" / "help-00000-of-00001.parquet", spa_vl_rows(30, 2, classes=True))
    return folder


@pytest.fixture(autouse=True)
def nothing_is_known_of_the_hub() -> None:
    """No answer of the Hub is kept from another test."""
    hub._from_hub.cache_clear()


def found(path: Path | str, shows: str | None = None, **columns: Any) -> list[Candidate]:
    """The candidates of a dataset."""
    wanted = CollectSettings(source="dataset", dataset=DatasetSettings(path=str(path), **columns), topic=shows)
    return list(find_in_dataset(wanted, TAXONOMY))


def error(path: Path | str, **columns: Any) -> DataError:
    """What is said of a dataset."""
    with pytest.raises(DataError) as caught:
        found(path, **columns)
    return caught.value


def test_the_published_splits_are_read_by_their_names(published: Path) -> None:
    rows = found(published, split="validation")
    assert [one.topic.class3 for one in rows] == ["weapon", "cyber", "weapon", "cyber"]
    assert [one.read(MOST) for one in rows] == [noise(0), noise(0), noise(1), noise(1)]
    assert rows[0].name == "validation/validation-00000-of-00001.parquet, row 1"
    assert len(found(published, split="harm")) == 2
    said = error(published)
    assert said.what == "The dataset has several splits: harm, help, train, validation"
    assert said.try_ == "name one in `build.collect.dataset.split`"
    assert 'There is no split "tset"' in error(published, split="tset").what
    assert len(found(published, config="validation")) == 4
    assert "There is no config" in error(published, config="none").what


def test_the_train_split_has_no_classes_and_each_of_its_pictures_is_used_once_by_its_name(published: Path) -> None:
    said = error(published, split="train")
    assert "it has none of the columns `class3`, `topic`, `subcategory`" in said.what
    assert "build.collect.topic" in said.try_
    rows = found(published, shows="weapon", split="train", id="image_name")
    assert len(rows) == len({one.image_id for one in rows}) == 16
    assert rows[0].image_id == "weapon/0.png"
    with pytest.raises(DataError, match="row 1 has the same id"):
        rows[1].read(MOST)
    assert [one.read(MOST) for one in rows[::2]] == [noise(number) for number in range(8)]


def test_columns_are_named_by_settings_and_a_misspelt_one_gets_a_near_name(tmp_path: Path) -> None:
    rows = [
        {"photo": noise(1), "label": 0, "text": "a café", "rights": "CC0", "harmless": True, "url": "https://a.org/x"},
        {"photo": noise(2), "label": 1, "text": None, "rights": None, "harmless": False, "url": None},
    ]
    file = write_parquet(tmp_path / "a.parquet", rows, huggingface=json.dumps(FEATURES).encode())
    columns = {"image": "photo", "topic": "label", "caption": "text", "license": "rights", "benign": "harmless",
               "source": "url"}  # fmt: skip
    first, second = found(file, **columns)
    assert (first.topic.class3, second.topic.class3) == ("weapon", "cyber")
    assert (first.caption, first.license, first.benign, first.source) == ("a café", "CC0", True, "https://a.org/x")
    assert (second.caption, second.license, second.benign) == ("", "unknown", False)
    assert second.source == f"dataset:{file}, a.parquet, row 2"
    said = error(file, **columns | {"image": "foto"})
    assert 'There is no column "foto"' in said.what
    assert 'is "photo" meant as `foto`?' in said.try_
    assert "`build.collect.dataset.caption`" in error(file, **columns | {"caption": "txt"}).what
    assert "holds no pictures but values of the type int64" in error(file, **columns | {"image": "label"}).what
    assert "`photo`" in error(file, topic="label").try_


@pytest.mark.parametrize("kind", ["to_parquet", "save_to_disk", "dict"])
def test_what_datasets_writes_is_read_without_it(kind: str, tmp_path: Path) -> None:
    made = datasets.Dataset.from_list([{"image": {"bytes": noise(n), "path": None}, "topic": n % 2} for n in range(7)])
    made = made.cast_column("image", datasets.Image(decode=False))
    made = made.cast_column("topic", datasets.ClassLabel(names=["weapon", "cyber"]))
    if kind == "to_parquet":
        made.to_parquet(tmp_path / "made.parquet")
        rows = found(tmp_path / "made.parquet")
    elif kind == "save_to_disk":
        made.select(range(6, -1, -1)).save_to_disk(tmp_path / "made", num_shards=2)
        rows = found(tmp_path / "made")[::-1]
    else:
        datasets.DatasetDict(train=made, test=made.select([0])).save_to_disk(tmp_path / "made")
        assert "several splits: train, test" in error(tmp_path / "made").what
        rows = found(tmp_path / "made", split="train")
    assert [one.read(MOST) for one in rows] == [noise(number) for number in range(7)]
    assert [one.topic.class3 for one in rows] == [["weapon", "cyber"][number % 2] for number in range(7)]


def test_a_cell_without_a_picture_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "near.png").write_bytes(noise(3))
    cells = [None, {"bytes": None, "path": "near.png"}, {"bytes": None, "path": "../x.png"},
             {"bytes": None, "path": "\0"}, {"bytes": b"", "path": None}, {"bytes": None, "path": "https://a.org/x.png"},
             {"bytes": noise(4), "path": "x"}]  # fmt: skip
    rows = found(write_parquet(tmp_path / "a.parquet", [{"image": cell, "topic": "weapon"} for cell in cells]))
    outcomes = []
    for one in rows:
        try:
            outcomes.append(one.read(MOST))
        except DataError as said:
            outcomes.append(said.what)
    assert outcomes == [
        "the row holds no picture", noise(3), "a link that leads out of the folder", "not a file",
        "the row holds no picture", "the row holds no picture but an address, which a manifest may name", noise(4),
    ]  # fmt: skip
    with pytest.raises(DataError, match="more bytes than"):
        rows[-1].read(10)


def test_topics_that_are_not_known_are_all_named(tmp_path: Path) -> None:
    file = write_parquet(
        tmp_path / "a.parquet", [{"image": noise(n), "topic": t} for n, t in enumerate(("wepon", "cybr"))]
    )
    said = error(file)
    assert '"wepon" (1 row, first' in said.what
    assert '"cybr"' in said.what


def test_files_that_are_damaged_missing_or_of_another_kind_are_told(tmp_path: Path) -> None:
    assert "There is no such dataset" in error(tmp_path / "none").what
    assert "There are no Parquet files" in error(tmp_path).what
    schema = pa.schema([("image", pa.binary()), ("topic", pa.string())])
    pq.write_table(schema.empty_table(), tmp_path / "empty.parquet")
    assert "There are no rows" in error(tmp_path / "empty.parquet").what
    file = write_parquet(tmp_path / "a.parquet", spa_vl_rows(0, 4, classes=True))
    file.write_bytes(file.read_bytes()[:-40])
    assert "cannot be read as Parquet or Arrow" in error(file).what
    (tmp_path / "b.csv").write_text("a,b\n")
    assert "cannot be read as Parquet or Arrow" in error(tmp_path / "b.csv").what
    with pytest.raises(DataError, match="No dataset is named"):
        list(find_in_dataset(CollectSettings(), TAXONOMY))


def test_pictures_are_had_in_any_order(tmp_path: Path) -> None:
    files = [
        write_parquet(tmp_path / f"{part}.parquet", [{"image": noise(part * 50 + n)} for n in range(50)])
        for part in range(3)
    ]
    shards = Shards("image")
    order = [(part, row) for part in range(3) for row in range(50)]
    random.Random(1).shuffle(order)
    for part, row in order:
        assert shards.cell(files[part], row) == noise(part * 50 + row)


def test_memory_does_not_grow_with_a_row_group_and_threads_share_a_file(tmp_path: Path) -> None:
    size, count = 2**18, 320
    schema = pa.schema([("image", pa.binary()), ("topic", pa.string())])
    with pq.ParquetWriter(
        tmp_path / "a.parquet", schema, compression="none", write_batch_size=8, use_dictionary=False
    ) as writer:
        data = [random.Random(n).randbytes(size) for n in range(count)]
        table = pa.table({"image": data, "topic": ["weapon"] * count}, schema=schema)
        writer.write_table(table, row_group_size=count)
    firsts = [one[:16] for one in data]
    del data, table
    rows = found(tmp_path / "a.parquet")
    before = pa.total_allocated_bytes()

    def read(one: Candidate) -> tuple[bytes, int]:
        first = one.read(MOST)[:16]
        return first, pa.total_allocated_bytes() + tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()  # counted is what is held, not what allocators keep for later
    try:
        with ThreadPoolExecutor(8) as pool:
            read_first, held = zip(*pool.map(read, rows), strict=True)
    finally:
        tracemalloc.stop()
    assert list(read_first) == firsts
    assert max(held) < 25 * 2**20, f"{max(held) / 2**20:.0f} MiB of a row group of {size * count / 2**20:.0f} MiB"


@pytest.mark.parametrize(
    ("names", "wanted", "chosen"),
    [
        (["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], {"split": "test"}, [1]),
        (["default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"], {"split": "train"},
         [0, 1]),
        (["one/train/0000.parquet", "two/train/0000.parquet"], {"split": "train", "config": "two"}, [1]),
        (["part-1.parquet", "part-2.parquet", ".cache/x.parquet"], {}, [0, 1]),
        (["train.parquet"], {}, [0]), (["a/x.parquet", "b/y.parquet"], {}, [0, 1]),
    ],
)  # fmt: skip
def test_the_files_of_a_split_are_found_in_the_layouts_that_there_are(
    names: list[str], wanted: dict[str, str], chosen: list[int]
) -> None:
    paths = [PurePosixPath(name) for name in names]
    assert choose_files(paths, DatasetSettings(path="x", **wanted)) == [paths[place] for place in chosen]


def test_several_configurations_with_one_split_must_be_told_apart() -> None:
    paths = [PurePosixPath("one/train/0000.parquet"), PurePosixPath("two/train/0000.parquet")]
    with pytest.raises(DataError, match="several configs: one, two"):
        choose_files(paths, DatasetSettings(path="x"))


def test_a_dataset_of_the_hub_is_downloaded_by_its_split_alone(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub's client is a stand-in: what it is asked for is looked at, and what it gives lies here."""
    asked: list[dict[str, Any]] = []

    class Api:
        def list_repo_files(self, name: str, **kind: Any) -> list[str]:
            return [file.relative_to(published).as_posix() for file in published.rglob("*") if file.is_file()]

    def snapshot_download(name: str, **wanted: Any) -> str:
        asked.append({"name": name, **wanted})
        return str(published)

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    rows = found("sqrti/SPA-VL", split="validation", revision="abc")
    assert [one.read(MOST) for one in rows] == [noise(0), noise(0), noise(1), noise(1)]
    assert asked == [
        {"name": "sqrti/SPA-VL", "repo_type": "dataset", "revision": "abc",
         "allow_patterns": ["validation/validation-00000-of-00001.parquet"]}
    ]  # fmt: skip


def test_without_a_network_the_cache_serves_where_it_has_the_whole_split(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Api:
        def list_repo_files(self, name: str, **kind: Any) -> list[str]:
            raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **wanted: str(published))
    assert len(found("sqrti/SPA-VL", split="train", shows="weapon")) == 16
    (published / "data" / "train-00001-of-00002.parquet").unlink()
    hub._from_hub.cache_clear()
    said = error("sqrti/SPA-VL", split="train")
    assert "the Hub did not give the dataset: no network" in said.what


def test_a_dataset_without_parquet_needs_the_package_datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = datasets.Dataset.from_list(
        [{"image": {"bytes": noise(n), "path": None}, "topic": "weapon"} for n in range(2)]
    )
    made.save_to_disk(tmp_path / "made")
    monkeypatch.setattr(hub, "_parquet_of_hub", lambda wanted: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda *name, **kind: datasets.load_from_disk(str(tmp_path / "made")))
    assert [one.read(MOST) for one in found("some/dataset")] == [noise(0), noise(1)]
