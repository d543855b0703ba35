"""Every public form of preference files is read as the same pairs; what is no pair is found, never trained as text."""

import base64
import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spavl.errors import DataError
from spavl.preferences.forms import FORMS, form_of
from spavl.preferences.messages import PLACEHOLDER, RowError, place_pictures
from spavl.preferences.pairs import Reading, read_rows
from spavl.preferences.sources import find_pairs
from tests.preferences.public_forms import WRITERS, Talk, answer, openai
from tests.preferences.test_pairs import png, read_pairs

WORD = st.text("abcdefgh ,.?\n", min_size=1, max_size=12).filter(lambda text: text == text.strip())


@st.composite
def talks(draw):
    """Conversations of one to three turns of the user, with pictures in any of these."""
    asked = draw(st.integers(1, 3))
    counts = [draw(st.integers(0, 2)) if n % 2 == 0 else 0 for n in range(2 * asked - 1)]
    texts = [draw(WORD) for _ in counts]
    return Talk(tuple(zip(texts, counts, strict=True)), draw(WORD), draw(WORD), draw(st.sampled_from(["", "be kind"])))


def read_row(values, **reading):
    """System text, turns and answers of a row, with its pictures as the file has them."""
    found = form_of(values, "file", **reading).read(values, reading.get("prefer"))
    return (
        found.system,
        [(turn.role, turn.text, turn.pictures) for turn in found.turns],
        found.chosen.text,
        found.rejected.text,
    )


@pytest.mark.parametrize("form", WRITERS)
@given(talk=talks())
@settings(max_examples=60, deadline=None)
def test_a_conversation_is_the_same_in_every_form(form, talk):
    paths = [f"{n}.png" for n in range(talk.pictures)]
    values = WRITERS[form](talk) | {"images": paths}
    left = iter(paths)
    expected = [
        ("user" if n % 2 == 0 else "assistant", text, tuple(next(left) for _ in range(count)))
        for n, (text, count) in enumerate(talk.turns)
    ]
    assert read_row(values) == (talk.system, expected, talk.chosen, talk.rejected)
    assert form_of(values, "file").name == form.partition(",")[0]


@given(talk=talks(), drop=st.booleans())
@settings(max_examples=60, deadline=None)
def test_placeholders_and_pictures_are_as_many_or_the_row_is_refused(talk, drop):
    paths = [f"{n}.png" for n in range(talk.pictures + (-1 if drop else 1))]
    marked = talk.pictures > 0
    for write in WRITERS.values():
        if marked and not (drop and talk.pictures == 0):
            with pytest.raises(RowError, match="placeholders"):
                read_row(write(talk) | {"images": paths})


ROW = Talk((("what is shown", 1),), "a cup", "a hat")


