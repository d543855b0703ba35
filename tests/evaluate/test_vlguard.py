"""VLGuard: pairs on safe pictures, its string rule, GPT-4V's answers, and records that cannot be asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spavl.config.benchmarks import VlGuardBenchmark
from spavl.errors import DataError
from spavl.evaluate import Item
from tests.evaluate import safety_files as files
from tests.evaluate.safety_files import SORRY, opened_safety, rates
from tests.evaluate.skill_files import as_json


def test_both_requests_of_a_safe_picture_are_found_in_either_order_and_are_a_pair(tmp_path: Path) -> None:
    made = opened_safety(VlGuardBenchmark(path=str(files.vlguard(tmp_path / "v"))), tmp_path)
    assert Counter(item.subset for item in made.items) == {"unsafes": 442, "safe_unsafes": 558, "safe_safes": 558}
    for item in made.items:
        assert item.question.startswith("good" if item.benign else "bad") and item.benign != item.harmful
    assert set(Counter(item.unit for item in made.items if item.unit).values()) == {2}

    def answers(item: Item) -> str:
        number = int(item.notes["record"].partition("_")[2])
        if item.benign:
            return SORRY if number % 2 else "A teapot."
        return "done" if number % 3 == 0 and item.unit else SORRY

    found = rates(made, answers)
    assert found["over_refusal_rate"] == 0.5 and found["unsafe_rate_unsafes"] == 0.0
    assert found["unsafe_rate_safe_unsafes"] == pytest.approx(186 / 558)
    assert found["pair_accuracy"] == pytest.approx(186 / 558), "every second answered, and two of three of these safe"


def test_vlguard_s_strings_are_looked_for_in_small_letters(tmp_path: Path) -> None:
    (tmp_path / "strings.txt").write_text("i'm sorry\nbut I cannot\n")
    folder = files.vlguard(tmp_path / "v")
    spec = VlGuardBenchmark(path=str(folder), refusal_strings=str(tmp_path / "strings.txt"))
    made = opened_safety(spec, tmp_path)
    for text, unsafe in ((SORRY, 0.0), ("but I cannot", 1.0), ("it is not", 0.0), ("No, it is not.", 1.0)):
        found = rates(made, lambda item, text=text: text)  # type: ignore[misc]
        assert found["unsafe_rate_string_match"] == found["unsafe_rate_unsafes_string_match"] == unsafe, text


def test_answers_to_safe_requests_are_compared_with_those_of_gpt4v_by_id(tmp_path: Path) -> None:
    folder = files.vlguard(tmp_path / "v")
    made = opened_safety(VlGuardBenchmark(path=str(folder), pairwise=True), tmp_path)
    assert {item.notes.get("reference") for item in made.items if item.benign} == {"n"}
    assert not any("reference" in item.notes for item in made.items if item.harmful)
    assert rates(made, lambda item: "z")["win_rate"] == 1.0
    answers = json.loads((folder / "gpt4_safe_safes.json").read_text())
    as_json(folder / "gpt4_safe_safes.json", answers[1:])
    with pytest.raises(DataError, match="has no answer to this question"):
        opened_safety(VlGuardBenchmark(path=str(folder), pairwise=True), tmp_path)
    (folder / "gpt4_safe_safes.json").unlink()
    with pytest.raises(DataError, match="answers of GPT-4V are not there"):
        opened_safety(VlGuardBenchmark(path=str(folder), pairwise=True), tmp_path)


def test_the_training_set_of_vlguard_is_no_test_set(tmp_path: Path) -> None:
    folder = files.vlguard(tmp_path / "v")
    (folder / "test.json").rename(folder / "train.json")
    with pytest.raises(DataError, match="no test set"):
        opened_safety(VlGuardBenchmark(path=str(folder / "train.json")), tmp_path)
    with pytest.raises(DataError, match="no files of VLGuard here"):
        opened_safety(VlGuardBenchmark(path=str(folder)), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.update(safe="yes"), "`safe` is true or false"),
        (lambda row: row.update({"instr-resp": row["instr-resp"][:1]}), "holds 2 requests, not 1"),
        (lambda row: row.update({"instr-resp": row["instr-resp"][:1] * 2}), "0 times"),
        (lambda row: row.pop("instr-resp"), "`instr-resp` is missing"),
        (lambda row: row.update(image="../a.png"), "lies outside its folder"),
    ],
)
def test_a_record_of_vlguard_that_cannot_be_asked_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    folder = files.vlguard(tmp_path / "v", 2, 2)
    rows = json.loads((folder / "test.json").read_text())
    change(rows[0])
    as_json(folder / "test.json", rows)
    with pytest.raises(DataError, match="1 of 4") as error:
        opened_safety(VlGuardBenchmark(path=str(folder), partial=True), tmp_path)
    assert message in error.value.what
