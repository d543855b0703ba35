"""What is imported is read back the same; what is left out is counted with its place; nothing of others is touched."""

import base64
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spavl.errors import DataError, RunError, SettingsError
from spavl.interchange.read_tally import Tally
from spavl.pictures import Picture
from spavl.pipeline.exports import ExportRequest, export
from spavl.pipeline.imports import ImportChoices, import_pairs
from spavl.preferences.dataset import open_dataset
from spavl.preferences.hub_file import SCHEMA, batches_of, unwritable
from spavl.preferences.pairs import Pair, Reading, read_rows
from spavl.preferences.sources import find_pairs
from spavl.progress import NoProgress
from spavl.tables import write_batches
from tests.interchange.import_files import beavertails, vlfeedback, write_json
from tests.preferences.public_forms import WRITERS, Talk
from tests.preferences.test_pairs import hub_parquet, png, read_pairs, row

TALK = Talk((("first request", 2), ("an answer", 0), ("second request", 1)), "answer 1", "answer 2", "be kind")


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def same(first, second):
    """Whether pairs are equal in all that they hold."""
    assert first == second
    assert [pair.about for pair in first] == [pair.about for pair in second]


@pytest.mark.parametrize("form", WRITERS)
def test_pairs_of_every_form_come_back_the_same(form, tmp_path):
    for n, colour in enumerate(("red", "blue", "green")):
        (tmp_path / f"{n}.png").write_bytes(png(colour))
    more = {"class3": "kind", "chosen_safe": True, "judges_for": ["a", "b"], "chosen_severity": 2, "weight": 0.5}
    values = WRITERS[form](TALK) | {"images": ["0.png", "1.png", "2.png"], "pair_id": "p"} | more
    file = lines(tmp_path / "in" / "train.jsonl", [values, {**values, "pair_id": "q", "class3": None}])
    found = import_pairs(str(file), tmp_path / "out", ImportChoices(images=tmp_path))
    assert (found.rows, found.read, found.left_out) == (2, 2, ())
    read = list(read_rows(find_pairs(file, images=tmp_path)))
    assert len(read[0].all_pictures) == 3 and read[0].about["judges_for"] == ["a", "b"]
    back = read_pairs(tmp_path / "out")
    assert [[one.key for one in pair.all_pictures] for pair in back] == [
        [one.key for one in pair.all_pictures] for pair in read
    ]
    bare = [[pair.with_pictures(lambda one: Picture(one.key, None)) for pair in pairs] for pairs in (read, back)]
    same(*bare)


CODED = {colour: base64.b64encode(png(colour)).decode() for colour in ("red", "blue")}
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
PICTURES = st.lists(st.sampled_from(("red", "blue")), max_size=2)


@st.composite
def rows_of_ours(draw):
    """Rows of the form that is richest, with any text."""
    turns = draw(st.lists(st.tuples(TEXT, PICTURES, TEXT), max_size=2))
    earlier = [one for asked, colours, said in turns for one in (
        {"role": "user", "text": asked, "images": [CODED[c] for c in colours]},
        {"role": "assistant", "text": said, "images": []},
    )]  # fmt: skip
    images = [CODED[colour] for colour in draw(PICTURES)]
    said = draw(st.dictionaries(st.sampled_from(("class3", "reason_ab", "chosen_thought", "license")), TEXT))
    texts = {name: draw(TEXT) for name in ("question", "chosen", "rejected", "system")}
    return {**texts, **said, "earlier": earlier, "images": images, "weight": draw(st.sampled_from((0.0, 0.25, 1.0)))}