def files_of(folder, rows):
    """The rows as JSON lines, as a JSON array, as Parquet, and each packed."""
    lines = "\n".join(json.dumps(row) for row in rows)
    (folder / "a.jsonl").write_text(lines)
    (folder / "b.json").write_text(json.dumps(rows, indent=1))
    pq.write_table(pa.Table.from_pylist(rows), folder / "c.parquet")
    (folder / "d.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    with (folder / "e.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        cells = [{n: json.dumps(v) if isinstance(v, list | dict) else v for n, v in row.items()} for row in rows]
        writer.writerows(cells)
    return sorted(folder.glob("?.*"))


@pytest.mark.parametrize("form", [name for name in WRITERS if name != "alpaca"])
def test_every_form_is_read_from_every_kind_of_file(form, tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("0.png", "1.png"):
        (tmp_path / "images" / name).write_bytes(png("red" if name == "0.png" else "blue"))
    rows = [WRITERS[form](ROW) | {"images": [f"{n}.png"]} for n in range(2)]
    if form == "spa-vl":
        rows = [{name: value for name, value in row.items() if name != "earlier"} for row in rows]
    files = files_of(tmp_path, rows)
    assert len(files) == 5
    for file in files:
        pairs = read_pairs(file)
        assert [(p.question, p.chosen, p.rejected, p.malformed) for p in pairs] == [
            ("what is shown", "a cup", "a hat", "")
        ] * 2, file.name
        assert [p.pictures[0].source for p in pairs] == [tmp_path / "images" / f"{n}.png" for n in range(2)]


def test_alpaca_joins_instruction_and_input():
    values = {"instruction": "say", "input": "this", "chosen": "a", "rejected": "b"}
    assert read_row(values)[1] == [("user", "say\nthis", ())]


def test_responses_with_marks_are_read_by_the_preference_that_the_user_names(tmp_path):
    values = {"question": "q", "response_1": "one", "response_2": "two", "safer_response_id": 2,
              "more_helpful_response_id": 1, "image": "a.png"}  # fmt: skip
    with pytest.raises(DataError, match="not which is to be preferred"):
        form_of(values, "file")
    assert read_row(values, prefer="safer")[2:] == ("two", "one")
    assert read_row(values, prefer="more_helpful")[2:] == ("one", "two")
    older = {"prompt": "q", "response_0": "zero", "response_1": "one", "better_response_id": 0, "safer_response_id": 1}
    assert read_row(older, prefer="more_helpful")[2:] == ("zero", "one")
    for mark in (None, -1, 3, True, "x"):
        with pytest.raises(RowError, match="none of the two answers is marked"):
            read_row(values | {"safer_response_id": mark}, prefer="safer")
    (tmp_path / "a.jsonl").write_text(json.dumps(values | {"image": None}))
    (pair,) = read_pairs(tmp_path / "a.jsonl", Reading(prefer="safer"))
    assert (pair.chosen, pair.rejected, pair.pictures) == ("two", "one", ())


def test_a_prompt_beside_whole_conversations_is_their_last_question():
    whole = [*openai([("user", "q1"), ("assistant", "a1"), ("user", "q2")])]
    values = {"prompt": "q2", "messages": whole, "chosen": [*whole, answer("x")], "rejected": [*whole, answer("y")]}
    assert [text for _, text, _ in read_row(values)[1]] == ["q1", "a1", "q2"]
    with pytest.raises(RowError, match="none of the user's turns"):
        read_row(values | {"prompt": "another"})


def test_an_absent_prompt_is_in_the_answers_and_an_answer_may_be_json_of_its_own():
    whole = openai([("user", "q")])
    values = {"prompt": None, "chosen": [*whole, answer("x")], "rejected": [*whole, answer("y")]}
    assert read_row(values)[1] == [("user", "q", ())]
    for text in ('{"value": 3}', "{'role': 'a knight'}", '[{"name": "x"}]', '{"role": "user"', "{}", "[]"):
        assert read_row({"question": "q", "chosen": text, "rejected": "y"})[2] == text


def test_a_prompt_as_a_transcript_is_read_up_to_its_open_turn():
    values = {"prompt": "\n\nHuman: q1\n\nAssistant: a1\n\nHuman: q2\n\nAssistant:", "chosen": "x", "rejected": "y"}
    assert [text for _, text, _ in read_row(values)[1]] == ["q1", "a1", "q2"]


def test_parts_bring_pictures_of_their_own():
    inside = {"url": "data:image/png;base64,AA"}
    parts = [
        {"type": "image", "image": "a.png"},
        {"type": "image_url", "image_url": inside},
        {"type": "text", "text": "q"},
    ]
    values = {"prompt": [{"role": "user", "content": parts}], "chosen": "x", "rejected": "y"}
    assert read_row(values)[1] == [("user", "q", ("a.png", "data:image/png;base64,AA"))]
    with pytest.raises(RowError, match="in a column of their own"):
        read_row(values | {"images": ["b.png"]})


def test_reasoning_beside_a_message_is_the_thought(tmp_path):
    two = {name: [{**answer(name), "reasoning_content": "because"}] for name in ("chosen", "rejected")}
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": openai([("user", "q")]), **two}))
    assert [p.chosen for p in read_pairs(tmp_path / "a.jsonl")] == ["chosen"]
    (pair,) = read_pairs(tmp_path / "a.jsonl", Reading("train"))
    assert pair.chosen == "<think>\nbecause\n</think>\n\nchosen"


CONVERSATION = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chosen": str(CONVERSATION)}, "in Python's own writing"),
        ({"question": str(CONVERSATION)}, "in Python's own writing"),
        ({"chosen": 7}, "`chosen` is a number, not a text"),
        ({"rejected": True}, "`rejected` is true or false"),
        ({"chosen": ["a", "b"]}, "`chosen` is a list"),
        ({"question": {"text": "q"}}, "is by None, neither user"),
        ({"chosen": [{"role": "tool", "content": "x"}]}, "is by \"tool\""),
        ({"chosen": [{"role": "assistant", "content": [{"type": "video"}]}]}, "of type \"video\""),
        ({"chosen": CONVERSATION}, "differ before their last turn"),
        ({"chosen": [{"role": "user", "content": "x"}]}, "the last turn of `chosen` is not the assistant's"),
        ({"question": f"{PLACEHOLDER}\nq"}, "in the texts: 1, pictures of the row: 0"),
        ({"question": f"{PLACEHOLDER}\nq{PLACEHOLDER}", "images": ["a.png"]}, "texts: 2, pictures of the row: 1"),
        ({"chosen": f"see {PLACEHOLDER}"}, "stands in an answer"),
        ({"image": 7}, "a picture is of type int"),
        ({"system": ["x"]}, "`system` is a list"),
        ({"earlier": "before"}, "`earlier` is not a list"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_found_with_its_row_and_never_trained_as_text(change, reason, tmp_path):
    fine = {"question": "q", "chosen": "x", "rejected": "y", "image": None}
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in (fine, fine | change, fine)))
    pairs = read_pairs(tmp_path / "a.jsonl")
    assert [bool(pair.malformed) for pair in pairs] == [False, True, False]
    assert reason in pairs[1].malformed and pairs[1].pair_id == "a.jsonl, line 2"
    assert not (pairs[1].question or pairs[1].chosen or pairs[1].rejected)


def test_a_row_that_lacks_a_column_is_found(tmp_path):
    rows = [{"question": "q", "chosen": "x", "rejected": "y"}, {"question": "q", "chosen": "x"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [pair.malformed for pair in read_pairs(tmp_path / "a.jsonl")] == ["", "there is no `rejected`"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": "a", "prompt": "q", "completions": []}, "no form of preference pairs has these columns"),
        ({"chosen": "x", "rejected": "y"}, "no form of preference pairs"),
        ({"question": "q", "prompt": "q", "chosen": "x", "rejected": "y"}, "the columns fit spa-vl and trl"),
        ({"prompt": "q", "conversations": [], "chosen": {}, "rejected": {}}, "fit trl and sharegpt"),
    ],
)
def test_a_form_is_never_guessed(columns, message):
    with pytest.raises(DataError, match=message):
        form_of(columns, "file")


def test_the_settings_may_name_the_form_and_are_checked():
    both = {"question": "q", "prompt": "p", "chosen": "x", "rejected": "y"}
    assert read_row(both, name="trl")[1] == [("user", "p", ())]
    assert read_row(both, name="spa-vl")[1] == [("user", "q", ())]
    with pytest.raises(DataError, match="not in the form ms-swift"):
        form_of(both, "file", name="ms-swift")


def test_names_of_forms_are_those_of_the_settings():
    from typing import get_args

    from spavl.config.align import PairForm

    assert {form.name for form in FORMS} == set(get_args(PairForm))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<image>\nq", "q"),
        ("q\n<image>", "q"),
        ("<image> <image>\n q ", "q "),
        ("a <image> b", "a b"),
        ("a\n<image>\nb", "a\nb"),
        (" a b ", " a b "),
    ],
)
def test_a_placeholder_goes_with_the_space_that_sets_it_off(text, left):
    from spavl.preferences.messages import Turn

    (turn,) = place_pictures([Turn("user", text)], ["p"] * text.count(PLACEHOLDER), unmarked=0)
    assert turn.text == left


