"""One reader for the files that people have, in every form that they have them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.rows import brief, rows_of
from spavl.rows.json_values import MOST, Members

ROWS = [{"question": "Is it one\u2028line\u0085only?", "n": 0}, {"question": 'a "quoted", text', "n": 1}]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TABLES = st.lists(st.fixed_dictionaries({"id": TEXT, "question": TEXT.filter(bool)}), min_size=1, max_size=6)
ANY_FILE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def values(path: Path):
    return [dict(row.values) for row in rows_of(path)]


def parquet(rows) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def delimited(rows, delimiter=",", end="\r\n") -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def lines(rows, end="\n") -> bytes:
    return end.join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


FORMS = {
    "lines": lines(ROWS),
    "lines with CRLF": lines(ROWS, "\r\n"),
    "lines with a byte order mark": b"\xef\xbb\xbf" + lines(ROWS),
    "lines with blank ones": b"\n \n" + lines(ROWS, "\n\n") + b"\n\n",
    "lines in UTF-16": lines(ROWS).decode().encode("utf-16"),
    "an array": json.dumps(ROWS).encode(),
    "an array over many lines": json.dumps(ROWS, indent=2).encode(),
    "an array with a byte order mark": b"\xef\xbb\xbf" + json.dumps(ROWS).encode(),
    "an array in UTF-16": json.dumps(ROWS).encode("utf-16"),
    "an object with data": json.dumps({"data": ROWS}).encode(),
    "an object with questions beside others": json.dumps({"info": {}, "version": "2", "questions": ROWS}).encode(),
    "an object with one list": json.dumps({"anything": ROWS}, indent=1).encode(),
    "parquet": parquet(ROWS),
}


@pytest.mark.parametrize("name", ["rows", "rows.json", "rows.jsonl", "rows.csv", "rows.parquet"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_read_by_what_it_holds_and_not_by_its_name(tmp_path, form, name, packed):
    if form.startswith("an object") and name == "rows.jsonl" and b"\n" not in FORMS[form]:
        pytest.skip("the one line of a .jsonl is a row")
    path = tmp_path / name
    path.write_bytes(gzip.compress(FORMS[form]) if packed else FORMS[form])
    assert values(path) == ROWS


def test_the_one_line_of_a_jsonl_is_a_row_whatever_it_holds(tmp_path):
    row = {"chosen": [{"role": "user"}], "rejected": [{"role": "user"}]}
    (tmp_path / "one.jsonl").write_text(json.dumps(row))
    assert values(tmp_path / "one.jsonl") == [row]


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.txt"])
def test_a_table_with_separators_is_text_and_an_empty_cell_is_none(tmp_path, delimiter, name):
    rows = [{"index": "0", "question": f"two\nlines, {delimiter} and \u2028", "hint": ""}]
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + delimited(rows, delimiter))
    assert values(tmp_path / name) == [{**rows[0], "hint": None}]


def test_pictures_in_base64_are_cells_like_others(tmp_path):
    picture = "iVBORw0KGgo" * 40_000
    (tmp_path / "mmbench.tsv").write_bytes(delimited([{"index": "1", "image": picture}], "\t"))
    assert values(tmp_path / "mmbench.tsv")[0]["image"] == picture


def test_the_index_that_pandas_writes_without_a_name_is_left_out(tmp_path):
    (tmp_path / "a.csv").write_text(",question\n0,one\n1,two\n")
    assert values(tmp_path / "a.csv") == [{"question": "one"}, {"question": "two"}]


def test_an_object_of_objects_gives_its_keys_as_ids(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"12": {"question": "one"}, "7": {"question": "two", "id": 9}}))
    found = list(rows_of(tmp_path / "a.json"))
    assert [row.values["id"] for row in found] == ["12", 9]
    assert found[0].where == f"{tmp_path / 'a.json'}, id 12"


@ANY_FILE
@given(rows=TABLES)
def test_every_text_is_read_back_as_it_was_written(tmp_path, rows):
    for name, data in {
        "a.jsonl": lines(rows), "b.jsonl": "\r\n".join(map(json.dumps, rows)).encode(),
        "c.json": json.dumps(rows).encode(),
        "d.json": json.dumps({"data": rows}).encode(), "e.parquet": parquet(rows),
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(gzip.compress(data) if len(rows) % 2 else data)
        assert values(tmp_path / name) == rows


@ANY_FILE
@given(rows=TABLES, delimiter=st.sampled_from("\t,;"), end=st.sampled_from(["\n", "\r\n"]))
def test_every_cell_is_read_back_as_it_was_written(tmp_path, rows, delimiter, end):
    (tmp_path / "a.csv").write_bytes(delimited(rows, delimiter, end))
    assert values(tmp_path / "a.csv") == [{k: v or None for k, v in row.items()} for row in rows]


@ANY_FILE
@given(data=st.binary(max_size=200) | TEXT.map(str.encode), name=st.sampled_from(["a.json", "a.csv", "a.parquet", "a"]))
def test_whatever_a_file_holds_it_is_rows_or_a_sentence(tmp_path, data, name):
    (tmp_path / name).write_bytes(data)
    try:
        assert all(isinstance(row, dict) for row in values(tmp_path / name))
    except DataError as error:
        assert str(tmp_path / name) in error.where


@ANY_FILE
@given(form=st.sampled_from(sorted(FORMS)), cut=st.floats(0, 1), packed=st.booleans())
def test_a_file_that_is_cut_off_anywhere_is_rows_or_a_sentence(tmp_path, form, cut, packed):
    data = gzip.compress(FORMS[form]) if packed else FORMS[form]
    (tmp_path / "a.json").write_bytes(data[: int(cut * len(data))])
    try:
        assert values(tmp_path / "a.json") in (ROWS, ROWS[:1], [])
    except DataError as error:
        assert str(tmp_path / "a.json") in error.where


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        (b'{"question": "a"}\n{oops', ", line 2", "not JSON"),
        (b'{"question": "a",}\n{"question": "b"}', ", line 1", "not JSON"),
        (b'{"question": "a"}\n\n["b"]', ", line 3", "no JSON object but a list of 1"),
        (b'[\n{"question": "a"},\n{"question": }\n]', ", line 3", "not JSON"),
        (b'[{"question": "a"}, "b"]', ", row 2", 'no JSON object but "b"'),
        (b'{\n"question": "a"\n}\n{\n"question": "b"\n}', ", line 4", "Extra data"),
        (b'{"a": 1, "a": 2}\n{"a": 1}', ", line 1", '"a" stands twice'),
        (b'{"1": {"q": "a"}, "1": {"q": "b"}}', ", line 1", '"1" stands twice'),
        (b'{"a": "\\ud83d"}\n{"a": 1}', ", line 1", "half a character"),
        (b'{"chat": [{}], "embodied": [{}]}', "", "several lists: `chat`, `embodied`"),
        (b'{"a": ' + b"[" * 200_000 + b"}\n{}", ", line 1", "nested too deeply"),
        (b'{"a": "caf\xe9"}\n{"a": "b"}', ", line 1", "not UTF-8"),
        (b'[{"a": "b"},\n{"a": "caf\xe9"}]', ", line 2", "not UTF-8"),
        (b"a,b\n1,2\n1,2,3\n", ", line 3", "3 cells where the first line names 2 columns"),
        (b'a,b\n"1\n2",3\n4\n', ", line 4", "1 cells"),
        (b'a,b\n1,2\n"open,3\n4,5\n', ", line 3", "cannot be read"),
        (b'a,b\n1,"two" words\n', ", line 2", "cannot be read"),
        (b"a,a\n1,2\n", ", line 1", 'Two columns are called "a"'),
        (b"a,,b\n1,2,3\n", ", line 1", "has no name"),
        (b"a,b\ncaf\xe9,2\n", ", line 2", "not UTF-8"),
        (b"just a text\nof two lines", "", "no table"),
        (b"PAR1 and nothing", "", "damaged or cut off"),
        (b"\x89PNG\r\n\x1a\n", "", "a picture"),
        (b"PK\x03\x04....", "", "ZIP archive or an Excel file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "", "a web page"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "", "compressed twice"),  # no time: it names a test
        (b"\x1f\x8bnothing", "", "cannot be read"),
        (b"\0\1\2\3" * 9, "", "not text"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_a_sentence_with_its_line(tmp_path, data, where, what):
    path = tmp_path / "mine.dat"
    path.write_bytes(data)
    with pytest.raises(DataError, match=what) as error:
        list(rows_of(path))
    assert error.value.where.startswith(str(path) + where)


def test_json_named_parquet_is_read_and_text_named_json_is_told_what_it_lacks(tmp_path):
    (tmp_path / "a.parquet").write_text("[{}]")
    assert values(tmp_path / "a.parquet") == [{}]
    (tmp_path / "b.parquet").write_text("question,answer\n")
    with pytest.raises(DataError, match="no readable Parquet file"):
        values(tmp_path / "b.parquet")
    (tmp_path / "c.json").write_text("question,answer\n")
    with pytest.raises(DataError, match="begins with neither"):
        values(tmp_path / "c.json")


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        values(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="a folder and not a file"):
        values(tmp_path)


def test_no_message_holds_a_picture_s_bytes(tmp_path):
    picture = "iVBORw0KGgo" * 1000
    (tmp_path / "a.json").write_text(json.dumps([{"image": picture}, picture]))
    with pytest.raises(DataError, match="but 11,000 characters of base64") as error:
        values(tmp_path / "a.json")
    assert len(error.value.render()) < 400
    assert "iVBOR" not in brief(picture) + brief(f"data:image/png;base64,{picture}") + brief({picture: 1})
    assert brief(b"\x89PNG") == "4 bytes" and brief("x y " * 99) == "a text of 396 letters"


@pytest.mark.parametrize("form", ["lines", "csv", "parquet", "lines.gz", "array", "array.gz"])
def test_memory_does_not_grow_with_the_file(tmp_path, form):
    """A form that is read row by row holds a few rows: 24 MB of them in less than 6 MB."""
    row = {"question": "x" * 60_000}
    path = tmp_path / f"rows.{form}"
    if form == "parquet":
        with pq.ParquetWriter(path, pa.schema([("question", pa.string())])) as writer:
            for _ in range(40):
                writer.write_table(pa.Table.from_pylist([row] * 10))
    elif form.startswith("array"):
        data = json.dumps([row] * 400).encode()
        path.write_bytes(gzip.compress(data) if form.endswith("gz") else data)
    else:
        one = delimited([row]) if form == "csv" else lines([row])
        head, body = (one.split(b"\n", 1)[0] + b"\n", one.split(b"\n", 1)[1]) if form == "csv" else (b"", one + b"\n")
        path.write_bytes(gzip.compress(head + body * 400) if form.endswith("gz") else head + body * 400)
    tracemalloc.start()
    before, arrow = tracemalloc.get_traced_memory()[0], pa.total_allocated_bytes()
    count = 0
    for _ in rows_of(path):
        count += 1
        assert pa.total_allocated_bytes() - arrow < 3_000_000
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert count == 400 and peak < 6_000_000


@ANY_FILE
@given(rows=TABLES, piece=st.integers(1, 9), indent=st.sampled_from([None, 1]))
def test_an_array_is_read_alike_wherever_its_pieces_end(rows, piece, indent):
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    assert list(Members(iter([text[n : n + piece] for n in range(0, len(text), piece)]), "file")) == rows


@pytest.mark.parametrize(("text", "line"), [("[\n1,\n2", 3), ("[1 2]", 1), ("[\n1]\n\n3", 4), ("[1,\n]", 2), ("", 1)])
def test_an_array_that_is_none_is_told_by_its_line(text, line):
    for piece in (1, 2, 99):
        with pytest.raises(DataError, match="not JSON") as error:
            list(Members(iter([text[n : n + piece] for n in range(0, len(text), piece)]), "file"))
        assert error.value.where == f"file, line {line}"


def test_only_the_columns_that_are_asked_for_are_read_of_parquet(tmp_path):
    (tmp_path / "a").write_bytes(parquet([{"question": "?", "heavy": b"0" * 99}]))
    assert [dict(row.values) for row in rows_of(tmp_path / "a", columns={"question", "more"})] == [{"question": "?"}]


def test_the_largest_json_value_is_half_a_gibibyte():
    assert MOST == 512 * 2**20


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("yes", '"yes"'), ("not sure yet", '"not sure yet"'),
        ("cups/my own blue cup 4.png", '"cups/my own blue cup 4.png"'),
        ("a marked question of all", "a text of 24 letters"), ("a marked\nquestion of two", "a text of 24 letters"),
        ("\u9019\u662f\u4e00\u500b" * 5, "a text of 20 letters"), ("\u675f\u7e1b.png", '"\u675f\u7e1b.png"'),
        ("what is in a.png? tell", "a text of 22 letters"),
        ({"a marked question of all": 1}, "an object with a text of 24 letters"),
        (["a marked question of all"], "a list of 1"),
    ],
)  # fmt: skip
def test_messages_show_slips_and_names_but_no_sentence_of_a_file(value: object, shown: str) -> None:
    assert brief(value) == shown


@pytest.mark.parametrize("content", [b";", b",,", b"\n;\n"])
def test_a_table_without_a_word_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match="no table"):
        values(tmp_path / "a.csv")


def test_rows_by_id_name_the_id_of_a_value_that_is_no_object(tmp_path):
    (tmp_path / "a.json").write_text('{"one": {"q": "x"}, "two": "placeholder", "three": {"q": "y"}}')
    with pytest.raises(DataError, match="A row is no JSON object") as error:
        values(tmp_path / "a.json")
    assert error.value.where.endswith("a.json, id two")


@pytest.mark.parametrize("before", ['"info": {"data": 1}, ', '"other": [1, 2],\n\n'])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_list_under_a_known_name_is_read_row_by_row(tmp_path, before, zipped):
    text = "{" + before + '"data" : ' + json.dumps(ROWS) + ', "after": [{"never": "read"}]}'
    path = tmp_path / "rows.json"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    assert [dict(row.values) for row in rows_of(path, under="data")] == ROWS


@pytest.mark.parametrize(
    "content", [json.dumps(ROWS), json.dumps({"questions": ROWS}), "\n".join(map(json.dumps, ROWS))]
)
def test_without_a_list_of_that_name_the_file_is_read_by_its_form(tmp_path, content):
    path = tmp_path / "rows.json"
    path.write_text(content)
    assert [dict(row.values) for row in rows_of(path, under="annotations")] == ROWS


def test_a_long_list_under_a_name_is_never_held_whole(tmp_path):
    path = tmp_path / "rows.json"
    with path.open("w") as file:
        file.write('{"info": {}, "annotations": [')
        file.write(",".join(json.dumps({"n": n, "text": "x" * 500}) for n in range(12_000)))
        file.write('], "end": 1}')
    tracemalloc.start()
    count = sum(1 for _ in rows_of(path, under="annotations"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 12_000 and peak < 4 * 2**20 < path.stat().st_size


def test_a_list_that_breaks_off_is_told(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('{"data": [{"n": 1}, {"n"')
    with pytest.raises(DataError, match="not JSON"):
        list(rows_of(path, under="data"))
