"""Pairs on disk: what is read is what a file holds, once, and again only where a file has changed."""

import os
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.align.data import validate
from spavl.align.data.lengths import LENGTHS, cut_lengths, longest_tokens, measure_lengths
from spavl.align.data.validate import PairRules, find_issues
from spavl.align.preflight.usable_pairs import group_by
from spavl.errors import RunError
from spavl.models.families import ControlTokens, family_of, load_processor
from spavl.preferences.pairs import Reading
from spavl.preferences.sources import find_pairs
from spavl.preferences.table import PairSelection, contexts, open_pairs, pairs_fingerprint, remembered, select
from spavl.preferences.table_files import BATCH
from tests.preferences.test_pairs import png, read_pairs, row


@pytest.fixture
def rich(tmp_path):
    """A file with a row of every shape: one picture, text only, several, earlier turns, a system turn, thoughts."""
    (tmp_path / "b.png").write_bytes(png("blue"))
    red = {"bytes": png("red"), "path": None}
    beside = {"bytes": None, "path": "b.png"}
    turns = [
        {"role": "user", "text": "what", "images": [beside, red]},
        {"role": "assistant", "text": "so", "images": []},
    ]
    rows = [
        {"image": red, "images": None, "earlier": None, "system": None, "chosen_thought": "because"},
        {"image": None, "images": [], "earlier": [], "system": "", "chosen_thought": None},
        {"image": red, "images": [beside], "earlier": None, "system": "be kind", "chosen_thought": None},
        {"image": None, "images": [beside], "earlier": turns, "system": "be kind", "chosen_thought": ""},
    ]
    texts = [{"question": f"q{n}", "chosen": f"c{n}", "rejected": f"r{n}"} for n in range(4)]
    file = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist([one | more for one, more in zip(rows, texts, strict=True)]), file)
    return file


def content(pairs):
    """All that is read of pairs, with their pictures opened."""
    return [
        (pair.pair_id, pair.digest, [(one.key, one.load().tobytes()) for one in pair.all_pictures]) for pair in pairs
    ]


def test_rows_of_every_shape_are_read(rich):
    one, text, several, turns = read_pairs(rich)
    assert [len(pair.pictures) for pair in (one, text, several, turns)] == [1, 0, 2, 1]
    assert one.context == one.pictures[0].key and one.chosen == "c0"
    assert several.system == "be kind" and len({pair.context for pair in (one, text, several, turns)}) == 4
    assert [(turn.role, turn.text, len(turn.pictures)) for turn in turns.earlier] == [
        ("user", "what", 2),
        ("assistant", "so", 0),
    ]
    assert [picture.key for picture in turns.all_pictures] == [
        several.pictures[1].key, several.pictures[0].key, several.pictures[1].key
    ]  # fmt: skip
    assert not find_issues([one, text, several, turns], PairRules(ControlTokens(())))


def test_a_thought_is_left_out_or_stands_before_the_answer(rich):
    assert read_pairs(rich, Reading("train"))[0].chosen == "<think>\nbecause\n</think>\n\nc0"
    assert read_pairs(rich, Reading("train"))[3].chosen == "c3"
    assert read_pairs(rich)[0].chosen == "c0"


def test_a_turn_of_an_unknown_role_is_found_with_its_row(tmp_path):
    rows = [row(0, earlier=[{"role": "system", "text": "x", "images": []}])]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    (pair,) = read_pairs(tmp_path)
    assert 'the role "system"' in pair.malformed and pair.pair_id == "train.parquet, row 1"


def test_a_table_holds_what_the_file_holds_and_pictures_stay_on_disk(rich, tmp_path):
    table = open_pairs(rich, cache=tmp_path / "cache")
    assert content(table) == content(read_pairs(rich)) == content(table[n] for n in range(len(table)))
    assert not any(isinstance(picture.source, bytes) for pair in table for picture in pair.all_pictures)
    assert content(pickle.loads(pickle.dumps(table))) == content(table)
    assert len(list(table.pictures())) == 2, "each picture is kept once"
    assert [pair.pair_id for pair in table[1:3]] == [table[1].pair_id, table[2].pair_id]
    with pytest.raises(IndexError):
        table[4]