@given(rows=st.lists(rows_of_ours(), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_read_and_written_is_read_again(rows, tmp_path):
    lines(tmp_path / "in" / "train.jsonl", [{"question": "q", "chosen": "x", "rejected": "y"}, *rows])
    read = [pair for pair in read_pairs(tmp_path / "in") if not unwritable(pair)]
    write_batches(tmp_path / "out" / "train.parquet", SCHEMA, batches_of(read))
    same(read, read_pairs(tmp_path / "out"))


@pytest.mark.parametrize("question", ['[{"role": "user", "content": "x"}]', '{"from": "human", "value": "x"}'])
def test_a_text_that_would_be_read_as_messages_is_not_written(question):
    pair = Pair("p", (), question, "a", "b")
    assert "message as JSON" in unwritable(pair) and not unwritable(Pair("p", (), question + ".", "a", "b"))


def test_a_first_answer_that_looks_like_a_transcript_does_not_change_the_form(tmp_path):
    said = "Human: x\n\nAssistant: y"
    lines(tmp_path / "train.jsonl", [{"question": "q", "chosen": said, "rejected": "b"}])
    import_pairs(str(tmp_path / "train.jsonl"), tmp_path / "out")
    assert [pair.chosen for pair in read_pairs(tmp_path / "out")] == [said]


def test_datasets_loads_the_folder_with_its_pictures(tmp_path):
    rows = [row(0), {**row(1, "blue"), "image_name": "b"}]
    import_pairs(str(hub_parquet(tmp_path / "train.parquet", rows)), tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded["question"][:] == ["q0", "q1"] and loaded[1]["image"].size == (6, 4)
    assert loaded.features["images"] == datasets.List(datasets.Image())
    (turn,) = [loaded.features["earlier"].feature]
    assert turn["images"] == datasets.List(datasets.Image())


def test_what_is_left_out_is_counted_by_reason_with_its_first_places(tmp_path):
    good = {"question": "q", "chosen": "x", "rejected": "y"}
    bad = [
        {**good, "rejected": "x"}, {"question": "q", "chosen": "x"}, {**good, "image": "gone.png"},
        {**good, "image": "https://example.org/a.png"}, {**good, "image": "../../etc/passwd"}, {**good, "weight": -1},
        {**good, "chosen": 7}, {**good, "image": 7}, {**good, "image": "empty.png"}, {**good, "score": 1},
    ]  # fmt: skip
    (tmp_path / "empty.png").touch()
    lines(tmp_path / "train.jsonl", [good, *bad, {**good, "rejected": "x"}])
    found = import_pairs(str(tmp_path / "train.jsonl"), tmp_path / "out")
    assert (found.rows, found.read) == (2, 12) and found.read_as[0].unread == ("score",)
    counted = {one.reason: (one.rows, [where.rpartition(", ")[2] for where in one.places]) for one in found.left_out}
    assert counted == {
        "the chosen and the rejected answer are the same": (2, ["line 2", "line 12"]),
        "there is no `rejected`": (1, ["line 3"]), "the file of a picture is not there": (1, ["line 4"]),
        "a picture is an address, and none is downloaded": (1, ["line 5"]),
        "the path of a picture leads out of the folder of pictures": (1, ["line 6"]),
        "the `weight` -1 is not a number of 0 or more": (1, ["line 7"]),
        "`chosen` is a number, not a text": (1, ["line 8"]), "a picture is of type int, not bytes or a path":
        (1, ["line 9"]), "the file of a picture is empty": (1, ["line 10"]),
    }  # fmt: skip


@pytest.mark.parametrize(("content", "message"), [
    (b'{"question": "q\xff", "chosen": "x", "rejected": "y"}', "not UTF-8"),
    (b'{"question": "\\ud800", "chosen": "x", "rejected": "y"}', "half a character"),
    (b'{"question": ' + b"[" * 100_000, "nested too deeply"),
    (b'{"question": "q", "question": "r", "chosen": "x"}', "twice in one object"),
    (b"\0\0\0", "not text"), (b"", "holds no rows"), (b'{"question": "q"}', "no form of preference pairs"),
    (b'{"question": "q", "chosen": "x", "rejected": "x"}', "no row of 1 can be used: the chosen and the rejected"),
])  # fmt: skip
def test_a_file_that_nobody_can_read_is_a_sentence_and_leaves_no_folder(content, message, tmp_path):
    (tmp_path / "train.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        import_pairs(str(tmp_path / "train.jsonl"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_zero_character_stays_in_its_text(tmp_path):
    lines(tmp_path / "train.jsonl", [{"question": "q\0", "chosen": "x\0y", "rejected": "y"}])
    import_pairs(str(tmp_path / "train.jsonl"), tmp_path / "out")
    assert [(pair.question, pair.chosen) for pair in read_pairs(tmp_path / "out")] == [("q\0", "x\0y")]


def test_files_of_a_folder_may_have_different_columns_and_forms(tmp_path):
    lines(
        tmp_path / "in" / "train-00000-of-00002.jsonl",
        [{"question": "q", "chosen": "x", "rejected": "y", "class3": "k"}],
    )
    lines(tmp_path / "in" / "train-00001-of-00002.jsonl", [{"prompt": "p", "chosen": "x", "rejected": "y", "extra": 1}])
    found = import_pairs(str(tmp_path / "in"), tmp_path / "out")
    assert [(one.form, one.unread) for one in found.read_as] == [("spa-vl", ()), ("trl", ("extra",))]
    assert [(p.question, p.about) for p in read_pairs(tmp_path / "out")] == [("q", {"class3": "k"}), ("p", {})]


def test_a_file_of_a_folder_that_holds_no_pairs_is_named(tmp_path):
    lines(tmp_path / "in" / "train-0.jsonl", [{"question": "q", "chosen": "x", "rejected": "y"}])
    lines(tmp_path / "in" / "train-1.jsonl", [{"other": "q"}])
    (tmp_path / "in" / "train-0.jsonl").rename(tmp_path / "in" / "train-00000-of-00002.jsonl")
    (tmp_path / "in" / "train-1.jsonl").rename(tmp_path / "in" / "train-00001-of-00002.jsonl")
    with pytest.raises(DataError, match="no form of preference pairs") as caught:
        import_pairs(str(tmp_path / "in"), tmp_path / "out")
    assert caught.value.where.endswith("train-00001-of-00002.jsonl")


def test_pictures_as_bytes_paths_and_base64_are_one_picture(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png("red"))
    said = {"question": "q", "chosen": "x", "rejected": "y"}
    table = pa.Table.from_pylist([{**said, "image": png("red")}])
    pq.write_table(table, tmp_path / "in" / "train-00000-of-00003.parquet")
    pq.write_table(pa.Table.from_pylist([{**said, "image": "a.png"}]), tmp_path / "in" / "train-00001-of-00003.parquet")
    coded = base64.b64encode(png("red")).decode()
    rows = [{**said, "image": coded}, {**said, "image": f"data:image/png;base64,{coded}"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in" / "train-00002-of-00003.parquet")
    import_pairs(str(tmp_path / "in"), tmp_path / "out")
    pictures = [pair.pictures[0] for pair in read_pairs(tmp_path / "out")]
    assert len(pictures) == 4 and len({picture.key for picture in pictures}) == 1
    assert pictures[0].source == png("red")


def test_the_same_import_again_reads_nothing_and_another_one_takes_its_place(tmp_path):
    file = lines(tmp_path / "train.jsonl", [{"question": f"q{n}", "chosen": "x", "rejected": "y"} for n in range(3)])
    first = import_pairs(str(file), tmp_path / "out")
    made = (tmp_path / "out" / "data" / "train.parquet").stat().st_mtime_ns
    second = import_pairs(str(file), tmp_path / "out")
    assert second.was_there and not first.was_there and second.rows == 3
    assert (tmp_path / "out" / "data" / "train.parquet").stat().st_mtime_ns == made
    assert import_pairs(str(file), tmp_path / "out", ImportChoices(limit=2)).rows == 2
    (tmp_path / "out" / "data" / "train.parquet").write_bytes(b"damaged")
    third = import_pairs(str(file), tmp_path / "out", ImportChoices(limit=2))
    assert not third.was_there and len(read_pairs(tmp_path / "out")) == 2
    assert not import_pairs(str(file), tmp_path / "out", ImportChoices(limit=2), again=True).was_there


@pytest.mark.parametrize("name", ["notes.txt", "import.json", "data/train.parquet"])
def test_a_folder_with_anything_else_is_left_alone(name, tmp_path):
    file = lines(tmp_path / "train.jsonl", [{"question": "q", "chosen": "x", "rejected": "y"}])
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(RunError, match="something that no import made"):
        import_pairs(str(file), tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "{}"


def test_a_file_of_ours_with_one_of_the_users_beside_it_is_left_alone(tmp_path):
    file = lines(tmp_path / "train.jsonl", [{"question": "q", "chosen": "x", "rejected": "y"}])
    import_pairs(str(file), tmp_path / "out")
    (tmp_path / "out" / "mine.csv").write_text("a")
    with pytest.raises(RunError, match=r"such as mine\.csv"):
        import_pairs(str(file), tmp_path / "out")
    (tmp_path / "out" / "mine.csv").unlink()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "out" / "data" / "train.parquet")
    with pytest.raises(RunError, match="written anew by another tool"):
        import_pairs(str(file), tmp_path / "out")


def test_an_import_into_its_own_source_is_refused(tmp_path):
    lines(tmp_path / "train.jsonl", [{"question": "q", "chosen": "x", "rejected": "y"}])
    with pytest.raises(SettingsError, match="lies in the source"):
        import_pairs(str(tmp_path), tmp_path / "out")


def test_the_card_names_no_folder_of_the_machine(tmp_path):
    file = lines(tmp_path / "train.jsonl", [{"question": "q", "chosen": "x", "rejected": "y"}])
    import_pairs(str(file), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert str(tmp_path) not in card and "`train.jsonl`" in card


def test_row_groups_stay_small_however_large_pictures_are(tmp_path, monkeypatch):
    monkeypatch.setattr("spavl.preferences.hub_file.GROUP_BYTES", 1000)
    rows = [row(n) for n in range(30)]
    import_pairs(str(hub_parquet(tmp_path / "train.parquet", rows)), tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out" / "data" / "train.parquet")
    groups = [file.read_row_group(n, columns=["image"]).to_pylist() for n in range(file.num_row_groups)]
    sizes = [sum(len(one["image"]["bytes"]) for one in group) for group in groups]
    assert len(sizes) > 2 and max(sizes) <= 1000 and sum(map(len, groups)) == 30


def test_beavertails_and_vlfeedback_are_told_by_their_structure(tmp_path):
    lines(tmp_path / "b" / "train.jsonl", [beavertails(n) for n in range(3)])
    found = import_pairs(str(tmp_path / "b"), tmp_path / "out-b", ImportChoices(prefer="safer"))
    assert found.rows == 3 and found.read_as[0].form == "two-responses"
    assert set(found.read_as[0].unread) == {"image_severity", "response_1_helpful_rate", "response_2_helpful_rate"}
    lines(tmp_path / "v" / "train.jsonl", [vlfeedback(0, [(1, 2, 3), (3, 4, 5)]), vlfeedback(1, [(1, 1, 1)] * 3)])
    found = import_pairs(str(tmp_path / "v"), tmp_path / "out-v")
    assert found.rows == 1 and found.read_as[0].form == "vlfeedback"
    assert import_pairs(str(tmp_path / "v"), tmp_path / "out-v", ImportChoices(form="vlfeedback")).rows == 1
    with pytest.raises(DataError, match="not in the form two-responses"):
        import_pairs(str(tmp_path / "v"), tmp_path / "out-v", ImportChoices(form="beavertails-v"))


def test_what_was_imported_is_opened_by_audit_and_align_as_the_source_is(tmp_path):
    source = hub_parquet(tmp_path / "train.parquet", [row(n, ("red", "blue")[n % 2]) for n in range(5)])
    import_pairs(str(source), tmp_path / "out")
    first, second = (open_dataset(one, cache=tmp_path / "cache") for one in (source, tmp_path / "out"))
    assert pq.read_table(first.rows).equals(pq.read_table(second.rows))
    assert pq.read_table(first.pictures).equals(pq.read_table(second.pictures))


def test_thoughts_of_messages_are_kept_for_those_who_train_on_them(tmp_path):
    answer = {"role": "assistant", "content": "x", "reasoning_content": "because"}
    lines(tmp_path / "train.jsonl", [{"prompt": "q", "chosen": [answer], "rejected": "y"}])
    import_pairs(str(tmp_path / "train.jsonl"), tmp_path / "out")
    reading = Reading(thought="train")
    (first,), (second,) = (read_pairs(tmp_path / name, reading) for name in ("train.jsonl", "out"))
    assert first.digest == second.digest and "because" in second.chosen


def test_a_folder_of_pictures_that_is_not_there_is_a_sentence(tmp_path):
    file = write_json(tmp_path / "train.json", [{"question": "q", "chosen": "x", "rejected": "y"}])
    with pytest.raises(DataError, match="folder of pictures does not exist"):
        import_pairs(str(file), tmp_path / "out", ImportChoices(images=tmp_path / "gone"))
    with pytest.raises(DataError, match="none of SPA-VL's meta files"):
        import_pairs(str(file), tmp_path / "out", ImportChoices(meta=tmp_path))
    with pytest.raises(SettingsError, match="VLGuard has neither"):
        import_pairs(str(file), tmp_path / "out", ImportChoices(form="vlguard", prefer="safer"))


def test_reasons_that_all_differ_do_not_fill_the_memory():
    tally = Tally()
    for n in range(1000):
        tally.leave_out(f"reason {n}", "place")
    found = tally.left_out()
    assert len(found) <= 41 and sum(one.rows for one in found) == 1000 and found[0].reason == "other reasons"


def test_a_folder_of_another_import_is_replaced_only_where_that_is_said(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"question": name, "chosen": "x", "rejected": "y"}))
    out = tmp_path / "out"
    import_pairs(str(tmp_path / "a.jsonl"), out)
    with pytest.raises(RunError, match=r"holds an import of .*a\.jsonl"):
        import_pairs(str(tmp_path / "b.jsonl"), out)
    for source in (out / "data" / "train.parquet", out):
        with pytest.raises(SettingsError, match="its own source"):
            import_pairs(str(source), out, again=True)
    assert not import_pairs(str(tmp_path / "b.jsonl"), out, again=True).was_there


def test_splits_that_are_not_read_are_named_also_where_the_import_was_there(tmp_path):
    for name in ("train", "test"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.jsonl").write_text(json.dumps({"question": name, "chosen": "x", "rejected": "y"}))
    for there in (False, True):
        found = import_pairs(str(tmp_path / "in"), tmp_path / "out")
        assert (found.passed_over, found.was_there) == (("test.jsonl",), there)


def test_an_import_of_nothing_says_what_helps(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(DataError, match="the source holds no rows") as error:
        import_pairs(str(tmp_path / "a.jsonl"), tmp_path / "out")
    assert "--image-folder" not in str(error.value)
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "q", "chosen": "x", "rejected": "y", "image": "b.png"}))
    with pytest.raises(DataError, match="--image-folder"):
        import_pairs(str(tmp_path / "a.jsonl"), tmp_path / "out")


def test_ids_on_several_rows_are_counted(tmp_path):
    rows = [{"question": f"q{n}", "chosen": "x", "rejected": "y", "pair_id": name} for n, name in enumerate("aabaa")]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert import_pairs(str(tmp_path / "a.jsonl"), tmp_path / "out").repeated_ids == 3


def test_an_opinion_that_the_source_does_not_have_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "q", "chosen": "x", "rejected": "y"}))
    with pytest.raises(SettingsError, match="no opinion but one"):
        import_pairs(str(tmp_path / "a.jsonl"), tmp_path / "out", ImportChoices(prefer="safer"))
    request = ExportRequest(source=str(tmp_path / "a.jsonl"), form="csv", out=tmp_path / "csv",
                            cache=tmp_path / "cache", reading=Reading(prefer="safer"))  # fmt: skip
    with pytest.raises(SettingsError, match="no opinion but one"):
        export(request, NoProgress())
    assert not (tmp_path / "out").exists() and not (tmp_path / "csv").exists()
