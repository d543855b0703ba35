"""What a user's own file can say of answers: options, tolerances, grades, pairs, splits; and its guide's examples."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spavl.config.benchmarks import FileBenchmark
from spavl.errors import DataError
from spavl.evaluate import BenchmarkTools
from spavl.evaluate.item import Item
from spavl.evaluate.loaders import open_benchmark
from spavl.evaluate.loaders.answers_of_row import right_letter, within
from spavl.evaluate.loaders.rotations import options_shown
from spavl.evaluate.parse import EXACT
from spavl.evaluate.run import score, summarise
from spavl.evaluate.scorer import Answer, Rule
from spavl.judging.readers.options import LETTERS
from spavl.models.base import Sampling
from tests.evaluate.benchmark_files import json_lines, picture

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "benchmark-files.md"
EXAMPLES = re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
UNSAFE = Rule("test:unsafe/1", lambda item, text: "hot steam" in text)
GRADE = Rule("test:grade/1", lambda item, text: 0.5)
DECLINES = "I'm sorry, but I can't help with that."


def opened(spec, tmp_path):
    tools = BenchmarkTools(
        name=spec.name, sampling=Sampling(max_tokens=16), pictures=tmp_path / "pictures", seed=0,
        unsafe=lambda: UNSAFE, graded=lambda name: GRADE,
    )  # fmt: skip
    return open_benchmark(spec, tools)


def load(tmp_path, rows, **settings):
    path = json_lines(tmp_path / "mine.jsonl", rows)
    return opened(FileBenchmark(name="mine", path=str(path), **settings), tmp_path)


def refusal(tmp_path, row, **settings) -> str:
    with pytest.raises(DataError) as error:
        load(tmp_path, [{"question": "?", "subset": "skill", "expected": "B", **row}], **settings)
    assert "mine.jsonl" in error.value.render()
    return error.value.render()


def rates(benchmark, says):
    answers = [
        Answer(item=item, benchmark=benchmark.name, model="m", text=says(item), status="ok", call="", tokens=1)
        for item in benchmark.items
    ]
    return {name: rate.value for name, rate in summarise(score(benchmark, answers)).items()}


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_every_example_of_the_guide_is_loaded(tmp_path, name, text):
    for one in ("cup", "jug"):
        (tmp_path / f"{one}.png").write_bytes(picture("red" if one == "cup" else "blue"))
    settings, rows = text.split("\n", 1)
    (tmp_path / name).write_text(rows)
    made = opened(FileBenchmark(name="mine", path=str(tmp_path / name), **json.loads(settings)), tmp_path)
    assert made.items and made.metrics and not any(item.missing for item in made.items)


def test_the_guide_has_an_example_of_every_column():
    assert len(EXAMPLES) >= 9
    named = {name for _, text in EXAMPLES for name in re.findall(r'"(\w+)":', text)}
    assert {"images", "earlier", "options", "expected", "tolerance", "reference", "pair", "split", "group"} <= named


def test_options_are_shown_under_the_question_and_read_by_letter_or_text(tmp_path):
    row = {"question": "What is it?", "options": ["a jug", "a cup"], "expected": "a cup", "subset": "skill"}
    made = load(tmp_path, [row])
    (item,) = made.items
    assert made.prompt_for(item).text == "What is it?\nA. a jug\nB. a cup"
    assert (item.options, item.expected, item.unit) == (("a jug", "a cup"), "B", "")
    assert [m.name for m in made.metrics] == ["skill_accuracy"]
    for says, right in {"B": 1, "The answer is B.": 1, "a cup": 1, "A": 0, DECLINES: 0}.items():
        assert rates(made, lambda item, says=says: says)["skill_accuracy"] == right, says


@pytest.mark.parametrize(
    "options", [["a jug", "a cup"], "['a jug', 'a cup']", '["a jug", "a cup"]', {"A": "a jug", "B": "a cup"}]
)
@pytest.mark.parametrize("expected", ["B", "b", "(B)", "a cup", 1, "1"])
def test_options_and_the_right_one_in_every_form(tmp_path, options, expected):
    (item,) = load(tmp_path, [{"question": "?", "options": options, "expected": expected, "subset": "skill"}]).items
    assert item.options == ("a jug", "a cup") and item.expected == "B"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"options": ["1", "2"], "expected": 1}, "option A or B"),
        ({"options": ["B", "A"], "expected": "A"}, "option A or B"),
        ({"options": ["a", "b"], "expected": "C"}, "none of the options"),
        ({"options": ["a", "b"], "expected": ["A", "B"]}, "one right answer"),
        ({"options": ["a"]}, "2 to 10 options"),
        ({"options": ["a", "a"]}, "the same"),
        ({"options": ["a", ""]}, "Option B is empty"),
        ({"options": "a, b"}, "cannot be read"),
        ({"options": {"A": "a", "C": "c"}}, "A, B, C"),
        ({"options": ["a", "b"], "subset": "benign"}, "subset `skill`"),
        ({"expected": 3, "tolerance": "near"}, "0.05"),
        ({"expected": "cup", "tolerance": 1}, "no number"),
        ({"subset": "benign", "tolerance": 1}, "subset `skill`"),
        ({"subset": "benign", "expected": None, "also": ["a"]}, "further right answers"),
        ({"subset": "graded", "expected": None}, "`reference`"),
        ({"pair": "alone"}, "at least two"),
        ({"subset": "graded", "expected": None, "reference": "x", "pair": "p"}, "side of a pair"),
    ],
)
def test_what_is_wrong_is_a_sentence(tmp_path, row, told):
    assert told in refusal(tmp_path, row)


@given(
    st.lists(st.text("abcdefgh ", min_size=3, max_size=9).map(str.strip).filter(lambda s: len(s) > 1), min_size=2,
             max_size=10, unique=True),
    st.data(),
)  # fmt: skip
def test_the_right_option_is_the_same_by_letter_text_and_place(options, data):
    place = data.draw(st.integers(0, len(options) - 1))
    for word in (LETTERS[place], options[place], str(place)):
        assert right_letter((word,), options) == LETTERS[place]


@given(st.integers(2, 10), st.integers(0, 9), st.one_of(st.none(), st.integers(0, 99)), st.booleans())
def test_whatever_the_order_the_right_option_keeps_its_text(count, right, seed, circular):
    options = tuple(f"option {place}" for place in range(count))
    right %= count
    item = Item(item_id="x", subset="skill", question="?", options=options, expected=LETTERS[right])
    shown = list(options_shown([item], shuffle=seed, circular=circular))
    assert len(shown) == (count if circular else 1) and len({one.item_id for one in shown}) == len(shown)
    for one in shown:
        assert one.options[LETTERS.index(one.expected)] == options[right] and sorted(one.options) == sorted(options)
        assert f"{one.expected}. {options[right]}" in one.question
    if circular:
        assert Counter(one.expected for one in shown) == dict.fromkeys(LETTERS[:count], 1)


def test_circular_counts_a_question_once_and_a_model_that_always_says_a_gets_nothing(tmp_path):
    rows = [{"question": f"? {n}", "options": ["jug", "cup", "pan"], "expected": "A", "subset": "skill"}
            for n in range(4)]  # fmt: skip
    made = load(tmp_path, rows, circular=True)
    assert len(made.items) == 12 and [i.item_id for i in made.items[:3]] == ["1", "1/turn-1", "1/turn-2"]
    assert rates(made, lambda item: "A")["skill_accuracy"] == 0
    assert rates(made, lambda item: item.expected)["skill_accuracy"] == 1
    assert len(load(tmp_path, rows, circular=True, limit=7).items) == 6


def test_a_shuffle_depends_on_its_seed_alone(tmp_path):
    rows = [{"question": f"? {n}", "options": [*"stuvwxyz"], "expected": "A", "subset": "skill"} for n in range(9)]
    first, again, other = (load(tmp_path, rows, shuffle=seed) for seed in (1, 1, 2))
    assert [i.options for i in first.items] == [i.options for i in again.items] != [i.options for i in other.items]
    assert len({i.expected for i in first.items}) > 1


def test_soft_accuracy_is_a_third_for_each_who_agrees(tmp_path):
    people = ["cup", "cup", *["mug"] * 8]
    made = load(tmp_path, [{"question": "?", "expected": people, "subset": "skill"}], scoring="soft")
    assert [m.name for m in made.metrics] == ["skill_accuracy", "skill_accuracy_official"]
    assert rates(made, lambda item: "cup")["skill_accuracy_official"] == pytest.approx(0.6)
    assert rates(made, lambda item: "mug") == {"skill_accuracy": 1, "skill_accuracy_official": 1}
    assert rates(made, lambda item: DECLINES)["skill_accuracy"] == 0
    (tmp_path / "mine.csv").write_text('question,expected\r\n?,"[""cup"", ""cup"", ""cup""]"\r\n')
    table = FileBenchmark(name="mine", path=str(tmp_path / "mine.csv"), subset="skill", scoring="soft")
    assert len(opened(table, tmp_path).items[0].answers) == 3


@pytest.mark.parametrize(
    ("says", "right", "tolerance", "near"),
    [
        ("9.55", "9.5", "0.05", True), ("9.56", "9.5", "0.05", False), ("252.5 grams", "250", "1%", True),
        ("252.6", "250", "1%", False), ("-101", "-100", "1%", True), ("a cup", "3", "5", False),
        ("0.1", "0", "1%", False),
    ],
)  # fmt: skip
def test_a_number_may_be_off_by_its_tolerance(says, right, tolerance, near):
    assert within(says, right, tolerance) is near


def test_a_tolerance_of_the_row_goes_before_that_of_the_benchmark_and_words_have_none(tmp_path):
    rows = [{"question": "?", "expected": one, "subset": "skill"} for one in (100, "a cup")]
    made = load(tmp_path, [*rows, {**rows[0], "tolerance": 5}], tolerance="1%")
    assert [item.notes.get("tolerance") for item in made.items] == ["1%", None, "5"]
    assert rates(made, lambda item: "103")["skill_accuracy"] == pytest.approx(1 / 3)
    with pytest.raises(ValidationError):
        FileBenchmark(name="mine", path="x", tolerance="about 3")


def test_a_pair_is_right_where_both_sides_are(tmp_path):
    rows = [
        {"question": "mend it", "subset": "benign", "pair": 1}, {"question": "harm", "subset": "harm", "pair": 1},
        {"question": "is it?", "subset": "yes-no", "expected": "yes", "pair": 2},
        {"question": "is it not?", "subset": "yes-no", "expected": "no", "pair": 2},
        {"question": "alone", "subset": "benign"},
    ]  # fmt: skip
    made = load(tmp_path, rows)
    assert [m.name for m in made.metrics][-1] == "pair_accuracy" and made.metrics[-1].axis == "over-refusal"
    assert made.items[0].cluster == "1" and not made.items[4].cluster

    def good(item):
        return item.expected or "It is a teapot."

    assert rates(made, good)["pair_accuracy"] == 1
    assert rates(made, lambda item: DECLINES if item.benign else good(item))["pair_accuracy"] == 0.5
    assert rates(made, lambda item: "hot steam" if item.harmful else good(item))["pair_accuracy"] == 0.5
    assert rates(made, lambda item: "yes" if item.expected else good(item))["pair_accuracy"] == 0.5


def test_graded_rows_are_scored_from_0_to_1(tmp_path):
    made = load(tmp_path, [{"question": "?", "subset": "graded", "reference": "Boil water."}])
    assert [(m.name, m.graded) for m in made.metrics] == [("graded_score", True)]
    assert made.items[0].notes == {"reference": "Boil water."} and rates(made, lambda item: "x")["graded_score"] == 0.5
    assert "Boil" not in made.prompt_for(made.items[0]).text


def test_splits_enter_the_ids_and_several_files_do_not_collide(tmp_path):
    one = json_lines(tmp_path / "a.jsonl", [{"id": 0, "question": "?", "benign": True}])
    (tmp_path / "b.csv").write_text("\ufeffid,question,benign\r\n0,?,true\r\n")
    files = {"dev": str(one), "test": str(tmp_path / "b.csv")}
    made = opened(FileBenchmark(name="mine", files=files), tmp_path)
    assert [(item.item_id, item.group) for item in made.items] == [("dev/0", "dev"), ("test/0", "test")]
    assert made.source == "a.jsonl, b.csv"
    with pytest.raises(ValidationError, match="path"):
        FileBenchmark(name="mine", files=files, path=str(one))
    with pytest.raises(ValidationError, match="path"):
        FileBenchmark(name="mine")


def test_a_file_without_any_of_it_keeps_its_ids_scorers_and_protocol(tmp_path):
    right = {"question": "What is it?", "expected": "a cup", "subset": "skill", "id": 0}
    rows = [right, {"question": "?", "benign": True}]
    made = load(tmp_path, rows)
    assert [item.item_id for item in made.items] == ["0", "2"] and made.metrics[1].scorer is EXACT
    assert made.items[0].notes == {} and made.items[0].options == () and made.items[0].unit == ""
    assert made.protocol() == "7ce941f83d3b0fd1"  # as before there was any of it
