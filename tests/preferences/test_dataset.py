"""A dataset is opened once, and queries read of it what its rows say."""

import json

import pytest

from spavl.preferences.about import about_of
from spavl.preferences.dataset import open_dataset
from spavl.preferences.picture_hashes import picture_hashes, picture_keypoints
from spavl.progress import NoProgress
from spavl.tables.query import query
from tests.preferences.test_pairs import hub_parquet, png, row


def opened(tmp_path, rows):
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return open_dataset(tmp_path / "train.jsonl", cache=tmp_path / "cache")


def said(number, **more):
    return {"question": f"q{number}", "chosen": f"c{number}", "rejected": f"r{number}", **more}


def test_queries_read_pairs_with_their_pictures_and_what_else_rows_say(tmp_path):
    rows = [row(0), row(1), row(2, "blue")]
    dataset = open_dataset(hub_parquet(tmp_path / "train.parquet", rows), cache=tmp_path / "cache")
    found = query("SELECT number, question, images[1] AS key, image_name FROM pairs ORDER BY 1", pairs=dataset.rows)
    assert [(number, question, name) for number, question, _, name in found] == [
        (n, f"q{n}", f"{n}.png") for n in range(3)
    ]
    assert found[0][2] == found[1][2] != found[2][2]
    assert query("SELECT count(*), count(missing) FROM pictures", pictures=dataset.pictures) == [(2, 0)]
    assert dataset.pairs[2].pictures[0].key == found[2][2]


def test_half_of_a_character_is_no_text():
    assert about_of({"class3": "\ud800", "judges_for": ["\ud800"]}) == {}


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("chosen_safe", True, True), ("chosen_safe", "yes", None), ("chosen_severity", 3.0, 3),
        ("chosen_severity", 2.5, None), ("chosen_severity", True, None), ("judges_for", ["j"], ["j"]),
        ("judges_for", "j", None), ("class3", "Toxic", "Toxic"), ("class3", 7, None), ("chosen_severity", "3", 3),
        ("benign", "False", False),
        ("chosen_severity", float("inf"), None), ("benign", None, None),
    ],
)  # fmt: skip
def test_what_a_row_says_is_read_by_its_type_or_not_at_all(tmp_path, name, value, read):
    dataset = opened(tmp_path, [said(0, **{name: value})])
    assert query(f"SELECT {name} FROM pairs", pairs=dataset.rows) == [(read,)]


def test_a_row_that_is_no_pair_is_in_the_table_with_its_reason(tmp_path):
    dataset = opened(tmp_path, [said(0), said(1, chosen=7)])
    assert query("SELECT number, malformed <> '' FROM pairs ORDER BY 1", pairs=dataset.rows) == [(0, False), (1, True)]


def test_every_picture_is_hashed_once_and_a_missing_one_has_a_reason(tmp_path):
    (tmp_path / "red.png").write_bytes(png("red"))
    dataset = opened(tmp_path, [said(0, image="red.png"), said(1, image="red.png"), said(2, image="gone.png")])
    hashes = picture_hashes(dataset, NoProgress())
    rows = query("SELECT width, height, pdq IS NULL, fault IS NULL FROM hashes ORDER BY 1 NULLS LAST", hashes=hashes)
    assert rows == [(6, 4, False, True), (None, None, True, False)]
    assert picture_hashes(dataset, NoProgress()) == hashes
    keypoints = picture_keypoints(dataset, NoProgress())
    both = "SELECT count(*) FROM hashes JOIN keypoints USING (key) WHERE hashes.pdq IS NOT DISTINCT FROM keypoints.pdq"
    assert query(both, hashes=hashes, keypoints=keypoints) == [(2,)]
    assert query("SELECT keypoints IS NULL FROM keypoints ORDER BY 1", keypoints=keypoints) == [(False,), (True,)]
    assert picture_hashes(dataset, NoProgress()) == picture_keypoints(dataset, NoProgress()) == keypoints


def test_a_dataset_that_has_not_changed_is_not_converted_again(tmp_path):
    first = opened(tmp_path, [said(0)])
    assert open_dataset(tmp_path / "train.jsonl", cache=tmp_path / "cache").folder == first.folder
    assert opened(tmp_path, [said(1)]).folder != first.folder
