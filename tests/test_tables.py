"""Tables of records: what is written is read back, by spavl and by other tools, and never half."""

from __future__ import annotations

import random
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.errors import RunError
from spavl.records import ImageRecord, Judgment, Match, PreferencePair, Query, Response, Topic
from spavl.tables import FORMAT, columns_of, read_table, schema_of, write_arrow, write_batches, write_table
from tests import samples

KINDS: tuple[type, ...] = (Topic, ImageRecord, Query, Response, Match, Judgment, PreferencePair)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


def records(kind: Any) -> st.SearchStrategy[Any]:
    """Any record of a kind, by the types it declares."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{f.name: values(hints[f.name]) for f in fields(kind)})


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a declared type."""
    if is_dataclass(hint):
        return records(hint)
    if typing.get_origin(hint) is Literal:
        return st.sampled_from(typing.get_args(hint))
    if hint is Path:
        return st.text("ab/.", min_size=1).map(Path)
    if typing.get_origin(hint) is tuple:
        return st.lists(values(typing.get_args(hint)[0]), max_size=2).map(tuple)
    if typing.get_args(hint):
        return st.one_of(*(values(part) for part in typing.get_args(hint)))
    plain = {str: st.text(), int: NUMBERS, bool: st.booleans(), type(None): st.none()}
    return {**plain, float: st.floats(allow_nan=False)}[hint]


