"""Pairs are read from files that anyone may have made."""

import io

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from spavl.errors import DataError
from spavl.preferences.pairs import Reading, read_rows
from spavl.preferences.sources import find_pairs


def read_pairs(source, reading=Reading(), **how):
    """All pairs of a source, in memory."""
    return list(read_rows(find_pairs(source), reading, **how))


def png(colour):
    held = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(held, "PNG")
    return held.getvalue()


def row(number, colour="red", **more):
    image = {"bytes": png(colour), "path": f"{number}.png"}
    texts = {"question": f"q{number}", "chosen": f"c{number}", "rejected": f"r{number}"}
    return {"image": image, **texts, "image_name": f"{number}.png", **more}


def hub_parquet(path, rows):
    """As `datasets` itself writes the published train split: a struct of bytes and path, typed as Image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {name: datasets.Value("string") for name in ("question", "chosen", "rejected", "image_name")}
    features = datasets.Features({"image": datasets.Image(), **texts})
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(path))
    return path


def test_the_published_schema_is_read_and_every_row_gets_an_id(tmp_path):
    file = hub_parquet(tmp_path / "train.parquet", [row(0), row(1), row(2, "blue")])
    pairs = read_pairs(file)
    assert [(p.question, p.chosen, p.rejected) for p in pairs] == [(f"q{i}", f"c{i}", f"r{i}") for i in range(3)]
    assert pairs[0].pictures[0].source == png("red")
    assert len({p.pair_id for p in pairs}) == 3 and pairs[1].pair_id.startswith("row1-")
    assert pairs[0].context == pairs[1].context != pairs[2].context
    assert pairs[0].pictures == pairs[1].pictures
    assert [p.pair_id for p in read_pairs(file)] == [p.pair_id for p in pairs]


def test_in_a_folder_only_the_train_split_is_read(tmp_path):
    hub_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", [row(0)])
    hub_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", [row(1)])
    hub_parquet(tmp_path / "data" / "heldout.parquet", [row(2)])
    hub_parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", [row(3)])
    assert [p.question for p in read_pairs(tmp_path)] == ["q0", "q1"]
    assert [p.question for p in read_pairs(tmp_path, limit=1)] == ["q0"]


def test_a_folder_whose_files_have_other_names_is_read_only_where_that_is_plain(tmp_path):
    hub_parquet(tmp_path / "mine.parquet", [row(0)])
    assert len(read_pairs(tmp_path)) == 1
    hub_parquet(tmp_path / "elsewhere" / "deep" / "test.parquet", [row(1)])
    with pytest.raises(DataError, match=r"no train split, but deep/test\.parquet"):
        read_pairs(tmp_path / "elsewhere")


def test_a_saved_dataset_is_read(tmp_path):
    file = hub_parquet(tmp_path / "train.parquet", [row(0), row(1, "blue")])
    loaded = datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path / "cache"))
    loaded.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": loaded, "heldout": loaded}).save_to_disk(tmp_path / "several")
    assert read_pairs(tmp_path / "one") == read_pairs(file) == read_pairs(tmp_path / "several")


def test_ids_of_a_richer_export_are_kept(tmp_path):
    pq.write_table(pa.Table.from_pylist([row(0, pair_id="weapon/0003/easy_question")]), tmp_path / "train.parquet")
    assert read_pairs(tmp_path)[0].pair_id == "weapon/0003/easy_question"


def test_a_picture_may_lie_next_to_the_file_but_not_outside_its_folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(png("red"))
    (tmp_path / "secret.png").write_bytes(png("blue"))
    rows = [{**row(i), "image": {"bytes": None, "path": p}} for i, p in enumerate(["a.png", "../secret.png", "b.png"])]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "train.parquet")
    inside, outside, absent = (pair.pictures[0] for pair in read_pairs(tmp_path / "data"))
    assert inside.source == tmp_path / "data" / "a.png" and not inside.missing
    assert outside.source is None and outside.missing
    assert absent.source is not None and absent.missing and absent.key.startswith("missing:")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: f.write_bytes(b"PK not parquet"), "no readable Parquet file"),
        (
            lambda f: pq.write_table(pa.table({"image": ["a"], "prompt": ["b"]}), f),
            "no form of preference pairs has these columns: image, prompt",
        ),
        (lambda f: f.write_bytes(b'[{"chosen": '), "not JSON"),
    ],
)
def test_a_file_that_holds_no_pairs_is_a_sentence(tmp_path, write, message):
    write(tmp_path / "train.parquet")
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / "train.parquet")


def test_a_path_where_nothing_is_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="there are no pairs here"):
        read_pairs(tmp_path / "nowhere" / "at" / "all")