def test_pairs_of_many_batches_keep_their_numbers(tmp_path):
    rows = [{"image": None, "question": f"q{n}", "chosen": "c", "rejected": "r"} for n in range(2 * BATCH + 3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    table = open_pairs(tmp_path, cache=tmp_path / "cache")
    assert [pair.question for pair in table] == [table[n].question for n in range(len(table))] == [
        one["question"] for one in rows
    ]  # fmt: skip
    assert len(open_pairs(tmp_path, cache=tmp_path / "cache", limit=5)) == 5


def test_some_pairs_of_a_table_are_numbers_and_have_the_fingerprint_of_the_same_pairs_in_memory(rich, tmp_path):
    table, pairs = open_pairs(rich, cache=tmp_path / "cache"), read_pairs(rich)
    some = select(select(table, [3, 1, 0]), [0, 2])
    assert isinstance(some, PairSelection) and some.numbers.tolist() == [3, 0]
    assert content(some) == content([pairs[3], pairs[0]])
    assert pairs_fingerprint(some) == pairs_fingerprint([pairs[3], pairs[0]]) != pairs_fingerprint(pairs)
    assert pairs_fingerprint(table) == pairs_fingerprint(pairs)
    assert contexts(some) == [pairs[3].context, pairs[0].context]


def test_pairs_are_converted_again_only_where_a_file_has_changed(rich, tmp_path, monkeypatch):
    read = []
    from spavl.preferences import table_files as module

    whole = module.read_rows
    monkeypatch.setattr(module, "read_rows", lambda *args, **more: read.append(args) or whole(*args, **more))
    first = open_pairs(rich, cache=tmp_path / "cache")
    (first.folder / "unreadable.npy").write_bytes(b"")
    open_pairs(rich, cache=tmp_path / "cache")
    assert len(read) == 1
    (tmp_path / "b.png").write_bytes(png("green"))
    os.utime(tmp_path / "b.png", ns=(1, 1))
    second = open_pairs(rich, cache=tmp_path / "cache")
    assert len(read) == 2 and second[3].context != read_pairs(rich, limit=1)[0].context
    assert not (second.folder / "unreadable.npy").exists(), "what was measured of the old pairs is not of these"
    open_pairs(rich, cache=tmp_path / "cache", reading=Reading("train"))
    assert len(read) == 3


def test_a_table_that_is_open_keeps_its_bytes_when_its_source_is_converted_again(tmp_path):
    file, cache = tmp_path / "train.parquet", tmp_path / "cache"
    pq.write_table(pa.Table.from_pylist([row(0, "red"), row(1, "blue")]), file)
    first = open_pairs(file, cache=cache)
    before = content(first)
    pq.write_table(pa.Table.from_pylist([row(0, "white"), row(1, "red"), row(2, "blue")]), file)
    second = open_pairs(file, cache=cache)
    assert content(first) == content(pickle.loads(pickle.dumps(first))) == before != content(second)[:2]
    assert content(second) == content(read_pairs(file))


def test_an_older_folder_of_a_source_is_removed_when_nobody_has_opened_it_for_long(tmp_path):
    file, folders = tmp_path / "train.parquet", []
    for number in range(3):
        pq.write_table(pa.Table.from_pylist([row(number)] * (number + 1)), file)
        folders.append(open_pairs(file, cache=tmp_path / "cache").folder)
    os.utime(folders[0], (1, 1))
    os.utime(folders[2], (1, 1))
    assert open_pairs(file, cache=tmp_path / "cache").folder == folders[2]
    assert [folder.exists() for folder in folders] == [False, True, True]


def test_a_change_of_either_of_two_equal_files_makes_the_pairs_again(tmp_path):
    names = ("a.png", "b.png", "missing.png")
    for name in names[:2]:
        (tmp_path / name).write_bytes(png("red"))
    rows = [{**row(n), "image": {"bytes": None, "path": name}} for n, name in enumerate(names)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    seen = [open_pairs(tmp_path, cache=tmp_path / "cache")]
    for name, colour in zip(names[::-1], ("blue", "green", "white"), strict=True):
        (tmp_path / name).write_bytes(png(colour))
        seen.append(open_pairs(tmp_path, cache=tmp_path / "cache"))
        assert content(seen[-1]) == content(read_pairs(tmp_path))
        assert open_pairs(tmp_path, cache=tmp_path / "cache").folder == seen[-1].folder != seen[-2].folder


def test_what_was_measured_is_kept_beside_the_table_and_computed_once(rich, tmp_path):
    table, made = open_pairs(rich, cache=tmp_path / "cache"), []

    def make():
        made.append(1)
        return np.arange(4)

    for pairs in (table, select(table, [0, 1]), open_pairs(rich, cache=tmp_path / "cache")):
        assert remembered(pairs, "numbers", make).tolist() == [0, 1, 2, 3]
    assert len(made) == 1
    remembered(read_pairs(rich), "numbers", make)
    assert len(made) == 2, "pairs in memory have no place to keep it"


def test_every_picture_of_a_table_is_decoded_once_for_all_trainings(rich, tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(validate, "_size", lambda picture: decoded.append(picture.key) or (9, 9))
    table = open_pairs(rich, cache=tmp_path / "cache")
    for pairs in (table, select(table, [0, 2]), table):
        assert find_issues(pairs, PairRules(ControlTokens(()))) == {}
    assert len(decoded) == len(set(decoded)) == 2


def test_an_unreadable_picture_of_a_table_is_named_by_every_pair_that_shows_it(tmp_path):
    rows = [row(0), row(1), {**row(2), "image": {"bytes": png("red")[:40], "path": None}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    table = open_pairs(tmp_path, cache=tmp_path / "cache")
    for _ in range(2):
        assert find_issues(table, PairRules(ControlTokens(()))) == {2: "unreadable picture"}


def test_a_model_that_takes_one_picture_and_a_loss_that_corrupts_one_say_so(rich):
    pairs = read_pairs(rich)
    found = find_issues(pairs, PairRules(ControlTokens(()), several_pictures=False, needs_picture=True))
    assert found == {1: "no picture to corrupt", 2: "several pictures", 3: "several pictures"}
    (_, finding) = validate.report_issues(pairs, found, lambda _: "refuse", family="LLaVA-OneVision")
    assert "LLaVA-OneVision" in finding.render() and pairs[2].pair_id in finding.render()


def test_lengths_are_those_of_the_packed_trees(checkpoint, pairs):
    from transformers import AutoModelForImageTextToText

    family = family_of(AutoModelForImageTextToText.from_pretrained(checkpoint), load_processor(checkpoint))
    lengths = measure_lengths(pairs, group_by(pairs, "picture"), family)
    assert lengths.dtype == LENGTHS and len(lengths) == len(pairs) and lengths["pictures"].tolist() == [1] * len(pairs)
    limit = int(longest_tokens(lengths).min())
    assert (longest_tokens(cut_lengths(lengths, limit)) == limit).all()


def test_a_damaged_table_is_a_sentence(rich, tmp_path):
    table = open_pairs(rich, cache=tmp_path / "cache")
    (table.folder / "pairs.arrow").write_bytes(b"half of it")
    with pytest.raises(RunError, match="cannot be read") as error:
        open_pairs(rich, cache=tmp_path / "cache")
    assert "delete its folder" in error.value.try_


def test_a_cache_that_cannot_be_written_is_a_sentence(rich, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cache of pairs cannot be written") as error:
        open_pairs(rich, cache=tmp_path / "file" / "pairs")
    assert "align.machine.pairs_cache" in error.value.try_


def test_a_dataset_on_the_hub_has_one_folder_wherever_the_command_is_run(rich, tmp_path, monkeypatch):
    from spavl.preferences import table as module

    monkeypatch.setattr(module, "find_pairs", lambda source: find_pairs(rich))
    folders = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        folders.append(open_pairs("someone/pairs", cache=tmp_path / "cache").folder)
    assert folders[0] == folders[1]


def test_pairs_are_the_same_one_by_one_together_and_in_any_order(tmp_path):
    rows = [{"question": f"q{n}", "chosen": f"c{n}", "rejected": f"r{n}"} for n in range(2 * BATCH + 10)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    table = open_pairs(tmp_path / "train.parquet", cache=tmp_path / "cache")
    numbers = [2 * BATCH + 3, 0, 1, BATCH, BATCH - 1, 7, 7, *range(BATCH - 300, BATCH + 300)]
    chosen = select(table, numbers)
    assert [pair.question for pair in chosen] == [f"q{number}" for number in numbers]
    assert [chosen[place] for place in range(len(numbers))] == list(chosen)
    assert list(select(table, [])) == []