def pictures(count: int) -> list[ImageRecord]:
    """Some records of pictures."""
    return [samples.image(f"weapon/{n}", width=n, benign=n % 2 == 0) for n in range(count)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root; the limit on file size below stands in for it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


# --- round trip -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_record_comes_back_as_it_was(kind: type, tmp_path: Path) -> None:
    @settings(max_examples=15)
    @given(st.lists(records(kind), max_size=4))
    def holds(made: list[Any]) -> None:
        path = tmp_path / "t.parquet"
        assert write_table(path, made, kind) == len(made)
        assert read_table(path, kind) == made

    holds()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_field_names_are_unique_along_the_chain(kind: type) -> None:
    names = [name for name, _ in columns_of(kind)]
    assert len(names) == len(set(names)), "two records share a field name, and a row cannot hold both"


def test_a_row_holds_everything_that_it_came_from_oldest_first() -> None:
    names = [name for name, _ in columns_of(PreferencePair)]
    assert names[:4] == ["class1", "class2", "class3", "image_id"]
    assert [n for n in ("image_id", "query_id", "pair_id") if n in names] == ["image_id", "query_id", "pair_id"]
    assert names[-1] == "labelled_by"


def test_a_table_of_responses_can_be_read_for_its_questions_alone(tmp_path: Path) -> None:
    made = [samples.response(samples.query(), name) for name in ("amber", "birch")]
    write_table(tmp_path / "r.parquet", made, Response)
    assert read_table(tmp_path / "r.parquet", Query) == [r.query for r in made]


def test_repeated_text_costs_almost_nothing(tmp_path: Path) -> None:
    text = "".join(random.Random(0).choices("abcdefgh ", k=4000))
    once = tmp_path / "once.parquet"
    often = tmp_path / "often.parquet"
    write_table(once, [samples.query(question=text)], Query)
    write_table(often, [samples.query(question=text, query_id=str(n)) for n in range(500)], Query)
    assert often.stat().st_size < once.stat().st_size + 10_000


# --- other tools ------------------------------------------------------------------------------------------------------


def test_pandas_reads_a_table(tmp_path: Path) -> None:
    path = tmp_path / "1-images.parquet"
    write_table(path, pictures(3), ImageRecord)
    frame = pd.read_parquet(path)
    assert list(frame.columns) == [name for name, _ in columns_of(ImageRecord)]
    assert frame["width"].tolist() == [0, 1, 2]
    assert frame["benign"].dtype == bool


def test_duckdb_counts_in_a_table(tmp_path: Path) -> None:
    path = tmp_path / "3-responses.parquet"
    made = [
        samples.response(samples.query(), "a", outcome="safe"),
        samples.response(samples.query(), "b", outcome="unsafe"),
        samples.response(samples.query(), "c", outcome=None),
    ]
    write_table(path, made, Response)
    count = "SELECT safe, count(*) FROM read_parquet(?) GROUP BY safe"
    assert set(duckdb.connect().execute(count, [str(path)]).fetchall()) == {(True, 1), (False, 1), (None, 1)}


def test_datasets_opens_a_table(tmp_path: Path) -> None:
    from datasets import load_dataset

    path = tmp_path / "6-pairs.parquet"
    write_table(path, [samples.pair()], PreferencePair)
    opened = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert opened[0]["chosen"] == "The better answer."
    assert opened[0]["class3"] == "weapon"


# --- files that are no such table -------------------------------------------------------------------------------------


def test_a_table_that_was_never_made_says_which_command_makes_it(tmp_path: Path) -> None:
    with pytest.raises(RunError) as error:
        read_table(tmp_path / "6-pairs.parquet", PreferencePair)
    assert "has not been made yet" in error.value.what
    assert "6-pairs.parquet" in error.value.where
    assert "spavl build" in error.value.try_


@pytest.mark.parametrize("found", ["1", "0", None, b"\xff"])
def test_another_format_version_is_refused(found: str | bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.Table.from_pylist([{"class1": "a", "class2": "b", "class3": "c"}])
    write_arrow(path, table.replace_schema_metadata({"spavl": found} if found else None))
    with pytest.raises(RunError) as error:
        read_table(path, Topic)
    assert any(
        words in error.value.what for words in ("format version", "not a readable table", "not written by spavl")
    )


def test_the_refusal_names_both_versions_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    schema = schema_of(Topic).with_metadata({"spavl": "7"})
    write_arrow(path, pa.Table.from_pylist([], schema=schema))
    with pytest.raises(RunError) as error:
        read_table(path, Topic)
    assert f"format version 7; this spavl reads version {FORMAT}" in error.value.what
    assert "--out" in error.value.try_


def test_missing_columns_are_named(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", pictures(2), ImageRecord)
    with pytest.raises(RunError, match="query_id, question_type"):
        read_table(tmp_path / "t.parquet", Query)


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    columns = {name: pa.array(["words"]) for name, _ in columns_of(ImageRecord)}
    write_arrow(tmp_path / "t.parquet", pa.table(columns, metadata={"spavl": FORMAT}))
    with pytest.raises(RunError, match="not a readable table"):
        read_table(tmp_path / "t.parquet", ImageRecord)


def test_a_torn_table_is_a_sentence_wherever_it_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, pictures(20), ImageRecord)
    whole = path.read_bytes()
    for length in (0, 1, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RunError) as error:
            read_table(path, ImageRecord)
        assert "not a readable table" in error.value.what
        assert "remade" in error.value.try_


def test_a_flipped_bit_is_a_sentence_and_never_another_record(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    made = pictures(20)
    write_table(path, made, ImageRecord)
    whole = path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(200):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(data))
        try:
            assert read_table(path, ImageRecord) == made
        except RunError:
            refused += 1
    assert refused > 100


def test_a_folder_in_the_place_of_a_table_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").mkdir()
    with pytest.raises(RunError):
        read_table(tmp_path / "t.parquet", Topic)


# --- writing that fails -----------------------------------------------------------------------------------------------


def test_a_full_disk_is_a_sentence_and_the_old_table_stays(small_disk: Path) -> None:
    path = small_disk / "2-queries.parquet"
    old = [samples.query()]
    write_table(path, old, Query)
    rng = random.Random(0)
    new = [samples.query(question=rng.randbytes(4000).hex(), query_id=str(n)) for n in range(200)]
    with pytest.raises(RunError) as error:
        write_table(path, new, Query)
    assert "No space left" in error.value.what
    assert "make room" in error.value.try_
    assert read_table(path, Query) == old
    assert [p.name for p in small_disk.iterdir()] == [path.name], "a half-written file would keep the disk full"


def test_a_file_that_may_not_grow_is_a_sentence_and_the_old_table_stays(tmp_path: Path) -> None:
    """The same without root: a process that may write no more than 64 KiB into one file."""
    script = f"""
import random, resource
from pathlib import Path
from spavl.errors import RunError
from spavl.records import Query
from spavl.tables import read_table, write_table
from tests import samples
path = Path({str(tmp_path)!r}) / "2-queries.parquet"
write_table(path, [samples.query()], Query)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
rng = random.Random(0)
try:
    write_table(path, [samples.query(question=rng.randbytes(4000).hex(), query_id=str(n)) for n in range(200)], Query)
except RunError as error:
    print(error.render())
assert read_table(path, Query) == [samples.query()]
assert [p.name for p in path.parent.iterdir()] == [path.name]
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout.startswith("The table cannot be written: File too large")


def test_a_place_that_cannot_hold_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        write_table(tmp_path / "file" / "t.parquet", [], Topic)


def test_a_failure_half_way_leaves_the_old_table_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, pictures(2), ImageRecord)

    def batches() -> Iterator[pa.Table]:
        yield pa.Table.from_pylist([{"x": 1}])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_batches(path, pa.schema([("x", pa.int64())]), batches())
    assert read_table(path, ImageRecord) == pictures(2)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_batches_become_row_groups_of_one_table(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    schema = pa.schema([("x", pa.int64())])
    pieces = (pa.Table.from_pylist([{"x": n}, {"x": -n}], schema=schema) for n in range(1, 4))
    assert write_batches(path, schema, pieces) == 6
    assert pq.read_table(path)["x"].to_pylist() == [1, -1, 2, -2, 3, -3]
    assert pq.ParquetFile(path).num_row_groups == 3