def picture_cells(folder):
    content = png("red")
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_bytes(content)
    (folder / "b.png").write_bytes(content)
    coded = base64.b64encode(content).decode()
    return {
        "bytes": content, "struct": {"bytes": content, "path": None}, "structs": [{"bytes": content, "path": "x"}],
        "base64": coded, "base64 with its type": f"data:image/png;base64,{coded}",
        "struct of a path": {"bytes": None, "path": "b.png"}, "path": "b.png", "in the folder": "a.png",
        "absolute": str(folder / "b.png"), "absolute and gone": "/somewhere/else/images/a.png",
        "of another system": "C:\\data\\pictures\\b.png", "list of paths": ["b.png"],
    }  # fmt: skip


def test_a_picture_may_be_written_in_every_way(tmp_path):
    red = png("red")
    for name, cell in picture_cells(tmp_path).items():
        row = {"image": cell, "question": "q", "chosen": "x", "rejected": "y"}
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
        (pair,) = read_pairs(tmp_path / "a.parquet")
        assert not pair.malformed and len(pair.pictures) == 1, name
        source = pair.pictures[0].source
        assert (source if isinstance(source, bytes) else source.read_bytes()) == red, name


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/somewhere/else/z.png", r"missing:no file /somewhere/else/z\.png: looked for .*z\.png and .*images/z\.png"),
        ("z.png", r"missing:no file z\.png: looked for .*z\.png and .*images/z\.png"),
        ("../z.png", "outside:../z.png leads out of"),
        ("https://example.org/z.png", "is an address, and pictures are not downloaded"),
        ("z" * 300, "a text of 300 letters is neither a path nor a picture in base64"),
        ("Zz9a" * 200, "a text of 800 letters is neither a path nor a picture in base64"),
    ],
)
def test_a_picture_that_is_not_there_says_why(path, reason, tmp_path):
    import re

    (tmp_path / "a.jsonl").write_text(json.dumps({"image": path, "question": "q", "chosen": "x", "rejected": "y"}))
    (pair,) = read_pairs(tmp_path / "a.jsonl")
    assert re.search(reason, pair.pictures[0].key) and pair.pictures[0].missing


