"""A benchmark of the user's own: every form of file, every field by its type, everything wrong told at once."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from dataclasses import replace
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spavl.config.benchmarks import FileBenchmark
from spavl.errors import DataError
from spavl.evaluate.parse import EXACT
from tests.evaluate.benchmark_files import json_lines, opened, picture


def load(tmp_path, rows, **settings):
    path = json_lines(tmp_path / "mine.jsonl", rows)
    return opened(FileBenchmark(name="mine", path=str(path), **settings), tmp_path)


def refusal(tmp_path, rows, **settings) -> str:
    with pytest.raises(DataError) as error:
        load(tmp_path, rows, **settings)
    assert "mine.jsonl" in error.value.render()
    return error.value.render()


def test_a_file_of_one_s_own(tmp_path):
    (tmp_path / "cup.png").write_bytes(picture("red"))
    path = json_lines(
        tmp_path / "mine.jsonl",
        [
            {"question": "What is this?", "image": "cup.png", "expected": "a cup", "subset": "skill", "id": "a"},
            {"question": "Is there a cup?", "image": "cup.png", "expected": "yes", "subset": "yes-no"},
            {"question": "placeholder request", "subset": "harm"},
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


@pytest.mark.parametrize("given", ["2026-11-27", date(2026, 11, 27), datetime(2026, 11, 27, 9)])
def test_a_row_says_when_it_joined_the_file_in_any_form_of_date(tmp_path, given):
    pq.write_table(pa.table({"question": ["?", "?"], "added": [given, None]}), tmp_path / "mine.parquet")
    spec = FileBenchmark(name="mine", path=str(tmp_path / "mine.parquet"), subset="benign")
    made = opened(spec, tmp_path)
    assert [item.added for item in made.items] == ["2026-11-27", ""]
    undated = replace(made, items=tuple(replace(item, added="") for item in made.items))
    assert made.protocol() == undated.protocol()


@pytest.mark.parametrize("given", ["last week", "2026-13-01", 5, True])
def test_what_is_no_date_is_refused(tmp_path, given):
    assert "is a date such as" in refusal(tmp_path, [{"question": "?", "subset": "benign", "added": given}])


def test_zero_is_an_id_an_answer_a_subject_and_a_cluster(tmp_path):
    rows = [{"question": "?", "subset": "skill", "id": n, "expected": n, "group": n, "cluster": n} for n in range(2)]
    made = opened(FileBenchmark(name="mine", path=str(json_lines(tmp_path / "mine.jsonl", rows))), tmp_path)
    assert [(i.item_id, i.expected, i.group, i.cluster) for i in made.items] == [("0",) * 4, ("1",) * 4]


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


FORMS = ("lines", "array", "by id", "data", "csv", "tsv", "parquet", "gz")


@pytest.mark.parametrize("form", FORMS)
def test_one_benchmark_in_every_form_of_file(tmp_path, form):
    (tmp_path / "cup.png").write_bytes(picture())
    rows = [
        {"id": n, "question": f"Is there a cup\u2028{n}?", "image": "cup.png", "expected": "yes", "subset": "yes-no"}
        for n in range(3)
    ]
    path = tmp_path / "mine"
    if form in ("csv", "tsv"):
        file = io.StringIO()
        writer = csv.DictWriter(file, list(rows[0]), delimiter="," if form == "csv" else "\t")
        writer.writeheader()
        writer.writerows(rows)
        path.write_text("\ufeff" + file.getvalue())
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        lines = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        by_id = {row["id"]: {k: v for k, v in row.items() if k != "id"} for row in rows}
        path.write_bytes({
            "lines": lines, "array": json.dumps(rows).encode(), "by id": json.dumps(by_id).encode(),
            "data": json.dumps({"data": rows}).encode(), "gz": gzip.compress(lines),
        }[form])  # fmt: skip
    made = opened(FileBenchmark(name="mine", path=str(path)), tmp_path)
    assert [item.item_id for item in made.items] == ["0", "1", "2"]
    assert {item.question for item in made.items} == {row["question"] for row in rows}
    assert {(item.expected, len(item.images)) for item in made.items} == {("yes", 1)}


def test_cells_of_text_are_read_as_what_they_say(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    path = tmp_path / "mine.csv"
    path.write_text('question,harmful,heldout,images,meta\n?,TRUE,false,"[""a.png"", ""a.png""]",note\n?,False,,,\n')
    with pytest.raises(DataError, match="line 3: The row is neither harmful nor benign"):
        opened(FileBenchmark(name="mine", path=str(path)), tmp_path)
    path.write_text(path.read_text().rpartition("?,False")[0])
    (item,) = opened(FileBenchmark(name="mine", path=str(path)), tmp_path).items
    assert (item.harmful, item.heldout, len(item.images)) == (True, False, 2)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (0, "0"), (False, "false"), (True, "true"), (3.5, "3.5"), (-5, "-5"), (" a cup ", "a cup"),
        ("[0, 2]", "[0, 2]"),
    ],
)  # fmt: skip
def test_the_expected_answer_is_kept_whatever_it_is(tmp_path, cell, expected):
    (item,) = load(tmp_path, [{"question": "?", "subset": "skill", "expected": cell}]).items
    assert (item.expected, item.also) == (expected, ())


def test_several_answers_may_be_right(tmp_path):
    (item,) = load(tmp_path, [{"question": "?", "subset": "skill", "expected": ["cup", "a mug", 3]}]).items
    assert item.answers == ("cup", "a mug", "3")
    assert [EXACT.outcome(item, text) for text in ("Cup.", "mug", "3", "jug")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("cell", "expected"), [(True, "yes"), (False, "no"), ("Yes.", "yes"), ("NO", "no"), ("true", "yes"), (["no"], "no")]
)
def test_yes_and_no_are_read_in_all_their_spellings(tmp_path, cell, expected):
    (item,) = load(tmp_path, [{"question": "?", "subset": "yes-no", "expected": cell}]).items
    assert item.expected == expected


@pytest.mark.parametrize("cell", ["maybe", "yes or no", 1, 0, ["yes", "no"], "y"])
def test_what_is_neither_yes_nor_no_is_refused_by_its_line(tmp_path, cell):
    good = {"question": "?", "subset": "yes-no", "expected": "yes"}
    assert "line 2: In the subset `yes-no` `expected` is yes or no" in refusal(
        tmp_path, [good, {**good, "expected": cell}]
    )


@pytest.mark.parametrize(
    "row",
    [
        {"images": ["a.png", "b.png"]}, {"image": ["a.png", "b.png"]}, {"image_1": "a.png", "image_2": "b.png"},
        {"image_2": "b.png", "image_10": None, "image_1": "a.png"}, {"image_path": ["a.png", "b.png"]},
    ],
)  # fmt: skip
def test_pictures_under_any_of_their_names_are_shown(tmp_path, row):
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        (tmp_path / name).write_bytes(picture(colour))
    (item,) = load(tmp_path, [{"question": "?", "benign": True, **row}]).items
    assert [image.path.name for image in item.images] == ["a.png", "b.png"]
    assert item.shown == "picture" and item.cluster == item.images[0].sha256


@pytest.mark.parametrize("form", ["base64", "data url", "bytes", "struct", "path in a struct"])
def test_pictures_inside_a_file_are_read_in_every_form(tmp_path, form):
    (tmp_path / "a.png").write_bytes(picture())
    text = base64.b64encode(picture()).decode()
    cell = {
        "base64": text + " " * 400, "data url": f"data:image/png;base64,{text}", "bytes": picture(),
        "struct": {"bytes": picture(), "path": "x"}, "path in a struct": {"bytes": None, "path": "a.png"},
    }[form]  # fmt: skip
    pq.write_table(pa.Table.from_pylist([{"question": "?", "benign": True, "image": cell}]), tmp_path / "m.parquet")
    (item,) = opened(FileBenchmark(name="m", path=str(tmp_path / "m.parquet")), tmp_path).items
    assert item.images[0].path.read_bytes() == picture()


def test_unknown_columns_are_named_with_what_may_be_meant(tmp_path):
    row = {"question": "?", "benign": True, "harmfull": False, "choices": "A B", "mood": "calm", "meta": {"a": 1}}
    told = refusal(tmp_path, [row, {**row, "notes": None}])
    assert '"harmfull" (did you mean `harmful`?)' in told and '"mood"' in told
    assert '"choices" (options are a list, or an object by letter, called `options`)' in told
    assert "ignore: [harmfull, choices, mood]" in told and "notes" not in told and "meta`" not in told
    assert len(load(tmp_path, [row], ignore=("harmfull", "choices", "mood")).items) == 1


@pytest.mark.parametrize(
    ("name", "hint"), [("arm", "`subset` now"), ("answer", "`expected`"), ("instruction", "`question`")]
)
def test_columns_that_have_another_name_here_are_told_apart_from_misspellings(tmp_path, name, hint):
    assert hint in refusal(tmp_path, [{"question": "?", "benign": True, name: "x"}])


def test_pictures_named_in_two_ways_are_refused(tmp_path):
    told = refusal(tmp_path, [{"question": "?", "benign": True, "image": "a.png", "images": ["b.png"]}])
    assert "several columns: `image`, `images`" in told
    told = refusal(tmp_path, [{"question": "?", "benign": True, "image_path": "a.png", "image_2": "b.png"}])
    assert "`image_path`, `image_2`" in told


def test_a_row_that_does_not_say_what_it_measures_is_never_taken_for_harm(tmp_path):
    rows = [{"question": "?"}]
    assert "The row does not say what it measures" in refusal(tmp_path, rows)
    (item,) = load(tmp_path, rows, subset="benign").items
    assert item.benign and not item.harmful
    (item,) = load(tmp_path, [{"question": "?", "harmful": True}], subset="benign").items
    assert item.harmful and item.subset == "harm"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": None, "image": "cup.png"}, "`question` is missing; the row has `image`, `subset`"),
        ({"question": ""}, "`question` is empty"),
        ({"question": " \n"}, "`question` is empty"),
        ({"question": ["one", "two"]}, "`question` is text, not a list of 2"),
        ({"question": 7}, "`question` is text, not 7"),
        ({"subset": "hram"}, 'no subset "hram"'),
        ({"subset": ["harm"]}, "`subset` is text"),
        ({"subset": "skill"}, "`expected` is missing or empty"),
        ({"subset": "skill", "expected": ""}, "`expected` is missing or empty"),
        ({"subset": "skill", "expected": []}, "`expected` is an empty list"),
        ({"subset": "skill", "expected": ["a", None]}, "`expected` is missing or empty"),
        ({"subset": "skill", "expected": {"a": 1}}, "not an object with"),
        ({"subset": "skill", "expected": float("nan")}, "`expected` is missing or empty"),
        ({"image": "../secret.png"}, "outside its folder"),
        ({"image": "/etc/hostname"}, "outside its folder"),
        ({"image": "https://example.org/a.png"}, "web address"),
        ({"image": 7}, "not 7"),
        ({"image": "data:image/png;base64,????"}, "neither a path nor a picture"),
        ({"image": "data:image/png;base64,AAAA"}, "not a JPEG"),
        ({"harmful": "yes"}, 'true or false, not "yes"'),
        ({"harmful": 1}, "true or false, not 1"),
        ({"harmful": True, "benign": True}, "both harmful and benign"),
        ({"harmful": False, "benign": False, "subset": "x"}, "neither harmful nor benign"),
        ({"id": True}, "`id` is text or a whole number"),
        ({"id": 1.5}, "`id` is text or a whole number"),
        ({"earlier": [{"role": "system", "text": "x"}]}, "holds turns"),
        ({"earlier": ["x"]}, "holds turns"),
        ({"earlier": "x"}, "list of turns"),
        ({"earlier": "[" * 100_000}, "list of turns"),
        ({"earlier": [{"role": "user", "text": "x"}]}, "the assistant's last"),
        ({"earlier": [{"role": "assistant", "text": "x"}]}, "the user's first"),
        ({"earlier": [{"role": "user", "text": ""}, {"role": "assistant", "text": "x"}]}, "`text` is empty"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_told_with_its_line(tmp_path, row, message):
    good = {"question": "?", "subset": "harm"}
    told = refusal(tmp_path, [good, {**good, **row}])
    assert message in told and "mine.jsonl, line 2: " in told and "1 of 2" in told


def test_all_wrong_rows_are_counted_and_the_first_five_named(tmp_path):
    told = refusal(tmp_path, [{"question": ""}] * 9 + [{"question": "?", "benign": True}])
    assert "Rows that cannot be used: 9 of 10" in told and "and 4 more" in told
    assert [f"line {n}:" in told for n in range(1, 11)] == [True] * 5 + [False] * 5


def test_ids_begin_at_zero_where_the_file_s_do_and_equal_ones_are_refused(tmp_path):
    rows = [{"question": "?", "benign": True, "id": n} for n in (0, 1, 2)]
    assert [item.item_id for item in load(tmp_path, rows).items] == ["0", "1", "2"]
    assert "id 1: 2 rows have it" in refusal(tmp_path, [*rows, {**rows[0], "id": "1"}])


def test_an_error_never_prints_a_picture(tmp_path):
    cell = base64.b64encode(picture() * 99).decode()
    told = refusal(tmp_path, [{"question": {"x": cell}, "subset": cell, "benign": True}])
    assert len(told) < 700 and cell[:40] not in told


def test_missing_pictures_are_counted_before_anything_is_asked(tmp_path):
    (tmp_path / "0.png").write_bytes(picture())
    (tmp_path / "1.png").write_bytes(b"no picture")
    (tmp_path / "2.png").write_bytes(picture()[:45])
    rows = [{"question": "?", "benign": True, "image": f"{n}.png"} for n in (0, 0, 1, 2, *range(3, 9))]
    told = refusal(tmp_path, rows)
    assert "Pictures that are missing or cannot be read: 8 of 9" in told and "and 3 more" in told
    assert (
        "1.png: not a JPEG" in told and "2.png: a damaged picture" in told and "3.png: there is no such picture" in told
    )
    assert "evaluate.missing_pictures=skip" in told


def test_with_skip_the_others_go_on_and_the_missing_are_known(tmp_path):
    (tmp_path / "0.png").write_bytes(picture())
    path = json_lines(tmp_path / "m.jsonl", [{"question": "?", "benign": True, "image": f"{n}.png"} for n in (0, 1)])
    made = opened(FileBenchmark(name="m", path=str(path)), tmp_path, missing_pictures="skip")
    assert [item.missing for item in made.items] == ["", "1.png: there is no such picture"]


def test_a_limit_is_spread_over_subsets_groups_and_answers_and_a_larger_one_takes_more(tmp_path):
    rows = [{"question": "?", "subset": "yes-no", "expected": n % 2 == 0, "group": "ab"[n // 40]} for n in range(80)]
    rows += [{"question": "?", "subset": "benign"} for _ in range(500)]
    made = {limit: load(tmp_path, rows, limit=limit).items for limit in (5, 10, 600)}
    strata = [(item.subset, item.group, item.expected) for item in made[10]]
    assert sorted(strata.count(stratum) for stratum in set(strata)) == [2] * 5
    assert {item.item_id for item in made[5]} < {item.item_id for item in made[10]}
    assert [int(item.item_id) for item in made[10]] == sorted(int(item.item_id) for item in made[10])
    assert len(made[600]) == 580


def test_only_pictures_that_are_shown_are_looked_for(tmp_path):
    rows = [{"question": "?", "benign": True, "image": f"{n}.png"} for n in range(50)]
    first = {item.images[0].path.name for item in opened_anyway(tmp_path, rows, limit=2)}
    for name in first:
        (tmp_path / name).write_bytes(picture())
    assert {item.images[0].path.name for item in load(tmp_path, rows, limit=2).items} == first


def opened_anyway(tmp_path, rows, **settings):
    path = json_lines(tmp_path / "mine.jsonl", rows)
    return opened(FileBenchmark(name="m", path=str(path), **settings), tmp_path, missing_pictures="skip").items