def test_columns_that_are_not_read_are_named(tmp_path):
    seen = []
    rows = [{"question": "q", "chosen": "x", "rejected": "y", "img": "a.png", "score": 1}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    list(read_rows(find_pairs(tmp_path / "a.json"), on_form=lambda *how: seen.append(how)))
    ((_, form, unread),) = seen
    assert form.name == "spa-vl" and list(unread) == ["img", "score"]


def test_a_weight_is_read_in_every_form_and_a_wrong_one_is_found(tmp_path):
    fine = {"prompt": "q", "chosen": "x", "rejected": "y"}
    cells = (None, 0, 2.5, "0.5", -1, "much", "nan")
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(fine | {"weight": cell}) for cell in cells))
    pairs = read_pairs(tmp_path / "a.jsonl")
    assert [pair.weight for pair in pairs[:4]] == [1.0, 0.0, 2.5, 0.5]
    assert all("is not a number of 0 or more" in pair.malformed for pair in pairs[4:])


def test_a_file_with_one_opinion_alone_is_read_by_it_and_another_is_refused_by_name():
    values = {"question": "q", "response_1": "one", "response_2": "two", "safer_response_id": 2, "image": "a.png"}
    assert read_row(values)[2:] == ("two", "one")
    assert read_row(values, prefer="safer")[2:] == ("two", "one")
    with pytest.raises(DataError, match="only which answer is safer, and not which is more_helpful"):
        form_of(values, "file", prefer="more_helpful")
    later = {**values, "more_helpful_response_id": 1}
    with pytest.raises(RowError, match="not which is to be preferred"):
        form_of(values, "file").read(later)
